"""What is old goes; what is not done yet stays."""

import pytest
from sqlalchemy import func, select, update

from nur_server.clock import ManualClock
from nur_server.jobs.retention import clean
from nur_server.jobs.worker import Worker
from nur_server.store.accounts import Accounts
from nur_server.store.deliveries import (
    record_event,
)
from nur_server.store.engine import Database
from nur_server.store.events import (
    EventType,
)
from nur_server.store.outbox import prepare
from nur_server.store.retention import DELIVERIES_KEPT
from nur_server.store.schema import (
    Table,
    WebhookDeliveryRow,
    WebhookEventRow,
    WebhookRow,
)
from nur_server.store.webhooks import (
    WebhookFields,
    Webhooks,
    attach,
)

from .conftest import ACCOUNT

SUBJECTS = ("ses_done", "ses_open")


@pytest.fixture
async def aged(empty_url: str) -> Database:
    """A database with an event that was told and one that was not, a while later."""
    clock = ManualClock()
    database = await Database.open(empty_url, clock=clock)
    await database.migrate()
    await prepare(database)
    await Accounts(database).create(ACCOUNT, ACCOUNT)
    await Webhooks(database, ACCOUNT).create(WebhookFields(url="https://example.com/"))
    for subject in SUBJECTS:
        async with database.write() as session:
            await attach(session, ACCOUNT, subject, "https://example.com/", now=clock.now())
            await record_event(
                session, ACCOUNT, EventType.SESSION_ENDED, subject, {}, now=clock.now()
            )
    async with database.write() as session:
        await session.execute(
            update(WebhookDeliveryRow)
            .where(WebhookDeliveryRow.subject_id == "ses_done")
            .values(status="delivered")
        )
    clock.advance(DELIVERIES_KEPT.total_seconds() + 1)
    return database


async def count(database: Database, table: type[Table]) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_old_events_go_with_their_deliveries_and_one_off_webhooks(aged: Database) -> None:
    worker = Worker(aged, "node-a")
    assert await clean(aged, worker) > 0
    assert await clean(aged, worker) == 0
    assert await count(aged, WebhookEventRow) == 1
    assert await count(aged, WebhookDeliveryRow) == 2
    async with aged.read() as session:
        left = (await session.scalars(select(WebhookRow.subject_id))).all()
    assert sorted(left, key=str) == [None, "ses_open"]
    await aged.close()
