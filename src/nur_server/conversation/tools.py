"""The journal of tool calls: each runs at most once and has exactly one result."""

import json
import math
import re
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from referencing.exceptions import Unresolvable

from nur_server.conversation.actions import ToolCallMessage
from nur_server.conversation.config import ExecutionMode, ToolSpec
from nur_server.conversation.record import ToolRecord, ToolStatus
from nur_server.conversation.schemas import TooMuchWork, problems

MAX_RESULT_CHARACTERS = 16_000
MAX_ARGUMENT_CHARACTERS = 100_000
"""Of one call, as the model writes them: more than the longest answer of a model holds."""
_SANE_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}\Z")


class RefusedCall(Exception):
    """The model's call cannot run. The message tells the model what is wrong."""


@dataclass(slots=True)
class ToolCall:
    """A call and what became of it."""

    record: ToolRecord
    response_id: str
    tool: ToolSpec | None
    """None: the model named a tool that does not exist."""
    is_reported: bool = False
    """No reply is owed for its result: one was generated after it, or the client asks for it."""
    is_filled: bool = False
    """The user was told that it takes a while."""

    @property
    def is_running(self) -> bool:
        return self.record.status is ToolStatus.RUNNING

    def runs_at(self, at_ms: int) -> bool:
        """Whether its result was still unknown at that time of the session."""
        return self.record.answered_ms is None or self.record.answered_ms > at_ms

    @property
    def holds(self) -> bool:
        """The agent stays silent until it is answered."""
        return (
            self.is_running
            and self.tool is not None
            and self.tool.execution_mode is ExecutionMode.HOLD
        )


class ToolJournal:
    """All tool calls of a conversation."""

    def __init__(self) -> None:
        self._calls: dict[str, ToolCall] = {}

    def open(
        self,
        wanted_id: str,
        response_id: str,
        name: str,
        arguments: str,
        tool: ToolSpec | None,
        called_ms: int,
    ) -> ToolCall:
        """Enter a call. Its id is the model's own, where that is usable and new."""
        call_id = wanted_id
        if not _SANE_ID.match(call_id) or call_id in self._calls:
            call_id = f"call_{response_id.removeprefix('resp_')}_{len(self._calls)}"
        record = ToolRecord(call_id, name, arguments, ToolStatus.RUNNING, None, called_ms, None)
        call = ToolCall(record, response_id, tool)
        self._calls[call_id] = call
        return call

    def close(self, call_id: str, status: ToolStatus, result: str, at_ms: int) -> ToolCall | None:
        """Enter a call's one result. None when there is no such call, or it has a result."""
        call = self._calls.get(call_id)
        if call is None or not call.is_running:
            return None
        if len(result) > MAX_RESULT_CHARACTERS:
            result = result[:MAX_RESULT_CHARACTERS] + " … (cut: the result was longer)"
        call.record = replace(call.record, status=status, result=result, answered_ms=at_ms)
        return call

    def get(self, call_id: str) -> ToolCall | None:
        return self._calls.get(call_id)

    def ids(self) -> set[str]:
        """The ids of all calls so far."""
        return set(self._calls)

    def running(self) -> list[ToolCall]:
        return [call for call in self._calls.values() if call.is_running]

    def unreported(self) -> list[ToolCall]:
        """Calls whose result no reply has taken up yet."""
        return [c for c in self._calls.values() if not c.is_running and not c.is_reported]

    def ready(self) -> list[ToolCall]:
        """Unreported calls of responses that have all their results."""
        waiting = {call.response_id for call in self.running()}
        return [call for call in self.unreported() if call.response_id not in waiting]

    def is_repeat(self, call: ToolCall) -> bool:
        """Whether the same call was made before it by the same response, or still runs."""
        before = takewhile(lambda other: other is not call, self._calls.values())
        return any(
            (other.response_id == call.response_id or other.is_running)
            and other.record.name == call.record.name
            and _same_json(other.record.arguments, call.record.arguments)
            for other in before
        )

    def records(self, call_ids: list[str]) -> tuple[ToolRecord, ...]:
        return tuple(self._calls[call_id].record for call_id in call_ids)

    def message(self, call_id: str) -> ToolCallMessage:
        record = self._calls[call_id].record
        return ToolCallMessage(call_id, record.name, record.arguments)

    def result(self, call_id: str) -> str | None:
        """What the model is told, with the tool's own instructions. None while it runs."""
        call = self._calls[call_id]
        result = call.record.result
        if result is None:
            return None
        if call.record.status is not ToolStatus.SUCCEEDED:
            return failure_for_model(result, call.tool.error_instructions if call.tool else None)
        advice = call.tool.success_instructions if call.tool else None
        return f"{result}\n\n{advice}" if advice else result


def failure_for_model(text: str, advice: str | None = None) -> str:
    """Return a failed call's text as JSON for the model.

    The text is written for programmers or for the model. A model that repeats what it was given
    repeats JSON, which is never spoken. The names of exceptions are left out.
    """
    plain = _EXCEPTION.sub("", text.strip().rpartition("\n")[2] if _TRACEBACK in text else text)
    failure = {"ok": False, "error": plain.strip() or "The tool failed."}
    if advice:
        failure["instructions"] = advice
    return json.dumps(failure, ensure_ascii=False)


_TRACEBACK = "Traceback (most recent call last)"
_EXCEPTION = re.compile(r"^\s*(?:\w+\.)*\w*(?:Error|Exception|Timeout|Interrupt|Exit)\b(?::\s*|$)")
"""The name of an exception in front of its text, as Python and others print it."""


def check_arguments(tool: ToolSpec | None, name: str, arguments: str) -> dict[str, Any]:
    """The arguments as an object, checked against the tool's schema.

    Raises `RefusedCall` for an unknown tool, text that is no JSON object, or a value against the
    schema (`pattern` must match in full).
    """
    if tool is None:
        raise RefusedCall(f"There is no tool called {name!r}. Use only the tools you were given.")
    if len(arguments) > MAX_ARGUMENT_CHARACTERS:
        raise RefusedCall(
            f"The arguments have {len(arguments)} characters, and at most "
            f"{MAX_ARGUMENT_CHARACTERS} are taken. Send less."
        )
    try:
        value = json.loads(
            arguments or "{}", parse_int=_whole, parse_float=_finite, parse_constant=_finite
        )
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise RefusedCall(f"The arguments are not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise RefusedCall(f"The arguments must be a JSON object, not {type(value).__name__}.")
    try:
        problem = next(problems(tool.parameters, value), None)
    except (Unresolvable, RecursionError, TypeError, ValueError, TooMuchWork) as error:
        raise RefusedCall(f"The tool's own schema cannot be applied: {error}.") from error
    if problem is not None:
        raise RefusedCall(problem)
    return value


def _whole(digits: str) -> int:
    """A number that every JSON reader on the way to the tool can hold."""
    value = int(digits)
    if abs(value) >= 2**63:
        raise ValueError(f"{digits[:24]} has too many digits")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:24]} is not a finite number")
    return value


def _same_json(one: str, other: str) -> bool:
    try:
        return bool(json.loads(one or "{}") == json.loads(other or "{}"))
    except (ValueError, RecursionError):
        return one == other
