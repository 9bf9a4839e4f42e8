"""Where the tools of each session run, for the server that calls them."""

from collections.abc import Iterable, Mapping
from typing import Any

from nur_server.agents.tools import Tool
from nur_server.agents.vetting import ToolChecks
from nur_server.clock import Clock
from nur_server.providers.http_tools import HttpTools, ToolEndpoint, ToolPayload


class Toolbox:
    """The addresses of the tools of every live session, and the server that calls them."""

    def __init__(self, clock: Clock, *, allow_private: bool) -> None:
        self.checks = ToolChecks()
        self._opened: dict[str, Mapping[str, ToolEndpoint]] = {}
        self.server = HttpTools(self.endpoint_for, allow_private=allow_private, clock=clock)

    def open(self, session_id: str, endpoints: Mapping[str, ToolEndpoint]) -> None:
        """These addresses hold for the session from now on."""
        self._opened[session_id] = endpoints

    def close(self, session_id: str) -> None:
        """The session is over. May be called for one that was never opened."""
        self._opened.pop(session_id, None)

    async def endpoint_for(self, session_id: str, tool_name: str) -> ToolEndpoint | None:
        """None: the tool has no address, or there is no such tool or session."""
        return self._opened.get(session_id, {}).get(tool_name)

    async def stop(self) -> None:
        """Close every connection, and take no more tools to check."""
        self.checks.close()
        await self.server.close()


def endpoints(
    tools: Iterable[Tool],
    *,
    tool_url: str | None = None,
    signing_secret: str | None = None,
    context: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, ToolEndpoint]:
    """Each tool's own `http` block, else the agent's `tool_url`. Secret, `tool_url` and private
    addresses are for the agent's own tools alone."""
    found: dict[str, ToolEndpoint] = {}
    for tool in tools:
        if tool.http is not None:
            found[tool.spec.name] = ToolEndpoint(
                url=tool.http.url,
                method=tool.http.method.value,
                headers=tool.http.headers,
                signing_secret=signing_secret if tool.is_stored else None,
                is_trusted=tool.is_stored,
            )
        elif tool_url is not None and tool.is_stored:
            found[tool.spec.name] = ToolEndpoint(
                url=tool_url,
                signing_secret=signing_secret,
                payload=ToolPayload.WEBHOOK,
                is_trusted=True,
                context=context or {},
                metadata=metadata or {},
            )
    return found
