"""Ports of the engines: speech to text, language models, text to speech, turn-taking, tools."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nur_server.audio.utterance import UtteranceAudio
from nur_server.conversation.actions import ModelMessage
from nur_server.conversation.config import ToolSpec

Samples = NDArray[np.int16]
"""Mono PCM, one int16 per sample."""


# Speech to text


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """How an utterance should be recognised."""

    language: str = "en"
    """ISO 639-1, without a region."""
    keyterms: tuple[str, ...] = ()
    prompt: str | None = None
    wants_partials: bool = True


@dataclass(frozen=True, slots=True)
class Transcript:
    """A hypothesis for the whole utterance so far."""

    text: str
    is_final: bool
    covers: int
    """Samples of the utterance taken into account, counted from its start."""
    confidence: float | None = None
    """0–1, where the engine gives one."""


@dataclass(frozen=True, slots=True)
class SpeechToTextCapabilities:
    languages: frozenset[str] = frozenset()
    """ISO 639-1 codes, or tags with a region; empty means any."""
    takes_hints: bool = False
    """Whether key terms and a prompt change what it understands."""


class SpeechToText(Protocol):
    @property
    def name(self) -> str:
        """Its id in the model catalogue."""
        ...

    @property
    def capabilities(self) -> SpeechToTextCapabilities: ...

    def transcribe(
        self, audio: UtteranceAudio, options: ListenOptions
    ) -> AsyncGenerator[Transcript]:
        """Hypotheses while `audio` grows; after it ended, one with `is_final` and then the end.

        A pause marked in `audio` asks for a hypothesis up to there without waiting for more.
        An utterance without words gives a final transcript with empty text.
        """
        ...


# Language model


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    messages: tuple[ModelMessage, ...]
    tools: tuple[ToolSpec, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    patience_seconds: float | None = None
    """Longest wait for each piece of the answer. None: the adapter's own."""
    has_stand_in: bool = False
    """Another model answers where this one cannot: a busy or loading server is not waited for."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A complete tool call."""

    call_id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class ReplyEnd:
    """Always the last part."""

    finish_reason: str
    """`stop`, `tool_calls`, `length`, `content_filter`, or the server's own word."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


ReplyPart = TextDelta | ToolCallDelta | ReplyEnd


@dataclass(frozen=True, slots=True)
class LanguageModelCapabilities:
    calls_tools: bool
    """Whether it may be sent tools."""
    loads_at_first_question: bool = False
    """Whether its server may have to load it first: it is then asked before it is needed."""


class LanguageModel(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> LanguageModelCapabilities: ...

    def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart]:
        """The answer in parts as they arrive, closed by exactly one `ReplyEnd`.

        Thinking is switched off and, where it comes all the same, left out.
        """
        ...


# Text to speech


@dataclass(frozen=True, slots=True)
class SpeakRequest:
    text: str
    """One clause, already speakable."""
    voice: str
    """A voice of the engine's own, already resolved from aliases."""
    language: str = "en"
    """BCP 47: `en`, `pt-BR`. An engine that does not tell regions apart goes by the language."""
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class WordMark:
    """Where a word starts in the audio."""

    character: int
    """Offset in `SpeakRequest.text`."""
    start_ms: int
    """From the start of the clause's audio."""


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """A piece of synthesised speech."""

    samples: Samples
    sample_rate: int
    words: tuple[WordMark, ...] = ()
    """Word times known with this chunk; may run ahead of `samples`."""


@dataclass(frozen=True, slots=True)
class EngineVoice:
    """A voice of an engine's own, as it lists it."""

    name: str
    """What `SpeakRequest.voice` is for it."""
    language: str | None = None
    """BCP 47. None: not known, or many."""
    gender: str | None = None
    """`female` or `male`. None: not known."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class TextToSpeechCapabilities:
    languages: frozenset[str] = frozenset()
    """ISO 639-1 codes, or tags with a region; empty means any."""
    voices_of: Mapping[str, str] = field(default_factory=dict)
    """Other engines whose voices it speaks with, too: what to write before such a voice's name."""


class TextToSpeech(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> TextToSpeechCapabilities: ...

    def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk]:
        """Audio as it is made. All chunks of one call have the same sample rate."""
        ...

    async def voices(self) -> Sequence[EngineVoice]:
        """Its voices besides those that `providers.voices` has for it; none where it cannot list
        them. Raises `ProviderError`."""
        ...


# Voice activity and end of turn


@dataclass(frozen=True, slots=True)
class ActivityScore:
    """One judged window of audio."""

    position: int
    """Where the window ends: samples at 16 kHz since the stream was opened."""
    probability: float
    """That it holds speech, 0–1, in steps of 1/255."""
    level_db: float
    """RMS in dBFS, in steps of 0.5; -96 for digital silence."""
    treble_db: float | None = None
    """The same between 1.5 and 3.4 kHz; None: not measured."""


class ActivityStream(Protocol):
    """The voice activity of one session."""

    def feed(self, samples: Samples) -> None:
        """Take audio at 16 kHz, any length. Never blocks; scores arrive by callback."""
        ...

    def close(self) -> None:
        """No further callback. May be called twice."""
        ...


class VoiceActivityDetector(Protocol):
    @property
    def name(self) -> str: ...

    def open(self, on_score: Callable[[ActivityScore], None]) -> ActivityStream:
        """A stream whose windows are scored together with those of all other sessions.

        `on_score` is called on the event loop, in order of position.
        """
        ...


class TurnModel(Protocol):
    @property
    def name(self) -> str: ...

    async def score(self, samples: Samples) -> float:
        """Probability, 0–1, that the speaker has finished; `samples` at 16 kHz end at the pause.

        Raises `errors.Unavailable` when it would have to queue for too long.
        """
        ...


# Tools run by this server


@dataclass(frozen=True, slots=True)
class ToolRequest:
    call_id: str
    session_id: str
    agent_id: str
    tool: ToolSpec
    arguments: Mapping[str, Any]
    account_id: str = ""
    """Whose session it is."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    content: str
    """For the model: JSON text where the tool answered JSON."""
    is_error: bool = False


class ToolServer(Protocol):
    """Runs a tool over the network on behalf of a session."""

    async def call(self, request: ToolRequest) -> ToolResult:
        """The result. Never raises: a failure is a result with `is_error`."""
        ...
