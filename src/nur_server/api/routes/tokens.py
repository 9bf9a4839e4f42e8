"""`/v1/token`: short-lived tokens for browsers, which must never see a key."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from nur_server.agents.access import Origin
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
    MOST_LIVE_SESSIONS,
    USUAL_LIVE_SESSIONS,
)
from nur_server.clock import iso
from nur_server.errors import NotFound

router = APIRouter(tags=["Tokens"], route_class=ApiRoute)

Server = Annotated[Services, Depends(services_of)]
Writer = Annotated[Principal, require("sessions:write", group="tokens")]


@router.get("/token", name="get_token", responses=declared(404))
async def get(
    server: Server,
    principal: Writer,
    expires_in_seconds: Annotated[int, Query(ge=MIN_LIFE_SECONDS, le=MAX_LIFE_SECONDS)],
    max_session_duration_seconds: Annotated[
        int, Query(ge=MIN_SESSION_SECONDS, le=MAX_SESSION_SECONDS)
    ] = MAX_SESSION_SECONDS,
    max_live_sessions: Annotated[int, Query(ge=1, le=MOST_LIVE_SESSIONS)] = USUAL_LIVE_SESSIONS,
    agent_id: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
    allowed_origin: Annotated[Origin | None, Query()] = None,
) -> TokenObject:
    """A token that opens `/v1/ws?token=…`."""
    body = TokenBody(
        expires_in_seconds=expires_in_seconds,
        max_session_duration_seconds=max_session_duration_seconds,
        max_live_sessions=max_live_sessions,
        agent_ids=[agent_id] if agent_id else None,
        allowed_origins=[allowed_origin] if allowed_origin else None,
    )
    return await _made(server, principal, body)


@router.post("/tokens", status_code=201, name="create_token", responses=declared(404))
async def create(server: Server, principal: Writer, body: TokenBody | None = None) -> TokenObject:
    """A token that opens `/v1/ws?token=…`."""
    return await _made(server, principal, body or TokenBody())


async def _made(server: Services, principal: Principal, body: TokenBody) -> TokenObject:
    """Raises `NotFound` (`agent_not_found`)."""
    for agent_id in body.agent_ids or ():
        try:
            await server.agents(principal.account_id).get(agent_id)
        except NotFound as error:
            raise NotFound(error.message, code="agent_not_found", param="agent_ids") from None
    token, claims = server.tokens.make(
        principal.account_id,
        principal.key_id,
        expires_in_seconds=body.expires_in_seconds,
        max_session_seconds=body.max_session_duration_seconds,
        max_live_sessions=body.max_live_sessions,
        agent_ids=body.agent_ids,
        allowed_origins=body.allowed_origins,
    )
    return TokenObject(
        token=token,
        expires_in_seconds=body.expires_in_seconds,
        expires_at=iso(claims.expires_at),
        max_session_duration_seconds=claims.max_session_seconds,
        max_live_sessions=claims.max_live_sessions,
        agent_ids=body.agent_ids,
        allowed_origins=body.allowed_origins,
    )
