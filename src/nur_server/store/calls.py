"""Calls: what a session over telephony has besides its session, one row each.

A call moves forward only, by single statements that name the states they expect. Which states those
are is said in `nur_server.calls.states`. Call and session have the same id but for its prefix, so
that each leads to the other.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.conversation.events import EndedReason
from nur_server.errors import Conflict, NotFound
from nur_server.ids import CALL, SESSION, new_id
from nur_server.store.announcing import announce_call
from nur_server.store.call_records import (
    UNDER_WAY,
    CallFields,
    CallRecord,
    CallStatus,
    Check,
    Direction,
    Purpose,
    Usage,
)
from nur_server.store.engine import Database
from nur_server.store.paging import DEFAULT_LIMIT, read_page
from nur_server.store.records import AgentStatus, Page, SessionKind, SessionState
from nur_server.store.schema import AccountRow, AgentRow, CallRow, SessionRow

KEPT_WAITING = timedelta(hours=1)
"""How long the session of a call may wait for its start beyond the time it should have begun."""

OnStatus = Callable[[CallRecord], None]
"""Called with every new status of a call, once that is stored."""


def ignore_status(call: CallRecord) -> None:
    """The `OnStatus` that does nothing."""


class Calls:
    """All calls. Writes are by call id; reading for a client is by account.

    The transaction that gives a call a new status also records the event for webhooks, and the
    job that places the call where it waits for its time.
    """

    def __init__(self, database: Database, on_status: OnStatus = ignore_status) -> None:
        self._database = database
        self._on_status = on_status

    # New calls

    async def create(
        self,
        account_id: str,
        fields: CallFields,
        *,
        check: Check,
        node_id: str | None = None,
        needs_agent: bool = True,
    ) -> CallRecord:
        """A call, scheduled or waiting to be claimed; with `node_id` it is claimed already.

        `needs_agent` False: it is only kept as a record, whatever its agent is.

        Raises what `check` raises, `NotFound` where its agent does not exist, `Conflict` where
        the agent is paused, or where the carrier's call is known already.
        """
        now = self._database.clock.now()
        hex_id = new_id(SESSION).removeprefix(f"{SESSION}_")
        row = _new_row(account_id, fields, hex_id, now)
        if node_id is not None:
            row.node_id, row.claimed_at = node_id, now
            row.session.state, row.session.node_id = SessionState.LIVE.value, node_id
        try:
            async with self._database.write() as session:
                if fields.direction is Direction.OUTBOUND:
                    check(await _usage(session, account_id, now))
                if fields.agent_id is not None and needs_agent:
                    await _require_agent(session, account_id, fields.agent_id)
                session.add(row)
                await session.flush()
                record = _record(row)
                await announce_call(session, record, now)
        except IntegrityError as error:
            raise Conflict(
                f"the call {fields.carrier_call_id} of {fields.engine} is known already",
                code="call_known",
            ) from error
        self._on_status(record)
        return record

    # Reading

    async def get(self, account_id: str, call_id: str) -> CallRecord:
        """By the id of the call or of its session. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.scalar(
                select(CallRow).where(
                    CallRow.id == call_id_of(call_id), CallRow.account_id == account_id
                )
            )
        if row is None:
            raise _missing(call_id)
        return _record(row)

    async def find(self, call_id: str) -> CallRecord | None:
        """A call of whichever account."""
        async with self._database.read() as session:
            row = await session.get(CallRow, call_id)
        return None if row is None else _record(row)

    async def find_at_carrier(self, engine: str, carrier_call_id: str) -> CallRecord | None:
        async with self._database.read() as session:
            row = await session.scalar(
                select(CallRow).where(
                    CallRow.engine == engine, CallRow.carrier_call_id == carrier_call_id
                )
            )
        return None if row is None else _record(row)

    async def list(
        self,
        account_id: str,
        *,
        agent_id: str | None = None,
        status: CallStatus | None = None,
        direction: Direction | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        cursor: str | None = None,
    ) -> Page[CallRecord]:
        """Those that pass every filter given; both times are exclusive.

        Raises `InvalidRequest` for a bad window.
        """
        filters = [CallRow.account_id == account_id]
        if agent_id is not None:
            filters.append(CallRow.agent_id == agent_id)
        if status is not None:
            filters.append(CallRow.status == status.value)
        if direction is not None:
            filters.append(CallRow.direction == direction.value)
        if created_after is not None:
            filters.append(CallRow.created_at > created_after)
        if created_before is not None:
            filters.append(CallRow.created_at < created_before)
        async with self._database.read() as session:
            return await read_page(
                session, CallRow, filters, _record, limit=limit, offset=offset, cursor=cursor
            )

    async def usage(self, account_id: str) -> Usage:
        """What the account's calls use up now."""
        async with self._database.read() as session:
            return await _measured(session, account_id, self._database.clock.now())

    async def unclaimed(self, created_before: datetime) -> tuple[str, ...]:
        """Calls to be placed at once that nobody has claimed, oldest first; some of them."""
        async with self._database.read() as session:
            found = await session.scalars(
                select(CallRow.id)
                .where(
                    CallRow.status == CallStatus.INITIATING.value,
                    CallRow.node_id.is_(None),
                    CallRow.created_at < created_before,
                )
                .order_by(CallRow.created_at)
                .limit(50)
            )
            return tuple(found)

    async def over_among(self, call_ids: Collection[str]) -> tuple[str, ...]:
        """Which of these calls have ended."""
        if not call_ids:
            return ()
        async with self._database.read() as session:
            found = await session.scalars(
                select(CallRow.id).where(CallRow.id.in_(call_ids), CallRow.ended_at.is_not(None))
            )
            return tuple(found)

    async def left_by(self, node_id: str) -> tuple[CallRecord, ...]:
        """Calls under way that a node follows, or followed until it died."""
        async with self._database.read() as session:
            found = await session.scalars(
                select(CallRow).where(
                    CallRow.node_id == node_id,
                    CallRow.status.in_([status.value for status in UNDER_WAY]),
                )
            )
            return tuple(_record(row) for row in found)

    # Moving forward

    async def claim(self, call_id: str, node_id: str, *, check: Check) -> CallRecord | None:
        """The right to place a call, given once. None: it is somebody else's, or over.

        Raises what `check` raises; the call then stays as it was.
        """
        now = self._database.clock.now()
        async with self._database.write() as session:
            waiting = await session.scalar(
                select(CallRow).where(CallRow.id == call_id, *_unclaimed())
            )
            if waiting is None:
                return None
            if waiting.status == CallStatus.SCHEDULED.value:
                check(await _usage(session, waiting.account_id, now))
            was_scheduled = waiting.status == CallStatus.SCHEDULED.value
            session.expunge_all()
            won = await session.execute(
                update(CallRow)
                .where(CallRow.id == call_id, *_unclaimed())
                .values(status=CallStatus.INITIATING.value, node_id=node_id, claimed_at=now),
                execution_options={"synchronize_session": False},
            )
            if not _affected(won):
                return None
            await session.execute(
                update(SessionRow)
                .where(
                    SessionRow.id == session_id_of(call_id),
                    SessionRow.state == SessionState.CREATED.value,
                )
                .values(state=SessionState.LIVE.value, node_id=node_id),
                execution_options={"synchronize_session": False},
            )
            record = _record(await _read(session, call_id))
            if was_scheduled:
                await announce_call(session, record, now)
        if was_scheduled:
            self._on_status(record)
        return record

    async def note_carrier(self, call_id: str, carrier_call_id: str) -> None:
        """Remember what the carrier calls it."""
        async with self._database.write() as session:
            await session.execute(
                update(CallRow)
                .where(CallRow.id == call_id)
                .values(carrier_call_id=carrier_call_id),
                execution_options={"synchronize_session": False},
            )

    async def move(
        self,
        call_id: str,
        to: CallStatus,
        sources: Collection[CallStatus],
        *,
        at: datetime | None = None,
    ) -> CallRecord | None:
        """Forward to `to`, a status that is not final. None: the call was in none of `sources`.

        `at`: when that was. None: now.
        """
        now = at or self._database.clock.now()
        values: dict[str, Any] = {"status": to.value}
        if to is CallStatus.RINGING:
            values["ringing_at"] = now
        if to is CallStatus.IN_PROGRESS:
            values["answered_at"] = now
        async with self._database.write() as session:
            if not await _moved(session, call_id, sources, values):
                return None
            if to is CallStatus.IN_PROGRESS:
                await session.execute(
                    update(SessionRow)
                    .where(SessionRow.id == session_id_of(call_id))
                    .values(started_at=now),
                    execution_options={"synchronize_session": False},
                )
            record = _record(await _read(session, call_id))
            await announce_call(session, record, now)
        self._on_status(record)
        return record

    async def finish(
        self,
        call_id: str,
        to: CallStatus,
        sources: Collection[CallStatus],
        reason: EndedReason,
        *,
        answered_by: str | None = None,
        error_code: str | None = None,
        error_message: str | None = None,
        at: datetime | None = None,
    ) -> CallRecord | None:
        """End a call, and its session unless that has ended. None: it was in none of `sources`.

        `at`: when that was. None: now.
        """
        now = at or self._database.clock.now()
        values = {
            "status": to.value,
            "ended_at": now,
            "ended_reason": reason.value,
            "answered_by": answered_by,
            "error_code": error_code,
            "error_message": error_message,
        }
        async with self._database.write() as session:
            if not await _moved(session, call_id, sources, values):
                return None
            await session.execute(
                update(SessionRow)
                .where(
                    SessionRow.id == session_id_of(call_id),
                    SessionRow.state.in_([SessionState.CREATED.value, SessionState.LIVE.value]),
                )
                .values(
                    state=SessionState.ENDED.value,
                    ended_at=now,
                    ended_reason=reason.value,
                    error_code=error_code,
                ),
                execution_options={"synchronize_session": False},
            )
            row = await _read(session, call_id)
            if row.answered_at is not None:
                row.started_minutes = _minutes(row.answered_at, now)
            record = _record(row)
            await announce_call(session, record, now)
        self._on_status(record)
        return record

    async def reschedule(
        self, account_id: str, call_id: str, scheduled_at: datetime
    ) -> CallRecord | None:
        """Move a call that waits for its time. None: it does not wait any more, or is unknown."""
        now = self._database.clock.now()
        async with self._database.write() as session:
            moved = await session.execute(
                update(CallRow)
                .where(
                    CallRow.id == call_id_of(call_id),
                    CallRow.account_id == account_id,
                    CallRow.status == CallStatus.SCHEDULED.value,
                    *_unclaimed(),
                )
                .values(scheduled_at=scheduled_at),
                execution_options={"synchronize_session": False},
            )
            if not _affected(moved):
                return None
            row = await _read(session, call_id_of(call_id))
            row.session.expires_at = scheduled_at + KEPT_WAITING
            record = _record(row)
            await announce_call(session, record, now)
        self._on_status(record)
        return record


def call_id_of(id: str) -> str:
    """The call's id for a session's. Any other stays as it is."""
    return f"{CALL}_{id.removeprefix(f'{SESSION}_')}" if id.startswith(f"{SESSION}_") else id


def session_id_of(id: str) -> str:
    """The session's id for a call's. Any other stays as it is."""
    return f"{SESSION}_{id.removeprefix(f'{CALL}_')}" if id.startswith(f"{CALL}_") else id


def _new_row(account_id: str, fields: CallFields, hex_id: str, now: datetime) -> CallRow:
    scheduled = fields.scheduled_at is not None
    return CallRow(
        id=f"{CALL}_{hex_id}",
        session_id=f"{SESSION}_{hex_id}",
        account_id=account_id,
        agent_id=fields.agent_id,
        direction=fields.direction.value,
        purpose=fields.purpose.value,
        status=(CallStatus.SCHEDULED if scheduled else CallStatus.INITIATING).value,
        to_number=fields.to_number,
        from_number=fields.from_number,
        engine=fields.engine,
        carrier_call_id=fields.carrier_call_id,
        max_duration_seconds=fields.max_duration_seconds,
        ring_seconds=fields.ring_seconds,
        recording=fields.recording,
        webhook_url=fields.webhook_url,
        scheduled_at=fields.scheduled_at,
        created_at=now,
        started_minutes=0,
        session=SessionRow(
            id=f"{SESSION}_{hex_id}",
            account_id=account_id,
            agent_id=fields.agent_id,
            kind=SessionKind(fields.direction.value).value,
            state=SessionState.CREATED.value,
            metadata_=dict(fields.metadata),
            context=dict(fields.context),
            initial_message=fields.initial_message,
            config=dict(fields.config),
            created_at=now,
            expires_at=(fields.scheduled_at or now) + KEPT_WAITING,
            user_turns=0,
            agent_turns=0,
            interruptions=0,
            metrics={},
        ),
    )


async def _require_agent(session: AsyncSession, account_id: str, agent_id: str) -> None:
    status = await session.scalar(
        select(AgentRow.status)
        .where(AgentRow.id == agent_id, AgentRow.account_id == account_id)
        .with_for_update(read=True)
    )
    if status is None:
        raise NotFound(f"no agent {agent_id!r}", code="agent_not_found", param="agent_id")
    if status == AgentStatus.PAUSED.value:
        raise Conflict(
            f"expected an active agent, but {agent_id} is paused; "
            "set its status to active to have it make calls",
            code="agent_paused",
            param="agent_id",
        )


# What an account uses up


async def _usage(session: AsyncSession, account_id: str, now: datetime) -> Usage:
    """Counted while no other transaction can add a call of the account."""
    await session.execute(
        select(AccountRow.id).where(AccountRow.id == account_id).with_for_update()
    )
    return await _measured(session, account_id, now)


async def _measured(session: AsyncSession, account_id: str, now: datetime) -> Usage:
    own = (
        CallRow.account_id == account_id,
        CallRow.direction == Direction.OUTBOUND.value,
        CallRow.status != CallStatus.SCHEDULED.value,
    )
    began = func.coalesce(CallRow.claimed_at, CallRow.created_at)
    last_second = await session.scalar(
        select(func.count()).where(*own, began > now - timedelta(seconds=1))
    )
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    ended = await session.scalar(
        select(func.coalesce(func.sum(CallRow.started_minutes), 0)).where(
            *own, CallRow.claimed_at > midnight - timedelta(days=1), CallRow.ended_at >= midnight
        )
    )
    answered = await session.execute(
        select(CallRow.answered_at).where(
            *own, CallRow.status.in_([status.value for status in UNDER_WAY])
        )
    )
    running = [moment for (moment,) in answered]
    minutes = sum(_minutes(moment, now) for moment in running if moment is not None)
    return Usage(
        under_way=len(running),
        placed_last_second=last_second or 0,
        minutes_today=int(ended or 0) + minutes,
    )


def _minutes(answered_at: datetime, until: datetime) -> int:
    return max(1, ceil((until - answered_at).total_seconds() / 60))


# Statements


def _unclaimed() -> tuple[ColumnElement[bool], ...]:
    waiting = (CallStatus.SCHEDULED.value, CallStatus.INITIATING.value)
    return CallRow.node_id.is_(None), CallRow.status.in_(waiting)


async def _moved(
    session: AsyncSession,
    call_id: str,
    sources: Collection[CallStatus],
    values: Mapping[str, Any],
) -> bool:
    result = await session.execute(
        update(CallRow)
        .where(CallRow.id == call_id, CallRow.status.in_([status.value for status in sources]))
        .values(**values),
        execution_options={"synchronize_session": False},
    )
    return _affected(result) == 1


def _affected(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount


async def _read(session: AsyncSession, call_id: str) -> CallRow:
    row = await session.scalar(select(CallRow).where(CallRow.id == call_id))
    if row is None:
        raise _missing(call_id)
    return row


def _missing(call_id: str) -> NotFound:
    return NotFound(f"no call {call_id!r}", code="call_not_found", param="call_id")


def _record(row: CallRow) -> CallRecord:
    return CallRecord(
        id=row.id,
        session_id=row.session_id,
        account_id=row.account_id,
        agent_id=row.agent_id,
        direction=Direction(row.direction),
        purpose=Purpose(row.purpose),
        status=CallStatus(row.status),
        to_number=row.to_number,
        from_number=row.from_number,
        engine=row.engine,
        carrier_call_id=row.carrier_call_id,
        node_id=row.node_id,
        max_duration_seconds=row.max_duration_seconds,
        ring_seconds=row.ring_seconds,
        recording=row.recording,
        webhook_url=row.webhook_url,
        scheduled_at=row.scheduled_at,
        context=dict(row.session.context),
        metadata=dict(row.session.metadata_),
        initial_message=row.session.initial_message,
        config=dict(row.session.config),
        created_at=row.created_at,
        claimed_at=row.claimed_at,
        ringing_at=row.ringing_at,
        answered_at=row.answered_at,
        ended_at=row.ended_at,
        ended_reason=None if row.ended_reason is None else EndedReason(row.ended_reason),
        answered_by=row.answered_by,
        error_code=row.error_code,
        error_message=row.error_message,
    )


call_record = _record
"""A row as a record, for the other views of it."""
