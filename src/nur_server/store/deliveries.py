"""Deliveries of webhooks: their log, and the statements that move one forward.

A delivery is attempted by the job whose number is its next attempt's and which claims it first;
the same job may claim it again, after it was cut off. Deliveries about one subject to one webhook
wait for the earlier ones: the job of a later one finds that it has to wait and ends, and whoever
brings the earlier one to its end puts a new job down for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.clock import iso
from nur_server.errors import Conflict, NotFound
from nur_server.store.engine import Database
from nur_server.store.outbox import enqueue
from nur_server.store.paging import DEFAULT_LIMIT, read_page
from nur_server.store.records import Page
from nur_server.store.schema import (
    WebhookDeliveryRow,
    WebhookEventRow,
    WebhookRow,
    WebhookSecretRow,
)
from nur_server.store.webhooks import (
    GIVE_UP_AFTER,
    DeliveryRecord,
    DeliveryStatus,
    attempt_job,
    delivery_record,
)

KEPT_ATTEMPTS = 20
"""In a delivery's history."""
DISABLED_AFTER = timedelta(days=5)
"""A webhook that has failed for so long, without one success, is disabled."""
PENDING = DeliveryStatus.PENDING.value


class Deliveries:
    """The deliveries of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def get(self, delivery_id: str) -> DeliveryRecord:
        """Raises `NotFound`."""
        async with self._database.read() as session:
            return delivery_record(await self._row(session, delivery_id))

    async def list(
        self,
        *,
        webhook_id: str | None = None,
        subject_id: str | None = None,
        status: DeliveryStatus | None = None,
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        cursor: str | None = None,
    ) -> Page[DeliveryRecord]:
        """Those that pass every filter given. Raises `InvalidRequest` for a bad window."""
        filters: list[ColumnElement[bool]] = [WebhookDeliveryRow.account_id == self._account_id]
        if webhook_id is not None:
            filters.append(WebhookDeliveryRow.webhook_id == webhook_id)
        if subject_id is not None:
            filters.append(WebhookDeliveryRow.subject_id == subject_id)
        if status is not None:
            filters.append(WebhookDeliveryRow.status == status.value)
        async with self._database.read() as session:
            return await read_page(
                session,
                WebhookDeliveryRow,
                filters,
                delivery_record,
                limit=limit,
                offset=offset,
                cursor=cursor,
            )

    async def replay(self, delivery_id: str) -> DeliveryRecord:
        """Deliver once more what was delivered, given up or canceled, with the same event id.

        Raises `NotFound`, and `Conflict` while it is still being delivered or where its webhook
        is disabled.
        """
        now = self._database.clock.now()
        async with self._database.write() as session:
            row = await self._row(session, delivery_id, lock=True)
            webhook = await _webhook_of(session, row)
            if row.status == PENDING:
                raise Conflict(
                    f"expected a delivery that is over, but {delivery_id} is still being made",
                    code="delivery_pending",
                )
            if not webhook.enabled:
                raise Conflict(
                    f"expected an enabled webhook, but {webhook.id} is disabled; enable it first",
                    code="webhook_disabled",
                )
            row.status, row.claimed_by = PENDING, None
            row.next_attempt_at, row.give_up_at = now, now + GIVE_UP_AFTER
            await session.flush()
            await enqueue(session, attempt_job(row, webhook))
            return delivery_record(row)

    async def _row(
        self, session: AsyncSession, delivery_id: str, *, lock: bool = False
    ) -> WebhookDeliveryRow:
        chosen = select(WebhookDeliveryRow).where(
            WebhookDeliveryRow.id == delivery_id, WebhookDeliveryRow.account_id == self._account_id
        )
        row = await session.scalar(chosen.with_for_update() if lock else chosen)
        if row is None:
            raise NotFound(
                f"no webhook delivery {delivery_id!r}",
                code="webhook_delivery_not_found",
                param="delivery_id",
            )
        return row


# Moving one forward


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
        elif outcome.is_gone or retry_at >= row.give_up_at:
            await _end(session, row, DeliveryStatus.FAILED)
        else:
            row.next_attempt_at = retry_at
            await session.flush()
            job = attempt_job(row, await _webhook_of(session, row))
            await enqueue(session, replace(job, at=retry_at))
        return DeliveryStatus(row.status)


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
        await enqueue(session, attempt_job(waiting, webhook))


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
