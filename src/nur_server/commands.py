"""What a client may ask of its session, whatever protocol it speaks.

A dialect decodes each message of its client into one of these; `session.runner` performs them and
a replay knows them by the events they become.
"""

from dataclasses import dataclass
from enum import StrEnum

from nur_server.audio.formats import Samples
from nur_server.conversation.events import Role
from nur_server.options import SessionOptions


@dataclass(frozen=True, slots=True)
class AppendInput:
    """More of the user's audio."""

    samples: Samples
    """Mono at `audio.rates.LISTEN_RATE`."""
    is_torn: bool = False
    """The message ended in the middle of a sample; its first byte waits for the next message."""


@dataclass(frozen=True, slots=True)
class CommitInput:
    """The user's turn ends here, whatever turn detection thinks."""

    triggers_reply: bool = True
    """False: the client asks for the reply itself, with `CreateReply`."""


@dataclass(frozen=True, slots=True)
class ClearInput:
    """Forget the audio that belongs to no finished turn yet."""


@dataclass(frozen=True, slots=True)
class UpdateSession:
    """Change what the session was set up with."""

    options: SessionOptions
    """Merged into those in force."""
    warnings: tuple[str, ...] = ()
    """About what the client asked for and its dialect has no option for."""


@dataclass(frozen=True, slots=True)
class CreateReply:
    """Make the agent speak now. The fields are those of `events.ReplyRequested`."""

    instructions: str | None = None
    """For this reply only."""
    request_id: str = ""
    waits: bool = False
    offers_tools: bool = True
    speaks: bool | None = None
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class AskAside:
    """Ask the model something beside the conversation: nothing of it is spoken or kept."""

    request_id: str
    instructions: str | None = None
    messages: tuple[tuple[Role, str], ...] | None = None
    """What the model is shown. None: the conversation so far."""


@dataclass(frozen=True, slots=True)
class CancelAside:
    """No answer to an aside is wanted any more."""

    request_id: str


@dataclass(frozen=True, slots=True)
class CancelReply:
    """Stop a reply."""

    reply_id: str | None = None
    """None: whichever is running."""


@dataclass(frozen=True, slots=True)
class TruncateReply:
    """The client has played no more of a reply than this: what follows was not heard."""

    item_id: str
    """The reply's item, as `ReplyStarted` names it."""
    played_ms: int
    """From the start of the reply's audio."""


@dataclass(frozen=True, slots=True)
class AnswerTool:
    """The result of a tool that the client runs."""

    call_id: str
    result: str
    """Text for the model: JSON where the tool answered JSON."""
    is_error: bool = False
    triggers_reply: bool = True
    """False: the client asks for the reply itself, with `CreateReply`."""


@dataclass(frozen=True, slots=True)
class AddMessage:
    """Add context to the conversation; it triggers no reply."""

    role: Role
    content: str
    item_id: str = ""
    """What `RemoveItem` calls it. Empty: it stays."""
    after: str | None = None
    """The item that it stands behind; empty: it is the first. None: it is the last."""


@dataclass(frozen=True, slots=True)
class NoteToolCall:
    """Add a tool call of an earlier conversation, with its result. Nothing is run."""

    call_id: str
    name: str
    arguments: str
    """JSON text."""
    result: str
    item_id: str = ""
    after: str | None = None


@dataclass(frozen=True, slots=True)
class RemoveItem:
    """Take a message out of the conversation: later replies know nothing of it."""

    item_id: str


class EndKind(StrEnum):
    NOW = "now"
    AFTER_REPLY = "after_reply"
    """The running reply is played to its end first."""


@dataclass(frozen=True, slots=True)
class EndSession:
    """The client ends the session."""

    kind: EndKind = EndKind.NOW


@dataclass(frozen=True, slots=True)
class ReportPlayed:
    """The client has played so much of a reply by now."""

    reply_id: str
    played_ms: int


Command = (
    AppendInput
    | CommitInput
    | ClearInput
    | UpdateSession
    | CreateReply
    | CancelReply
    | TruncateReply
    | AnswerTool
    | AddMessage
    | NoteToolCall
    | RemoveItem
    | AskAside
    | CancelAside
    | EndSession
    | ReportPlayed
)
