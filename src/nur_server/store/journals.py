"""Event journals: what a conversation was told, in chunks of bytes, for replaying it."""

from collections.abc import AsyncIterator

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.store.engine import Database, insert_into
from nur_server.store.schema import JournalRow
from nur_server.store.tool_calls import require_session


class Journals:
    """The journals of one account's sessions."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def read(self, session_id: str) -> AsyncIterator[bytes]:
        """The chunks in order, one in memory at a time. Raises `NotFound`."""
        async with self._database.read() as session:
            await require_session(session, session_id, self._account_id)
        after = -1
        while (found := await self._next(session_id, after)) is not None:
            after, data = found
            yield data

    async def _next(self, session_id: str, after: int) -> tuple[int, bytes] | None:
        async with self._database.read() as session:
            row = await session.scalar(
                select(JournalRow)
                .where(JournalRow.session_id == session_id, JournalRow.chunk > after)
                .order_by(JournalRow.chunk)
                .limit(1)
            )
        return None if row is None else (row.chunk, row.data)


async def write_chunk(session: AsyncSession, session_id: str, chunk: int, data: bytes) -> None:
    """Store chunk number `chunk`; written again, it is replaced."""
    insert = insert_into(session, JournalRow).values(session_id=session_id, chunk=chunk, data=data)
    await session.execute(
        insert.on_conflict_do_update(
            index_elements=["session_id", "chunk"], set_={"data": insert.excluded.data}
        )
    )
