"""What a session leaves behind, written in order by one task."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from nur_server.conversation.record import ToolRecord, Turn
from nur_server.ports import SessionSink, SessionSummary

log = structlog.get_logger()

MAX_WAITING = 2_000
"""Writes waiting for a slow store. Beyond it journal chunks are dropped, turns never are."""
WRITE_SECONDS = 10.0
ATTEMPTS = 3
RETRY_SECONDS = 0.5

Write = Callable[[], Awaitable[None]]


class Writer:
    """Queues writes without waiting and performs them in order, each with a time-out and retries.

    A write that fails for good is logged and counted; the session goes on.
    """

    def __init__(self, session_id: str, sink: SessionSink) -> None:
        self._session_id = session_id
        self._sink = sink
        self._queue: asyncio.Queue[tuple[str, Write]] = asyncio.Queue()
        self._chunks = 0
        self.lost = 0
        """Writes given up."""

    def session_started(self) -> None:
        self._put("session_started", lambda: self._sink.session_started(self._session_id))

    def turn(self, turn: Turn) -> None:
        self._put("turn_finished", lambda: self._sink.turn_finished(self._session_id, turn))

    def tool(self, response_id: str, record: ToolRecord) -> None:
        self._put(
            "tool_changed",
            lambda: self._sink.tool_changed(self._session_id, response_id, record),
        )

    def journal(self, chunk: int, data: bytes) -> None:
        if self._queue.qsize() >= MAX_WAITING:
            self.lost += 1
            return
        self._put(
            "journal_written",
            lambda: self._sink.journal_written(self._session_id, chunk, data),
        )

    def session_ended(self, summary: SessionSummary) -> None:
        self._put("session_ended", lambda: self._sink.session_ended(self._session_id, summary))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            what, write = await self._queue.get()
            try:
                await self._write(what, write)
            finally:
                self._queue.task_done()

    async def settled(self) -> None:
        """Return when everything queued so far, and since, was written or given up."""
        await self._queue.join()

    async def settled_within(self, seconds: float) -> bool:
        """Wait for what is queued, at most so long. Whether nothing waits any more."""
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            return False
        return True

    async def close(self, timeout_seconds: float) -> None:
        """Wait for what is queued, at most so long; the rest is lost."""
        if not await self.settled_within(timeout_seconds):
            self.lost += self._queue.qsize()
            log.error(
                "session.writes_lost",
                session_id=self._session_id,
                waiting=self._queue.qsize(),
            )

    def _put(self, what: str, write: Write) -> None:
        self._queue.put_nowait((what, write))

    async def _write(self, what: str, write: Write) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await write()
            except Exception as error:
                log.warning(
                    "session.write_failed",
                    session_id=self._session_id,
                    what=what,
                    attempt=attempt,
                    error=type(error).__name__,
                )
                if attempt < ATTEMPTS:
                    await asyncio.sleep(RETRY_SECONDS * attempt)
            else:
                return
        self.lost += 1
