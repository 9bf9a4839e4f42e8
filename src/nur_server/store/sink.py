"""What live sessions store as they go: their turns, tool calls and journals, and their events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.conversation.events import EndedReason
from nur_server.conversation.record import ToolRecord, Turn
from nur_server.errors import NotFound
from nur_server.ports import CallChange, SessionSummary
from nur_server.store.announcing import announce_end, announce_start
from nur_server.store.call_records import CallStatus
from nur_server.store.calls import Calls, OnStatus, ignore_status
from nur_server.store.engine import Database
from nur_server.store.journals import write_chunk
from nur_server.store.schema import SessionRow
from nur_server.store.sessions import begin_session, finish_session
from nur_server.store.tool_calls import journal_calls
from nur_server.store.turns import commit_turn


class StoreSink:
    """A `ports.SessionSink`, shared by every session of a node.

    A session's beginning and end are events for webhooks, recorded in the same transaction. Each
    write is one short transaction, durable when it returns. It may be repeated: what is
    stored then is the same. Raises `NotFound` for a session that is not stored, `Unavailable`
    where the database does not take the write.
    """

    def __init__(
        self, database: Database, node_id: str, on_status: OnStatus = ignore_status
    ) -> None:
        """`on_status` is told of the calls that move forward here."""
        self._calls = Calls(database, on_status)
        self._database = database
        self._node_id = node_id

    async def session_started(self, session_id: str, at: datetime | None = None) -> None:
        """Raises `Conflict` where the session is over, or live on another node."""
        now = at or self._database.clock.now()
        async with self._writing(session_id) as session:
            row = await begin_session(
                session, session_id, self._node_id, now, SessionRow.id == session_id
            )
            await announce_start(session, row, self._database.clock.now())

    async def turn_finished(self, session_id: str, turn: Turn) -> None:
        async with self._writing(session_id) as session:
            await commit_turn(session, session_id, turn)

    async def tool_changed(self, session_id: str, response_id: str, call: ToolRecord) -> None:
        async with self._writing(session_id) as session:
            await journal_calls(session, session_id, response_id, [call])

    async def journal_written(self, session_id: str, chunk: int, data: bytes) -> None:
        async with self._writing(session_id) as session:
            await write_chunk(session, session_id, chunk, data)

    async def session_ended(
        self, session_id: str, summary: SessionSummary, at: datetime | None = None
    ) -> None:
        """Where the session was ended by other means, its reason stays and the figures follow. One
        that was taken for lost has this end instead."""
        now = at or self._database.clock.now()
        async with self._writing(session_id) as session:
            await finish_session(session, session_id, summary, now)
            await announce_end(session, session_id, self._database.clock.now())

    async def call_changed(self, change: CallChange, at: datetime | None = None) -> None:
        to, sources = CallStatus(change.status), [CallStatus(each) for each in change.sources]
        if change.reason is None:
            await self._calls.move(change.call_id, to, sources, at=at)
            return
        await self._calls.finish(
            change.call_id,
            to,
            sources,
            EndedReason(change.reason),
            answered_by=change.answered_by,
            error_code=change.error_code,
            error_message=change.error_message,
            at=at,
        )

    @asynccontextmanager
    async def _writing(self, session_id: str) -> AsyncIterator[AsyncSession]:
        try:
            async with self._database.write() as session:
                yield session
        except IntegrityError as error:
            raise NotFound(
                f"no session {session_id!r} to write to", code="session_not_found"
            ) from error
