"""Where the tools of each session run, for the server that calls them."""

from collections.abc import Iterable, Mapping
from typing import Any

from nur_server.agents.tools import Tool, read_tools
from nur_server.agents.vetting import ToolChecks
from nur_server.clock import Clock
from nur_server.errors import NotFound
from nur_server.providers.http_tools import HttpTools, ToolEndpoint, ToolPayload
from nur_server.store.agents import Agents
from nur_server.store.engine import Database
from nur_server.store.records import AgentRecord, SessionRecord
from nur_server.store.sessions import find_session


class Toolbox:
    """Finds a tool's address, by what a session was configured with or else by its agent.

    A session that is configured over its socket is told here with `open`, and forgotten with
    `close`. One that is not is looked up in the store.
    """

    def __init__(self, database: Database, clock: Clock, *, allow_private: bool) -> None:
        self.checks = ToolChecks()
        self._database = database
        self._opened: dict[str, Mapping[str, ToolEndpoint]] = {}
        self.server = HttpTools(self.endpoint_for, allow_private=allow_private, clock=clock)

    def open(self, session_id: str, endpoints: Mapping[str, ToolEndpoint]) -> None:
        """These addresses hold for the session from now on, instead of its agent's."""
        self._opened[session_id] = endpoints

    def close(self, session_id: str) -> None:
        """The session is over. May be called for one that was never opened."""
        self._opened.pop(session_id, None)

    async def endpoint_for(self, session_id: str, tool_name: str) -> ToolEndpoint | None:
        """None: the tool has no address, or there is no such tool."""
        if session_id in self._opened:
            return self._opened[session_id].get(tool_name)
        session = await find_session(self._database, session_id)
        if session is None or session.agent_id is None:
            return None
        try:
            agent = await Agents(self._database, session.account_id).get(session.agent_id)
        except NotFound:
            return None
        return agent_endpoints(agent, session).get(tool_name)

    async def stop(self) -> None:
        """Close every connection, and take no more tools to check."""
        self.checks.close()
        await self.server.close()


def agent_endpoints(
    agent: AgentRecord, session: SessionRecord | None = None
) -> dict[str, ToolEndpoint]:
    """Where the agent's tools run, by name; those the client runs are left out."""
    return endpoints(
        read_tools(agent.tools, tool_url=agent.tool_url),
        tool_url=agent.tool_url,
        signing_secret=agent.settings.get("tool_secret"),
        context=session.context if session else {},
        metadata=session.metadata if session else {},
    )


def endpoints(
    tools: Iterable[Tool],
    *,
    tool_url: str | None = None,
    signing_secret: str | None = None,
    context: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, ToolEndpoint]:
    """Each tool's own `http` block, else the agent's `tool_url`."""
    found: dict[str, ToolEndpoint] = {}
    for tool in tools:
        if tool.http is not None:
            found[tool.spec.name] = ToolEndpoint(
                url=tool.http.url,
                method=tool.http.method.value,
                headers=tool.http.headers,
                signing_secret=signing_secret,
            )
        elif tool_url is not None:
            found[tool.spec.name] = ToolEndpoint(
                url=tool_url,
                signing_secret=signing_secret,
                payload=ToolPayload.WEBHOOK,
                context=context or {},
                metadata=metadata or {},
            )
    return found
