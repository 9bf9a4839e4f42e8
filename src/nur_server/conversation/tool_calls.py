"""The agent's tool calls: checked, journalled, run once, answered once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nur_server.conversation.actions import CallTool, CancelTool, RecordTool
from nur_server.conversation.config import ToolRunner, ToolSpec
from nur_server.conversation.context import Context
from nur_server.conversation.deadlines import Timer
from nur_server.conversation.notices import ToolCallRequested
from nur_server.conversation.record import ToolStatus, Turn
from nur_server.conversation.tools import RefusedCall, ToolCall, check_arguments

FILLER_AGAIN_SECONDS = 1.0
"""Shortest wait before a filler that would have been said into speech."""


class ToolCalls:
    """Opens calls and takes their results.

    `on_answer` is told when one has its result; `run_built_in` runs what the conversation runs
    itself.
    """

    def __init__(
        self,
        context: Context,
        on_answer: Callable[[], None],
        run_built_in: Callable[[str, ToolSpec, dict[str, Any]], None],
    ) -> None:
        self._context = context
        self._on_answer = on_answer
        self._run_built_in = run_built_in
        self._turns: dict[str, Turn] = {}
        """Committed turns by response, to be committed again when a call of theirs is answered."""

    @property
    def is_holding(self) -> bool:
        """The agent stays silent until a running tool has answered."""
        return any(call.holds for call in self._context.journal.running())

    @property
    def is_running(self) -> bool:
        return bool(self._context.journal.running())

    def call(self, response_id: str, wanted_id: str, name: str, arguments: str) -> str:
        """Make a call, or refuse it. Returns its id."""
        context = self._context
        tool = context.config.tool(name)
        call = context.journal.open(wanted_id, response_id, name, arguments, tool, context.now_ms)
        call_id = call.record.call_id
        try:
            if context.journal.is_repeat(call):
                raise RefusedCall("This is the same call as one before it; it was not run again.")
            values = check_arguments(tool, name, arguments)
        except RefusedCall as refusal:
            self.answer(call_id, ToolStatus.REFUSED, str(refusal))
            return call_id
        assert tool is not None
        context.do(RecordTool(response_id, call.record))
        context.notify(
            ToolCallRequested(
                call_id, name, values, tool.runner.value, response_id, call.record.arguments
            )
        )
        context.deadlines.set(Timer.TOOL, context.now + tool.timeout_seconds, call_id)
        if tool.runner is ToolRunner.BUILT_IN:
            self._run_built_in(call_id, tool, values)
            return call_id
        context.do(CallTool(call_id, response_id, tool, values))
        self._await_filler(call_id, context.config.tool_filler_seconds)
        return call_id

    def answer(
        self, call_id: str, status: ToolStatus, result: str, *, triggers_reply: bool = True
    ) -> None:
        """Take a result. Only the first one of a call counts.

        One that does not trigger a reply is shown to the model with the next reply.
        """
        context = self._context
        call = context.journal.close(call_id, status, result, context.now_ms)
        if call is None:
            return
        context.deadlines.clear(Timer.TOOL, call_id)
        context.deadlines.clear(Timer.FILLER, call_id)
        context.do(RecordTool(call.response_id, call.record))
        self._recommit(call)
        if not triggers_reply:
            call.is_reported = True
        self._on_answer()

    def time_out(self, call_id: str) -> None:
        """The tool took too long: the model is told so, and a later result is ignored."""
        call = self._context.journal.get(call_id)
        if call is None or call.tool is None:
            return
        seconds = call.tool.timeout_seconds
        self._context.do(CancelTool(call_id))
        self.answer(
            call_id,
            ToolStatus.TIMED_OUT,
            f"The tool did not answer within {seconds:g} seconds.",
        )

    def wants_filler(self, call_id: str) -> bool:
        """Whether a call still runs, nothing was said about it, and the agent may speak."""
        call = self._context.journal.get(call_id)
        return call is not None and call.is_running and not call.holds and not call.is_filled

    def restart_fillers(self) -> None:
        """The agent has spoken: how long tools take counts from here."""
        seconds = self._context.config.tool_filler_seconds
        for call in self._context.journal.running():
            if call.tool is not None and call.tool.runner is not ToolRunner.BUILT_IN:
                self._await_filler(call.record.call_id, seconds)

    def put_off_filler(self, call_id: str) -> None:
        """Somebody is speaking."""
        seconds = self._context.config.tool_filler_seconds
        self._await_filler(call_id, max(FILLER_AGAIN_SECONDS, seconds))

    def fill(self) -> None:
        """The filler is said, for every call that runs."""
        for call in self._context.journal.running():
            call.is_filled = True
            self._context.deadlines.clear(Timer.FILLER, call.record.call_id)

    def _await_filler(self, call_id: str, seconds: float) -> None:
        if self._context.config.tool_filler is not None and self.wants_filler(call_id):
            self._context.deadlines.set(Timer.FILLER, self._context.now + seconds, call_id)

    def remember(self, response_id: str, turn: Turn) -> None:
        """`turn` holds calls of this response."""
        self._turns[response_id] = turn

    def cancel_all(self) -> None:
        """The conversation ends: what still runs gets that as its result."""
        for call in self._context.journal.running():
            self._context.do(CancelTool(call.record.call_id))
            self.answer(call.record.call_id, ToolStatus.CANCELLED, "The session ended.")

    def _recommit(self, call: ToolCall) -> None:
        """The turn that made the call was committed before its result came."""
        turn = self._turns.get(call.response_id)
        if turn is None:
            return
        ids = [record.call_id for record in turn.tool_calls]
        turn = replace(turn, tool_calls=self._context.journal.records(ids))
        self._turns[call.response_id] = turn
        self._context.commit(turn)
