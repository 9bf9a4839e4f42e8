"""Word error rate of the embedded recogniser, fed through its port as a live session feeds it.

    python -m bench.wer [--dir DIR] [--partials] [--show]

DIR holds recordings and a `manifest.json`: a list of objects with `file`, `transcript` and `kind`.
Without it `../shared/audio` is used, and where that is absent, sentences of the embedded
synthesiser. Prints the error rate in all and by kind of recording, and the CPU time spent.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from nur_server.audio.utterance import UtteranceAudio
from nur_server.conversation.events import SpeechScored
from nur_server.ports import ListenOptions, Samples, SpeakRequest, SpeechToText, TextToSpeech
from nur_server.providers import flite, weights
from nur_server.providers.espeak import Espeak
from nur_server.providers.flite import Flite
from nur_server.providers.moonshine import FIRST_PARTIAL_SECONDS, PARTIAL_SECONDS, Moonshine
from nur_server.providers.silero import WINDOW, SileroModel
from nur_server.settings import Settings
from nur_server.turn_taking.speech_tracker import Sound, SpeechTracker

RATE = 16_000
RECORDINGS = Path(__file__).resolve().parents[1].parent / "shared" / "audio"

PRE_ROLL = RATE * 300 // 1000
PAUSE_MS = 128
END_MS = 800
"""Silence that ends an utterance."""
ANSWER_SECONDS = 30.0

SENTENCES = (
    "Your appointment is confirmed for Tuesday afternoon.",
    "Could you please tell me the order number printed on your receipt?",
    "I would like to change the delivery address of my last order.",
    "The package was sent this morning and should arrive tomorrow.",
    "Please turn on the light in the kitchen, and close the garage door.",
)


@dataclass(frozen=True, slots=True)
class Clip:
    name: str
    kind: str
    transcript: str
    samples: Samples
    """At 16 kHz."""


@dataclass(slots=True)
class Tally:
    """Errors counted so far."""

    errors: int = 0
    words: int = 0

    def __str__(self) -> str:
        rate = 100 * self.errors / self.words if self.words else 0.0
        return f"{rate:5.1f} % ({self.errors}/{self.words})"


# What is recognised


def recordings(folder: Path) -> list[Clip]:
    """The clips of a folder with a manifest."""
    clips = []
    for entry in json.loads((folder / "manifest.json").read_text()):
        if not entry.get("transcript"):
            continue
        samples, rate = soundfile.read(folder / entry["file"], dtype="int16", always_2d=True)
        mono = np.asarray(soxr.resample(samples[:, 0], rate, RATE), np.int16)
        kind = entry.get("kind", "recording")
        clips.append(Clip(entry["file"], kind, entry["transcript"], mono))
    return clips


async def synthetic() -> list[Clip]:
    """Sentences of the embedded synthesiser."""
    engine: TextToSpeech = Flite() if flite.available() else Espeak()
    voice = "slt" if flite.available() else "en-us+m3"
    return [
        Clip(f"sentence {n}", f"synthetic/{engine.name}", text, await speech(engine, voice, text))
        for n, text in enumerate(SENTENCES, 1)
    ]


async def speech(engine: TextToSpeech, voice: str, text: str) -> Samples:
    """A clause at 16 kHz."""
    chunks = [chunk async for chunk in engine.speak(SpeakRequest(text, voice))]
    samples = np.concatenate([chunk.samples for chunk in chunks])
    return soxr.resample(samples, chunks[0].sample_rate, RATE)


# A session without the session


def windows(samples: Samples, vad: SileroModel) -> Iterator[tuple[Sound, SpeechTracker, int]]:
    """What the session hears in a clip that ends in silence, window by window."""
    ear = SpeechTracker()
    vad.reset(0)
    padded = np.concatenate([samples, np.zeros(RATE * 3 // 2, np.int16)])
    for start in range(0, len(padded) - WINDOW, WINDOW):
        score = vad.score([0], padded[None, start : start + WINDOW])
        end = start + WINDOW
        probability, level = float(score.probability[0]), float(score.level_db[0])
        yield ear.hear(SpeechScored(end / RATE, end, probability, level), 0.5), ear, end


async def transcribe(clip: Clip, stt: SpeechToText, vad: SileroModel, partials: bool) -> str:
    """The clip's text, utterance by utterance."""
    texts = []
    utterance: Utterance | None = None
    padded = np.concatenate([clip.samples, np.zeros(RATE * 3 // 2, np.int16)])
    for sound, ear, end in windows(clip.samples, vad):
        if sound is Sound.ONSET and utterance is None:
            utterance = Utterance(stt, partials)
            utterance.audio.append(padded[max(0, ear.onset - PRE_ROLL) : end])
        elif utterance is not None:
            utterance.audio.append(padded[end - WINDOW : end])
        if utterance is None:
            continue
        pausing = sound in (Sound.PAUSE, Sound.QUIET)
        await utterance.advance(ear.silence_ms if pausing else 0)
        if pausing and ear.silence_ms >= END_MS:
            texts.append(await utterance.finish())
            utterance = None
    if utterance is not None:
        texts.append(await utterance.finish())
    return " ".join(texts)


class Utterance:
    """One utterance on its way through the recogniser, at the recogniser's own pace."""

    def __init__(self, stt: SpeechToText, partials: bool) -> None:
        self.audio = UtteranceAudio()
        self._partials = partials
        self._covered = 0
        self._marked = False
        self._stream = stt.transcribe(self.audio, ListenOptions(wants_partials=partials))

    async def advance(self, silence_ms: int) -> None:
        """After a window: mark a pause, wait for the hypothesis that is due."""
        if silence_ms == 0:
            self._marked = False
        elif silence_ms >= PAUSE_MS and not self._marked:
            self._marked = True
            self.audio.mark_pause()
            await self._heard(self.audio.length)
        due = (
            self._covered + PARTIAL_SECONDS * RATE
            if self._covered
            else FIRST_PARTIAL_SECONDS * RATE
        )
        if self._partials and self.audio.length >= due:
            await self._heard(self.audio.length)

    async def finish(self) -> str:
        """The final text."""
        self.audio.end()
        async with aclosing(self._stream):
            async for transcript in self._stream:
                if transcript.is_final:
                    return transcript.text
        raise RuntimeError("expected a final transcript, got none")

    async def _heard(self, position: int) -> None:
        """Wait until a hypothesis covers `position`."""
        while self._covered < position:
            transcript = await asyncio.wait_for(anext(self._stream), ANSWER_SECONDS)
            self._covered = transcript.covers


# Words and errors

ONES = re.findall(
    "[a-z]+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen",
)
TENS = re.findall("[a-z]+", "twenty thirty forty fifty sixty seventy eighty ninety")
SPELLINGS = {"mr": "mister", "mrs": "missus", "dr": "doctor"}


def words(text: str) -> list[str]:
    """Comparable words: no case, punctuation or digits."""
    text = text.lower().replace("’", "'").replace(",", " ").replace("-", " ")
    found = re.findall(r"\d+|[a-z']+", text)
    spelled = (number(int(w)) if w.isdigit() else [SPELLINGS.get(w, w)] for w in found)
    return [word.replace("'", "") for part in spelled for word in part]


def number(value: int) -> list[str]:
    """A number in words; years are read in pairs."""
    if value < 20:
        return [ONES[value]]
    if value < 100:
        return [TENS[value // 10 - 2], *([ONES[value % 10]] if value % 10 else [])]
    if 1100 <= value < 2000 and value % 100:
        return number(value // 100) + number(value % 100)
    if value < 1000:
        rest = number(value % 100) if value % 100 else []
        return [ONES[value // 100], "hundred", *rest]
    rest = number(value % 1000) if value % 1000 else []
    return [*number(value // 1000), "thousand", *rest]


def errors(expected: list[str], got: list[str]) -> int:
    """Levenshtein distance in words."""
    row = list(range(len(got) + 1))
    for i, word in enumerate(expected, 1):
        above, row = row, [i]
        for j, other in enumerate(got, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (word != other)))
    return row[-1]


async def measure(clips: Iterable[Clip], partials: bool, show: bool) -> Tally:
    """Recognise every clip, print the figures and return the total."""
    models_dir = Settings().models_dir
    await asyncio.to_thread(weights.pull, [weights.MOONSHINE, weights.SILERO], models_dir)
    stt, vad = Moonshine(models_dir), SileroModel.load(models_dir)
    await stt.load()
    kinds: defaultdict[str, Tally] = defaultdict(Tally)
    total = Tally()
    seconds = cpu = 0.0
    for clip in clips:
        before = time.process_time()
        text = await transcribe(clip, stt, vad, partials)
        cpu += time.process_time() - before
        seconds += len(clip.samples) / RATE
        expected = words(clip.transcript)
        wrong = errors(expected, words(text))
        for tally in (total, kinds[clip.kind]):
            tally.errors += wrong
            tally.words += len(expected)
        if show:
            print(f"{wrong:3d}  {clip.name}: {text}")
    await stt.close()
    for kind, tally in sorted(kinds.items()):
        print(f"{tally!s:>20}  {kind}")
    print(f"{total!s:>20}  in all")
    print(f"CPU {cpu:.1f} s for {seconds:.1f} s of audio: real-time factor {cpu / seconds:.3f}")
    return total


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dir", type=Path, default=RECORDINGS)
    parser.add_argument("--partials", action="store_true", help="ask for partial transcripts, too")
    parser.add_argument("--show", action="store_true", help="print every transcript")
    arguments = parser.parse_args()
    if arguments.dir.is_dir():
        clips = recordings(arguments.dir)
    else:
        print(f"{arguments.dir} is not there: measuring on synthetic speech")
        clips = await synthetic()
    await measure(clips, arguments.partials, arguments.show)


if __name__ == "__main__":
    asyncio.run(main())
