"""The port between sessions and calls and the place they are kept in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from nur_server.conversation.events import EndedReason
from nur_server.conversation.record import ToolRecord, Turn


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
