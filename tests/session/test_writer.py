"""Writes in order, each with retries, none waited for."""

import asyncio

import pytest

from nur_server.conversation.events import EndedReason
from nur_server.conversation.record import Speaker, ToolRecord, Turn
from nur_server.ports import SessionSummary
from nur_server.session.writer import ATTEMPTS, Writer

pytestmark = pytest.mark.looptime


class Store:
    """A sink that fails as often as it is told, and may hang."""

    def __init__(self, failures: int = 0, *, hangs: bool = False) -> None:
        self.written: list[str] = []
        self.failures = failures
        self.hangs = hangs

    async def _write(self, what: str) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.failures:
            self.failures -= 1
            raise OSError("disk full")
        self.written.append(what)

    async def session_started(self, session_id: str) -> None:
        await self._write("started")

    async def turn_finished(self, session_id: str, turn: Turn) -> None:
        await self._write(f"turn {turn.index}")

    async def tool_changed(self, session_id: str, response_id: str, call: ToolRecord) -> None:
        await self._write(f"tool {call.call_id}")

    async def journal_written(self, session_id: str, chunk: int, data: bytes) -> None:
        await self._write(f"journal {chunk}")

    async def session_ended(self, session_id: str, summary: SessionSummary) -> None:
        await self._write(f"ended {summary.reason.value}")


def turn(index: int) -> Turn:
    return Turn(index, "msg_1", Speaker.USER, "Hello.", 0, 500, "speech")


async def test_everything_is_written_in_order() -> None:
    store = Store()
    writer = Writer("ses_1", store)
    running = asyncio.create_task(writer.run())
    writer.session_started()
    writer.turn(turn(0))
    writer.journal(0, b"x")
    writer.session_ended(SessionSummary(EndedReason.CLIENT_ENDED, 1.0, 1, 0, 0))
    await writer.settled()
    assert store.written == ["started", "turn 0", "journal 0", "ended client_ended"]
    running.cancel()


async def test_a_write_that_fails_is_tried_again_in_its_place() -> None:
    store = Store(failures=ATTEMPTS - 1)
    writer = Writer("ses_1", store)
    running = asyncio.create_task(writer.run())
    writer.turn(turn(0))
    writer.turn(turn(1))
    await writer.settled()
    assert store.written == ["turn 0", "turn 1"]
    assert writer.lost == 0
    running.cancel()


async def test_a_write_that_fails_for_good_is_counted_and_the_next_one_goes_on() -> None:
    store = Store(failures=ATTEMPTS)
    writer = Writer("ses_1", store)
    running = asyncio.create_task(writer.run())
    writer.turn(turn(0))
    writer.turn(turn(1))
    await writer.settled()
    assert store.written == ["turn 1"]
    assert writer.lost == 1
    running.cancel()


async def test_closing_is_bounded_although_the_store_hangs() -> None:
    writer = Writer("ses_1", Store(hangs=True))
    running = asyncio.create_task(writer.run())
    writer.turn(turn(0))
    writer.turn(turn(1))
    await asyncio.sleep(0)
    await writer.close(2.0)
    assert writer.lost >= 1
    running.cancel()
