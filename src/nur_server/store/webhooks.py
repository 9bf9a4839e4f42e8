"""Webhooks: who is told of what, and the recording of what there is to tell.

An event is recorded in the transaction that makes it happen, once per key, together with one
delivery per subscriber and the job that makes it. Nothing is kept of an event nobody asked for.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from secrets import token_bytes, token_hex
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.errors import Conflict, NotFound
from nur_server.ids import EVENT, new_id
from nur_server.store.engine import Database, insert_into
from nur_server.store.outbox import Job, QueueName, enqueue
from nur_server.store.paging import DEFAULT_LIMIT, read_page
from nur_server.store.records import Page
from nur_server.store.schema import (
    AccountRow,
    WebhookDeliveryRow,
    WebhookEventRow,
    WebhookRow,
    WebhookSecretRow,
)

WEBHOOK, DELIVERY = "wh", "dlv"
SECRET_PREFIX = "whsec_"
EVERY_EVENT = "*"
MAX_WEBHOOKS = 50
"""Per account; those of single sessions are not counted."""
OLD_SECRET_KEPT = timedelta(hours=24)
GIVE_UP_AFTER = timedelta(hours=24)
DELIVER = "webhook.deliver"
"""The job that makes one attempt at one delivery."""


class EventType(StrEnum):
    SESSION_STARTED = "session.started"
    SESSION_ENDED = "session.ended"
    CALL_INITIATING = "call.initiating"
    CALL_RINGING = "call.ringing"
    CALL_IN_PROGRESS = "call.in_progress"
    CALL_COMPLETED = "call.completed"
    CALL_FAILED = "call.failed"
    CALL_NO_ANSWER = "call.no_answer"
    CALL_CANCELED = "call.canceled"
    RECORDING_READY = "recording.ready"
    SESSION_ANALYZED = "session.analyzed"
    TEST = "webhook.test"


ALIASES: Mapping[str, EventType] = {
    "agent.session.started": EventType.SESSION_STARTED,
    "agent.session.ended": EventType.SESSION_ENDED,
    "session.completed": EventType.SESSION_ENDED,
    "call.started": EventType.CALL_IN_PROGRESS,
    "call.connected": EventType.CALL_IN_PROGRESS,
    "call.ended": EventType.CALL_COMPLETED,
    "call.analyzed": EventType.SESSION_ANALYZED,
}
"""Names from elsewhere. Who subscribes to one is told under that name."""
EVENT_NAMES = (EVERY_EVENT, *(event.value for event in EventType), *ALIASES)


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Given up."""
    CANCELED = "canceled"
    """Its webhook was disabled before it was delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookFields:
    """What a webhook is made with."""

    url: str
    events: Sequence[str] = (EVERY_EVENT,)
    agent_id: str | None = None
    """None: every agent."""
    description: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRecord(WebhookFields):
    """A stored webhook, as it was when it was read."""

    id: str
    account_id: str
    subject_id: str | None = None
    """The one session it was made for. None: a subscription of the account."""
    secret_version: int = 1
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """One event on its way to one subscriber."""

    id: str
    webhook_id: str
    event_id: str
    subject_id: str
    type: str
    status: DeliveryStatus
    attempts: int
    history: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    http_status: int | None = None
    error: str | None = None
    give_up_at: datetime
    next_attempt_at: datetime | None = None
    delivered_at: datetime | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A webhook whose secret was made just now, and the secret."""

    webhook: WebhookRecord
    secret: str


class Webhooks:
    """The subscriptions of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def create(self, fields: WebhookFields, *, secret: str | None = None) -> NewSecret:
        """A new subscription. Its secret is returned here and by `rotate`, nowhere else.

        Raises `Conflict` where the account has as many as it may have.
        """
        secret = secret or new_secret()
        row = _new_row(self._account_id, fields, secret, self._database.clock.now())
        async with self._database.write() as session:
            await session.scalar(
                select(AccountRow.id).where(AccountRow.id == self._account_id).with_for_update()
            )
            count = await session.scalar(
                select(func.count()).select_from(WebhookRow).where(*self._own())
            )
            if (count or 0) >= MAX_WEBHOOKS:
                raise Conflict(
                    f"expected at most {MAX_WEBHOOKS} webhooks, got one more; delete one first",
                    code="too_many_webhooks",
                )
            session.add(row)
        return NewSecret(_record(row), secret)

    async def get(self, webhook_id: str) -> WebhookRecord:
        """Raises `NotFound`."""
        async with self._database.read() as session:
            return _record(await self._row(session, webhook_id))

    async def list(
        self,
        *,
        include_disabled: bool = True,
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        cursor: str | None = None,
    ) -> Page[WebhookRecord]:
        """Without those of single sessions. Raises `InvalidRequest` for a bad window."""
        filters = [*self._own()] + ([] if include_disabled else [WebhookRow.enabled.is_(True)])
        async with self._database.read() as session:
            return await read_page(
                session, WebhookRow, filters, _record, limit=limit, offset=offset, cursor=cursor
            )

    async def update(self, webhook_id: str, changes: Mapping[str, Any]) -> WebhookRecord:
        """Change fields of `WebhookFields`. Enabling it forgets that it failed.

        Raises `NotFound`.
        """
        async with self._database.write() as session:
            row = await self._row(session, webhook_id, lock=True)
            for name, value in changes.items():
                setattr(row, name, list(value) if name == "events" else value)
            if changes.get("enabled"):
                row.disabled_reason = row.failing_since = None
            row.updated_at = self._database.clock.now()
            return _record(row)

    async def rotate(self, webhook_id: str, *, secret: str | None = None) -> NewSecret:
        """A new secret. The old one signs too for `OLD_SECRET_KEPT`. Raises `NotFound`."""
        now = self._database.clock.now()
        secret = secret or new_secret()
        async with self._database.write() as session:
            row = await self._row(session, webhook_id, lock=True)
            row.previous_secret, row.previous_until = row.secret, now + OLD_SECRET_KEPT
            row.secret, row.updated_at = secret, now
            row.secret_version += 1
            return NewSecret(_record(row), secret)

    async def rotate_account_secret(self) -> str:
        """A new secret for webhooks that were made for single sessions; the old one signs too
        for `OLD_SECRET_KEPT`."""
        now = self._database.clock.now()
        secret = new_secret()
        async with self._database.write() as session:
            row = await session.get(WebhookSecretRow, self._account_id, with_for_update=True)
            if row is None:
                session.add(WebhookSecretRow(account_id=self._account_id, secret=secret))
            else:
                row.previous_secret, row.previous_until = row.secret, now + OLD_SECRET_KEPT
                row.secret = secret
        return secret

    async def delete(self, webhook_id: str) -> None:
        """Remove it and its deliveries. Raises `NotFound`."""
        async with self._database.write() as session:
            await self._row(session, webhook_id)
            await session.execute(delete(WebhookRow).where(WebhookRow.id == webhook_id))

    async def test(self, webhook_id: str) -> str:
        """Record a `webhook.test` event for it alone: the id of its delivery.

        Raises `NotFound`, and `Conflict` where it is disabled.
        """
        now = self._database.clock.now()
        async with self._database.write() as session:
            row = await self._row(session, webhook_id)
            if not row.enabled:
                raise Conflict(
                    f"expected an enabled webhook, but {webhook_id} is disabled; enable it first",
                    code="webhook_disabled",
                )
            event_id = new_id(EVENT)
            data = {"webhook_id": webhook_id, "message": "This is a test."}
            event = _event(
                event_id, self._account_id, EventType.TEST, event_id, data, row.agent_id, now
            )
            session.add(event)
            await session.flush()
            return await _deliver(session, row, event, EventType.TEST.value)

    async def _row(
        self, session: AsyncSession, webhook_id: str, *, lock: bool = False
    ) -> WebhookRow:
        chosen = select(WebhookRow).where(WebhookRow.id == webhook_id, *self._own())
        row = await session.scalar(chosen.with_for_update() if lock else chosen)
        if row is None:
            raise NotFound(
                f"no webhook {webhook_id!r}",
                code="webhook_subscription_not_found",
                param="webhook_id",
            )
        return row

    def _own(self) -> tuple[ColumnElement[bool], ...]:
        return WebhookRow.account_id == self._account_id, WebhookRow.subject_id.is_(None)


async def attach_webhook(
    database: Database,
    account_id: str,
    subject_id: str,
    url: str,
    *,
    events: Sequence[str] = (EVERY_EVENT,),
    secret: str | None = None,
) -> None:
    """`attach` in a transaction of its own."""
    now = database.clock.now()
    async with database.write() as session:
        await attach(session, account_id, subject_id, url, now=now, events=events, secret=secret)


# Called inside other transactions


async def attach(
    session: AsyncSession,
    account_id: str,
    subject_id: str,
    url: str,
    *,
    now: datetime,
    events: Sequence[str] = (EVERY_EVENT,),
    secret: str | None = None,
) -> None:
    """Tell one more address of the events of one session. Attaching it again changes nothing.

    Without a secret of its own the account's signs; it is made here where there is none.
    """
    row = _new_row(
        account_id, WebhookFields(url=url, events=events), secret, now, subject_id=subject_id
    )
    names = [column.key for column in WebhookRow.__table__.columns]
    await session.execute(
        insert_into(session, WebhookRow)
        .values({name: getattr(row, name) for name in names})
        .on_conflict_do_nothing(index_elements=["subject_id", "url"])
    )
    await session.execute(
        insert_into(session, WebhookSecretRow)
        .values(account_id=account_id, secret=new_secret())
        .on_conflict_do_nothing(index_elements=["account_id"])
    )


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


def name_of(type: EventType, events: Sequence[str]) -> str | None:
    """What a subscriber to `events` calls an event of this type. None: it did not ask for it."""
    if type.value in events or EVERY_EVENT in events:
        return type.value
    return next((name for name in events if ALIASES.get(name) is type), None)


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
    await enqueue(session, attempt_job(row, webhook))
    return row.id


def attempt_job(row: WebhookDeliveryRow, webhook: WebhookRow) -> Job:
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


# Rows and records


def new_secret() -> str:
    """`whsec_` and 256 random bits in base64."""
    return SECRET_PREFIX + base64.b64encode(token_bytes(32)).decode()


def _new_row(
    account_id: str,
    fields: WebhookFields,
    secret: str | None,
    now: datetime,
    *,
    subject_id: str | None = None,
) -> WebhookRow:
    return WebhookRow(
        id=new_id(WEBHOOK),
        account_id=account_id,
        agent_id=fields.agent_id,
        subject_id=subject_id,
        url=fields.url,
        events=list(fields.events),
        description=fields.description,
        secret=secret,
        secret_version=1,
        enabled=fields.enabled,
        created_at=now,
        updated_at=now,
    )


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


def _record(row: WebhookRow) -> WebhookRecord:
    return WebhookRecord(
        id=row.id,
        account_id=row.account_id,
        subject_id=row.subject_id,
        url=row.url,
        events=tuple(row.events),
        agent_id=row.agent_id,
        description=row.description,
        enabled=row.enabled,
        disabled_reason=row.disabled_reason,
        failing_since=row.failing_since,
        secret_version=row.secret_version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def delivery_record(row: WebhookDeliveryRow) -> DeliveryRecord:
    return DeliveryRecord(
        id=row.id,
        webhook_id=row.webhook_id,
        event_id=row.event_id,
        subject_id=row.subject_id,
        type=row.type,
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        history=tuple(row.history),
        http_status=row.http_status,
        error=row.error,
        give_up_at=row.give_up_at,
        next_attempt_at=row.next_attempt_at,
        delivered_at=row.delivered_at,
        created_at=row.created_at,
    )
