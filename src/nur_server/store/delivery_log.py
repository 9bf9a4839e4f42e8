"""The log of deliveries, as an account reads it, and replaying one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.errors import Conflict, NotFound
from nur_server.store.deliveries import DeliveryStatus, restart
from nur_server.store.engine import Database
from nur_server.store.paging import DEFAULT_LIMIT, read_page
from nur_server.store.records import Page
from nur_server.store.schema import WebhookDeliveryRow, WebhookRow


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


class Deliveries:
    """The deliveries of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def get(self, delivery_id: str) -> DeliveryRecord:
        """Raises `NotFound`."""
        async with self._database.read() as session:
            return _record(await self._row(session, delivery_id))

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
                _record,
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
            webhook = await session.get(WebhookRow, row.webhook_id)
            assert webhook is not None
            if row.status == DeliveryStatus.PENDING.value:
                raise Conflict(
                    f"expected a delivery that is over, but {delivery_id} is still being made",
                    code="delivery_pending",
                )
            if not webhook.enabled:
                raise Conflict(
                    f"expected an enabled webhook, but {webhook.id} is disabled; enable it first",
                    code="webhook_disabled",
                )
            await restart(session, row, now)
            return _record(row)

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


def _record(row: WebhookDeliveryRow) -> DeliveryRecord:
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
