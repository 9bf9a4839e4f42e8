"""Webhooks: subscriptions of an account, and those made for single sessions."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.errors import Conflict, NotFound
from nur_server.ids import new_id
from nur_server.store.deliveries import record_test
from nur_server.store.engine import Database, insert_into
from nur_server.store.events import EVERY_EVENT
from nur_server.store.paging import DEFAULT_LIMIT, read_page
from nur_server.store.records import Page
from nur_server.store.schema import (
    AccountRow,
    WebhookRow,
    WebhookSecretRow,
)

WEBHOOK = "wh"
SECRET_PREFIX = "whsec_"
MAX_WEBHOOKS = 50
"""Per account; those of single sessions are not counted."""
OLD_SECRET_KEPT = timedelta(hours=24)


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
            return await record_test(session, row, now)

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
