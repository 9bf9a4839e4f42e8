"""Whether to connect again, when, and what to say if not: pure decisions."""

from nur.backoff import delay_seconds
from nur.closed import Closed
from nur.errors import SessionLost, SessionRefused
from nur.events import SessionError

RECONNECT_SECONDS = 25.0
"""Longest outage: the server keeps a dropped session for 30 s."""
RECONNECT_ATTEMPTS = 5
STABLE_SECONDS = 5.0
"""A connection that lasted so long ends an outage; a shorter one is part of it."""

FINAL_CODES = frozenset(
    {"session_not_found", "session_expired", "session_forbidden", "unauthorized"}
)
"""`session.error` codes after which coming back is useless."""
FINAL_STATUSES = frozenset({400, 401, 403, 404, 410, 422})
"""Of a refused upgrade."""


class Outage:
    """A stretch of failures to connect. Times are seconds of one monotonic clock."""

    def __init__(self, now: float, first_attempts: int) -> None:
        """`first_attempts`: how often to try before there has been any connection."""
        self._began = now
        self._failures = 0
        self._first_attempts = first_attempts
        self._had_connection = False

    def connection_dropped(self, now: float, connected_at: float) -> None:
        """There was a connection, since `connected_at`; it is gone."""
        self._had_connection = True
        if now - connected_at > STABLE_SECONDS:
            self._began, self._failures = now, 0

    def next_wait(self, now: float) -> float | None:
        """Seconds to wait before the next attempt. None: give up."""
        wait = delay_seconds(self._failures)
        self._failures += 1
        if not self._had_connection:
            return wait if self._failures < self._first_attempts else None
        is_in_time = now + wait - self._began < RECONNECT_SECONDS
        return wait if is_in_time and self._failures <= RECONNECT_ATTEMPTS else None


def refusal(closed: Closed, error: SessionError | None) -> SessionRefused | None:
    """Why coming back would be useless, or None. `error`: the last one of the connection."""
    is_final = (
        closed.code in (1000, 1008)
        or (closed.code is not None and 4400 <= closed.code <= 4499)
        or closed.status in FINAL_STATUSES
        or (error is not None and error.code in FINAL_CODES)
    )
    if not is_final:
        return None
    if error is not None and (error.code in FINAL_CODES or closed.reason in ("", error.code)):
        return SessionRefused(error.message, code=error.code, param=error.param)
    facts = closed.status or closed.code
    return SessionRefused(
        f"expected a live session, but the server closed it ({facts}): "
        f"{closed.reason or 'no reason given'}"
    )


def lost(closed: Closed, error: SessionError | None, *, had_begun: bool) -> SessionLost:
    """What to raise when the attempts are used up."""
    what = "the connection to come back" if had_begun else "a connection"
    said = error.message if error else closed.reason or str(closed.status or closed.code)
    return SessionLost(
        f"expected {what}, got none: {said}; open the session again, or a new one",
        code=error.code if error else None,
    )
