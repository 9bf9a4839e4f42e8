"""`/v1/api-keys`: the keys of the account."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from nur_server.api.auth import Principal, require
from nur_server.api.bodies import KeyBody
from nur_server.api.errors import declared
from nur_server.api.idempotency import ApiRoute, keep_nothing
from nur_server.api.objects import KeyObject, NewKeyObject, key_fields
from nur_server.api.paging import Listing, WindowOf, envelope
from nur_server.api.services import Services, services_of
from nur_server.conversation.events import EndedReason
from nur_server.errors import InvalidRequest
from nur_server.store.records import KeyRecord

router = APIRouter(prefix="/api-keys", tags=["API keys"], route_class=ApiRoute)

Server = Annotated[Services, Depends(services_of)]
Reader = Annotated[Principal, require("keys:read")]
Writer = Annotated[Principal, require("keys:write")]
KeyId = Annotated[str, Path(max_length=200)]


@router.post("", status_code=201, name="create_key", responses=declared())
async def create(
    body: KeyBody, request: Request, server: Server, principal: Writer
) -> NewKeyObject:
    """Make a key. Its secret is shown here, this once; it can do no more, and lives no longer, than
    the key that asks.

    The answer is not kept for the `Idempotency-Key`: repeating the request makes another key.
    """
    keep_nothing(request)
    scopes = principal.scopes if body.scopes is None else body.scopes
    for scope in scopes:
        principal.require(scope)
    if body.expires_at is not None and body.expires_at <= server.clock.now():
        raise InvalidRequest(
            f"expires_at: expected a time to come, got {body.expires_at.isoformat()}",
            param="expires_at",
        )
    made = await server.keys(principal.account_id).create(
        body.name, scopes, expires_at=_end_of(body.expires_at, principal.expires_at)
    )
    return NewKeyObject(**key_fields(made.record), key=made.secret, secret=made.secret)


@router.get("", name="list_keys", responses=declared())
async def list_all(window: WindowOf, server: Server, principal: Reader) -> Listing[KeyObject]:
    """The account's keys without their secrets, newest first; revoked and expired ones too."""
    page = await server.keys(principal.account_id).list(
        limit=window.limit, offset=window.offset, cursor=window.cursor
    )
    return Listing[KeyObject](**envelope(page, window, _shown))


@router.get("/{key_id}", name="get_key", responses=declared(404))
async def read(key_id: KeyId, server: Server, principal: Reader) -> KeyObject:
    """One key."""
    return _shown(await server.keys(principal.account_id).get(key_id))


@router.delete("/{key_id}", name="revoke_key", responses=declared(404))
async def revoke(key_id: KeyId, server: Server, principal: Writer) -> KeyObject:
    """Make a key useless, at once and for good. Ends the sessions made with it, unless the server
    is set to leave them."""
    revoked = await server.keys(principal.account_id).revoke(key_id)
    if server.settings.revoking_ends_sessions:
        await server.live.end_key(principal.account_id, key_id, EndedReason.KEY_REVOKED)
    return _shown(revoked)


def _end_of(wanted: datetime | None, makers: datetime | None) -> datetime | None:
    """When a new key expires. Raises `InvalidRequest` for a time after its maker does."""
    if wanted is not None and makers is not None and wanted > makers:
        raise InvalidRequest(
            f"expires_at: expected no time after {makers.isoformat()}, when the key that asks "
            f"expires; got {wanted.isoformat()}",
            param="expires_at",
        )
    return makers if wanted is None else wanted


def _shown(key: KeyRecord) -> KeyObject:
    return KeyObject(**key_fields(key))
