"""Transcripts: the finished turns of a session."""

from functools import cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.conversation.record import Speaker, ToolRecord, Turn
from nur_server.store.engine import Database, dialect_of, insert_for
from nur_server.store.schema import ToolCallRow, TurnRow
from nur_server.store.tool_calls import journal_calls, require_session, tool_record

KEY = ("session_id", "index")


class Turns:
    """The transcripts of one account's sessions."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def list(self, session_id: str) -> tuple[Turn, ...]:
        """The whole transcript, in order, with tool calls. Raises `NotFound`."""
        async with self._database.read() as session:
            await require_session(session, session_id, self._account_id)
            turns = await session.scalars(
                select(TurnRow).where(TurnRow.session_id == session_id).order_by(TurnRow.index)
            )
            calls = await session.scalars(
                select(ToolCallRow).where(ToolCallRow.session_id == session_id)
            )
            known = {row.call_id: tool_record(row) for row in calls}
            return tuple(_turn(row, known) for row in turns)


async def commit_turn(session: AsyncSession, session_id: str, turn: Turn) -> None:
    """Store a turn with its tool calls. One with the same index is replaced.

    The result a tool call already has in the journal stays.
    """
    await session.execute(_upsert(dialect_of(session)), _values(session_id, turn))
    await journal_calls(session, session_id, None, turn.tool_calls)


@cache
def _upsert(dialect: str) -> Insert:
    insert = insert_for(dialect, TurnRow)
    replaced = {column.name: column for column in insert.excluded if column.name not in KEY}
    return insert.on_conflict_do_update(index_elements=KEY, set_=replaced)


def _values(session_id: str, turn: Turn) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "index": turn.index,
        "item_id": turn.item_id,
        "speaker": turn.speaker.value,
        "text": turn.text,
        "started_ms": turn.started_ms,
        "ended_ms": turn.ended_ms,
        "trigger": turn.trigger,
        "interrupted_at_ms": turn.interrupted_at_ms,
        "unheard": turn.unheard,
        "end_reason": turn.end_reason,
        "evidence": dict(turn.evidence),
        "latency_ms": turn.latency_ms,
        "confidence": turn.confidence,
        "call_ids": [call.call_id for call in turn.tool_calls],
        "error_code": turn.error_code,
    }


def _turn(row: TurnRow, calls: dict[str, ToolRecord]) -> Turn:
    return Turn(
        index=row.index,
        item_id=row.item_id,
        speaker=Speaker(row.speaker),
        text=row.text,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
        trigger=row.trigger,
        interrupted_at_ms=row.interrupted_at_ms,
        unheard=row.unheard,
        end_reason=row.end_reason,
        evidence=dict(row.evidence),
        latency_ms=row.latency_ms,
        confidence=row.confidence,
        tool_calls=tuple(calls[call_id] for call_id in row.call_ids if call_id in calls),
        error_code=row.error_code,
    )
