"""A voice for the caller, and ears for what the agent says: the embedded engines, used directly."""

from collections.abc import Sequence
from contextlib import aclosing

import numpy as np

from nur_server.audio.rates import LISTEN_RATE
from nur_server.audio.resample import resample
from nur_server.audio.utterance import UtteranceAudio
from nur_server.cli.line import RATE
from nur_server.ports import ListenOptions, Samples, SpeakRequest, SpeechToText, TextToSpeech
from nur_server.providers import flite
from nur_server.providers.espeak import Espeak
from nur_server.providers.flite import Flite

CALLER = {"flite": "rms", "espeak-ng": "en-us"}
"""The caller's voice on each engine: the one the embedded recogniser understands best. A man's,
where the agent of the demonstration has a woman's."""
SILENCE_LEVEL = 200
"""Peak below which what surrounds an utterance is cut off."""


async def speak(texts: Sequence[str]) -> list[Samples]:
    """Each text as a caller's speech at 24 kHz, without silence around it.

    Raises `ProviderError` where no embedded synthesiser can be had.
    """
    engine: Flite | Espeak = Flite() if flite.available() else Espeak()
    try:
        return [await _spoken(engine, text, CALLER[engine.name]) for text in texts]
    finally:
        await engine.close()


async def hear(engine: SpeechToText, samples: Samples) -> str:
    """The words in audio at 24 kHz."""
    audio = UtteranceAudio()
    audio.append(resample(samples, RATE, LISTEN_RATE))
    audio.end()
    text = ""
    options = ListenOptions(wants_partials=False)
    async with aclosing(engine.transcribe(audio, options)) as transcripts:
        async for transcript in transcripts:
            text = transcript.text
    return text


async def _spoken(engine: TextToSpeech, text: str, voice: str) -> Samples:
    request = SpeakRequest(text, voice)
    async with aclosing(engine.speak(request)) as chunks:
        made = [chunk async for chunk in chunks]
    samples = np.concatenate([chunk.samples for chunk in made])
    return _trimmed(resample(samples, made[0].sample_rate, RATE))


def _trimmed(samples: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= SILENCE_LEVEL)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples
