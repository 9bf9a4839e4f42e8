"""Engines that understand a `Voice`: a recogniser and a turn model, for tests of agents."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from nur_server.audio.rates import LISTEN_RATE
from nur_server.audio.utterance import UtteranceAudio
from nur_server.errors import ProviderError
from nur_server.ports import ListenOptions, Samples, SpeechToTextCapabilities, Transcript
from nur_server.testing.voice import Voice


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong with one utterance."""

    delay_seconds: float = 0.0
    """Before each hypothesis, on top of the recogniser's own."""
    error: ProviderError | None = None
    """Raised in place of the first hypothesis."""
    hangs: bool = False
    """No hypothesis ever comes."""


class VoiceRecogniser:
    """`SpeechToText` that reads the words of a `Voice` out of the audio.

    It gives a hypothesis every `partial_seconds`, at each pause and at the end, `delay_seconds`
    after the audio. `trouble` is asked for each utterance, by its number from 0.
    """

    def __init__(
        self,
        voice: Voice,
        *,
        delay_seconds: float = 0.1,
        partial_seconds: float = 0.5,
        trouble: Callable[[int], Trouble] = lambda number: Trouble(),
    ) -> None:
        self._voice = voice
        self._delay_seconds = delay_seconds
        self._step = round(partial_seconds * LISTEN_RATE)
        self._trouble = trouble
        self._utterances = 0
        self.open_utterances = 0
        """Begun and neither finished nor closed."""

    @property
    def name(self) -> str:
        return "voice-recogniser"

    @property
    def capabilities(self) -> SpeechToTextCapabilities:
        return SpeechToTextCapabilities()

    async def transcribe(
        self, audio: UtteranceAudio, options: ListenOptions
    ) -> AsyncGenerator[Transcript, None]:
        trouble = self._trouble(self._utterances)
        self._utterances += 1
        self.open_utterances += 1
        try:
            covers = 0
            while not audio.ended:
                if (audio.last_pause or 0) <= covers:
                    await audio.wait(covers + self._step)
                covers = audio.length
                if options.wants_partials and not audio.ended:
                    yield await self._hypothesis(audio, covers, trouble, is_final=False)
            yield await self._hypothesis(audio, audio.length, trouble, is_final=True)
        finally:
            self.open_utterances -= 1

    async def _hypothesis(
        self, audio: UtteranceAudio, covers: int, trouble: Trouble, *, is_final: bool
    ) -> Transcript:
        text = self._voice.read(audio.read(0, covers))
        await asyncio.sleep(self._delay_seconds + trouble.delay_seconds)
        if trouble.hangs:
            await asyncio.Event().wait()
        if trouble.error is not None:
            raise trouble.error
        return Transcript(text, is_final, covers, 0.9)


FINISHED = (".", "?", "!")


class VoiceTurnModel:
    """`TurnModel` for a `Voice`: a turn that ends with a full stop, `?` or `!` is over."""

    def __init__(self, voice: Voice, *, delay_seconds: float = 0.05) -> None:
        self._voice = voice
        self._delay_seconds = delay_seconds

    @property
    def name(self) -> str:
        return "voice-turn-model"

    async def score(self, samples: Samples) -> float:
        text = self._voice.read(samples)
        await asyncio.sleep(self._delay_seconds)
        return 0.95 if text.endswith(FINISHED) else 0.2
