"""Records of calls: what `store/calls.py` takes and returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from nur_server.conversation.events import EndedReason

RING_SECONDS = 45
"""How long a call rings unless it says otherwise."""


class CallStatus(StrEnum):
    """How far a call got. Moves forward only."""

    SCHEDULED = "scheduled"
    INITIATING = "initiating"
    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    NO_ANSWER = "no_answer"
    CANCELED = "canceled"


UNDER_WAY = (CallStatus.INITIATING, CallStatus.RINGING, CallStatus.IN_PROGRESS)


class Direction(StrEnum):
    OUTBOUND = "outbound"
    INBOUND = "inbound"


class Purpose(StrEnum):
    AGENT = "agent"
    """A conversation with an agent."""
    VERIFICATION = "verification"
    """Speaks the code that proves whose number it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFields:
    """What a call is made with."""

    to_number: str
    """E.164."""
    from_number: str
    engine: str
    """The telephony engine it goes over."""
    agent_id: str | None = None
    """None: it is no conversation."""
    direction: Direction = Direction.OUTBOUND
    purpose: Purpose = Purpose.AGENT
    max_duration_seconds: int = 600
    """Counted from the answer."""
    ring_seconds: int = RING_SECONDS
    recording: bool = False
    webhook_url: str | None = None
    scheduled_at: datetime | None = None
    """None: at once."""
    carrier_call_id: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    """Values of `{{variables}}`."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    initial_message: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """The settings it runs with, as they were when it was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord(CallFields):
    """A stored call, as it was when it was read."""

    id: str
    session_id: str
    account_id: str
    status: CallStatus
    created_at: datetime
    node_id: str | None = None
    """The server process that follows it. None: none has claimed it yet."""
    claimed_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: EndedReason | None = None
    answered_by: str | None = None
    """Who the agent found to have answered. None: it was not asked to find out, or had no time."""
    error_code: str | None = None
    error_message: str | None = None

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    def duration_seconds(self, now: datetime) -> float:
        """From the answer to the end, or to now. 0 where nobody answered."""
        if self.answered_at is None:
            return 0.0
        return max(0.0, ((self.ended_at or now) - self.answered_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account's outbound calls use up."""

    under_way: int
    placed_last_second: int
    minutes_today: int
    """Minutes begun since midnight UTC, those of calls that still run included."""


Check = Callable[[Usage], None]
"""Raises where an account may not place one more call."""
