"""Engines that follow a script: for testing agents, and for benchmarks without a model.

Waiting is `asyncio.sleep` alone, so they run in virtual time. Each keeps what it was asked.
"""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

import numpy as np

from nur_server.audio import levels
from nur_server.audio.utterance import UtteranceAudio
from nur_server.errors import ProviderError, ProviderRejected
from nur_server.ports import (
    ActivityScore,
    EngineVoice,
    LanguageModelCapabilities,
    ListenOptions,
    ReplyEnd,
    ReplyPart,
    ReplyRequest,
    Samples,
    SpeakRequest,
    SpeechChunk,
    SpeechToTextCapabilities,
    TextDelta,
    TextToSpeechCapabilities,
    ToolCallDelta,
    ToolRequest,
    ToolResult,
    Transcript,
    TurnModel,
    WordMark,
)

LISTEN_RATE = 16_000


# Steps of a reply


@dataclass(frozen=True, slots=True)
class Say:
    """Text, handed out word by word."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    """An object, or JSON text as a model might have botched it."""
    call_id: str | None = None
    """None: a new one."""


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class Fail:
    error: ProviderError


@dataclass(frozen=True, slots=True)
class Hang:
    """Never goes on."""


Step = Say | Call | Wait | Fail | Hang
Reply = str | Sequence[Step]
"""A whole reply; a string is one `Say`."""


class ScriptedLanguageModel:
    """`LanguageModel` whose replies are written down.

    `script` is a list of replies, given in order, or a function from the request to a reply. A
    list that is used up raises `ProviderRejected`.

        ScriptedLanguageModel(["Hello.", [Call("lookup_order", {"order_id": "7"})], "It shipped."])
    """

    def __init__(
        self,
        script: Sequence[Reply] | Callable[[ReplyRequest], Reply],
        *,
        name: str = "scripted-llm",
        calls_tools: bool = True,
    ) -> None:
        self._script = script
        self._name = name
        self._calls_tools = calls_tools
        self._call_numbers = itertools.count(1)
        self.requests: list[ReplyRequest] = []
        self.open_replies = 0
        """Replies begun and neither finished nor closed."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> LanguageModelCapabilities:
        return LanguageModelCapabilities(calls_tools=self._calls_tools)

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        self.requests.append(request)
        self.open_replies += 1
        called = False
        try:
            for step in self._steps(request):
                async for part in self._parts(step):
                    yield part
                called = called or isinstance(step, Call)
            yield ReplyEnd("tool_calls" if called else "stop")
        finally:
            self.open_replies -= 1

    def _steps(self, request: ReplyRequest) -> Sequence[Step]:
        if callable(self._script):
            reply = self._script(request)
        elif len(self.requests) <= len(self._script):
            reply = self._script[len(self.requests) - 1]
        else:
            raise _used_up(self._name, len(self._script), "replies")
        return [Say(reply)] if isinstance(reply, str) else reply

    async def _parts(self, step: Step) -> AsyncGenerator[ReplyPart, None]:
        match step:
            case Say(text):
                for piece in _words(text):
                    yield TextDelta(piece)
            case Call(name, arguments, call_id):
                text = arguments if isinstance(arguments, str) else json.dumps(dict(arguments))
                yield ToolCallDelta(call_id or f"tool_{next(self._call_numbers)}", name, text)
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Fail(error):
                raise error
            case Hang():
                await asyncio.Event().wait()
            case _:
                assert_never(step)


def _words(text: str) -> list[str]:
    """The words with the space in front of each, so that joined they are the text."""
    return re.findall(r"\s*\S+|\s+", text)


def _used_up(name: str, length: int, what: str) -> ProviderRejected:
    return ProviderRejected(
        f"Expected at most {length} {what}, as scripted; one more was asked for.", provider=name
    )


# Speech to text


@dataclass(frozen=True, slots=True)
class Heard:
    """What is recognised in one utterance."""

    text: str
    confidence: float | None = None
    delay_seconds: float = 0.0
    """Before each hypothesis."""
    error: ProviderError | None = None
    """Raised in place of the final."""
    hangs: bool = False
    """No final ever comes."""


class ScriptedSpeechToText:
    """`SpeechToText` that hears what is written down, whatever the audio.

    At each pause and at the end the hypothesis is the whole text, or, with `words_per_second`, as
    many of its words as fit into the audio up to there. `script` is a list, one entry for each
    utterance in the order they are opened, or a function of the utterance's number from 0.
    """

    def __init__(
        self,
        script: Sequence[str | Heard] | Callable[[int], str | Heard],
        *,
        words_per_second: float | None = None,
        name: str = "scripted-stt",
    ) -> None:
        self._script = script
        self._words_per_second = words_per_second
        self._name = name
        self._utterances = 0
        self.options: list[ListenOptions] = []
        self.open_utterances = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> SpeechToTextCapabilities:
        return SpeechToTextCapabilities()

    async def transcribe(
        self, audio: UtteranceAudio, options: ListenOptions
    ) -> AsyncGenerator[Transcript, None]:
        self.options.append(options)
        self.open_utterances += 1
        try:
            heard = self._next()
            told = 0
            while not audio.ended:
                pause = audio.last_pause or 0
                if options.wants_partials and pause > told:
                    told = pause
                    await asyncio.sleep(heard.delay_seconds)
                    yield self._hypothesis(heard, pause, is_final=False)
                else:
                    await audio.wait(1 << 62)
            await asyncio.sleep(heard.delay_seconds)
            if heard.hangs:
                await asyncio.Event().wait()
            if heard.error is not None:
                raise heard.error
            yield self._hypothesis(heard, audio.length, is_final=True)
        finally:
            self.open_utterances -= 1

    def _next(self) -> Heard:
        number, self._utterances = self._utterances, self._utterances + 1
        if callable(self._script):
            heard = self._script(number)
        elif number < len(self._script):
            heard = self._script[number]
        else:
            raise _used_up(self._name, len(self._script), "utterances")
        return Heard(heard) if isinstance(heard, str) else heard

    def _hypothesis(self, heard: Heard, covers: int, *, is_final: bool) -> Transcript:
        text = heard.text
        if self._words_per_second is not None and not is_final:
            words = int(covers / LISTEN_RATE * self._words_per_second)
            text = " ".join(text.split()[:words])
        return Transcript(text, is_final, covers, heard.confidence)


# Text to speech


class ScriptedTextToSpeech:
    """`TextToSpeech` whose audio is as long as its text: a tone, or silence.

    `ms_per_character` at speed 1; `tone_hz` None is silence. `failures` are raised for the request
    with that number, from 0, before any audio.
    """

    def __init__(
        self,
        *,
        ms_per_character: int = 60,
        sample_rate: int = 24_000,
        tone_hz: float | None = None,
        chunk_ms: int = 100,
        delay_seconds: float = 0.0,
        gives_word_times: bool = True,
        failures: Mapping[int, ProviderError] | None = None,
        voices: Sequence[EngineVoice] = (),
        name: str = "scripted-tts",
    ) -> None:
        self._ms_per_character = ms_per_character
        self._rate = sample_rate
        self._tone_hz = tone_hz
        self._chunk_ms = chunk_ms
        self._delay_seconds = delay_seconds
        self._gives_word_times = gives_word_times
        self._failures = failures or {}
        self._name = name
        self._voices = voices
        self.spoken: list[SpeakRequest] = []
        self.open_clauses = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> TextToSpeechCapabilities:
        return TextToSpeechCapabilities()

    async def voices(self) -> Sequence[EngineVoice]:
        return self._voices

    async def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk, None]:
        number = len(self.spoken)
        self.spoken.append(request)
        self.open_clauses += 1
        try:
            if self._delay_seconds:
                await asyncio.sleep(self._delay_seconds)
            if number in self._failures:
                raise self._failures[number]
            words = self._marks(request) if self._gives_word_times else ()
            total = self._rate * self.duration_ms(request) // 1000
            step = self._rate * self._chunk_ms // 1000
            for start in range(0, total, step):
                samples = self._samples(start, min(step, total - start))
                yield SpeechChunk(samples, self._rate, words if start == 0 else ())
        finally:
            self.open_clauses -= 1

    def duration_ms(self, request: SpeakRequest) -> int:
        """How long the audio of a request is."""
        return int(len(request.text) * self._ms_per_character / request.speed)

    def _samples(self, start: int, length: int) -> Samples:
        if self._tone_hz is None:
            return np.zeros(length, np.int16)
        phase = 2 * np.pi * self._tone_hz / self._rate * np.arange(start, start + length)
        samples: Samples = (8_000 * np.sin(phase)).astype(np.int16)
        return samples

    def _marks(self, request: SpeakRequest) -> tuple[WordMark, ...]:
        starts = [word.start() for word in re.finditer(r"\S+", request.text)]
        each = self._ms_per_character / request.speed
        return tuple(WordMark(start, int(start * each)) for start in starts)


# Voice activity and end of turn


class ScriptedVoiceActivity:
    """`VoiceActivityDetector` by loudness: a window above `threshold_db` (dBFS) is speech."""

    WINDOW = 512

    def __init__(self, *, threshold_db: float = -45.0, name: str = "scripted-vad") -> None:
        self._threshold_db = threshold_db
        self._name = name
        self.open_streams = 0

    @property
    def name(self) -> str:
        return self._name

    def open(self, on_score: Callable[[ActivityScore], None]) -> "ScriptedActivityStream":
        self.open_streams += 1
        return ScriptedActivityStream(self, on_score, self._threshold_db)


class ScriptedActivityStream:
    """One session's stream. Scores come in the next turn of the event loop."""

    def __init__(
        self,
        detector: ScriptedVoiceActivity,
        on_score: Callable[[ActivityScore], None],
        threshold_db: float,
    ) -> None:
        self._detector = detector
        self._on_score = on_score
        self._threshold_db = threshold_db
        self._rest = np.zeros(0, np.int16)
        self._position = 0
        self._is_open = True

    def feed(self, samples: Samples) -> None:
        size = ScriptedVoiceActivity.WINDOW
        audio = np.concatenate([self._rest, samples])
        loop = asyncio.get_running_loop()
        whole = len(audio) - len(audio) % size
        for start in range(0, whole, size):
            self._position += size
            level = level_db(audio[start : start + size])
            probability = 1.0 if level > self._threshold_db else 0.0
            loop.call_soon(self._deliver, ActivityScore(self._position, probability, level))
        self._rest = audio[whole:]

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._detector.open_streams -= 1

    def _deliver(self, score: ActivityScore) -> None:
        if self._is_open:
            self._on_score(score)


def level_db(samples: Samples) -> float:
    """RMS in dBFS, in steps of 0.5; -96 for digital silence."""
    if not len(samples):
        return levels.FLOOR_DB
    return float(levels.level_db(samples[None].astype(np.float32) / np.float32(32768))[0])


class ScriptedTurnModel(TurnModel):
    """`TurnModel` that answers the given probabilities in order, the last one for ever.

    A `ProviderError` or `Unavailable` in the list is raised.
    """

    def __init__(
        self,
        scores: Sequence[float | Exception] = (1.0,),
        *,
        delay_seconds: float = 0.0,
        name: str = "scripted-turn",
    ) -> None:
        if not scores:
            raise ValueError("expected at least one score, got none")
        self._scores = scores
        self._delay_seconds = delay_seconds
        self._name = name
        self.asked: list[int] = []
        """Samples given, per question."""

    @property
    def name(self) -> str:
        return self._name

    async def score(self, samples: Samples) -> float:
        score = self._scores[min(len(self.asked), len(self._scores) - 1)]
        self.asked.append(len(samples))
        await asyncio.sleep(self._delay_seconds)
        if isinstance(score, Exception):
            raise score
        return score


# Tools


class ScriptedToolServer:
    """`ToolServer` with an answer per tool: text, a `ToolResult`, or a function of the request."""

    def __init__(
        self,
        results: Mapping[str, str | ToolResult | Callable[[ToolRequest], str | ToolResult]],
        *,
        delay_seconds: float = 0.0,
    ) -> None:
        self._results = results
        self._delay_seconds = delay_seconds
        self.requests: list[ToolRequest] = []

    async def call(self, request: ToolRequest) -> ToolResult:
        self.requests.append(request)
        await asyncio.sleep(self._delay_seconds)
        result = self._results.get(request.tool.name)
        if result is None:
            return ToolResult(f"No result is scripted for {request.tool.name}.", is_error=True)
        if callable(result):
            result = result(request)
        return ToolResult(result) if isinstance(result, str) else result
