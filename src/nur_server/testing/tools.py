"""Tools of an agent, run by functions of a test."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nur_server.ports import ToolRequest, ToolResult

Tool = Callable[..., Any]
"""Takes the arguments by name. Returns text, or anything JSON can hold; may be `async`."""


class ToolFailed(Exception):
    """Raised by a tool function: the model is told that the tool failed, with this message."""


@dataclass(frozen=True, slots=True)
class Run:
    """A tool that really ran."""

    call_id: str
    name: str
    arguments: dict[str, Any]


@dataclass
class Bench:
    """Runs tools; also the `ToolServer` of a session. Keeps what ran."""

    tools: Mapping[str, Tool]
    runs: list[Run] = field(default_factory=list)
    mistakes: list[Exception] = field(default_factory=list)
    """What functions raised that was no `ToolFailed`: a mistake in the test."""

    async def call(self, request: ToolRequest) -> ToolResult:
        return await self.run(request.call_id, request.tool.name, dict(request.arguments))

    async def run(self, call_id: str, name: str, arguments: dict[str, Any]) -> ToolResult:
        self.runs.append(Run(call_id, name, arguments))
        tool = self.tools.get(name)
        if tool is None:
            return ToolResult(f"This test gives no function for the tool {name!r}.", is_error=True)
        try:
            result = tool(**arguments)
            if inspect.isawaitable(result):
                result = await result
            text = result if isinstance(result, str) else json.dumps(result)
        except ToolFailed as failure:
            return ToolResult(str(failure), is_error=True)
        except Exception as mistake:
            self.mistakes.append(mistake)
            return ToolResult("The tool failed.", is_error=True)
        return ToolResult(text)
