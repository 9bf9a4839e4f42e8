"""Removing events and deliveries that are past their retention."""

from datetime import timedelta

from sqlalchemy import CursorResult, delete, exists, select

from nur_server.store.deliveries import (
    DeliveryStatus,
)
from nur_server.store.engine import Database
from nur_server.store.schema import WebhookDeliveryRow, WebhookEventRow, WebhookRow

DELIVERIES_KEPT = timedelta(days=30)
"""Retention of events, deliveries and webhooks of single sessions."""
BATCH = 500
"""Most events removed in one transaction."""


async def forget_events(database: Database) -> int:
    """Old events with their deliveries, unless one of these is still being made."""
    before = database.clock.now() - DELIVERIES_KEPT
    open_delivery = exists().where(
        WebhookDeliveryRow.event_id == WebhookEventRow.id,
        WebhookDeliveryRow.status == DeliveryStatus.PENDING.value,
    )
    old = (
        select(WebhookEventRow.id)
        .where(WebhookEventRow.created_at < before, ~open_delivery)
        .limit(BATCH)
    )
    async with database.write() as session:
        ids = (await session.scalars(old)).all()
        await session.execute(
            delete(WebhookDeliveryRow).where(WebhookDeliveryRow.event_id.in_(ids))
        )
        await session.execute(delete(WebhookEventRow).where(WebhookEventRow.id.in_(ids)))
    return len(ids)


async def forget_one_off_webhooks(database: Database) -> int:
    """Webhooks of single sessions, once their deliveries are gone."""
    before = database.clock.now() - DELIVERIES_KEPT
    used = exists().where(WebhookDeliveryRow.webhook_id == WebhookRow.id)
    async with database.write() as session:
        result = await session.execute(
            delete(WebhookRow).where(
                WebhookRow.subject_id.is_not(None), WebhookRow.updated_at < before, ~used
            ),
            execution_options={"synchronize_session": False},
        )
    assert isinstance(result, CursorResult)
    return result.rowcount
