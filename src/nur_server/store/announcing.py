"""Events of sessions and calls: recorded in the transaction that changes the session or call."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.clock import iso
from nur_server.store.analyses import request_analysis
from nur_server.store.call_records import CallRecord, CallStatus, Purpose
from nur_server.store.deliveries import (
    record_event,
)
from nur_server.store.engine import Database
from nur_server.store.events import (
    EventType,
)
from nur_server.store.outbox import Job, enqueue
from nur_server.store.records import SessionState
from nur_server.store.schema import SessionRow, WebhookEventRow, WebhookRow
from nur_server.store.webhooks import (
    attach,
)

PLACE = "call.place"
"""Name of the job that places a scheduled call; there is one job per time a call was given."""
LOOKED_BACK = timedelta(hours=24)
"""Sessions that expired longer ago than this are not announced after a restart."""
CALL_EVENTS: Mapping[CallStatus, EventType] = {
    CallStatus.INITIATING: EventType.CALL_INITIATING,
    CallStatus.RINGING: EventType.CALL_RINGING,
    CallStatus.IN_PROGRESS: EventType.CALL_IN_PROGRESS,
    CallStatus.COMPLETED: EventType.CALL_COMPLETED,
    CallStatus.FAILED: EventType.CALL_FAILED,
    CallStatus.NO_ANSWER: EventType.CALL_NO_ANSWER,
    CallStatus.CANCELED: EventType.CALL_CANCELED,
}


# Sessions


async def announce_start(session: AsyncSession, row: SessionRow, now: datetime) -> None:
    """Record that a session began."""
    await _announce_session(session, row, EventType.SESSION_STARTED, now)


async def announce_end(session: AsyncSession, session_id: str, now: datetime) -> None:
    """Record that a session ended, and request the analysis that its agent asks for."""
    row = await _reread(session, session_id)
    await _announce_session(session, row, EventType.SESSION_ENDED, now)
    await request_analysis(session, session_id, row.agent_id)


async def announce_lost_sessions(database: Database, node_id: str) -> int:
    """Record the ends of sessions whose node died before it could. Returns how many there were.

    Repeating it changes nothing.
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
            row = await _reread(session, session_id)
            await _announce_session(session, row, EventType.SESSION_ENDED, database.clock.now())
    return len(lost)


async def _announce_session(
    session: AsyncSession, row: SessionRow, type: EventType, now: datetime
) -> None:
    await record_event(
        session, row.account_id, type, row.id, session_facts(row), now=now, agent_id=row.agent_id
    )


async def _reread(session: AsyncSession, session_id: str) -> SessionRow:
    row = await session.scalar(
        select(SessionRow)
        .where(SessionRow.id == session_id)
        .execution_options(populate_existing=True)
    )
    assert row is not None
    return row


def session_facts(row: SessionRow) -> dict[str, Any]:
    """The data of a session's events, as JSON."""
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


# Calls


async def announce_call(session: AsyncSession, call: CallRecord, now: datetime) -> None:
    """Record the event of a call's new status, for subscribers and the call's own `webhook_url`;
    enqueue the job that places a call which waits for its time."""
    if call.purpose is Purpose.AGENT:
        await _announce_status(session, call, now)
    if call.status is CallStatus.SCHEDULED and call.scheduled_at is not None:
        await enqueue(session, _placing(call.id, call.scheduled_at))


async def _announce_status(session: AsyncSession, call: CallRecord, now: datetime) -> None:
    if call.webhook_url is not None and call.claimed_at is None:
        await attach(session, call.account_id, call.session_id, call.webhook_url, now=now)
    type = CALL_EVENTS.get(call.status)
    if type is not None:
        await record_event(
            session,
            call.account_id,
            type,
            call.session_id,
            call_facts(call, now),
            now=now,
            agent_id=call.agent_id,
        )


def call_facts(call: CallRecord, now: datetime) -> dict[str, Any]:
    """The data of a call's events, as JSON."""
    duration = call.duration_seconds(now)
    return {
        "call_id": call.id,
        "session_id": call.session_id,
        "agent_id": call.agent_id,
        "status": call.status.value,
        "direction": call.direction.value,
        "to_number": call.to_number,
        "from_number": call.from_number,
        "timestamp": iso(now),
        "created_at": iso(call.created_at),
        "started_at": iso(call.answered_at) if call.answered_at else None,
        "ended_at": iso(call.ended_at) if call.ended_at else None,
        "duration": round(duration) if call.is_over else None,
        "duration_seconds": round(duration, 3) if call.is_over else None,
        "transcript_id": call.session_id,
        "answered_by": call.answered_by,
        "ended_reason": call.ended_reason.value if call.ended_reason else None,
        "error": call.error_message,
        "error_code": call.error_code,
        "context": dict(call.context),
        "metadata": dict(call.metadata),
    }


def _placing(call_id: str, scheduled_at: datetime) -> Job:
    time = time_key(scheduled_at)
    return Job(
        name=PLACE,
        payload={"call_id": call_id, "scheduled_at": time},
        key=f"{call_id}:{time}",
        at=scheduled_at,
    )


def time_key(moment: datetime) -> str:
    """Microseconds since 1970, as jobs write the time of a call."""
    return str(round(moment.timestamp() * 1_000_000))
