"""Sessions tell of their beginning and their end, whatever becomes of their node."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from nur_server.conversation.events import EndedReason
from nur_server.errors import NotFound
from nur_server.jobs.worker import Run, Worker
from nur_server.ports import SessionSummary
from nur_server.store.agents import Agents
from nur_server.store.analyses import POST_CALL, request_lost_analyses
from nur_server.store.announcing import announce_lost_sessions
from nur_server.store.engine import Database
from nur_server.store.records import SessionFields, SessionRecord
from nur_server.store.schema import WebhookEventRow
from nur_server.store.sessions import Sessions, end_lost_sessions
from nur_server.store.sink import StoreSink
from nur_server.store.webhooks import (
    WebhookFields,
    Webhooks,
)
from tests.store.samples import agent

from .conftest import ACCOUNT, QUICK, eventually

NODE = "node-a"
SUMMARY = SessionSummary(
    reason=EndedReason.CLIENT_ENDED,
    error_code=None,
    duration_seconds=2.5,
    user_turns=1,
    agent_turns=2,
    interruptions=0,
    metrics={},
)


@pytest.fixture
async def session(database: Database) -> SessionRecord:
    """One that somebody wants to be told of."""
    await Webhooks(database, ACCOUNT).create(WebhookFields(url="https://example.com/"))
    made = await Agents(database, ACCOUNT).create(agent())
    return await Sessions(database, ACCOUNT).create(
        SessionFields(
            agent_id=made.id,
            expires_at=database.clock.now() + timedelta(hours=1),
            metadata={"order": 7},
        )
    )


async def told(database: Database) -> list[WebhookEventRow]:
    async with database.read() as reading:
        found = await reading.scalars(select(WebhookEventRow).order_by(WebhookEventRow.created_at))
        return list(found)


async def test_a_session_is_told_of_once_at_each_end(
    database: Database, session: SessionRecord
) -> None:
    sink = StoreSink(database, NODE)
    for _ in range(2):
        await sink.session_started(session.id)
    for _ in range(2):
        await sink.session_ended(session.id, SUMMARY)
    began, ended = await told(database)
    assert (began.type, ended.type) == ("session.started", "session.ended")
    assert (began.data["status"], began.data["metadata"]) == ("active", {"order": 7})
    assert ended.data | {"started_at": None, "ended_at": None} == {
        "session_id": session.id,
        "agent_id": session.agent_id,
        "kind": "websocket",
        "status": "ended",
        "started_at": None,
        "ended_at": None,
        "ended_reason": "client_ended",
        "error_code": None,
        "duration_seconds": 2.5,
        "turns": 3,
        "user_turns": 1,
        "agent_turns": 2,
        "interruptions": 0,
        "metadata": {"order": 7},
    }


async def test_a_session_that_cannot_begin_is_not_told_of(
    database: Database, session: SessionRecord
) -> None:
    with pytest.raises(NotFound):
        await StoreSink(database, NODE).session_started("ses_none")
    assert await told(database) == []


async def test_the_end_of_a_lost_session_is_told(
    database: Database, session: SessionRecord
) -> None:
    await StoreSink(database, NODE).session_started(session.id)
    assert await end_lost_sessions(database, NODE) == 1
    assert await announce_lost_sessions(database, "node-b") == 0
    assert await announce_lost_sessions(database, NODE) == 1
    assert await announce_lost_sessions(database, NODE) == 0
    _, ended = await told(database)
    assert (ended.type, ended.data["error_code"]) == ("session.ended", "session_lost")


@pytest.mark.parametrize("is_lost", [False, True])
async def test_a_conversation_that_is_over_is_worked_on_once_where_its_agent_asks_for_it(
    database: Database, session: SessionRecord, is_lost: bool
) -> None:
    worked_on: list[str] = []

    async def work(run: Run) -> None:
        worked_on.append(run.payload["session_id"])

    analysed = await Agents(database, ACCOUNT).create(
        agent(settings={"analysis": {"summary": True}})
    )
    wanted = await Sessions(database, ACCOUNT).create(
        SessionFields(agent_id=analysed.id, expires_at=database.clock.now() + timedelta(hours=1))
    )
    worker = Worker(database, NODE, QUICK)
    worker.register(POST_CALL, work)
    await worker.start()
    sink = StoreSink(database, NODE)
    for each in (session, wanted):
        await sink.session_started(each.id)
        for _ in range(2):
            if not is_lost:
                await sink.session_ended(each.id, SUMMARY)
    if is_lost:
        await end_lost_sessions(database, NODE)
        for _ in range(2):
            await request_lost_analyses(database, NODE)

    async def is_done() -> bool:
        return worked_on == [wanted.id]

    await eventually(is_done)
    await worker.stop()
    assert worked_on == [wanted.id]
