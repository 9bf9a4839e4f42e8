"""What is kept of a conversation: one `Turn` per stretch of one party's talking."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Speaker(StrEnum):
    USER = "user"
    AGENT = "agent"


class ToolStatus(StrEnum):
    """How far a tool call got. Moves forward only."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    REFUSED = "refused"
    """Never ran: unknown tool, or arguments against its schema."""
    CANCELLED = "cancelled"
    """The session ended before the result came."""


@dataclass(frozen=True, slots=True)
class ToolRecord:
    """One tool call and its one result."""

    call_id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it."""
    status: ToolStatus
    result: str | None
    """What the model was told. None while running."""
    called_ms: int
    """Session time of the call."""
    answered_ms: int | None


@dataclass(frozen=True, slots=True)
class Turn:
    """One finished turn. Times are milliseconds since the session began."""

    index: int
    """0, 1, 2 … in the order the turns were finished. A tool result that comes later rewrites
    the turn with the same index."""
    item_id: str
    speaker: Speaker
    text: str
    """The words heard: for the agent, up to the last one played."""
    started_ms: int
    ended_ms: int
    trigger: str
    """`greeting`, `user_speech`, `tool_result`, `reply_create`, `silence`, …; for the user
    `speech`, or why it was let pass: `backchannel`, `in_passing`, `aside`, or `discarded` for words
    that were taken for none."""
    interrupted_at_ms: int | None = None
    """When the agent was cut off. None: it was not."""
    unheard: str = ""
    """What the agent had meant to say beyond `text`."""
    end_reason: str = ""
    """Why the turn ended, machine-readable."""
    evidence: dict[str, Any] = field(default_factory=dict)
    """The figures behind `end_reason`."""
    latency_ms: int | None = None
    """Agent turns: end of the user's speech to the first agent audio."""
    confidence: float | None = None
    """User turns: of the recogniser."""
    tool_calls: tuple[ToolRecord, ...] = ()
    error_code: str | None = None
    """Agent turns: what failed while it was made."""
