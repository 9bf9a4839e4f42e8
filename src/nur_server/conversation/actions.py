"""Everything a conversation can ask for. The session runner performs them, in order."""

from dataclasses import dataclass
from typing import Any

from nur_server.conversation.config import ToolSpec
from nur_server.conversation.events import EndedReason, Role
from nur_server.conversation.notices import Notice
from nur_server.conversation.record import ToolRecord, Turn


@dataclass(frozen=True, slots=True)
class ToolCallMessage:
    """One call inside an assistant message."""

    call_id: str
    name: str
    arguments: str
    """JSON text."""


@dataclass(frozen=True, slots=True)
class ModelMessage:
    """One message of a prompt, in the shape every chat-completions server understands."""

    role: Role
    content: str
    tool_calls: tuple[ToolCallMessage, ...] = ()
    """Only on assistant messages."""
    tool_call_id: str | None = None
    """Only on tool messages: the call this is the result of."""


@dataclass(frozen=True, slots=True)
class OpenUtterance:
    """Start recognising the user's audio from position `start` (it lies in the past)."""

    utterance_id: str
    start: int


@dataclass(frozen=True, slots=True)
class MarkPause:
    """The user has paused: a hypothesis up to here is wanted soon."""

    utterance_id: str
    position: int


@dataclass(frozen=True, slots=True)
class FinishUtterance:
    """The utterance ends at position `end`; its final transcript is wanted."""

    utterance_id: str
    end: int


@dataclass(frozen=True, slots=True)
class DropUtterance:
    """Nothing more is wanted of the utterance."""

    utterance_id: str


@dataclass(frozen=True, slots=True)
class ScoreTurn:
    """Ask the turn model whether the turn is complete at this pause."""

    utterance_id: str
    pause: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Generate:
    """Ask the language model for a reply."""

    response_id: str
    messages: tuple[ModelMessage, ...]
    tools: tuple[ToolSpec, ...]


@dataclass(frozen=True, slots=True)
class StopGenerating:
    """Nothing more is wanted of the model; what was said so far still plays."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Speak:
    """Synthesise a clause and queue it for playout behind the response's earlier clauses."""

    response_id: str
    clause: int
    text: str
    """What to say, already speakable."""


@dataclass(frozen=True, slots=True)
class FinishSpeech:
    """No further clause follows: report `PlayoutDrained` once everything was played."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Release:
    """The response may be heard: play what is queued and all that follows."""

    response_id: str


@dataclass(frozen=True, slots=True)
class SetVolume:
    """Play the response at this gain from the next frame on. 1 is normal."""

    response_id: str
    gain: float


@dataclass(frozen=True, slots=True)
class HoldPlayout:
    """Stop playing where it is; the rest stays queued."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ResumePlayout:
    """Go on playing where it was held."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Flush:
    """Stop the response for good: generation, synthesis and playout. Answered at once by
    `PlayoutFlushed`."""

    response_id: str


@dataclass(frozen=True, slots=True)
class CallTool:
    """Run a tool. Performed at most once per `call_id`."""

    call_id: str
    response_id: str
    tool: ToolSpec
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordTool:
    """Journal a call's state: before it runs, and with its result."""

    response_id: str
    record: ToolRecord


@dataclass(frozen=True, slots=True)
class CancelTool:
    """The result is no longer wanted (time-out, or the session ends)."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell the client."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class CommitTurn:
    """Store a finished turn. Nothing that was committed is lost."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class SetDeadline:
    """Send `Ticked` at this time. Replaces the earlier deadline; None removes it."""

    at: float | None


@dataclass(frozen=True, slots=True)
class SendDigits:
    """Press keys towards the far end of a phone call."""

    digits: str


@dataclass(frozen=True, slots=True)
class TransferCall:
    """Connect the far end of a phone call to another number. Answered by `TransferFinished`."""

    call_id: str
    to_number: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """The conversation is over and the last word was played."""

    reason: EndedReason


Action = (
    OpenUtterance
    | MarkPause
    | FinishUtterance
    | DropUtterance
    | ScoreTurn
    | Generate
    | StopGenerating
    | Speak
    | FinishSpeech
    | Release
    | SetVolume
    | HoldPlayout
    | ResumePlayout
    | Flush
    | CallTool
    | RecordTool
    | CancelTool
    | Notify
    | CommitTurn
    | SetDeadline
    | SendDigits
    | TransferCall
    | HangUp
)
