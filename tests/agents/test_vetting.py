"""Schemas are checked beside the event loop, and once."""

import asyncio
from typing import Any

import pytest

from nur_server.agents.tools import read_tools
from nur_server.agents.vetting import MAX_WAITING, ToolChecks
from nur_server.errors import InvalidRequest, Unavailable


def tool(pattern: str, name: str = "t") -> dict[str, Any]:
    return {"name": name, "parameters": {"a": {"type": "string", "pattern": pattern}}}


async def test_the_event_loop_goes_on_while_tools_are_checked() -> None:
    checks = ToolChecks()
    seen: list[str] = []

    async def other() -> None:
        seen.append("the loop went on")

    task = asyncio.create_task(other())
    await checks.vet([tool("a{900}")])
    assert seen
    await task
    checks.close()


@pytest.mark.parametrize(
    "raw", [[tool("(")], [tool("(?=a)")], [tool(r"(?:\p{L}{99}){99}")], [tool("a"), tool("a")], 7]
)
async def test_a_bad_tool_is_refused(raw: Any) -> None:
    checks = ToolChecks()
    with pytest.raises(InvalidRequest, match="expected"):
        await checks.vet(raw)
    with pytest.raises(InvalidRequest, match="expected"):
        checks.check(read_tools(raw))
    checks.close()


async def test_what_was_checked_is_not_checked_again() -> None:
    checks = ToolChecks()
    (read,) = await checks.vet([tool("a{5}")])
    assert read.parameters is not None
    # A schema that has passed is known by what it says, whoever brings it.
    again = read_tools([tool("a{5}", name="other")])
    checks.check(again)
    assert checks.checked == 1
    checks.check(read_tools([tool("a{6}")]))
    assert checks.checked == 2
    checks.close()


async def test_only_so_many_wait() -> None:
    checks = ToolChecks()
    waiting = [
        asyncio.create_task(checks.vet([tool(f"a{{{i}}}")])) for i in range(1, MAX_WAITING + 1)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await checks.vet([tool("b")])
    assert refused.value.code == "at_capacity"
    await asyncio.gather(*waiting)
    await checks.vet([tool("b")])
    checks.close()
