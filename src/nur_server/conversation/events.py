"""Everything that can happen to a conversation.

Each event carries `at`: seconds since the session began, never decreasing. Positions in the user's
audio are samples at 16 kHz since the session began; durations of agent audio are milliseconds.
The values are exactly what the journal stores, so that a replay sees the same numbers.
"""

from dataclasses import dataclass
from enum import StrEnum

from nur_server.conversation.config import ConversationConfig


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The far end has answered and media can flow. Nothing is spoken or judged before this."""

    at: float


@dataclass(frozen=True, slots=True)
class SpeechScored:
    """The voice-activity model has judged one window of the user's audio."""

    at: float
    position: int
    """Where the window ends."""
    probability: float
    """That the window holds speech, 0–1."""
    level_db: float
    """RMS level of the window in dBFS; -96 for digital silence."""
    treble_db: float | None = None
    """The same between 1.5 and 3.4 kHz; None: not measured."""


@dataclass(frozen=True, slots=True)
class AudioMissing:
    """The client sends nothing: it is muted, does not transmit silence, or its network stalls.

    Sent again and again while that lasts, once all audio that has come is judged.
    """

    at: float
    missing_ms: int
    """Since the latest audio came."""


@dataclass(frozen=True, slots=True)
class TranscriptUpdated:
    """The recogniser has a new hypothesis for the whole utterance so far."""

    at: float
    utterance_id: str
    text: str
    covers: int
    """Position up to which audio was taken into account."""
    is_final: bool
    """No further hypothesis follows for this utterance."""
    confidence: float | None = None
    """0–1, where the recogniser gives one."""


@dataclass(frozen=True, slots=True)
class TranscriptFailed:
    """The recogniser gave up on the utterance."""

    at: float
    utterance_id: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class TurnScored:
    """The turn model has judged the audio up to a pause."""

    at: float
    utterance_id: str
    pause: int
    """Which pause, as asked in `ScoreTurn`."""
    probability: float | None
    """That the turn is complete, 0–1. None: the model failed or was skipped under load."""


@dataclass(frozen=True, slots=True)
class ReplyText:
    """A piece of the model's answer."""

    at: float
    response_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ReplyToolCall:
    """The model asks for a tool."""

    at: float
    response_id: str
    call_id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The model has finished."""

    at: float
    response_id: str
    finish_reason: str
    """`stop`, `tool_calls`, `length`, `content_filter`, or the server's own word."""
    prompt_tokens: int | None = None
    """As the model server counts them. None: it does not say."""
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The model failed, after every retry and fallback."""

    at: float
    response_id: str
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class WordTime:
    """When a word of a clause starts, from the synthesiser."""

    character: int
    """Offset of the word in the clause's spoken text."""
    start_ms: int


@dataclass(frozen=True, slots=True)
class ClauseSynthesised:
    """A clause's audio is complete in the playout queue."""

    at: float
    response_id: str
    clause: int
    duration_ms: int
    words: tuple[WordTime, ...] = ()
    """Empty when the synthesiser gives no times: they are then estimated."""


@dataclass(frozen=True, slots=True)
class SpeechFailed:
    """The synthesiser failed on a clause; no further audio follows for the response."""

    at: float
    response_id: str
    clause: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class PlayoutProgressed:
    """So much of the response has been played to the user."""

    at: float
    response_id: str
    played_ms: int


@dataclass(frozen=True, slots=True)
class PlayoutDrained:
    """Everything queued for the response has been played."""

    at: float
    response_id: str
    played_ms: int


@dataclass(frozen=True, slots=True)
class PlayoutFlushed:
    """The answer to `Flush`: nothing of the response plays any more, and so much was heard."""

    at: float
    response_id: str
    played_ms: int


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    """A tool has a result, or has failed with one."""

    at: float
    call_id: str
    result: str
    """Text for the model: JSON where the tool answered JSON."""
    is_error: bool = False
    triggers_reply: bool = True
    """False: the client asks for the reply itself."""


@dataclass(frozen=True, slots=True)
class InputCommitted:
    """The client says that the user's turn is over."""

    at: float
    triggers_reply: bool = True
    """False: the client asks for the reply itself."""


@dataclass(frozen=True, slots=True)
class InputCleared:
    """The client takes back what was said and belongs to no finished turn yet."""

    at: float


@dataclass(frozen=True, slots=True)
class ReplyTruncated:
    """The client has played no more of a reply than this: what follows was not heard."""

    at: float
    item_id: str
    """The reply's item, as `ReplyStarted` names it."""
    played_ms: int
    """From the start of the reply's audio."""


@dataclass(frozen=True, slots=True)
class ConfigChanged:
    """`session.update` during the conversation; the edge has refused immutable changes."""

    at: float
    config: ConversationConfig


class Role(StrEnum):
    """Whose message it is, in the language models' words."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class MessageAdded:
    """The client adds context; it triggers no reply."""

    at: float
    role: Role
    content: str
    item_id: str = ""
    """What it is called where it is spoken of again. Empty: it is not."""
    after: str | None = None
    """The item that it stands behind; empty: it is the first. None: it is the last."""


@dataclass(frozen=True, slots=True)
class ReplyRequested:
    """The client wants the agent to speak now."""

    at: float
    instructions: str | None = None
    """For this reply only."""
    request_id: str = ""
    """The client's own name for it, which `ReplyStarted` repeats."""
    waits: bool = False
    """A reply that is running is said to its end first; else this one replaces it."""
    offers_tools: bool = True
    speaks: bool | None = None
    """False: text only. None: as the session is set up."""
    is_kept: bool = True
    """False: it is no part of the conversation, and later replies know nothing of it."""


@dataclass(frozen=True, slots=True)
class ReplyCancelled:
    """The client stops a reply."""

    at: float
    response_id: str | None = None
    """None: whichever is running."""


@dataclass(frozen=True, slots=True)
class ItemRemoved:
    """The client takes a message out of the conversation: later replies know nothing of it."""

    at: float
    item_id: str


@dataclass(frozen=True, slots=True)
class ToolCallNoted:
    """The client adds a tool call of an earlier conversation, and its result, as context."""

    at: float
    call_id: str
    name: str
    arguments: str
    """JSON text."""
    result: str
    item_id: str = ""
    after: str | None = None
    """As of `MessageAdded`."""


@dataclass(frozen=True, slots=True)
class AsideRequested:
    """The client asks the model something beside the conversation: nothing of it is spoken or
    kept."""

    at: float
    request_id: str
    instructions: str | None = None
    messages: tuple[tuple[Role, str], ...] | None = None
    """What the model is shown. None: the conversation so far."""


@dataclass(frozen=True, slots=True)
class AsideCancelled:
    """The client wants no answer to an aside any more."""

    at: float
    request_id: str


@dataclass(frozen=True, slots=True)
class DigitPressed:
    """The far end of a phone call has pressed a key."""

    at: float
    digit: str
    """`0`–`9`, `*`, `#`, `A`–`D`."""


@dataclass(frozen=True, slots=True)
class BeepHeard:
    """The far end has sent a voicemail's beep, and it is over."""

    at: float


@dataclass(frozen=True, slots=True)
class TransferFinished:
    """The answer to `TransferCall`."""

    at: float
    call_id: str
    """The tool call that asked for it."""
    error: str | None
    """What went wrong. None: the far end is connected elsewhere."""


@dataclass(frozen=True, slots=True)
class ClientDropped:
    """The connection is gone; it may come back within the grace time."""

    at: float


@dataclass(frozen=True, slots=True)
class ClientResumed:
    """The connection is back."""

    at: float


@dataclass(frozen=True, slots=True)
class EndRequested:
    """Somebody outside the conversation ends it."""

    at: float
    reason: "EndedReason"
    finish_speaking: bool = False
    """Let the running reply play to its end first."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """The deadline asked for by `SetDeadline` has passed."""

    at: float


class EndedReason(StrEnum):
    """Why a session ended: the closed list on the record, the socket and the webhook."""

    CLIENT_ENDED = "client_ended"
    """`session.end`, or the client ended the session over REST."""
    CLIENT_DISCONNECTED = "client_disconnected"
    """The connection dropped and did not come back within the grace time."""
    MAX_TURNS = "max_turns"
    MAX_DURATION = "max_duration"
    SILENCE = "silence"
    AGENT_ENDED = "agent_ended"
    """The agent hung up by itself."""
    AGENT_DELETED = "agent_deleted"
    KEY_REVOKED = "key_revoked"
    """The key it was made with, itself or through a token, was revoked."""
    ACCOUNT_CLOSED = "account_closed"
    """The operator has suspended or deleted its account."""
    CALLER_HUNG_UP = "caller_hung_up"
    """The far end of a phone call hung up."""
    TRANSFERRED = "transferred"
    """The far end was connected to another number."""
    VOICEMAIL = "voicemail"
    """A machine answered, and the agent hung up or left its message."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    INVALID_NUMBER = "invalid_number"
    CANCELED = "canceled"
    """A call was given up before it was answered."""
    NO_MEDIA = "no_media"
    """A call was answered, but no audio came."""
    CARRIER_ERROR = "carrier_error"
    SCHEDULE_MISSED = "schedule_missed"
    """A scheduled call was found too late to be placed."""
    EXPIRED = "expired"
    """The session's `expires_at` passed."""
    SERVER_SHUTDOWN = "server_shutdown"
    INTERNAL_ERROR = "internal_error"


Event = (
    SessionOpened
    | SpeechScored
    | TranscriptUpdated
    | TranscriptFailed
    | TurnScored
    | ReplyText
    | ReplyToolCall
    | ReplyFinished
    | ReplyFailed
    | ClauseSynthesised
    | SpeechFailed
    | PlayoutProgressed
    | PlayoutDrained
    | PlayoutFlushed
    | ToolAnswered
    | ConfigChanged
    | MessageAdded
    | ReplyRequested
    | ReplyCancelled
    | ClientDropped
    | ClientResumed
    | EndRequested
    | Ticked
    | DigitPressed
    | BeepHeard
    | TransferFinished
    | InputCommitted
    | InputCleared
    | ReplyTruncated
    | AudioMissing
    | ItemRemoved
    | ToolCallNoted
    | AsideRequested
    | AsideCancelled
)
