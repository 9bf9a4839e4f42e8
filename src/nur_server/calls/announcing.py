"""Telling whoever asked how a call goes, in the transaction that makes it so."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.clock import Clock, iso
from nur_server.store.calls import Announce, CallRecord, CallStatus, Purpose
from nur_server.store.webhooks import EventType, attach, record_event

_EVENTS: Mapping[CallStatus, EventType] = {
    CallStatus.INITIATING: EventType.CALL_INITIATING,
    CallStatus.RINGING: EventType.CALL_RINGING,
    CallStatus.IN_PROGRESS: EventType.CALL_IN_PROGRESS,
    CallStatus.COMPLETED: EventType.CALL_COMPLETED,
    CallStatus.FAILED: EventType.CALL_FAILED,
    CallStatus.NO_ANSWER: EventType.CALL_NO_ANSWER,
    CallStatus.CANCELED: EventType.CALL_CANCELED,
}


def announcer(clock: Clock) -> Announce:
    """Records an event per status; the call's own `webhook_url` is told of all of them."""

    async def announce(session: AsyncSession, call: CallRecord) -> None:
        if call.purpose is not Purpose.AGENT:
            return
        now = clock.now()
        if call.webhook_url is not None and call.claimed_at is None:
            await attach(session, call.account_id, call.session_id, call.webhook_url, now=now)
        event = _EVENTS.get(call.status)
        if event is not None:
            await record_event(
                session,
                call.account_id,
                event,
                call.session_id,
                call_facts(call, clock),
                now=now,
                agent_id=call.agent_id,
            )

    return announce


def call_facts(call: CallRecord, clock: Clock) -> dict[str, Any]:
    """What a webhook says of a call."""
    now = clock.now()
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
