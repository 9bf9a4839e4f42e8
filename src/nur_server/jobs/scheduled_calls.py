"""Calls that wait for their time: one job per time a call was given."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.clock import Clock
from nur_server.jobs.queue import Run
from nur_server.store.calls import Announce, CallRecord, Calls, CallStatus
from nur_server.store.outbox import Job, enqueue

PLACE = "call.place"
"""The job that places a scheduled call."""
GRACE = timedelta(minutes=10)
"""How late a call may be placed, after an outage or while the account has to wait."""

Place = Callable[[str], Awaitable[object]]
"""What to do with a call, by its id. May be done again, and then changes nothing."""


def scheduling(announce: Announce) -> Announce:
    """Put a job down for every time a call is given, and announce the rest as before."""

    async def announce_and_schedule(session: AsyncSession, call: CallRecord) -> None:
        await announce(session, call)
        if call.status is CallStatus.SCHEDULED and call.scheduled_at is not None:
            await enqueue(session, _job(call.id, call.scheduled_at))

    return announce_and_schedule


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
        if _written(call.scheduled_at) != run.payload["scheduled_at"]:
            return
        if self._clock.now() > call.scheduled_at + GRACE:
            await self._miss_call(call.id)
        else:
            await self._place_call(call.id)


def _job(call_id: str, scheduled_at: datetime) -> Job:
    written = _written(scheduled_at)
    return Job(
        name=PLACE,
        payload={"call_id": call_id, "scheduled_at": written},
        key=f"{call_id}:{written}",
        at=scheduled_at,
    )


def _written(moment: datetime) -> str:
    return str(round(moment.timestamp() * 1_000_000))
