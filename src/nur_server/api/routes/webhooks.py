"""`/v1/webhooks`: who is told of what happens, and the log of what was told."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from nur_server.api.auth import Principal, require
from nur_server.api.errors import declared
from nur_server.api.idempotency import ApiRoute, keep_nothing
from nur_server.api.paging import WindowOf, envelope
from nur_server.api.services import Services, services_of
from nur_server.api.webhook_bodies import RotationBody, WebhookBody, WebhookChanges
from nur_server.api.webhook_objects import (
    DeletedWebhook,
    DeliveryList,
    DeliveryObject,
    NewWebhookObject,
    SecretObject,
    WebhookList,
    WebhookObject,
    delivery_object,
    webhook_fields,
    webhook_object,
)
from nur_server.errors import NotFound
from nur_server.jobs.webhooks import check_receiver
from nur_server.store.calls import (
    session_id_of,
)
from nur_server.store.deliveries import (
    DeliveryStatus,
)
from nur_server.store.delivery_log import (
    Deliveries,
)
from nur_server.store.webhooks import (
    NewSecret,
    WebhookFields,
    Webhooks,
)

router = APIRouter(tags=["Webhooks"], route_class=ApiRoute)

Server = Annotated[Services, Depends(services_of)]
Reader = Annotated[Principal, require("webhooks:read")]
Writer = Annotated[Principal, require("webhooks:write")]
WebhookId = Annotated[str, Path(max_length=200)]
DeliveryId = Annotated[str, Path(max_length=200)]
SessionId = Annotated[str, Path(max_length=200, description="Of a session or a call.")]


@router.post("/webhooks", status_code=201, name="create_webhook", responses=declared(404, 409))
@router.post("/webhooks/create", status_code=201, include_in_schema=False)
@router.post("/webhook-subscriptions", status_code=201, include_in_schema=False)
async def create(
    body: WebhookBody, request: Request, server: Server, principal: Writer
) -> NewWebhookObject:
    """Have events sent to an address. Its secret is shown here, this once.

    The answer is not kept for the `Idempotency-Key`: repeating the request makes another webhook.
    """
    keep_nothing(request)
    await _check(server, principal, body.url, body.agent_id)
    fields = WebhookFields(
        url=body.url,
        events=tuple(body.events),
        agent_id=body.agent_id,
        description=body.description,
        enabled=body.enabled,
    )
    return _with_secret(await _webhooks(server, principal).create(fields, secret=body.secret))


@router.get("/webhooks", name="list_webhooks", responses=declared())
@router.get("/webhook-subscriptions", include_in_schema=False)
async def list_all(
    window: WindowOf,
    server: Server,
    principal: Reader,
    include_disabled: Annotated[bool, Query()] = True,
) -> WebhookList:
    """The account's webhooks, newest first."""
    page = await _webhooks(server, principal).list(
        include_disabled=include_disabled,
        limit=window.limit,
        offset=window.offset,
        cursor=window.cursor,
    )
    fields = envelope(page, window, webhook_object)
    return WebhookList(**fields, subscriptions=fields["data"])


@router.post(
    "/webhooks/signing-secret", status_code=201, name="rotate_signing_secret", responses=declared()
)
async def rotate_signing_secret(
    request: Request, server: Server, principal: Writer
) -> SecretObject:
    """Make a new secret for what is sent to the `webhook_url` of single calls. It is shown here,
    this once; the one before signs too for 24 hours."""
    keep_nothing(request)
    return SecretObject(secret=await _webhooks(server, principal).rotate_account_secret())


@router.get("/webhooks/{webhook_id}", name="get_webhook", responses=declared(404))
@router.get("/webhook-subscriptions/{webhook_id}", include_in_schema=False)
async def read(webhook_id: WebhookId, server: Server, principal: Reader) -> WebhookObject:
    """One webhook."""
    return webhook_object(await _webhooks(server, principal).get(webhook_id))


@router.patch("/webhooks/{webhook_id}", name="update_webhook", responses=declared(404))
@router.patch("/webhook-subscriptions/{webhook_id}", include_in_schema=False)
async def update(
    webhook_id: WebhookId, body: WebhookChanges, server: Server, principal: Writer
) -> WebhookObject:
    """Change the fields that are given. What is still to be delivered goes to the new address."""
    await _check(server, principal, body.url, body.agent_id)
    return webhook_object(await _webhooks(server, principal).update(webhook_id, body.changes()))


@router.delete("/webhooks/{webhook_id}", name="delete_webhook", responses=declared(404))
@router.delete("/webhook-subscriptions/{webhook_id}", include_in_schema=False)
async def delete(webhook_id: WebhookId, server: Server, principal: Writer) -> DeletedWebhook:
    """Remove a webhook, the log of its deliveries, and what is still to be delivered."""
    await _webhooks(server, principal).delete(webhook_id)
    return DeletedWebhook(id=webhook_id)


@router.post("/webhooks/{webhook_id}/rotate", name="rotate_webhook", responses=declared(404))
async def rotate(
    webhook_id: WebhookId,
    request: Request,
    server: Server,
    principal: Writer,
    body: RotationBody | None = None,
) -> NewWebhookObject:
    """Give a webhook a new secret, shown here, this once. For 24 hours the old one signs too."""
    keep_nothing(request)
    given = body.secret if body else None
    return _with_secret(await _webhooks(server, principal).rotate(webhook_id, secret=given))


@router.post(
    "/webhooks/{webhook_id}/test",
    status_code=201,
    name="test_webhook",
    responses=declared(404, 409),
)
async def test(webhook_id: WebhookId, server: Server, principal: Writer) -> DeliveryObject:
    """Send a `webhook.test` event, whatever the webhook's filters. Read its delivery to see how it
    went."""
    delivery_id = await _webhooks(server, principal).test(webhook_id)
    return delivery_object(await _deliveries(server, principal).get(delivery_id))


# The log


@router.get(
    "/webhooks/{webhook_id}/deliveries", name="list_webhook_deliveries", responses=declared(404)
)
async def list_of_webhook(
    webhook_id: WebhookId,
    window: WindowOf,
    server: Server,
    principal: Reader,
    status: DeliveryStatus | None = None,
) -> DeliveryList:
    """What was and is to be delivered, newest first. Kept for 30 days."""
    await _webhooks(server, principal).get(webhook_id)
    page = await _deliveries(server, principal).list(
        webhook_id=webhook_id,
        status=status,
        limit=window.limit,
        offset=window.offset,
        cursor=window.cursor,
    )
    fields = envelope(page, window, delivery_object)
    return DeliveryList(**fields, deliveries=fields["data"])


@router.get(
    "/sessions/{session_id}/webhook-deliveries",
    name="list_session_deliveries",
    responses=declared(404),
)
async def list_of_session(
    session_id: SessionId,
    window: WindowOf,
    server: Server,
    principal: Reader,
    status: DeliveryStatus | None = None,
) -> DeliveryList:
    """Whom was told what of a session or call, newest first."""
    found = await server.sessions(principal.account_id).get(session_id_of(session_id))
    page = await _deliveries(server, principal).list(
        subject_id=found.id,
        status=status,
        limit=window.limit,
        offset=window.offset,
        cursor=window.cursor,
    )
    fields = envelope(page, window, delivery_object)
    return DeliveryList(**fields, deliveries=fields["data"])


@router.get("/sessions/{session_id}/webhook-deliveries/latest", include_in_schema=False)
async def latest_of_session(
    session_id: SessionId, server: Server, principal: Reader
) -> DeliveryObject:
    """The newest of them."""
    found = await server.sessions(principal.account_id).get(session_id_of(session_id))
    page = await _deliveries(server, principal).list(subject_id=found.id, limit=1)
    if not page.items:
        raise NotFound(
            f"no webhook was told of {session_id!r}",
            code="webhook_deliveries_not_found",
            param="session_id",
        )
    return delivery_object(page.items[0])


@router.get(
    "/webhook-deliveries/{delivery_id}", name="get_webhook_delivery", responses=declared(404)
)
async def read_delivery(
    delivery_id: DeliveryId, server: Server, principal: Reader
) -> DeliveryObject:
    """One delivery and its last attempts."""
    return delivery_object(await _deliveries(server, principal).get(delivery_id))


@router.post(
    "/webhook-deliveries/{delivery_id}/replay",
    name="replay_webhook_delivery",
    responses=declared(404, 409),
)
async def replay(delivery_id: DeliveryId, server: Server, principal: Writer) -> DeliveryObject:
    """Deliver once more what was delivered or given up, with the same `webhook-id`."""
    return delivery_object(await _deliveries(server, principal).replay(delivery_id))


async def _check(
    server: Services, principal: Principal, url: str | None, agent_id: str | None
) -> None:
    """Raises `InvalidRequest` for the address, `NotFound` for the agent."""
    if url is not None:
        check_receiver(url, allow_private=server.settings.allow_private_urls)
    if agent_id is not None:
        await server.agents(principal.account_id).get(agent_id)


def _with_secret(made: NewSecret) -> NewWebhookObject:
    return NewWebhookObject(**webhook_fields(made.webhook), secret=made.secret)


def _webhooks(server: Services, principal: Principal) -> Webhooks:
    return Webhooks(server.database, principal.account_id)


def _deliveries(server: Services, principal: Principal) -> Deliveries:
    return Deliveries(server.database, principal.account_id)
