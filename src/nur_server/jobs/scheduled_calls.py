"""Calls that wait for their time: one job per time a call was given."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from nur_server.clock import Clock
from nur_server.jobs.worker import Run
from nur_server.store.announcing import time_key
from nur_server.store.call_records import CallStatus
from nur_server.store.calls import (
    Calls,
)

GRACE = timedelta(minutes=10)
"""How late a call may be placed, after an outage or while the account has to wait."""

Place = Callable[[str], Awaitable[object]]
"""What to do with a call, by its id. May be done again, and then changes nothing."""


class ScheduledCalls:
    """Places calls whose time has come."""

    def __init__(self, calls: Calls, clock: Clock, *, place_call: Place, miss_call: Place) -> None:
        """`miss_call` is told of calls that are too late."""
        self._calls = calls
        self._clock = clock
        self._place_call = place_call
        self._miss_call = miss_call

    async def place(self, run: Run) -> None:
        """Nothing where the call was moved, canceled or placed. Raises what `place_call` does;
        the queue then tries again, until the grace is over."""
        call = await self._calls.find(run.payload["call_id"])
        if call is None or call.status is not CallStatus.SCHEDULED or call.scheduled_at is None:
            return
        if time_key(call.scheduled_at) != run.payload["scheduled_at"]:
            return
        if self._clock.now() > call.scheduled_at + GRACE:
            await self._miss_call(call.id)
        else:
            await self._place_call(call.id)
