"""Tools' schemas are checked once, in a thread of their own, before they are stored or used."""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from nur_server.agents.parameters import Parameters
from nur_server.agents.schema_checks import check_schemas
from nur_server.agents.tools import Tool, read_tools
from nur_server.errors import Unavailable

CHECK_SECONDS = 5.0
"""Longest wait for a verdict. A check takes at most some 0.1 s: those before it make it wait."""
MAX_WAITING = 64
"""Requests that wait for a verdict at once; the next is told to come again."""
KEPT = 4_096
"""Schemas whose verdict is remembered, by their digest."""


class ToolChecks:
    """Gives verdicts on tools. One for the server; `vet` is for its event loop alone."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tool-schemas")
        self.checked = 0
        """Schemas that were compiled so far."""
        self._waiting = 0
        self._lock = Lock()
        self._passed: OrderedDict[bytes, None] = OrderedDict()

    async def vet(self, raw: object, *, tool_url: str | None = None) -> tuple[Tool, ...]:
        """The tools, read and checked.

        Raises `InvalidRequest` that says what is wrong or which bound is exceeded, and
        `Unavailable` where too many others wait. Safe to cancel.
        """
        if self._waiting >= MAX_WAITING:
            raise _too_many()
        self._waiting += 1
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._thread, self._read, raw, tool_url)
        except TimeoutError:
            raise _too_many() from None
        finally:
            self._waiting -= 1

    def check(self, tools: Iterable[Tool]) -> None:
        """Check what has not passed yet: nothing where `vet` was asked before.

        Raises `InvalidRequest`. Safe from any thread.
        """
        unknown = {_digest(parameters): parameters for parameters in _of(tools)}
        for digest in [digest for digest in unknown if self._is_known(digest)]:
            del unknown[digest]
        check_schemas(unknown.values())
        self.checked += len(unknown)
        for digest in unknown:
            self._remember(digest)

    def close(self) -> None:
        """Take no more. Does not wait for the check that runs."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _read(self, raw: object, tool_url: str | None) -> tuple[Tool, ...]:
        tools = read_tools(raw, tool_url=tool_url)
        self.check(tools)
        return tools

    def _is_known(self, digest: bytes) -> bool:
        with self._lock:
            return digest in self._passed

    def _remember(self, digest: bytes) -> None:
        with self._lock:
            self._passed[digest] = None
            while len(self._passed) > KEPT:
                self._passed.popitem(last=False)


def _of(tools: Iterable[Tool]) -> list[Parameters]:
    return [tool.parameters for tool in tools if tool.parameters is not None]


def _digest(parameters: Parameters) -> bytes:
    text = json.dumps([parameters.is_map, parameters.schema])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _too_many() -> Unavailable:
    return Unavailable(
        "expected fewer requests with new tools at once; try again in a moment",
        code="at_capacity",
    )
