"""The caller's end of the line: everything that reached it, in order."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from nur_server.conversation.events import EndedReason
from nur_server.conversation.notices import Notice
from nur_server.ports import (
    CallControl,
    Samples,
    SessionInput,
    SessionNotice,
    SessionUpdated,
    TransportCapabilities,
)

AUDIBLE_SECONDS = 0.1
RESUMABLE = TransportCapabilities(can_resume=True)


@dataclass(frozen=True, slots=True)
class Played:
    """A frame of agent audio."""

    at: float
    """Loop time."""
    response_id: str
    length: int
    """Samples at the session's output rate."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """Audio of a response that had not left was dropped."""

    at: float
    response_id: str


@dataclass(frozen=True, slots=True)
class Told:
    at: float
    notice: Notice


@dataclass(frozen=True, slots=True)
class Closed:
    at: float
    reason: EndedReason


@dataclass(frozen=True, slots=True)
class Transferred:
    """The far end of a phone call is connected to another number."""

    at: float
    to_number: str


Arrival = Played | Cleared | Told | Closed | Transferred


@dataclass
class Ear:
    """A transport that only listens."""

    arrivals: list[Arrival] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    updates: list[SessionUpdated] = field(default_factory=list)
    closed: EndedReason | None = None
    listener: SessionInput | None = None
    """Whose words these are."""
    is_replaced: bool = False
    _heard_at: float | None = None

    capabilities: TransportCapabilities = RESUMABLE
    call_control: CallControl | None = None

    # The session's side

    def connect(self, listener: SessionInput) -> None:
        self.listener = listener

    def replaced(self) -> None:
        self.is_replaced = True

    def play(self, response_id: str, samples: Samples) -> None:
        self._heard_at = _now()
        self.arrivals.append(Played(self._heard_at, response_id, len(samples)))

    def clear(self, response_id: str) -> None:
        self.arrivals.append(Cleared(_now(), response_id))

    def notify(self, notice: SessionNotice) -> None:
        if isinstance(notice, SessionUpdated):
            self.updates.append(notice)
            return
        self.notices.append(notice)
        self.arrivals.append(Told(_now(), notice))

    def close(self, reason: EndedReason) -> None:
        self.closed = reason
        self.arrivals.append(Closed(_now(), reason))

    # The test's side

    def of(self, kind: type[Any]) -> list[Any]:
        """The notices of one kind."""
        return [notice for notice in self.notices if isinstance(notice, kind)]

    @property
    def audio(self) -> list[Played]:
        return [arrival for arrival in self.arrivals if isinstance(arrival, Played)]

    @property
    def is_hearing(self) -> bool:
        """Agent audio came just now."""
        return self._heard_at is not None and _now() - self._heard_at <= AUDIBLE_SECONDS


def _now() -> float:
    return asyncio.get_running_loop().time()
