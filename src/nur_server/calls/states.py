"""The state machine of a call: how it moves forward, and what its end means.

    scheduled → initiating → ringing → in_progress → completed
        │           │           │           └──────→ failed
        └───────────┴───────────┴──────────────────→ failed, no_answer, canceled

Any step may be left out, none is ever taken back. Carriers report in any order and more than once;
what comes too late finds the call in none of the statuses it could have led on from.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from nur_server.conversation.events import EndedReason
from nur_server.ports import HangupCause
from nur_server.store.call_records import (
    CallStatus,
)

FINAL = frozenset(
    {CallStatus.COMPLETED, CallStatus.FAILED, CallStatus.NO_ANSWER, CallStatus.CANCELED}
)
WAITING = frozenset({CallStatus.SCHEDULED, CallStatus.INITIATING, CallStatus.RINGING})
"""Not answered yet."""

_SOURCES: Mapping[CallStatus, frozenset[CallStatus]] = {
    CallStatus.SCHEDULED: frozenset(),
    CallStatus.INITIATING: frozenset({CallStatus.SCHEDULED}),
    CallStatus.RINGING: frozenset({CallStatus.INITIATING}),
    CallStatus.IN_PROGRESS: frozenset({CallStatus.INITIATING, CallStatus.RINGING}),
    CallStatus.COMPLETED: frozenset({CallStatus.IN_PROGRESS}),
    CallStatus.FAILED: WAITING | {CallStatus.IN_PROGRESS},
    CallStatus.NO_ANSWER: WAITING,
    CallStatus.CANCELED: WAITING,
}


def sources(to: CallStatus) -> frozenset[CallStatus]:
    """The statuses a call can go to `to` from."""
    return _SOURCES[to]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended."""

    status: CallStatus
    reason: EndedReason
    error_code: str | None = None
    error_message: str | None = None
    """For people: the carrier's own words, or what went wrong."""

    @property
    def sources(self) -> frozenset[CallStatus]:
        return sources(self.status)


_UNANSWERED: Mapping[HangupCause, tuple[CallStatus, EndedReason]] = {
    HangupCause.NORMAL: (CallStatus.FAILED, EndedReason.NO_MEDIA),
    HangupCause.CANCELED: (CallStatus.CANCELED, EndedReason.CANCELED),
    HangupCause.BUSY: (CallStatus.FAILED, EndedReason.BUSY),
    HangupCause.NO_ANSWER: (CallStatus.NO_ANSWER, EndedReason.NO_ANSWER),
    HangupCause.REJECTED: (CallStatus.FAILED, EndedReason.REJECTED),
    HangupCause.INVALID_NUMBER: (CallStatus.FAILED, EndedReason.INVALID_NUMBER),
    HangupCause.NO_MEDIA: (CallStatus.FAILED, EndedReason.NO_MEDIA),
    HangupCause.CARRIER_ERROR: (CallStatus.FAILED, EndedReason.CARRIER_ERROR),
}
_FAILURES = frozenset(
    {
        EndedReason.NO_MEDIA,
        EndedReason.CARRIER_ERROR,
        EndedReason.SERVER_SHUTDOWN,
        EndedReason.INTERNAL_ERROR,
    }
)
"""Ends of a call that was answered, and could not go on."""


def unanswered(cause: HangupCause, detail: str = "") -> Ending:
    """The end of a call whose audio never came.

    A carrier's `normal` means that it was answered and is over already: there was no media.
    """
    status, reason = _UNANSWERED[cause]
    return Ending(status, reason, _code(status, reason), detail or None)


def answered(reason: EndedReason, code: str | None = None, detail: str | None = None) -> Ending:
    """The end of a call whose conversation is over."""
    status = CallStatus.FAILED if reason in _FAILURES else CallStatus.COMPLETED
    return Ending(status, reason, code or _code(status, reason), detail)


def given_up(reason: EndedReason, code: str | None = None, detail: str | None = None) -> Ending:
    """The end of a call that we did not wait for any longer."""
    status = {
        EndedReason.CANCELED: CallStatus.CANCELED,
        EndedReason.CLIENT_ENDED: CallStatus.CANCELED,
        EndedReason.NO_ANSWER: CallStatus.NO_ANSWER,
    }.get(reason, CallStatus.FAILED)
    told = EndedReason.CANCELED if status is CallStatus.CANCELED else reason
    return Ending(status, told, code or _code(status, told), detail)


def _code(status: CallStatus, reason: EndedReason) -> str | None:
    return reason.value if status is CallStatus.FAILED else None
