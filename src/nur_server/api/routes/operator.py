"""`/v1/operator/accounts`: the operator makes, limits and erases accounts. Closed unless the
server has NUR_OPERATOR_TOKEN; no API key opens it."""

import asyncio
import hmac
import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi import Path as InPath
from pydantic import Field
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from nur_server.agents.kinds import Body, ShortText
from nur_server.api.auth import credential_of
from nur_server.api.idempotency import ApiRoute
from nur_server.api.objects import NewKeyObject, key_fields
from nur_server.api.paging import WindowOf, envelope
from nur_server.api.services import Services, services_of
from nur_server.calls.numbers import read_number
from nur_server.clock import iso
from nur_server.errors import Conflict, Unauthorized
from nur_server.ids import new_id
from nur_server.store import belongings
from nur_server.store.accounts import ACCOUNT, Accounts
from nur_server.store.keys import EVERY_SCOPE
from nur_server.store.numbers import PhoneNumbers
from nur_server.store.records import AccountRecord

Server = Annotated[Services, Depends(services_of)]
AccountId = Annotated[str, InPath(max_length=200)]


async def require_operator(request: Request) -> None:
    """Raises `Unauthorized`."""
    expected = services_of(request).settings.operator_token
    given = credential_of(request.headers.get("authorization"))
    if expected is None or not hmac.compare_digest(
        expected.get_secret_value().encode(), given.encode("utf-8", "replace")
    ):
        raise Unauthorized(
            "expected the server's NUR_OPERATOR_TOKEN in the header 'Authorization: Bearer …'; "
            "without that setting this part of the API is closed"
        )


router = APIRouter(
    prefix="/operator/accounts",
    route_class=ApiRoute,
    include_in_schema=False,
    dependencies=[Depends(require_operator)],
)


class Limits(Body):
    """What an account may have. Null: no limit of its own."""

    max_live_sessions: int | None = Field(None, ge=0, le=100_000)
    max_agents: int | None = Field(None, ge=0, le=1_000_000)


class AccountBody(Limits):
    """An account to make."""

    name: ShortText


class AccountChanges(Limits):
    """What of an account is to change."""

    name: ShortText = Field(default_factory=str)
    suspended: bool = Field(False, description="Its keys open nothing, and its sessions end.")


class KeyName(Body):
    """A key to make."""

    name: ShortText = "operator"


@router.post("", status_code=201)
async def create(body: AccountBody, server: Server) -> dict[str, Any]:
    """Make an account. It has no key yet."""
    accounts = Accounts(server.database)
    account_id = new_id(ACCOUNT)
    await accounts.create(account_id, body.name)
    limits = body.model_dump(include=set(Limits.model_fields))
    return _shown(await accounts.change(account_id, limits))


@router.get("")
async def list_all(window: WindowOf, server: Server) -> dict[str, Any]:
    """All accounts, newest first."""
    page = await Accounts(server.database).list(
        limit=window.limit, offset=window.offset, cursor=window.cursor
    )
    return dict(envelope(page, window, _shown))


@router.get("/{account_id}")
async def read(account_id: AccountId, server: Server) -> dict[str, Any]:
    """One account."""
    return _shown(await Accounts(server.database).get(account_id))


@router.patch("/{account_id}")
async def change(account_id: AccountId, body: AccountChanges, server: Server) -> dict[str, Any]:
    """Change the name or the limits of an account, suspend it, or let it in again."""
    given = body.model_dump(exclude_unset=True)
    suspended = given.pop("suspended", None)
    if suspended:
        await belongings.suspend(server.database, account_id)
    elif suspended is False:
        given["suspended_at"] = None
    return _shown(await Accounts(server.database).change(account_id, given))


@router.delete("/{account_id}")
async def erase(account_id: AccountId, server: Server) -> dict[str, Any]:
    """Erase an account and everything of it for good, recordings included."""
    await belongings.erase(server.database, server.blobs, account_id)
    return {"id": account_id, "object": "account", "deleted": True}


@router.get("/{account_id}/export")
async def export(account_id: AccountId, server: Server) -> FileResponse:
    """Everything of an account as a ZIP file."""
    with tempfile.NamedTemporaryFile(suffix=".zip", delete=False) as file:
        archive = Path(file.name)
    try:
        await belongings.export(server.database, server.blobs, account_id, archive)
    except BaseException:
        await asyncio.to_thread(archive.unlink, missing_ok=True)
        raise
    return FileResponse(
        archive,
        media_type="application/zip",
        filename=f"{account_id}.zip",
        background=BackgroundTask(archive.unlink, missing_ok=True),
    )


@router.post("/{account_id}/keys", status_code=201)
async def make_key(
    account_id: AccountId, server: Server, body: KeyName | None = None
) -> NewKeyObject:
    """Make a key to everything in an account. Its secret is shown here, this once."""
    await Accounts(server.database).get(account_id)
    made = await server.keys(account_id).create((body or KeyName()).name, [EVERY_SCOPE])
    return NewKeyObject(**key_fields(made.record), key=made.secret, secret=made.secret)


@router.put("/{account_id}/phone-numbers/{phone_number}")
async def give_number(account_id: AccountId, phone_number: str, server: Server) -> dict[str, Any]:
    """Give an account a phone number without its proof. Raises `Conflict` where it is another's."""
    read_number(phone_number, "phone_number")
    await Accounts(server.database).get(account_id)
    numbers = PhoneNumbers(server.database, account_id)
    try:
        await numbers.create(phone_number)
    except Conflict:
        if not any(n.number == phone_number and n.is_imported for n in await numbers.list()):
            raise
    return {"account_id": account_id, "phone_number": phone_number}


def _shown(account: AccountRecord) -> dict[str, Any]:
    return {
        "id": account.id,
        "object": "account",
        "name": account.name,
        "created_at": iso(account.created_at),
        "max_live_sessions": account.max_live_sessions,
        "max_agents": account.max_agents,
        "suspended": account.suspended_at is not None,
    }
