"""`/v1/token`: short-lived tokens for browsers, which must never see a key."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from nur_server.api.auth import Principal, require
from nur_server.api.bodies import TokenBody
from nur_server.api.errors import declared
from nur_server.api.idempotency import ApiRoute
from nur_server.api.objects import TokenObject
from nur_server.api.services import Services, services_of
from nur_server.api.tokens import (
    MAX_LIFE_SECONDS,
    MAX_SESSION_SECONDS,
    MIN_LIFE_SECONDS,
    MIN_SESSION_SECONDS,
)
from nur_server.clock import iso

router = APIRouter(tags=["Tokens"], route_class=ApiRoute)

Server = Annotated[Services, Depends(services_of)]
Writer = Annotated[Principal, require("sessions:write", group="tokens")]


@router.get("/token", name="get_token", responses=declared())
async def get(
    server: Server,
    principal: Writer,
    expires_in_seconds: Annotated[int, Query(ge=MIN_LIFE_SECONDS, le=MAX_LIFE_SECONDS)],
    max_session_duration_seconds: Annotated[
        int, Query(ge=MIN_SESSION_SECONDS, le=MAX_SESSION_SECONDS)
    ] = MAX_SESSION_SECONDS,
) -> TokenObject:
    """A token that opens `/v1/ws?token=…`."""
    return _made(server, principal, expires_in_seconds, max_session_duration_seconds)


@router.post("/tokens", status_code=201, name="create_token", responses=declared())
async def create(server: Server, principal: Writer, body: TokenBody | None = None) -> TokenObject:
    """A token that opens `/v1/ws?token=…`."""
    body = body or TokenBody()
    return _made(server, principal, body.expires_in_seconds, body.max_session_duration_seconds)


def _made(server: Services, principal: Principal, life: int, session: int) -> TokenObject:
    token, claims = server.tokens.make(
        principal.account_id,
        principal.key_id,
        expires_in_seconds=life,
        max_session_seconds=session,
    )
    return TokenObject(
        token=token,
        expires_in_seconds=life,
        expires_at=iso(claims.expires_at),
        max_session_duration_seconds=session,
    )
