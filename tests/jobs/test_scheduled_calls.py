"""Calls are placed at their time, once."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from nur_server.conversation.events import EndedReason
from nur_server.errors import RateLimited
from nur_server.jobs.scheduled_calls import GRACE, ScheduledCalls
from nur_server.jobs.worker import Worker
from nur_server.store.announcing import PLACE
from nur_server.store.call_records import (
    CallFields,
    CallRecord,
    CallStatus,
)
from nur_server.store.calls import (
    Calls,
)
from nur_server.store.engine import Database

from .conftest import ACCOUNT, QUICK, eventually


class Desk:
    """Where calls are scheduled and placed."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.calls = Calls(database)
        self.placed: list[str] = []
        self.missed: list[str] = []
        self.busy = 0
        """Times the account has to wait yet."""
        self.worker = Worker(database, "node-a", QUICK)
        work = ScheduledCalls(
            self.calls, database.clock, place_call=self.place, miss_call=self.miss
        )
        self.worker.register(PLACE, work.place)

    async def place(self, call_id: str) -> None:
        if self.busy:
            self.busy -= 1
            raise RateLimited("one at a time", retry_after_seconds=1)
        self.placed.append(call_id)
        await self.calls.claim(call_id, "node-a", check=lambda usage: None)

    async def miss(self, call_id: str) -> None:
        self.missed.append(call_id)

    async def schedule(self, at: datetime) -> CallRecord:
        fields = CallFields(
            to_number="+15550100", from_number="+15550199", engine="loopback", scheduled_at=at
        )
        return await self.calls.create(ACCOUNT, fields, check=lambda usage: None)

    async def until_placed(self, *calls: CallRecord) -> None:
        async def are_placed() -> bool:
            return sorted(self.placed) == sorted(call.id for call in calls)

        await eventually(are_placed)

    def now(self, **later: float) -> datetime:
        return self.database.clock.now() + timedelta(**later)


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    made = Desk(database)
    await made.worker.start()
    yield made
    await made.worker.stop()


async def test_a_call_is_placed_when_its_time_has_come(desk: Desk) -> None:
    call = await desk.schedule(desk.now(seconds=0.6))
    assert call.status is CallStatus.SCHEDULED
    await desk.until_placed(call)
    assert desk.now() >= (call.scheduled_at or desk.now())


async def test_a_call_that_was_moved_is_placed_at_its_new_time_alone(desk: Desk) -> None:
    moved = await desk.schedule(desk.now(seconds=0.3))
    await desk.calls.reschedule(ACCOUNT, moved.id, desk.now(hours=1))
    other = await desk.schedule(desk.now(seconds=0.9))
    await desk.until_placed(other)
    await desk.calls.reschedule(ACCOUNT, moved.id, desk.now(seconds=0.3))
    await desk.until_placed(other, moved)


async def test_a_call_that_was_canceled_is_not_placed(desk: Desk) -> None:
    canceled = await desk.schedule(desk.now(seconds=0.3))
    await desk.calls.finish(
        canceled.id, CallStatus.CANCELED, (CallStatus.SCHEDULED,), EndedReason.CANCELED
    )
    other = await desk.schedule(desk.now(seconds=0.9))
    await desk.until_placed(other)


async def test_a_call_that_has_to_wait_is_placed_a_little_later(desk: Desk) -> None:
    desk.busy = 1
    call = await desk.schedule(desk.now())
    await desk.until_placed(call)
    assert desk.busy == 0


async def test_after_an_outage_late_calls_are_placed_within_the_grace(database: Database) -> None:
    desk = Desk(database)
    late = await desk.schedule(desk.now() - GRACE / 2)
    too_late = await desk.schedule(desk.now() - 2 * GRACE)
    await desk.worker.start()
    await desk.until_placed(late)

    async def is_missed() -> bool:
        return desk.missed == [too_late.id]

    await eventually(is_missed)
    await desk.worker.stop()
