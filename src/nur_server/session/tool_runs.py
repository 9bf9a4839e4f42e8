"""The tools part of a session: calls that this server runs, and results that clients bring."""

import asyncio
from collections.abc import Coroutine
from typing import Any, assert_never

import structlog

from nur_server.conversation.actions import CallTool, CancelTool, TransferCall
from nur_server.conversation.config import ToolRunner
from nur_server.conversation.events import ToolAnswered, TransferFinished
from nur_server.errors import NurError
from nur_server.ports import CallControl, ToolRequest, ToolServer
from nur_server.session.host import Host
from nur_server.session.setup import SessionSetup
from nur_server.session.writer import SessionWriter
from nur_server.text.encoding import well_formed

log = structlog.get_logger()

TOOL_JOURNAL_SECONDS = 3.0
"""Longest wait for a tool call to be in the store or in a file before the tool is run: longer than
`writer.SPILL_SECONDS`."""
TRANSFER_SECONDS = 15.0
"""Longest wait for a carrier to connect the far end to another number."""


class ToolRuns:
    """Performs tool calls and transfers, and feeds their results back."""

    def __init__(
        self, setup: SessionSetup, host: Host, server: ToolServer | None, writer: SessionWriter
    ) -> None:
        self.setup = setup
        """In force."""
        self.running: dict[str, asyncio.Task[None]] = {}
        """By call id."""
        self.is_transferring = False
        """The carrier is connecting the far end to another number."""
        self._host = host
        self._server = server
        self._writer = writer

    def perform(self, action: CallTool | CancelTool) -> None:
        match action:
            case CancelTool(call_id):
                task = self.running.pop(call_id, None)
                if task is not None:
                    task.cancel()
            case CallTool(call_id, _, tool):
                if tool.runner is ToolRunner.SERVER:
                    self._run(call_id, self._call_server(action))
            case _:
                assert_never(action)

    def transfer(self, action: TransferCall, control: CallControl | None) -> None:
        """Connect the far end of a phone call to another number."""
        self._run(action.call_id, self._transfer(action, control))

    def answer(
        self, call_id: str, result: str, is_error: bool, *, triggers_reply: bool = True
    ) -> None:
        """A result has come."""
        told = well_formed(result)
        self._host.feed(lambda at: ToolAnswered(at, call_id, told, is_error, triggers_reply))

    def stop(self) -> list[asyncio.Task[None]]:
        """What is left to be cancelled."""
        return list(self.running.values())

    def _run(self, call_id: str, work: Coroutine[Any, Any, None]) -> None:
        self.running[call_id] = self._host.spawn(work, call_id)

    async def _call_server(self, action: CallTool) -> None:
        """Run a tool over HTTP, once its call stands in the journal."""
        call_id, setup = action.call_id, self.setup
        if self._server is None:
            self.answer(call_id, "This server cannot run tools.", True)
            return
        await self._writer.durable_within(TOOL_JOURNAL_SECONDS)
        request = ToolRequest(
            call_id,
            setup.session_id,
            setup.agent_id or "",
            action.tool,
            action.arguments,
            setup.account_id,
        )
        try:
            result = await self._server.call(request)
            self.answer(call_id, result.content, result.is_error)
        except Exception:
            log.exception("tool.crashed", session_id=setup.session_id, tool=action.tool.name)
            self.answer(call_id, "The tool failed.", True)
        finally:
            self.running.pop(call_id, None)

    async def _transfer(self, action: TransferCall, control: CallControl | None) -> None:
        error: str | None = None
        self.is_transferring = True
        try:
            if control is None:
                error = "this session is not a phone call"
            else:
                if self.setup.check_transfer is not None:
                    self.setup.check_transfer(action.to_number)
                async with asyncio.timeout(TRANSFER_SECONDS):
                    await control.transfer(action.to_number)
        except TimeoutError:
            error = f"the carrier did not answer within {TRANSFER_SECONDS:g} s"
        except NurError as failure:
            error = failure.message
        finally:
            self.is_transferring = False
            self.running.pop(action.call_id, None)
        self._host.feed(lambda at: TransferFinished(at, action.call_id, error))
