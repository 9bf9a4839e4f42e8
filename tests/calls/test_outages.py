"""Calls that go on while the database is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nur_server.calls import service, supervisor
from nur_server.calls.service import LOST
from nur_server.conversation.events import EndedReason
from nur_server.errors import Unavailable
from nur_server.store.call_records import CallStatus
from nur_server.store.engine import Database
from nur_server.store.records import SessionState
from nur_server.store.sessions import Sessions
from nur_server.transports.loopback import Answer, HangUp, HearOut, Pause, Ring, Script
from tests.calls.exchange import ACCOUNT, NODE, Exchange, exchange, voice

TALKS: Script = (Ring(0.3), Answer(), HearOut(0.2), voice(), HearOut(0.2), HangUp())


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STORE_RETRY_SECONDS", 0.01)


class Outage:
    """Of a database: from `begin` to `end` nothing can be written."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._is_on = False
        write = database.write

        @asynccontextmanager
        async def guarded() -> AsyncIterator[Any]:
            if self._is_on:
                raise Unavailable("the database cannot be used", code="database_unavailable")
            async with write() as session:
                yield session

        monkeypatch.setattr(database, "write", guarded)

    def begin(self) -> None:
        self._is_on = True

    def end(self) -> None:
        self._is_on = False


async def gone(here: Exchange, call_id: str) -> None:
    """Until nobody is on the call any more."""
    async with asyncio.timeout(20):
        while True:
            if call_id not in here.service:
                return
            await asyncio.sleep(0.02)


async def dialled(here: Exchange) -> None:
    async with asyncio.timeout(20):
        while True:
            if here.calls:
                return
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("status", ["initiating", "ringing", "in_progress"])
async def test_a_call_is_held_and_its_record_follows(
    status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with exchange(tmp_path, TALKS, first_message="Hello!") as here:
        outage = Outage(here.database, monkeypatch)
        accepted = await here.dial()
        if status != "initiating":
            await here.reached(accepted.id, status)
        else:
            await dialled(here)
        outage.begin()
        await gone(here, accepted.id)
        assert not (await here.read(accepted.id)).is_over
        outage.end()
        call = await here.over(accepted.id)
        await here.live.writer.stored_within(call.session_id, 10.0)
        assert (call.status, call.ended_reason) == (
            CallStatus.COMPLETED,
            EndedReason.CALLER_HUNG_UP,
        )
        assert here.statuses(call.id)[-2:] == ["in_progress", "completed"]
        assert call.answered_at is not None
        assert call.ended_at is not None
        assert call.answered_at < call.ended_at
        session = await Sessions(here.database, ACCOUNT).get(call.session_id)
        assert session.state is SessionState.ENDED
        assert session.ended_reason is EndedReason.CALLER_HUNG_UP
        assert session.agent_turns == 2
        assert [who for who, _ in await here.said(call)] == ["agent", "user", "agent"]


async def test_a_call_that_nobody_follows_is_ended_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "ORPHANS_EVERY", 1)
    monkeypatch.setattr(service, "SWEEP_SECONDS", 0.05)
    stays: Script = (Ring(0.05), Answer(), Pause(30))
    async with exchange(tmp_path, stays) as here:
        orphan, held = await here.dial(), await here.dial()
        for call in (orphan, held):
            await here.reached(call.id, "in_progress")
        followed = here.service._followed.pop(orphan.id)
        stopping = asyncio.Event()
        running = asyncio.create_task(here.service.run(stopping))
        ended = await here.over(orphan.id)
        assert (ended.status, ended.error_code) == (CallStatus.FAILED, LOST)
        assert (await here.read(held.id)).status is CallStatus.IN_PROGRESS
        assert ended.node_id == NODE
        stopping.set()
        await running
        here.service._followed[orphan.id] = followed
