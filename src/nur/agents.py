"""Agents: stored personas with a voice and tools."""

from collections.abc import Mapping
from typing import Any, Literal, Unpack

from nur.agent_fields import AgentChanges, AgentOptions
from nur.call import Call, path
from nur.calls import AgentCalls, AsyncAgentCalls
from nur.objects import Agent, Deleted, Session, SessionStatus
from nur.pages import Listing
from nur.resource import AsyncResource, SyncResource, endpoint, listing


def create_agent(
    *, name: str, voice_id: str, system_prompt: str, **options: Unpack[AgentOptions]
) -> Call[Agent]:
    """Store a new agent.

        agent = client.agents.create(
            name="Support", voice_id="rachel_v2", system_prompt="You are a friendly agent."
        )

    Raises `InvalidRequest` for a value the server does not take, with `param` naming the field.
    """
    body = {"name": name, "voice_id": voice_id, "system_prompt": system_prompt, **options}
    return Call("POST", "/v1/agents", Agent.model_validate, body=body)


def get_agent(agent_id: str) -> Call[Agent]:
    """Read an agent. Raises `NotFound`.

    agent = client.agents.get("agt_…")
    """
    return Call("GET", path("/v1/agents/{}", agent_id), Agent.model_validate)


def list_agents(
    *,
    status: Literal["active", "paused"] | None = None,
    limit: int | None = None,
    offset: int | None = None,
    cursor: str | None = None,
) -> Listing[Agent]:
    """All agents, newest first, `limit` (20, at most 100) per request.

    for agent in client.agents.list():
        print(agent.name)
    """
    query = {"status": status, "limit": limit, "offset": offset, "cursor": cursor}
    return Listing("/v1/agents", Agent, query)


def update_agent(agent_id: str, **changes: Unpack[AgentChanges]) -> Call[Agent]:
    """Change some fields; the others stay. None clears a field that may be empty.

    client.agents.update(agent.id, system_prompt="Be brief.", first_message=None)
    """
    return Call("PATCH", path("/v1/agents/{}", agent_id), Agent.model_validate, body={**changes})


def replace_agent(
    agent_id: str,
    *,
    name: str,
    voice_id: str,
    system_prompt: str,
    **options: Unpack[AgentOptions],
) -> Call[Agent]:
    """Write the whole agent anew: a field left out goes back to its default.

    client.agents.replace(agent.id, name="Support", voice_id="claire", system_prompt="…")
    """
    body = {"name": name, "voice_id": voice_id, "system_prompt": system_prompt, **options}
    return Call("PUT", path("/v1/agents/{}", agent_id), Agent.model_validate, body=body)


def delete_agent(agent_id: str) -> Call[Deleted]:
    """Delete an agent for good and end its live sessions. Raises `NotFound`.

    client.agents.delete(agent.id)
    """
    return Call("DELETE", path("/v1/agents/{}", agent_id), Deleted.model_validate)


def create_session(
    *,
    agent_id: str,
    initial_message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    recording: bool | None = None,
    transport: str | None = None,
) -> Call[Session]:
    """Open a session with an agent; talk to it at `websocket_url`, or with `sessions.connect`.

    `initial_message` is spoken first, instead of the agent's own `first_message`. `context` fills
    the `{{variables}}` of its prompt. `recording` None: as the agent says. `transport`
    "webrtc": the session has a `token` and a `livekit_url` for a browser. Raises `Conflict` where
    the agent is paused.

        session = client.agents.sessions.create(agent_id=agent.id, context={"name": "Ada"})
    """
    given = {
        "initial_message": initial_message,
        "metadata": metadata,
        "context": context,
        "recording": recording,
        "transport": transport,
    }
    return Call(
        "POST",
        path("/v1/agents/{}/sessions", agent_id),
        Session.model_validate,
        body={name: value for name, value in given.items() if value is not None},
    )


def list_agent_sessions(
    agent_id: str,
    *,
    status: SessionStatus | None = None,
    limit: int | None = None,
    offset: int | None = None,
    cursor: str | None = None,
) -> Listing[Session]:
    """The sessions of one agent, newest first.

    for session in client.agents.sessions.list(agent.id, status="ended"):
        print(session.session_id, session.ended_reason)
    """
    query = {"status": status, "limit": limit, "offset": offset, "cursor": cursor}
    return Listing(path("/v1/agents/{}/sessions", agent_id), Session, query)


class _AgentSessionMethods:
    create = endpoint(create_session)
    list = listing(list_agent_sessions)


class AgentSessions(SyncResource, _AgentSessionMethods):
    """`client.agents.sessions`."""


class AsyncAgentSessions(AsyncResource, _AgentSessionMethods):
    """`client.agents.sessions`, awaited."""


class _AgentMethods:
    create = endpoint(create_agent)
    get = endpoint(get_agent)
    list = listing(list_agents)
    update = endpoint(update_agent)
    replace = endpoint(replace_agent)
    delete = endpoint(delete_agent)


class Agents(SyncResource, _AgentMethods):
    """`client.agents`."""

    @property
    def sessions(self) -> AgentSessions:
        """Sessions by agent; all others are at `client.sessions`."""
        return AgentSessions(self._client)

    @property
    def calls(self) -> AgentCalls:
        """Calls by agent; all others are at `client.calls`."""
        return AgentCalls(self._client)


class AsyncAgents(AsyncResource, _AgentMethods):
    """`client.agents`, awaited."""

    @property
    def sessions(self) -> AsyncAgentSessions:
        """Sessions by agent; all others are at `client.sessions`."""
        return AsyncAgentSessions(self._client)

    @property
    def calls(self) -> AsyncAgentCalls:
        """Calls by agent; all others are at `client.calls`."""
        return AsyncAgentCalls(self._client)
