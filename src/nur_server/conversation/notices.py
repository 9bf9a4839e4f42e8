"""What a client is told. A wire dialect turns each into its own message."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from nur_server.conversation.events import EndedReason


@dataclass(frozen=True, slots=True)
class UserSpeechStarted:
    """The user has begun a turn; during the agent's speech: the decision to yield."""

    item_id: str = ""
    """Of the turn. One that the user goes on with keeps its own."""
    at_ms: int = 0
    """In the user's audio."""


@dataclass(frozen=True, slots=True)
class UserSpeechStopped:
    """The user's turn is over. `reason` and `evidence` say why it was judged so."""

    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)
    item_id: str = ""
    at_ms: int = 0
    """In the user's audio."""


@dataclass(frozen=True, slots=True)
class InputTaken:
    """The client has ended the user's turn; its words follow, be they none."""

    item_id: str


@dataclass(frozen=True, slots=True)
class UserTranscript:
    """The user's words: the whole text so far, or the final one."""

    item_id: str
    text: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """The agent begins a reply."""

    reply_id: str
    item_id: str
    trigger: str = ""
    """What it answers to: a `conversation.response.Trigger`."""
    request_id: str = ""
    """The client's request that it answers, if the request has a name."""
    speaks: bool = True
    """False: it is text only."""


@dataclass(frozen=True, slots=True)
class AgentTranscriptDelta:
    """Words of a reply as they are played. Times count from the start of the reply's audio."""

    reply_id: str
    item_id: str
    delta: str
    start_ms: int | None
    end_ms: int | None


@dataclass(frozen=True, slots=True)
class AgentTranscript:
    """What was heard of a reply, once it is over."""

    reply_id: str
    item_id: str
    text: str
    interrupted: bool


@dataclass(frozen=True, slots=True)
class ReplyCorrected:
    """The client has played less of a reply than was taken for heard."""

    reply_id: str
    item_id: str
    text: str
    """What was heard."""
    played_ms: int


class ReplyStatus(StrEnum):
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """The reply is over. `reason` and `evidence` say why where it was interrupted."""

    reply_id: str
    status: ReplyStatus
    reason: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    prompt_tokens: int | None = None
    """Over all the model's answers that the reply is made of. None: its server does not say."""
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ReplyError:
    """A model or synthesiser failed during a reply; the session lives on."""

    reply_id: str
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class AsideDone:
    """The model's answer to what the client asked beside the conversation."""

    request_id: str
    text: str
    status: ReplyStatus
    reason: str | None = None
    """The code of what failed."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ToolCallRequested:
    """The agent calls a tool. For `runner` client, the client answers with its result."""

    call_id: str
    name: str
    arguments: dict[str, Any]
    runner: str
    reply_id: str = ""
    """The reply that calls it."""
    raw_arguments: str = ""
    """JSON text, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """Who has answered an outbound call."""

    answerer: str
    """`human`, `voicemail`, `ivr`, `mailbox_full`, `screening` or `uncertain`."""
    reason: str


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session is over."""

    reason: EndedReason
    duration_seconds: float


Notice = (
    UserSpeechStarted
    | UserSpeechStopped
    | InputTaken
    | UserTranscript
    | ReplyStarted
    | AgentTranscriptDelta
    | AgentTranscript
    | ReplyCorrected
    | ReplyDone
    | ReplyError
    | AsideDone
    | ToolCallRequested
    | CallAnswered
    | SessionEnded
)
