"""Deliveries of webhooks: everything that makes one and moves it forward.

An event is recorded in the transaction that makes it happen, once per key, together with one
delivery per subscriber and the job of its first attempt. Nothing is stored of an event that nobody
subscribed to.

A delivery is attempted by the job whose number is its next attempt's and which claims it first;
the same job may claim it again, after it was cut off. Deliveries about one subject to one webhook
wait for the earlier ones: the job of a later one finds that it has to wait and ends, and the
transaction that ends the earlier one enqueues a new job for it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from secrets import token_hex
from typing import Any

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.clock import iso
from nur_server.ids import EVENT, new_id
from nur_server.store.engine import Database, insert_into
from nur_server.store.events import EventType, name_of
from nur_server.store.outbox import Job, QueueName, enqueue
from nur_server.store.schema import (
    WebhookDeliveryRow,
    WebhookEventRow,
    WebhookRow,
    WebhookSecretRow,
)

DELIVERY = "dlv"
DELIVER = "webhook.deliver"
"""The job that makes one attempt at one delivery."""
GIVE_UP_AFTER = timedelta(hours=24)
"""From the event, or from a replay, to the last attempt."""
KEPT_ATTEMPTS = 20
"""Attempts in a delivery's history; older ones are dropped."""
DISABLED_AFTER = timedelta(days=5)
"""A webhook that has failed for so long, without one success, is disabled."""


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Given up."""
    CANCELED = "canceled"
    """Its webhook was disabled before it was delivered."""


PENDING = DeliveryStatus.PENDING.value


# Recording an event, inside the transaction that makes it happen


async def record_event(
    session: AsyncSession,
    account_id: str,
    type: EventType,
    subject_id: str,
    data: Mapping[str, Any],
    *,
    now: datetime,
    agent_id: str | None = None,
    key: str | None = None,
) -> str | None:
    """Put down that something happened, for everybody who wants to be told.

    `subject_id` is the id of the session's row: deliveries about one subject to one receiver are
    made in the order they were recorded. `key` names the occurrence (default: subject and type);
    the same key is recorded once. `data` is JSON and goes out as it is. The event's id; None where
    nobody asked for it or it was recorded before.
    """
    wanted = await _subscribers(session, account_id, type, subject_id, agent_id)
    if not wanted:
        return None
    event = _event(new_id(EVENT), account_id, type, subject_id, data, agent_id, now, key=key)
    names = [column.key for column in WebhookEventRow.__table__.columns]
    recorded = await session.scalar(
        insert_into(session, WebhookEventRow)
        .values({name: getattr(event, name) for name in names})
        .on_conflict_do_nothing(index_elements=["account_id", "key"])
        .returning(WebhookEventRow.id)
    )
    if recorded is None:
        return None
    for webhook, name in wanted:
        await _deliver(session, webhook, event, name)
    return event.id


async def record_test(session: AsyncSession, webhook: WebhookRow, now: datetime) -> str:
    """Record a `webhook.test` event for one webhook alone. Returns the id of its delivery."""
    event_id = new_id(EVENT)
    data = {"webhook_id": webhook.id, "message": "This is a test."}
    event = _event(
        event_id, webhook.account_id, EventType.TEST, event_id, data, webhook.agent_id, now
    )
    session.add(event)
    await session.flush()
    return await _deliver(session, webhook, event, EventType.TEST.value)


async def _subscribers(
    session: AsyncSession,
    account_id: str,
    type: EventType,
    subject_id: str,
    agent_id: str | None,
) -> list[tuple[WebhookRow, str]]:
    """Who wants to be told, and in which words."""
    found = await session.scalars(
        select(WebhookRow)
        .where(
            WebhookRow.account_id == account_id,
            WebhookRow.enabled.is_(True),
            or_(WebhookRow.subject_id.is_(None), WebhookRow.subject_id == subject_id),
            or_(WebhookRow.agent_id.is_(None), WebhookRow.agent_id == agent_id),
        )
        .order_by(WebhookRow.created_at, WebhookRow.id)
    )
    named = [(row, name_of(type, row.events)) for row in found]
    return [(row, name) for row, name in named if name is not None]


async def _deliver(
    session: AsyncSession, webhook: WebhookRow, event: WebhookEventRow, name: str
) -> str:
    row = WebhookDeliveryRow(
        id=new_id(DELIVERY),
        account_id=event.account_id,
        webhook_id=webhook.id,
        event_id=event.id,
        subject_id=event.subject_id,
        type=name,
        status=DeliveryStatus.PENDING.value,
        attempts=0,
        history=[],
        give_up_at=event.created_at + GIVE_UP_AFTER,
        next_attempt_at=event.created_at,
        created_at=event.created_at,
    )
    session.add(row)
    await session.flush()
    await enqueue(session, _attempt(row, webhook))
    return row.id


def _attempt(row: WebhookDeliveryRow, webhook: WebhookRow) -> Job:
    """A job that makes a delivery's next attempt. Of several for one attempt, one makes it."""
    number = row.attempts + 1
    return Job(
        name=DELIVER,
        payload={"delivery_id": row.id, "attempt": number},
        key=f"{row.id}:{number}:{token_hex(4)}",
        queue=QueueName.WEBHOOKS,
        partition=_receiver(webhook),
    )


def _receiver(webhook: WebhookRow) -> str:
    """Names who is behind an address, so that a slow one holds up its own deliveries alone."""
    address = webhook.url.partition("?")[0]
    return hashlib.sha256(f"{webhook.account_id} {address}".encode()).hexdigest()[:32]


def _event(
    event_id: str,
    account_id: str,
    type: EventType,
    subject_id: str,
    data: Mapping[str, Any],
    agent_id: str | None,
    now: datetime,
    *,
    key: str | None = None,
) -> WebhookEventRow:
    return WebhookEventRow(
        id=event_id,
        account_id=account_id,
        key=key or f"{subject_id}:{type.value}",
        type=type.value,
        subject_id=subject_id,
        agent_id=agent_id,
        data=dict(data),
        created_at=now,
    )


# Moving a delivery forward


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What an attempt sends, and where."""

    delivery_id: str
    number: int
    """From 1."""
    claimed_by: str
    webhook_id: str
    url: str
    secrets: Sequence[str]
    """Each signs."""
    event_id: str
    type: str
    account_id: str
    subject_id: str
    agent_id: str | None
    data: Mapping[str, Any]
    created_at: datetime
    give_up_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt went."""

    delivered: bool
    http_status: int | None = None
    error: str | None = None
    duration_ms: int = 0
    is_gone: bool = False
    """The receiver wants no more."""
    is_final: bool = False
    """No further attempt can go better: there is nothing that could be asked, or sent."""


async def claim_attempt(
    database: Database, delivery_id: str, number: int, claimed_by: str
) -> Attempt | None:
    """The right to make this attempt. None: there is nothing to do for this job."""
    now = database.clock.now()
    async with database.write() as session:
        row = await session.scalar(
            select(WebhookDeliveryRow).where(WebhookDeliveryRow.id == delivery_id).with_for_update()
        )
        if row is None or row.status != PENDING or row.attempts != number - 1:
            return None
        if row.claimed_by not in (None, claimed_by):
            return None
        if not await _is_first(session, row):
            return None
        # Read once nothing earlier is open: what ended last may have disabled it.
        webhook = await _webhook_of(session, row)
        if not webhook.enabled:
            await _end(session, row, DeliveryStatus.CANCELED, error="the webhook is disabled")
            return None
        row.claimed_by = claimed_by
        event = await session.get(WebhookEventRow, row.event_id)
        assert event is not None
        return Attempt(
            delivery_id=row.id,
            number=number,
            claimed_by=claimed_by,
            webhook_id=webhook.id,
            url=webhook.url,
            secrets=await _secrets(session, webhook, now),
            event_id=event.id,
            type=row.type,
            account_id=row.account_id,
            subject_id=event.subject_id,
            agent_id=event.agent_id,
            data=dict(event.data),
            created_at=event.created_at,
            give_up_at=row.give_up_at,
        )


async def finish_attempt(
    database: Database, attempt: Attempt, outcome: Outcome, retry_at: datetime
) -> DeliveryStatus | None:
    """Store how an attempt went, and put down what comes next. None: it was stored before."""
    now = database.clock.now()
    async with database.write() as session:
        row = await session.scalar(
            select(WebhookDeliveryRow)
            .where(
                WebhookDeliveryRow.id == attempt.delivery_id,
                WebhookDeliveryRow.status == PENDING,
                WebhookDeliveryRow.attempts == attempt.number - 1,
                WebhookDeliveryRow.claimed_by == attempt.claimed_by,
            )
            .with_for_update()
        )
        if row is None:
            return None
        row.attempts, row.claimed_by = attempt.number, None
        row.http_status, row.error = outcome.http_status, outcome.error
        row.history = [*row.history, _line(attempt, outcome, now)][-KEPT_ATTEMPTS:]
        await _note_health(session, attempt.webhook_id, outcome, now)
        if outcome.delivered:
            row.delivered_at = now
            await _end(session, row, DeliveryStatus.DELIVERED)
        elif outcome.is_gone or outcome.is_final or retry_at >= row.give_up_at:
            await _end(session, row, DeliveryStatus.FAILED)
        else:
            row.next_attempt_at = retry_at
            await session.flush()
            job = _attempt(row, await _webhook_of(session, row))
            await enqueue(session, replace(job, at=retry_at))
        return DeliveryStatus(row.status)


async def restart(session: AsyncSession, row: WebhookDeliveryRow, now: datetime) -> None:
    """Make a delivery that is over pending again, and enqueue its next attempt."""
    row.status, row.claimed_by = PENDING, None
    row.next_attempt_at, row.give_up_at = now, now + GIVE_UP_AFTER
    await session.flush()
    await enqueue(session, _attempt(row, await _webhook_of(session, row)))


async def _is_first(session: AsyncSession, row: WebhookDeliveryRow) -> bool:
    """Whether nothing earlier has to be delivered before.

    The earlier one is locked while it is looked at: either it is open, and whoever ends it will
    see this one, or it is over.
    """
    while True:
        earlier = select(WebhookDeliveryRow.position).where(
            *_same_lane(row), WebhookDeliveryRow.position < row.position
        )
        first = await session.scalar(earlier.order_by(WebhookDeliveryRow.position).limit(1))
        if first is None:
            return True
        still = await session.scalar(
            select(WebhookDeliveryRow.position)
            .where(WebhookDeliveryRow.position == first, WebhookDeliveryRow.status == PENDING)
            .with_for_update()
        )
        if still is not None:
            return False


async def _end(
    session: AsyncSession,
    row: WebhookDeliveryRow,
    status: DeliveryStatus,
    *,
    error: str | None = None,
) -> None:
    """No more attempts; the next delivery that waited for this one may go ahead."""
    row.status, row.next_attempt_at = status.value, None
    row.error = error or row.error
    await session.flush()
    waiting = await session.scalar(
        select(WebhookDeliveryRow)
        .where(*_same_lane(row))
        .order_by(WebhookDeliveryRow.position)
        .limit(1)
    )
    if waiting is not None:
        webhook = await _webhook_of(session, row)
        await enqueue(session, _attempt(waiting, webhook))


async def _webhook_of(session: AsyncSession, row: WebhookDeliveryRow) -> WebhookRow:
    webhook = await session.get(WebhookRow, row.webhook_id)
    assert webhook is not None
    return webhook


def _same_lane(row: WebhookDeliveryRow) -> tuple[ColumnElement[bool], ...]:
    return (
        WebhookDeliveryRow.webhook_id == row.webhook_id,
        WebhookDeliveryRow.subject_id == row.subject_id,
        WebhookDeliveryRow.status == PENDING,
    )


async def _secrets(session: AsyncSession, webhook: WebhookRow, now: datetime) -> tuple[str, ...]:
    """The webhook's own, or else the account's; a previous one too while it is kept."""
    held: WebhookRow | WebhookSecretRow = webhook
    if webhook.secret is None:
        account = await session.get(WebhookSecretRow, webhook.account_id)
        assert account is not None
        held = account
    assert held.secret is not None
    if held.previous_secret and held.previous_until and held.previous_until > now:
        return held.secret, held.previous_secret
    return (held.secret,)


async def _note_health(
    session: AsyncSession, webhook_id: str, outcome: Outcome, now: datetime
) -> None:
    """Remember since when a webhook fails; disable one that has failed too long or is gone."""
    chosen = update(WebhookRow).where(WebhookRow.id == webhook_id)
    unsynchronised = {"synchronize_session": False}
    if outcome.delivered:
        healed = chosen.where(WebhookRow.failing_since.is_not(None)).values(failing_since=None)
        await session.execute(healed, execution_options=unsynchronised)
        return
    began = chosen.where(WebhookRow.failing_since.is_(None)).values(failing_since=now)
    await session.execute(began, execution_options=unsynchronised)
    if outcome.is_gone:
        disabled = chosen.values(enabled=False, disabled_reason="gone", updated_at=now)
    else:
        disabled = chosen.where(WebhookRow.failing_since <= now - DISABLED_AFTER).values(
            enabled=False, disabled_reason="failing", updated_at=now
        )
    await session.execute(disabled, execution_options=unsynchronised)


def _line(attempt: Attempt, outcome: Outcome, now: datetime) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "at": iso(now),
        "http_status": outcome.http_status,
        "error": outcome.error,
        "duration_ms": outcome.duration_ms,
    }
