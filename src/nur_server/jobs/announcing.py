"""Recording that sessions begin and end, in the transactions that make it so."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.clock import iso
from nur_server.jobs import post_call
from nur_server.ports import SessionSummary
from nur_server.store.engine import Database
from nur_server.store.records import SessionState
from nur_server.store.schema import SessionRow, WebhookEventRow, WebhookRow
from nur_server.store.sessions import begin_session, finish_session
from nur_server.store.sink import StoreSink
from nur_server.store.webhooks import EventType, record_event

LOOKED_BACK = timedelta(hours=24)
"""Sessions that should have been over earlier are not announced any more."""


class AnnouncingSink(StoreSink):
    """A `StoreSink` whose sessions' beginnings and ends are events, and whose conversations are
    worked on once they are over."""

    async def session_started(self, session_id: str) -> None:
        now = self._database.clock.now()
        chosen = SessionRow.id == session_id
        async with self._writing(session_id) as session:
            row = await begin_session(session, session_id, self._node_id, now, chosen)
            await _announce(session, row, EventType.SESSION_STARTED, self._database)

    async def session_ended(self, session_id: str, summary: SessionSummary) -> None:
        now = self._database.clock.now()
        async with self._writing(session_id) as session:
            await finish_session(session, session_id, summary, now)
            row = await _fresh(session, session_id)
            await _announce(session, row, EventType.SESSION_ENDED, self._database)
            await post_call.put_down(session, session_id, row.agent_id)


async def announce_lost_sessions(database: Database, node_id: str) -> int:
    """Record the ends of sessions whose node died before it could. How many there were.

    Doing it again changes nothing.
    """
    async with database.read() as session:
        if await session.scalar(select(WebhookRow.id).limit(1)) is None:
            return 0
        found = await session.scalars(
            select(SessionRow.id)
            .outerjoin(
                WebhookEventRow,
                (WebhookEventRow.account_id == SessionRow.account_id)
                & (WebhookEventRow.key == SessionRow.id + f":{EventType.SESSION_ENDED}"),
            )
            .where(
                SessionRow.state == SessionState.ENDED.value,
                SessionRow.expires_at > database.clock.now() - LOOKED_BACK,
                SessionRow.node_id == node_id,
                SessionRow.started_at.is_not(None),
                WebhookEventRow.id.is_(None),
            )
        )
        lost = list(found)
    for session_id in lost:
        async with database.write() as session:
            row = await _fresh(session, session_id)
            await _announce(session, row, EventType.SESSION_ENDED, database)
    return len(lost)


async def _fresh(session: AsyncSession, session_id: str) -> SessionRow:
    row = await session.scalar(
        select(SessionRow)
        .where(SessionRow.id == session_id)
        .execution_options(populate_existing=True)
    )
    assert row is not None
    return row


async def _announce(
    session: AsyncSession, row: SessionRow, type: EventType, database: Database
) -> None:
    await record_event(
        session,
        row.account_id,
        type,
        row.id,
        session_facts(row),
        now=database.clock.now(),
        agent_id=row.agent_id,
    )


def session_facts(row: SessionRow) -> dict[str, Any]:
    """What a webhook says of a session."""
    is_over = row.state in (SessionState.ENDED.value, SessionState.EXPIRED.value)
    return {
        "session_id": row.id,
        "agent_id": row.agent_id,
        "kind": row.kind,
        "status": "ended" if is_over else "active",
        "started_at": iso(row.started_at) if row.started_at else None,
        "ended_at": iso(row.ended_at) if row.ended_at else None,
        "ended_reason": row.ended_reason,
        "error_code": row.error_code,
        "duration_seconds": row.duration_seconds,
        "turns": row.user_turns + row.agent_turns,
        "user_turns": row.user_turns,
        "agent_turns": row.agent_turns,
        "interruptions": row.interruptions,
        "metadata": dict(row.metadata_),
    }
