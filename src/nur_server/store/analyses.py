"""Analyses of conversations that are over, and the jobs that make them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.errors import NotFound
from nur_server.store.deliveries import (
    record_event,
)
from nur_server.store.engine import Database, insert_into
from nur_server.store.events import (
    EventType,
)
from nur_server.store.outbox import Job, enqueue
from nur_server.store.records import SessionState
from nur_server.store.schema import AgentRow, AnalysisRow, SessionRow
from nur_server.store.sessions import LOST
from nur_server.store.tool_calls import require_session

SETTING = "analysis"
"""The agent's setting that says what its conversations are analysed for."""
POST_CALL = "call.post"
"""Name of the job that analyses a conversation which is over."""
LOOKED_BACK = timedelta(hours=24)
"""Conversations that expired longer ago than this are not analysed after a restart."""


class AnalysisStatus(StrEnum):
    READY = "ready"
    FAILED = "failed"
    SKIPPED = "skipped"
    """There was nothing to read, or no model to read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisFields:
    status: AnalysisStatus
    summary: str | None = None
    fields: Mapping[str, Any]
    """None: it was not said."""
    model: str | None = None
    """The catalogue's id of the one that read it."""
    error_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisRecord(AnalysisFields):
    session_id: str
    created_at: datetime


class Analyses:
    """Those of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def get(self, session_id: str) -> AnalysisRecord:
        """Raises `NotFound`."""
        async with self._database.read() as session:
            await require_session(session, session_id, self._account_id)
            row = await session.get(AnalysisRow, session_id)
        if row is None:
            raise NotFound(
                "there is no analysis of this session; an agent with `analysis` makes one "
                "of each conversation, soon after it is over",
                code="analysis_not_found",
            )
        return _record(row)


# Requests


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisTask:
    """A conversation that is over and is to be analysed."""

    session_id: str
    account_id: str
    agent_id: str | None
    kind: str
    """A `SessionKind`."""
    llm_model: str | None
    """The agent's. None: the server's default."""
    wanted: Mapping[str, Any]
    """The agent's `analysis` setting."""


async def request_analysis(session: AsyncSession, session_id: str, agent_id: str | None) -> None:
    """Enqueue the analysis of a conversation, where its agent asks for one."""
    if await _wanted(session, agent_id) is not None:
        await enqueue(
            session,
            Job(name=POST_CALL, payload={"session_id": session_id}, key=f"{session_id}:post"),
        )


async def request_lost_analyses(database: Database, node_id: str) -> None:
    """Enqueue the analyses of conversations whose node died. Repeating it changes nothing."""
    async with database.read() as session:
        found = await session.execute(
            select(SessionRow.id, SessionRow.agent_id)
            .outerjoin(AnalysisRow, AnalysisRow.session_id == SessionRow.id)
            .where(
                SessionRow.node_id == node_id,
                SessionRow.state == SessionState.ENDED.value,
                SessionRow.error_code == LOST,
                SessionRow.expires_at > database.clock.now() - LOOKED_BACK,
                SessionRow.started_at.is_not(None),
                AnalysisRow.session_id.is_(None),
            )
        )
        lost = list(found)
    for session_id, agent_id in lost:
        async with database.write() as session:
            await request_analysis(session, session_id, agent_id)


async def find_analysis_task(database: Database, session_id: str) -> AnalysisTask | None:
    """The task of a session. None: it was done, or is not wanted any more."""
    async with database.read() as session:
        row = await session.get(SessionRow, session_id)
        if row is None or await session.get(AnalysisRow, session_id) is not None:
            return None
        wanted = await _wanted(session, row.agent_id)
        if wanted is None:
            return None
        llm_model = await session.scalar(
            select(AgentRow.llm_model).where(AgentRow.id == row.agent_id)
        )
        return AnalysisTask(
            session_id=row.id,
            account_id=row.account_id,
            agent_id=row.agent_id,
            kind=row.kind,
            llm_model=llm_model,
            wanted=wanted,
        )


async def store_analysis(database: Database, task: AnalysisTask, analysis: AnalysisFields) -> None:
    """Store an analysis and record its event; where there is one already, that one stays."""
    now = database.clock.now()
    async with database.write() as session:
        if not await _insert(session, task.session_id, analysis, now):
            return
        await record_event(
            session,
            task.account_id,
            EventType.SESSION_ANALYZED,
            task.session_id,
            analysis_facts(task, analysis),
            now=now,
            agent_id=task.agent_id,
        )


def analysis_facts(task: AnalysisTask, analysis: AnalysisFields) -> dict[str, Any]:
    """The data of an analysis's event, as JSON."""
    return {
        "session_id": task.session_id,
        "agent_id": task.agent_id,
        "kind": task.kind,
        "status": analysis.status.value,
        "summary": analysis.summary,
        "fields": dict(analysis.fields),
        "model": analysis.model,
        "error_code": analysis.error_code,
    }


async def _wanted(session: AsyncSession, agent_id: str | None) -> Mapping[str, Any] | None:
    """An agent's `analysis` setting. None: it has none, or the agent is gone."""
    if agent_id is None:
        return None
    settings = await session.scalar(select(AgentRow.settings).where(AgentRow.id == agent_id))
    return (settings or {}).get(SETTING)


async def _insert(
    session: AsyncSession, session_id: str, analysis: AnalysisFields, now: datetime
) -> bool:
    """False: there was one already, and it stays."""
    stored = await session.scalar(
        insert_into(session, AnalysisRow)
        .values(
            session_id=session_id,
            status=analysis.status.value,
            summary=analysis.summary,
            fields=dict(analysis.fields),
            model=analysis.model,
            error_code=analysis.error_code,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["session_id"])
        .returning(AnalysisRow.session_id)
    )
    return stored is not None


def _record(row: AnalysisRow) -> AnalysisRecord:
    return AnalysisRecord(
        session_id=row.session_id,
        status=AnalysisStatus(row.status),
        summary=row.summary,
        fields=dict(row.fields),
        model=row.model,
        error_code=row.error_code,
        created_at=row.created_at,
    )
