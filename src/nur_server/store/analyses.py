"""What came of conversations, as their agents' models say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.errors import NotFound
from nur_server.store.engine import Database, insert_into
from nur_server.store.schema import AgentRow, AnalysisRow
from nur_server.store.tool_calls import require_session

SETTING = "analysis"
"""Of an agent: what is wanted to be known."""


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


async def wanted_analysis(session: AsyncSession, agent_id: str | None) -> Mapping[str, Any] | None:
    """What an agent wants to be known of its conversations. None: nothing, or it is gone."""
    if agent_id is None:
        return None
    settings = await session.scalar(select(AgentRow.settings).where(AgentRow.id == agent_id))
    return (settings or {}).get(SETTING)


async def has_analysis(session: AsyncSession, session_id: str) -> bool:
    return await session.get(AnalysisRow, session_id) is not None


async def store_analysis(
    session: AsyncSession, session_id: str, analysis: AnalysisFields, *, now: datetime
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
