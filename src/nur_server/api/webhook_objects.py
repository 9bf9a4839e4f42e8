"""The objects the API returns about webhooks."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from nur_server.api.paging import Listing
from nur_server.clock import iso
from nur_server.store.delivery_log import (
    DeliveryRecord,
)
from nur_server.store.webhooks import (
    WebhookRecord,
)


class WebhookObject(BaseModel):
    """Who is told of what, and where."""

    id: str
    object: Literal["webhook"] = "webhook"
    url: str
    events: list[str]
    agent_id: str | None = Field(description="Null: events of every agent.")
    description: str
    enabled: bool
    disabled_reason: str | None = Field(
        description="`failing`: no delivery succeeded for five days; `gone`: answered 410."
    )
    failing_since: str | None = Field(description="Since when no delivery has succeeded.")
    secret_version: int
    created: int = Field(description="Seconds since the epoch.")
    created_at: str
    updated_at: str


class NewWebhookObject(WebhookObject):
    """A webhook with its secret: the only time it is shown."""

    secret: str


class WebhookList(Listing[WebhookObject]):
    subscriptions: list[WebhookObject] = Field(description="The same as `data`.")


class DeletedWebhook(BaseModel):
    """What is left of a deleted webhook."""

    id: str
    object: Literal["webhook"] = "webhook"
    deleted: Literal[True] = True


class SecretObject(BaseModel):
    """A signing secret: the only time it is shown."""

    object: Literal["signing_secret"] = "signing_secret"
    secret: str


class AttemptObject(BaseModel):
    """One try to deliver."""

    attempt: int
    at: str
    http_status: int | None
    error: str | None
    duration_ms: int


class DeliveryObject(BaseModel):
    """One event on its way to one receiver."""

    id: str
    object: Literal["webhook_delivery"] = "webhook_delivery"
    webhook_id: str
    subscription_id: str = Field(description="The same as `webhook_id`.")
    event_id: str = Field(description="The `webhook-id` it is sent with.")
    event: str = Field(description="The event's type.")
    session_id: str = Field(description="What the event is about; of a test, the event itself.")
    status: Literal["pending", "delivered", "failed", "canceled"]
    attempt_count: int
    attempts: list[AttemptObject] = Field(description="The last ones, oldest first.")
    http_status_code: int | None = Field(description="Of the last answer.")
    error: str | None = Field(description="Why the last attempt failed.")
    next_retry_at: str | None
    give_up_at: str
    delivered_at: str | None
    created_at: str


class DeliveryList(Listing[DeliveryObject]):
    deliveries: list[DeliveryObject] = Field(description="The same as `data`.")


def webhook_fields(webhook: WebhookRecord) -> Mapping[str, Any]:
    """The fields of a `WebhookObject`."""
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": list(webhook.events),
        "agent_id": webhook.agent_id,
        "description": webhook.description,
        "enabled": webhook.enabled,
        "disabled_reason": webhook.disabled_reason,
        "failing_since": iso(webhook.failing_since) if webhook.failing_since else None,
        "secret_version": webhook.secret_version,
        "created": int(webhook.created_at.timestamp()),
        "created_at": iso(webhook.created_at),
        "updated_at": iso(webhook.updated_at),
    }


def webhook_object(webhook: WebhookRecord) -> WebhookObject:
    return WebhookObject(**webhook_fields(webhook))


def delivery_object(delivery: DeliveryRecord) -> DeliveryObject:
    next_at, done_at = delivery.next_attempt_at, delivery.delivered_at
    return DeliveryObject(
        id=delivery.id,
        webhook_id=delivery.webhook_id,
        subscription_id=delivery.webhook_id,
        event_id=delivery.event_id,
        event=delivery.type,
        session_id=delivery.subject_id,
        status=delivery.status.value,
        attempt_count=delivery.attempts,
        attempts=[AttemptObject(**attempt) for attempt in delivery.history],
        http_status_code=delivery.http_status,
        error=delivery.error,
        next_retry_at=iso(next_at) if next_at else None,
        give_up_at=iso(delivery.give_up_at),
        delivered_at=iso(done_at) if done_at else None,
        created_at=iso(delivery.created_at),
    )
