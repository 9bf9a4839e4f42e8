"""The small protocols between the session and the world.

An adapter is whatever satisfies one of these; what it can do is data (`…Capabilities`), never
`isinstance`. Streams are async generators: `aclose()` is cancellation and stops the work behind
it, `async for` is back-pressure. Every adapter raises only `errors.ProviderError` and its kinds.
Audio is mono int16 in numpy arrays.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nur_server.audio.utterance import UtteranceAudio
from nur_server.commands import Command
from nur_server.conversation.actions import ModelMessage
from nur_server.conversation.config import ToolSpec
from nur_server.conversation.events import EndedReason
from nur_server.conversation.notices import Notice
from nur_server.conversation.record import ToolRecord, Turn
from nur_server.meter import MessageMeter
from nur_server.options import SessionOptions

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


# The two sides of a session: the connection it talks over, the place it is recorded in


@dataclass(frozen=True, slots=True)
class SessionAbout:
    """What a client is shown of its session."""

    session_id: str
    agent_id: str | None
    options: SessionOptions
    """In force."""
    warnings: tuple[str, ...]
    """About what was asked for last."""
    expires_at: datetime | None
    """When the session ends at the latest. None: never."""


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """The client's `UpdateSession` is in force."""

    about: SessionAbout


SessionNotice = Notice | SessionUpdated
"""What those who watch a session are notified of: the conversation's notices and the session's."""


class SessionInput(Protocol):
    """What a transport hands to its session. Every method returns at once."""

    @property
    def about(self) -> SessionAbout: ...

    @property
    def is_over(self) -> bool:
        """It has ended: nothing it is given has an effect any more."""
        ...

    @property
    def message_meter(self) -> MessageMeter:
        """Of all the connections that the session has had."""
        ...

    def hear(self, samples: Samples) -> None:
        """The user's audio at 16 kHz."""
        ...

    def press(self, digit: str) -> None:
        """A key of the far end's: `0`–`9`, `*`, `#`, `A`–`D`."""
        ...

    def played(self, response_id: str, played_ms: int) -> None:
        """The far end has heard so much of a response by now."""
        ...

    def command(self, command: Command) -> None:
        """Do what the client asks. Raises `NurError` for what it may not, or cannot, ask."""
        ...

    def hung_up(self, cause: "HangupCause") -> None:
        """The far end of a phone call is gone."""
        ...

    def end(self, reason: EndedReason) -> None:
        """End the session."""
        ...

    def detach(self, transport: "Transport") -> None:
        """The connection is lost; its client may come back."""
        ...


@dataclass(frozen=True, slots=True)
class TransportCapabilities:
    """What a transport can do, as far as a session must know."""

    output_rate: int | None = None
    """Samples per second that `play` takes. None: whatever the session's options say."""
    can_resume: bool = False
    """Whether its client may come back with another connection after this one is lost."""


class CallControl(Protocol):
    """What a transport can do to the phone call that it carries."""

    def send_digits(self, digits: str) -> None:
        """Press keys (`0`–`9`, `*`, `#`, `A`–`D`), behind what is being played."""
        ...

    async def transfer(self, to_number: str) -> None:
        """Connect the far end to another number and leave the call. Raises `ProviderError`."""
        ...


class Transport(Protocol):
    """A way to talk with somebody: a socket, a browser's media, a phone call.

    Input goes to the listener that `connect` names: what comes before is kept for it, within
    bounds. Every method returns at once unless it is `async`: a transport has its own bounded
    queue and write time-out, and drops the client that stops reading.
    """

    @property
    def capabilities(self) -> TransportCapabilities: ...

    @property
    def call_control(self) -> CallControl | None:
        """None: it does not carry a phone call."""
        ...

    def connect(self, listener: SessionInput) -> None:
        """The session is ready: what comes from the client goes to `listener` from here on."""
        ...

    def replaced(self) -> None:
        """A newer connection of the same client has taken over; close this one."""
        ...

    def play(self, response_id: str, samples: Samples) -> None:
        """Send agent audio, at the session's output rate, now. Called at the pace of speech."""
        ...

    def clear(self, response_id: str) -> None:
        """Drop audio of the response that has not left yet; what it said before stays in order."""
        ...

    def notify(self, notice: SessionNotice) -> None:
        """Send a notice, behind everything played before it."""
        ...

    def close(self, reason: EndedReason) -> None:
        """Say that the session ended, and close."""
        ...


class SessionSink(Protocol):
    """Where a session leaves what must not be lost. Writes return when they are durable.

    All of them may come late, and a session's writes may come again from any of them on, in the
    same order: in the end the same is stored. `at` is when it happened; None: now.
    """

    async def session_started(self, session_id: str, at: datetime | None = None) -> None: ...

    async def turn_finished(self, session_id: str, turn: Turn) -> None:
        """Store a turn; one with an `index` already stored replaces it."""
        ...

    async def tool_changed(self, session_id: str, response_id: str, call: ToolRecord) -> None:
        """Journal a tool call before it runs, and its result after."""
        ...

    async def journal_written(self, session_id: str, chunk: int, data: bytes) -> None:
        """Store chunk number `chunk` of the session's event journal."""
        ...

    async def session_ended(
        self, session_id: str, summary: "SessionSummary", at: datetime | None = None
    ) -> None: ...

    async def call_changed(self, change: "CallChange", at: datetime | None = None) -> None:
        """Move the session's phone call forward, unless it has gone further already."""
        ...


@dataclass(frozen=True, slots=True)
class SessionSummary:
    reason: EndedReason
    duration_seconds: float
    user_turns: int
    agent_turns: int
    interruptions: int
    error_code: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallChange:
    """A step of a phone call, as its record keeps it."""

    call_id: str
    status: str
    """It goes to."""
    sources: tuple[str, ...]
    """The statuses it may come from; in any other it has gone further."""
    reason: str | None = None
    """Why it ended. None: it goes on."""
    answered_by: str | None = None
    error_code: str | None = None
    error_message: str | None = None


# Telephony


class HangupCause(StrEnum):
    """Why a call ended, as its carrier says it."""

    NORMAL = "normal"
    """Somebody hung up after it was answered."""
    CANCELED = "canceled"
    """We gave up before it was answered."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    INVALID_NUMBER = "invalid_number"
    NO_MEDIA = "no_media"
    """It was answered, but no audio came."""
    CARRIER_ERROR = "carrier_error"


@dataclass(frozen=True, slots=True)
class DialRequest:
    """A call to be placed."""

    call_id: str
    """Ours; the engine places at most one call for it, however often it is asked."""
    to_number: str
    """E.164."""
    from_number: str
    ring_seconds: float = 45.0
    """Give up when nobody has answered by then."""


class CallObserver(Protocol):
    """Follows how a call goes. Methods may be called in any order, more than once."""

    def ringing(self) -> None: ...

    def answered(self, leg: Transport) -> None:
        """The far end has answered and media flows."""
        ...

    def ended(self, cause: HangupCause, detail: str = "") -> None:
        """`detail`: the carrier's own words or code."""
        ...


class TelephonyEngine(Protocol):
    """Places calls. Inbound calls reach the server through the engine's own routes."""

    @property
    def name(self) -> str: ...

    async def dial(self, request: DialRequest, observer: CallObserver) -> str:
        """Place a call; returns the carrier's id for it.

        Raises `ProviderError`, with the code `invalid_number` for a number that cannot be called.
        """
        ...

    async def hang_up(self, carrier_call_id: str) -> None:
        """End a call in any state; nothing happens when it is over already."""
        ...


@dataclass(frozen=True, slots=True)
class InboundCall:
    """A call to one of our numbers."""

    to_number: str
    """E.164."""
    from_number: str
    """As the carrier gives it: E.164, or a word where the number is withheld."""
    carrier_call_id: str
    engine: TelephonyEngine


OnInbound = Callable[[InboundCall], Awaitable[CallObserver | None]]
"""Decides on an inbound call, and gives its observer. None: the call is rejected."""
