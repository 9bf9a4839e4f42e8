"""Conversations of every kind in the words of calls: phone calls, sockets and browsers alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.conversation.events import EndedReason
from nur_server.errors import NotFound
from nur_server.store.call_records import (
    CallRecord,
    CallStatus,
)
from nur_server.store.calls import (
    call_record,
    session_id_of,
)
from nur_server.store.engine import Database
from nur_server.store.paging import DEFAULT_LIMIT, read_page
from nur_server.store.records import Page, SessionKind, SessionState
from nur_server.store.schema import CallRow, SessionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceRecord:
    """A session, and its call where it has one."""

    session_id: str
    kind: SessionKind
    agent_id: str | None
    status: CallStatus
    created_at: datetime
    started_at: datetime | None
    """When somebody answered, or connected."""
    ended_at: datetime | None
    ended_reason: EndedReason | None
    error_code: str | None
    context: Mapping[str, Any]
    metadata: Mapping[str, Any]
    call: CallRecord | None

    def duration_seconds(self, now: datetime) -> float:
        """From the start to the end, or to now."""
        if self.started_at is None:
            return 0.0
        return max(0.0, ((self.ended_at or now) - self.started_at).total_seconds())


class VoiceSessions:
    """The conversations of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def get(self, id: str) -> VoiceRecord:
        """By the id of the session or of its call. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.scalar(
                select(SessionRow).where(
                    SessionRow.id == session_id_of(id), SessionRow.account_id == self._account_id
                )
            )
            if row is None:
                raise NotFound(f"no session {id!r}", code="session_not_found", param="session_id")
            (record,) = await self._records(session, [row])
        return record

    async def list(
        self,
        *,
        agent_id: str | None = None,
        status: CallStatus | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        cursor: str | None = None,
    ) -> Page[VoiceRecord]:
        """Those that pass every filter given; `start` and `end` are inclusive.

        Raises `InvalidRequest` for a bad window.
        """
        now = self._database.clock.now()
        filters = [SessionRow.account_id == self._account_id]
        if agent_id is not None:
            filters.append(SessionRow.agent_id == agent_id)
        if status is not None:
            filters.append(_has_status(status, now))
        if start is not None:
            filters.append(SessionRow.created_at >= start)
        if end is not None:
            filters.append(SessionRow.created_at <= end)
        async with self._database.read() as session:
            rows = await read_page(
                session,
                SessionRow,
                filters,
                lambda row: row,
                limit=limit,
                offset=offset,
                cursor=cursor,
            )
            records = await self._records(session, rows.items)
        return Page(records, rows.total, rows.next_cursor)

    async def _records(
        self, session: AsyncSession, rows: Sequence[SessionRow]
    ) -> tuple[VoiceRecord, ...]:
        now = self._database.clock.now()
        found = await session.scalars(
            select(CallRow).where(CallRow.session_id.in_([row.id for row in rows]))
        )
        calls = {row.session_id: call_record(row) for row in found}
        return tuple(_record(row, calls.get(row.id), now) for row in rows)


def _record(row: SessionRow, call: CallRecord | None, now: datetime) -> VoiceRecord:
    reason = row.ended_reason and EndedReason(row.ended_reason)
    return VoiceRecord(
        session_id=row.id,
        kind=SessionKind(row.kind),
        agent_id=row.agent_id,
        status=call.status if call is not None else _status(row, now),
        created_at=row.created_at,
        started_at=call.answered_at if call is not None else row.started_at,
        ended_at=call.ended_at if call is not None else row.ended_at,
        ended_reason=call.ended_reason if call is not None else reason or None,
        error_code=call.error_code if call is not None else row.error_code,
        context=dict(row.context),
        metadata=dict(row.metadata_),
        call=call,
    )


# A session without a call


def _status(row: SessionRow, now: datetime) -> CallStatus:
    match SessionState(row.state):
        case SessionState.CREATED:
            return CallStatus.INITIATING if row.expires_at > now else CallStatus.FAILED
        case SessionState.LIVE:
            return CallStatus.IN_PROGRESS
        case SessionState.EXPIRED:
            return CallStatus.FAILED
        case SessionState.ENDED:
            if row.ended_reason == EndedReason.INTERNAL_ERROR.value:
                return CallStatus.FAILED
            return CallStatus.CANCELED if row.started_at is None else CallStatus.COMPLETED


def _has_status(status: CallStatus, now: datetime) -> ColumnElement[bool]:
    has_call = exists().where(CallRow.session_id == SessionRow.id)
    as_call = has_call.where(CallRow.status == status.value)
    return or_(as_call, and_(~has_call, _says(status, now)))


def _says(status: CallStatus, now: datetime) -> ColumnElement[bool]:
    """As `_status`, of the database."""
    state = SessionRow.state
    broke = SessionRow.ended_reason == EndedReason.INTERNAL_ERROR.value
    over = and_(state == SessionState.ENDED.value, ~broke)
    match status:
        case CallStatus.INITIATING:
            return and_(state == SessionState.CREATED.value, SessionRow.expires_at > now)
        case CallStatus.IN_PROGRESS:
            return state == SessionState.LIVE.value
        case CallStatus.COMPLETED:
            return and_(over, SessionRow.started_at.is_not(None))
        case CallStatus.CANCELED:
            return and_(over, SessionRow.started_at.is_(None))
        case CallStatus.FAILED:
            late = and_(state == SessionState.CREATED.value, SessionRow.expires_at <= now)
            ended = and_(state == SessionState.ENDED.value, broke)
            return or_(state == SessionState.EXPIRED.value, late, ended)
        case _:
            return false()
