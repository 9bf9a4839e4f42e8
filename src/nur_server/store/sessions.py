"""Sessions: one row each, whatever door they came through.

A session moves forward only, by single statements that name the state they expect, so two that
race agree on one winner. One that nobody connected to reads as expired from `expires_at` on,
whether or not `expire` has been there.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, and_, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.conversation.events import EndedReason
from nur_server.conversation.record import Speaker, ToolStatus
from nur_server.errors import Conflict, NotFound, Unauthorized, Unavailable
from nur_server.ids import SESSION, new_id
from nur_server.ports import SessionSummary
from nur_server.store.engine import Database
from nur_server.store.paging import DEFAULT_LIMIT, read_page
from nur_server.store.records import (
    AgentStatus,
    Page,
    SessionFields,
    SessionKind,
    SessionRecord,
    SessionState,
    SessionStatus,
)
from nur_server.store.schema import AccountRow, AgentRow, KeyRow, SessionRow, ToolCallRow, TurnRow

LOST = "session_lost"
"""`error_code` of a session whose server died."""
UNANSWERED = "The session ended before the result came."

FINAL = (SessionState.ENDED.value, SessionState.EXPIRED.value)


class Sessions:
    """The sessions of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def create(self, fields: SessionFields) -> SessionRecord:
        """A session waiting to be connected to.

        Raises `NotFound` where its agent does not exist, `Conflict` where it is paused.
        """
        now = self._database.clock.now()
        row = SessionRow(
            id=new_id(SESSION),
            account_id=self._account_id,
            agent_id=fields.agent_id,
            key_id=fields.key_id,
            token_id=fields.token_id,
            secret_hash=fields.secret_hash,
            kind=fields.kind.value,
            state=SessionState.CREATED.value,
            metadata_=dict(fields.metadata),
            context=dict(fields.context),
            initial_message=fields.initial_message,
            config=dict(fields.config),
            created_at=now,
            expires_at=fields.expires_at,
            user_turns=0,
            agent_turns=0,
            interruptions=0,
            metrics={},
        )
        async with self._database.write() as session:
            if fields.agent_id is not None:
                await self._require_agent(session, fields.agent_id)
            session.add(row)
        return _record(row, now)

    async def get(self, session_id: str) -> SessionRecord:
        """Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.scalar(select(SessionRow).where(*self._is(session_id)))
        return _record(_existing(row, session_id), self._database.clock.now())

    async def list(
        self,
        *,
        agent_id: str | None = None,
        status: SessionStatus | None = None,
        kind: SessionKind | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        cursor: str | None = None,
    ) -> Page[SessionRecord]:
        """Those that pass every filter given; both times are exclusive.

        Raises `InvalidRequest` for a bad window.
        """
        now = self._database.clock.now()
        filters = [SessionRow.account_id == self._account_id]
        if agent_id is not None:
            filters.append(SessionRow.agent_id == agent_id)
        if status is not None:
            filters.append(_has_status(status, now))
        if kind is not None:
            filters.append(SessionRow.kind == kind.value)
        if created_after is not None:
            filters.append(SessionRow.created_at > created_after)
        if created_before is not None:
            filters.append(SessionRow.created_at < created_before)
        async with self._database.read() as session:
            return await read_page(
                session,
                SessionRow,
                filters,
                lambda row: _record(row, now),
                limit=limit,
                offset=offset,
                cursor=cursor,
            )

    async def begin(
        self,
        session_id: str,
        node_id: str,
        *,
        most_of_token: int | None = None,
        kind: SessionKind | None = None,
    ) -> SessionRecord:
        """The session goes live on a node. Beginning it again on the same node changes nothing.

        `most_of_token`: how many of the token that opened it may be live at a time. `kind`: the
        door it is begun at, where that is another than it was made for. Raises
        `NotFound`, `Conflict` where it has ended, expired, or is live elsewhere, and `Unavailable`
        (`concurrency_exceeded`) where others have taken its place.
        """
        now = self._database.clock.now()
        async with self._database.write() as session:
            await self._require_place(session, session_id, most_of_token)
            chosen = self._is(session_id)
            row = await begin_session(session, session_id, node_id, now, *chosen)
            if kind is not None:
                row.kind = kind.value
        return _record(row, now)

    async def end(
        self, session_id: str, reason: EndedReason, *, error_code: str | None = None
    ) -> SessionRecord:
        """The session is over. One that is over already keeps its reason. Raises `NotFound`."""
        now = self._database.clock.now()
        async with self._database.write() as session:
            await session.execute(
                update(SessionRow)
                .where(*self._is(session_id), _is_open(now))
                .values(**_ending(reason, now), error_code=error_code)
            )
            row = await session.scalar(select(SessionRow).where(*self._is(session_id)))
        return _record(_existing(row, session_id), now)

    async def _require_place(
        self, session: AsyncSession, session_id: str, most_of_token: int | None
    ) -> None:
        """Places are counted one transaction at a time. Raises `Unavailable` and `Unauthorized`."""
        account = await session.scalar(
            select(AccountRow).where(AccountRow.id == self._account_id).with_for_update()
        )
        if account is not None and account.suspended_at is not None:
            raise Unauthorized(f"session {session_id} cannot begin: its account is suspended")
        limits = []
        if most_of_token is not None:
            own = select(SessionRow.token_id).where(SessionRow.id == session_id).scalar_subquery()
            limits.append((most_of_token, "this token", SessionRow.token_id == own))
        if account is not None and account.max_live_sessions is not None:
            limits.append((account.max_live_sessions, "this account", true()))
        for most, whose, chosen in limits:
            live = await session.scalar(
                select(func.count())
                .select_from(SessionRow)
                .where(
                    SessionRow.account_id == self._account_id,
                    SessionRow.state == SessionState.LIVE.value,
                    SessionRow.id != session_id,
                    chosen,
                )
            )
            if (live or 0) >= most:
                raise Unavailable(
                    f"expected fewer than {most} live sessions of {whose}; end one of them first",
                    code="concurrency_exceeded",
                )

    async def _require_agent(self, session: AsyncSession, agent_id: str) -> None:
        status = await session.scalar(
            select(AgentRow.status)
            .where(AgentRow.id == agent_id, AgentRow.account_id == self._account_id)
            .with_for_update(read=True)
        )
        if status is None:
            raise NotFound(f"no agent {agent_id!r}", param="agent_id")
        if status == AgentStatus.PAUSED.value:
            raise Conflict(
                f"expected an active agent, but {agent_id} is paused; "
                "set its status to active to open sessions with it",
                code="agent_paused",
                param="agent_id",
            )

    def _is(self, session_id: str) -> tuple[ColumnElement[bool], ...]:
        return SessionRow.id == session_id, SessionRow.account_id == self._account_id


async def find_session(database: Database, session_id: str) -> SessionRecord | None:
    """The session of whichever account. Its id is a name: who may enter is for the caller."""
    async with database.read() as session:
        row = await session.get(SessionRow, session_id)
    return None if row is None else _record(row, database.clock.now())


async def end_waiting_of_key(
    database: Database, account_id: str, key_id: str, reason: EndedReason
) -> int:
    """End what a key has made and nobody has begun. How many there were."""
    now = database.clock.now()
    async with database.write() as session:
        result = await session.execute(
            update(SessionRow)
            .where(
                SessionRow.account_id == account_id,
                SessionRow.key_id == key_id,
                SessionRow.state == SessionState.CREATED.value,
                SessionRow.kind.in_((SessionKind.WEBSOCKET.value, SessionKind.WEBRTC.value)),
            )
            .values(**_ending(reason, now))
        )
    return _affected(result)


async def expire_sessions(database: Database) -> int:
    """Mark every session nobody connected to in time. How many there were."""
    now = database.clock.now()
    async with database.write() as session:
        result = await session.execute(
            update(SessionRow)
            .where(SessionRow.state == SessionState.CREATED.value, SessionRow.expires_at <= now)
            .values(
                state=SessionState.EXPIRED.value,
                ended_reason=EndedReason.EXPIRED.value,
                ended_at=SessionRow.expires_at,
            ),
            execution_options={"synchronize_session": False},
        )
    return _affected(result)


async def end_lost_sessions(
    database: Database,
    node_id: str,
    *,
    but: Collection[str] = (),
    only: Collection[str] | None = None,
) -> int:
    """End what a node left live when it died, `but` those, or `only` those. How many there were.

    Their figures are taken from the turns that were stored; tool calls that were still running
    are given the result that none came.
    """
    now = database.clock.now()
    lost = and_(
        SessionRow.state == SessionState.LIVE.value,
        SessionRow.node_id == node_id,
        SessionRow.id.not_in(but),
        *([] if only is None else [SessionRow.id.in_(only)]),
    )
    own = TurnRow.session_id == SessionRow.id
    async with database.write() as session:
        await session.execute(
            update(ToolCallRow)
            .where(
                ToolCallRow.status == ToolStatus.RUNNING.value,
                ToolCallRow.session_id.in_(select(SessionRow.id).where(lost)),
            )
            .values(status=ToolStatus.CANCELLED.value, result=UNANSWERED),
            execution_options={"synchronize_session": False},
        )
        result = await session.execute(
            update(SessionRow)
            .where(lost)
            .values(
                **_ending(EndedReason.INTERNAL_ERROR, now),
                error_code=LOST,
                duration_seconds=_figure(
                    func.coalesce(func.max(TurnRow.ended_ms), 0) / 1000.0, own
                ),
                user_turns=_figure(func.count(), own, TurnRow.speaker == Speaker.USER.value),
                agent_turns=_figure(func.count(), own, TurnRow.speaker == Speaker.AGENT.value),
                interruptions=_figure(func.count(), own, TurnRow.interrupted_at_ms.is_not(None)),
            ),
            execution_options={"synchronize_session": False},
        )
    return _affected(result)


# Statements shared with the sink


async def begin_session(
    session: AsyncSession,
    session_id: str,
    node_id: str,
    now: datetime,
    *chosen: ColumnElement[bool],
) -> SessionRow:
    """The one row that is `chosen`, live on the node. Raises `NotFound` and `Conflict`."""
    await session.execute(
        update(SessionRow)
        .where(*chosen, SessionRow.state == SessionState.CREATED.value, SessionRow.expires_at > now)
        .values(state=SessionState.LIVE.value, started_at=now, node_id=node_id),
        execution_options={"synchronize_session": False},
    )
    row = _existing(await session.scalar(select(SessionRow).where(*chosen)), session_id)
    await _require_key(session, row, now)
    if row.state == SessionState.LIVE.value and row.node_id == node_id:
        return row
    raise _not_startable(_record(row, now))


async def _require_key(session: AsyncSession, row: SessionRow, now: datetime) -> None:
    """Raises `Unauthorized` where the key that made the session is not valid any more.

    The key stays as it is until the transaction is over, so that whoever revokes it meanwhile
    finds the session live.
    """
    if row.key_id is None:
        return
    key = await session.scalar(
        select(KeyRow).where(KeyRow.id == row.key_id).with_for_update(read=True)
    )
    if key is None or key.revoked_at or (key.expires_at and key.expires_at <= now):
        raise Unauthorized(
            f"session {row.id} cannot begin: the key that made it is not valid any more; make "
            "another session with a key that is"
        )


async def finish_session(
    session: AsyncSession, session_id: str, summary: SessionSummary, now: datetime
) -> None:
    """Store a live session's figures, once, and end it unless that was done. One that was taken for
    lost is ended anew.

    Raises `NotFound`.
    """
    figures = {
        "duration_seconds": summary.duration_seconds,
        "user_turns": summary.user_turns,
        "agent_turns": summary.agent_turns,
        "interruptions": summary.interruptions,
        "metrics": dict(summary.metrics),
    }
    chosen = SessionRow.id == session_id
    ended = await session.execute(
        update(SessionRow)
        .where(chosen, or_(SessionRow.state.not_in(FINAL), SessionRow.error_code == LOST))
        .values(**_ending(summary.reason, now), error_code=summary.error_code, **figures),
        execution_options={"synchronize_session": False},
    )
    if _affected(ended):
        return
    await session.execute(
        update(SessionRow)
        .where(chosen, SessionRow.duration_seconds.is_(None))
        .values(error_code=func.coalesce(SessionRow.error_code, summary.error_code), **figures),
        execution_options={"synchronize_session": False},
    )
    _existing(await session.get(SessionRow, session_id), session_id)


def _ending(reason: EndedReason, now: datetime) -> dict[str, Any]:
    state = SessionState.EXPIRED if reason is EndedReason.EXPIRED else SessionState.ENDED
    return {"state": state.value, "ended_reason": reason.value, "ended_at": now}


def _figure(value: ColumnElement[Any], *where: ColumnElement[bool]) -> ColumnElement[Any]:
    return select(value).select_from(TurnRow).where(*where).correlate(SessionRow).scalar_subquery()


def _affected(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount


# Reading


def _is_open(now: datetime) -> ColumnElement[bool]:
    waiting = and_(SessionRow.state == SessionState.CREATED.value, SessionRow.expires_at > now)
    return or_(SessionRow.state == SessionState.LIVE.value, waiting)


def _has_status(status: SessionStatus, now: datetime) -> ColumnElement[bool]:
    match status:
        case SessionStatus.ACTIVE:
            return _is_open(now)
        case SessionStatus.ENDED:
            return SessionRow.state == SessionState.ENDED.value
        case SessionStatus.EXPIRED:
            late = and_(
                SessionRow.state == SessionState.CREATED.value, SessionRow.expires_at <= now
            )
            return or_(SessionRow.state == SessionState.EXPIRED.value, late)


def _existing(row: SessionRow | None, session_id: str) -> SessionRow:
    if row is None:
        raise NotFound(f"no session {session_id!r}", code="session_not_found", param="session_id")
    return row


def _not_startable(record: SessionRecord) -> Conflict:
    match record.status:
        case SessionStatus.EXPIRED:
            code, found = "session_expired", f"it expired at {record.expires_at.isoformat()}"
        case SessionStatus.ENDED:
            code, found = "session_ended", f"it ended: {record.ended_reason}"
        case SessionStatus.ACTIVE:
            code, found = "session_already_live", f"it is live on node {record.node_id}"
    return Conflict(
        f"expected session {record.id} to be waiting for its start, but {found}; open a new one",
        code=code,
        param="session_id",
    )


STATUS = {
    SessionState.CREATED: SessionStatus.ACTIVE,
    SessionState.LIVE: SessionStatus.ACTIVE,
    SessionState.ENDED: SessionStatus.ENDED,
    SessionState.EXPIRED: SessionStatus.EXPIRED,
}


def _record(row: SessionRow, now: datetime) -> SessionRecord:
    state = SessionState(row.state)
    reason = None if row.ended_reason is None else EndedReason(row.ended_reason)
    ended_at = row.ended_at
    if state is SessionState.CREATED and row.expires_at <= now:
        state, reason, ended_at = SessionState.EXPIRED, EndedReason.EXPIRED, row.expires_at
    return SessionRecord(
        id=row.id,
        account_id=row.account_id,
        agent_id=row.agent_id,
        key_id=row.key_id,
        token_id=row.token_id,
        secret_hash=row.secret_hash,
        kind=SessionKind(row.kind),
        state=state,
        status=STATUS[state],
        node_id=row.node_id,
        metadata=dict(row.metadata_),
        context=dict(row.context),
        initial_message=row.initial_message,
        config=dict(row.config),
        created_at=row.created_at,
        expires_at=row.expires_at,
        started_at=row.started_at,
        ended_at=ended_at,
        ended_reason=reason,
        error_code=row.error_code,
        duration_seconds=row.duration_seconds,
        user_turns=row.user_turns,
        agent_turns=row.agent_turns,
        interruptions=row.interruptions,
        metrics=dict(row.metrics),
    )
