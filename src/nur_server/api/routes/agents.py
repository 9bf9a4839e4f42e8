"""`/v1/agents`: the stored configurations sessions are opened with."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from nur_server.agents.declaration import AgentBody, AgentChanges
from nur_server.api import agents
from nur_server.api.auth import Principal, require
from nur_server.api.errors import declared
from nur_server.api.idempotency import ApiRoute
from nur_server.api.objects import AgentList, AgentObject, DeletedAgent, agent_object
from nur_server.api.paging import WindowOf, envelope
from nur_server.api.services import Services, services_of
from nur_server.conversation.events import EndedReason
from nur_server.store.records import AgentRecord, AgentStatus

router = APIRouter(prefix="/agents", tags=["Agents"], route_class=ApiRoute)

Server = Annotated[Services, Depends(services_of)]
Reader = Annotated[Principal, require("agents:read")]
Writer = Annotated[Principal, require("agents:write")]
AgentId = Annotated[str, Path(max_length=200, examples=["agt_5f0c"])]


@router.post("", status_code=201, name="create_agent", responses=declared(409))
@router.post("/create", status_code=201, name="create_agent_by_verb", responses=declared(409))
async def create(body: AgentBody, server: Server, principal: Writer) -> AgentObject:
    """Store a new agent. Both addresses do the same."""
    fields = await agents.new_fields(server, principal.account_id, body)
    return _shown(server, await server.agents(principal.account_id).create(fields))


@router.get("", name="list_agents", responses=declared())
async def list_all(
    window: WindowOf,
    server: Server,
    principal: Reader,
    status: AgentStatus | None = None,
) -> AgentList:
    """The account's agents, newest first."""
    page = await server.agents(principal.account_id).list(
        status=status, limit=window.limit, offset=window.offset, cursor=window.cursor
    )
    fields = envelope(page, window, lambda agent: _shown(server, agent))
    return AgentList(**fields, agents=fields["data"])


@router.get("/{agent_id}", name="get_agent", responses=declared(404))
async def read(agent_id: AgentId, server: Server, principal: Reader) -> AgentObject:
    """One agent."""
    return _shown(server, await server.agents(principal.account_id).get(agent_id))


@router.patch("/{agent_id}", name="update_agent", responses=declared(404, 409))
async def update(
    agent_id: AgentId, body: AgentChanges, server: Server, principal: Writer
) -> AgentObject:
    """Change the fields that are given.

    Null brings a field back to its default. `metadata`, `turn_detection`, `silence`, `input` and
    `output` are merged key by key, where null removes a key; lists are replaced. Sessions that are
    live keep the settings they started with.
    """
    stored = server.agents(principal.account_id)
    changes = await agents.changes_of(server, await stored.get(agent_id), body)
    return _shown(server, await stored.update(agent_id, changes))


@router.put("/{agent_id}", name="replace_agent", responses=declared(404, 409))
async def replace(
    agent_id: AgentId, body: AgentBody, server: Server, principal: Writer
) -> AgentObject:
    """Write the whole agent anew: a field that is left out goes back to its default."""
    stored = server.agents(principal.account_id)
    fields = await agents.replacement(server, await stored.get(agent_id), body)
    return _shown(server, await stored.replace(agent_id, fields))


@router.delete("/{agent_id}", name="delete_agent", responses=declared(404))
async def delete(agent_id: AgentId, server: Server, principal: Writer) -> DeletedAgent:
    """Delete an agent for good. Its live sessions end at once; their records stay."""
    await server.agents(principal.account_id).delete(agent_id)
    await server.live.end_agent(agent_id, EndedReason.AGENT_DELETED)
    return DeletedAgent(id=agent_id)


def _shown(server: Services, agent: AgentRecord) -> AgentObject:
    return agent_object(agent, agents.warnings_of(server, agent))
