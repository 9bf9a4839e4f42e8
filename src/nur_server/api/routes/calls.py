"""`/v1/calls` and `/v1/agents/{id}/calls`: phone calls. A session's id finds its call too."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from nur_server.api import calls
from nur_server.api.auth import Principal, require
from nur_server.api.call_bodies import CallBody, CallChanges, NewCallBody
from nur_server.api.call_objects import CallList, CallObject, call_object
from nur_server.api.errors import declared
from nur_server.api.idempotency import ApiRoute
from nur_server.api.paging import WindowOf, envelope, read_moment
from nur_server.api.services import Services, services_of
from nur_server.store.call_records import (
    CallRecord,
    CallStatus,
    Direction,
)
from nur_server.store.records import Page

router = APIRouter(tags=["Calls"], route_class=ApiRoute)

Server = Annotated[Services, Depends(services_of)]
Reader = Annotated[Principal, require("calls:read")]
Writer = Annotated[Principal, require("calls:write")]
AgentId = Annotated[str, Path(max_length=200)]
CallId = Annotated[str, Path(max_length=200)]
Time = Annotated[
    str | None,
    Query(max_length=64, description="ISO 8601, or seconds since the epoch; exclusive."),
]


@router.post(
    "/agents/{agent_id}/calls",
    status_code=201,
    name="create_call",
    responses=declared(404, 409),
)
async def create(
    agent_id: AgentId, body: CallBody, request: Request, server: Server, principal: Writer
) -> CallObject:
    """Have an agent call somebody, now or at `scheduled_at`."""
    call = await calls.dial(server, principal.account_id, agent_id, body.numbers, body)
    return await _shown(request, server, call)


@router.post("/calls", status_code=201, name="create_call_of_agent", responses=declared(404, 409))
async def create_of_agent(
    body: NewCallBody, request: Request, server: Server, principal: Writer
) -> CallObject:
    """As `POST /v1/agents/{agent_id}/calls`, with the agent in the body."""
    call = await calls.dial(server, principal.account_id, body.agent_id, body.numbers, body)
    return await _shown(request, server, call)


@router.get("/agents/{agent_id}/calls", name="list_agent_calls", responses=declared(404))
async def list_of_agent(
    agent_id: AgentId,
    window: WindowOf,
    request: Request,
    server: Server,
    principal: Reader,
    status: CallStatus | None = None,
    created_after: Time = None,
    created_before: Time = None,
) -> CallList:
    """An agent's calls, newest first. Those of a deleted agent are in `GET /v1/calls`."""
    await server.agents(principal.account_id).get(agent_id)
    page = await server.calls.calls.list(
        principal.account_id,
        agent_id=agent_id,
        status=status,
        created_after=read_moment(created_after, "created_after"),
        created_before=read_moment(created_before, "created_before"),
        limit=window.limit,
        offset=window.offset,
        cursor=window.cursor,
    )
    return await _listed(request, server, principal, page, window)


@router.get("/calls", name="list_calls", responses=declared())
async def list_all(
    window: WindowOf,
    request: Request,
    server: Server,
    principal: Reader,
    agent_id: Annotated[str | None, Query(max_length=200)] = None,
    status: CallStatus | None = None,
    direction: Direction | None = None,
    created_after: Time = None,
    created_before: Time = None,
) -> CallList:
    """The account's calls, newest first."""
    page = await server.calls.calls.list(
        principal.account_id,
        agent_id=agent_id,
        status=status,
        direction=direction,
        created_after=read_moment(created_after, "created_after"),
        created_before=read_moment(created_before, "created_before"),
        limit=window.limit,
        offset=window.offset,
        cursor=window.cursor,
    )
    return await _listed(request, server, principal, page, window)


@router.get("/calls/{call_id}", name="get_call", responses=declared(404))
async def read(call_id: CallId, request: Request, server: Server, principal: Reader) -> CallObject:
    """One call."""
    return await _shown(
        request, server, await server.calls.calls.get(principal.account_id, call_id)
    )


@router.patch("/calls/{call_id}", name="move_call", responses=declared(404, 409))
async def move(
    call_id: CallId, body: CallChanges, request: Request, server: Server, principal: Writer
) -> CallObject:
    """Move a scheduled call to another time, until it has begun."""
    moved = await server.calls.reschedule(principal.account_id, call_id, body.scheduled_at)
    return await _shown(request, server, moved)


@router.post("/calls/{call_id}/end", name="end_call", responses=declared(404))
@router.delete("/calls/{call_id}", name="end_call_by_delete", responses=declared(404))
async def end(call_id: CallId, request: Request, server: Server, principal: Writer) -> CallObject:
    """Hang up, or cancel a call that was not answered yet. One that is over stays as it is."""
    return await _shown(request, server, await server.calls.end(principal.account_id, call_id))


async def _shown(request: Request, server: Services, call: CallRecord) -> CallObject:
    found = await calls.recordings(request, server, call.account_id, [call.session_id])
    return call_object(call, server.clock, found.get(call.session_id))


async def _listed(
    request: Request,
    server: Services,
    principal: Principal,
    page: Page[CallRecord],
    window: WindowOf,
) -> CallList:
    ids = [call.session_id for call in page.items]
    found = await calls.recordings(request, server, principal.account_id, ids)
    fields = envelope(
        page, window, lambda call: call_object(call, server.clock, found.get(call.session_id))
    )
    return CallList(**fields, calls=fields["data"])
