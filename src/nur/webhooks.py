"""Webhooks: who is told what happens, and what was told."""

from collections.abc import Sequence
from typing import Any

from nur.call import Call, path
from nur.objects import Deleted, SigningSecret, Webhook, WebhookDelivery
from nur.pages import Listing
from nur.resource import AsyncResource, SyncResource, endpoint, listing


def create_webhook(
    url: str,
    *,
    events: Sequence[str],
    agent_id: str | None = None,
    description: str | None = None,
    secret: str | None = None,
    enabled: bool = True,
) -> Call[Webhook]:
    """Have events sent to an address. The answer holds the secret, this once.

    hook = client.webhooks.create("https://example.com/hooks", events=["session.ended"])
    """
    given = {"agent_id": agent_id, "description": description, "secret": secret}
    return Call(
        "POST",
        "/v1/webhooks",
        Webhook.model_validate,
        body={
            "url": url,
            "events": list(events),
            "enabled": enabled,
            **{name: value for name, value in given.items() if value is not None},
        },
    )


def list_webhooks(
    *,
    include_disabled: bool | None = None,
    limit: int | None = None,
    offset: int | None = None,
    cursor: str | None = None,
) -> Listing[Webhook]:
    """The account's webhooks, newest first.

    for hook in client.webhooks.list():
        print(hook.url, hook.enabled)
    """
    query = {"include_disabled": include_disabled, "limit": limit}
    return Listing("/v1/webhooks", Webhook, {**query, "offset": offset, "cursor": cursor})


def get_webhook(webhook_id: str) -> Call[Webhook]:
    """Read a webhook. Raises `NotFound`."""
    return Call("GET", path("/v1/webhooks/{}", webhook_id), Webhook.model_validate)


def update_webhook(webhook_id: str, **changes: Any) -> Call[Webhook]:
    """Change `url`, `events`, `agent_id`, `description` or `enabled`.

    client.webhooks.update(hook.id, enabled=True)
    """
    return Call("PATCH", path("/v1/webhooks/{}", webhook_id), Webhook.model_validate, body=changes)


def delete_webhook(webhook_id: str) -> Call[Deleted]:
    """Tell that address nothing more."""
    return Call("DELETE", path("/v1/webhooks/{}", webhook_id), Deleted.model_validate)


def rotate_webhook(webhook_id: str, *, secret: str | None = None) -> Call[Webhook]:
    """A new secret, shown this once; the one before signs too for 24 hours."""
    body = {} if secret is None else {"secret": secret}
    return Call(
        "POST", path("/v1/webhooks/{}/rotate", webhook_id), Webhook.model_validate, body=body
    )


def test_webhook(webhook_id: str) -> Call[WebhookDelivery]:
    """Send a `webhook.test` event.

    print(client.webhooks.test(hook.id).status)
    """
    address = path("/v1/webhooks/{}/test", webhook_id)
    return Call("POST", address, WebhookDelivery.model_validate)


def rotate_signing_secret() -> Call[SigningSecret]:
    """A new secret for the `webhook_url` of single calls, shown this once."""
    return Call("POST", "/v1/webhooks/signing-secret", SigningSecret.model_validate)


def list_deliveries(
    webhook_id: str,
    *,
    status: str | None = None,
    limit: int | None = None,
    offset: int | None = None,
    cursor: str | None = None,
) -> Listing[WebhookDelivery]:
    """What was and is to be delivered to a webhook, newest first."""
    return Listing(
        path("/v1/webhooks/{}/deliveries", webhook_id),
        WebhookDelivery,
        {"status": status, "limit": limit, "offset": offset, "cursor": cursor},
    )


def list_session_deliveries(
    session_id: str,
    *,
    status: str | None = None,
    limit: int | None = None,
    offset: int | None = None,
    cursor: str | None = None,
) -> Listing[WebhookDelivery]:
    """Whom was told what of a session or call, newest first."""
    return Listing(
        path("/v1/sessions/{}/webhook-deliveries", session_id),
        WebhookDelivery,
        {"status": status, "limit": limit, "offset": offset, "cursor": cursor},
    )


def get_delivery(delivery_id: str) -> Call[WebhookDelivery]:
    """Read a delivery and its attempts. Raises `NotFound`."""
    address = path("/v1/webhook-deliveries/{}", delivery_id)
    return Call("GET", address, WebhookDelivery.model_validate)


def replay_delivery(delivery_id: str) -> Call[WebhookDelivery]:
    """Deliver it again, with the same `webhook-id`."""
    address = path("/v1/webhook-deliveries/{}/replay", delivery_id)
    return Call("POST", address, WebhookDelivery.model_validate)


class _WebhookMethods:
    create = endpoint(create_webhook)
    list = listing(list_webhooks)
    get = endpoint(get_webhook)
    update = endpoint(update_webhook)
    delete = endpoint(delete_webhook)
    rotate = endpoint(rotate_webhook)
    test = endpoint(test_webhook)
    rotate_signing_secret = endpoint(rotate_signing_secret)
    deliveries = listing(list_deliveries)
    deliveries_of_session = listing(list_session_deliveries)
    delivery = endpoint(get_delivery)
    replay = endpoint(replay_delivery)


class Webhooks(SyncResource, _WebhookMethods):
    """`client.webhooks`."""


class AsyncWebhooks(AsyncResource, _WebhookMethods):
    """`client.webhooks`, awaited."""
