"""Tools answered by plain functions, each call once."""

import asyncio
import contextlib
import contextvars
import inspect
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from nur.events import ToolCall

ToolFunction = Callable[..., Any]
"""Takes the call's arguments by keyword. May be a coroutine function. What it returns must be a
string, a pydantic model or JSON; what it raises is told to the agent as an error."""

MOST_CALLS = 1024
"""Answered calls remembered; a repetition of an older one would run again."""

logger = logging.getLogger("nur")


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """The result of a call, as it goes to the agent."""

    call_id: str
    result: str
    """JSON, or plain text."""
    is_error: bool = False


class ToolBox:
    """Runs each call at most once, however often the server repeats it."""

    def __init__(self, tools: Mapping[str, ToolFunction], timeout_seconds: float) -> None:
        self._tools = dict(tools)
        self._timeout_seconds = timeout_seconds
        self._journal: OrderedDict[str, ToolAnswer | None] = OrderedDict()
        """By call id. None: running."""

    def answers(self, call: ToolCall) -> bool:
        """Whether a function is there for the call, and the call is for this client."""
        return call.name in self._tools and call.runner != "server"

    async def answer(self, call: ToolCall) -> ToolAnswer | None:
        """Run the call, or give its earlier answer. None: it is running already. Never raises."""
        if call.call_id in self._journal:
            return self._journal[call.call_id]
        self._journal[call.call_id] = None
        self._forget_oldest()
        answer = await self._run(call)
        self._journal[call.call_id] = answer
        return answer

    async def _run(self, call: ToolCall) -> ToolAnswer:
        deadline = asyncio.timeout(self._timeout_seconds)
        try:
            async with deadline:
                value = await _call(self._tools[call.name], call.arguments)
            return ToolAnswer(call.call_id, encode_result(value))
        except Exception as error:
            if deadline.expired():
                text = f"{call.name} did not answer within {self._timeout_seconds:g} seconds"
            else:
                text = f"{type(error).__name__}: {error}"
            logger.warning(
                "tool function failed", extra={"tool": call.name, "error": type(error).__name__}
            )
            logger.debug("tool function failed here", exc_info=True)
            return ToolAnswer(call.call_id, text, is_error=True)

    def _forget_oldest(self) -> None:
        answered = [call_id for call_id, answer in self._journal.items() if answer is not None]
        for call_id in answered[: max(0, len(self._journal) - MOST_CALLS)]:
            del self._journal[call_id]


def encode_result(value: object) -> str:
    """What a tool returned, as text for the agent.

    Raises `TypeError` for a value that is neither a string, a pydantic model nor JSON.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return json.dumps(value, ensure_ascii=False)


async def _call(function: ToolFunction, arguments: Mapping[str, Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(**arguments)
    value = await _in_thread(lambda: function(**arguments))
    return await value if isinstance(value, Awaitable) else value


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Run `work` in a thread of its own, which is not waited for when this is cancelled.

    The loop's own executor is: one stuck tool would keep the program from ending.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(set_outcome: Callable[[Any], None], outcome: Any) -> None:
        if not done.done():
            set_outcome(outcome)

    def run() -> None:
        try:
            outcome, set_outcome = context.run(work), done.set_result
        except BaseException as error:
            outcome, set_outcome = _plain(error), done.set_exception
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, set_outcome, outcome)

    threading.Thread(target=run, name="nur-tool", daemon=True).start()
    return await done


def _plain(error: BaseException) -> Exception:
    """An error a future can carry: not `StopIteration`, nor one that ends a thread."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
