"""The journal of tool calls: written before a tool runs, and once more with its one result."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.conversation.record import ToolRecord, ToolStatus
from nur_server.errors import NotFound
from nur_server.store.engine import Database, dialect_of, insert_for
from nur_server.store.records import ToolCallRecord
from nur_server.store.schema import SessionRow, ToolCallRow


class ToolCalls:
    """The tool calls of one account's sessions."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def list(self, session_id: str) -> tuple[ToolCallRecord, ...]:
        """All calls of a session, in the order they were made. Raises `NotFound`."""
        async with self._database.read() as session:
            await require_session(session, session_id, self._account_id)
            rows = await session.scalars(
                select(ToolCallRow)
                .where(ToolCallRow.session_id == session_id)
                .order_by(ToolCallRow.called_ms, ToolCallRow.call_id)
            )
            return tuple(
                ToolCallRecord(row.session_id, row.response_id, tool_record(row)) for row in rows
            )


async def journal_calls(
    session: AsyncSession, session_id: str, response_id: str | None, calls: Iterable[ToolRecord]
) -> None:
    """Store calls, each unique by its id in the session.

    A call that is stored as running takes the first result that comes; after that it stays as
    it is.
    """
    values = [_values(session_id, response_id, call) for call in calls]
    if values:
        await session.execute(_upsert(dialect_of(session)), values)


async def require_session(session: AsyncSession, session_id: str, account_id: str) -> None:
    """Raises `NotFound` where the account has no such session."""
    found = await session.scalar(
        select(SessionRow.id).where(
            SessionRow.id == session_id, SessionRow.account_id == account_id
        )
    )
    if found is None:
        raise NotFound(f"no session {session_id!r}", code="session_not_found", param="session_id")


def tool_record(row: ToolCallRow) -> ToolRecord:
    return ToolRecord(
        call_id=row.call_id,
        name=row.name,
        arguments=row.arguments,
        status=ToolStatus(row.status),
        result=row.result,
        called_ms=row.called_ms,
        answered_ms=row.answered_ms,
    )


@cache
def _upsert(dialect: str) -> Insert:
    insert = insert_for(dialect, ToolCallRow)
    return insert.on_conflict_do_update(
        index_elements=["session_id", "call_id"],
        set_={name: insert.excluded[name] for name in ("status", "result", "answered_ms")},
        where=(ToolCallRow.status == ToolStatus.RUNNING.value)
        & (insert.excluded.status != ToolStatus.RUNNING.value),
    )


def _values(session_id: str, response_id: str | None, call: ToolRecord) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "call_id": call.call_id,
        "response_id": response_id,
        "name": call.name,
        "arguments": call.arguments,
        "status": call.status.value,
        "result": call.result,
        "called_ms": call.called_ms,
        "answered_ms": call.answered_ms,
    }
