"""Agents: the stored configurations sessions are opened with."""

from collections.abc import Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.conversation.events import EndedReason
from nur_server.errors import Conflict, InvalidRequest, NotFound
from nur_server.ids import AGENT, new_id
from nur_server.store.engine import Database
from nur_server.store.paging import DEFAULT_LIMIT, read_page
from nur_server.store.records import AgentFields, AgentRecord, AgentStatus, Page, SessionState
from nur_server.store.schema import AgentRow, NumberRow, SessionRow

PLAIN = frozenset(field.name for field in fields_of(AgentFields)) - {
    "tools",
    "phone_numbers",
    "metadata",
    "status",
    "settings",
}
"""Fields kept as they are."""


class Agents:
    """The agents of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def create(self, fields: AgentFields) -> AgentRecord:
        """Raises `Conflict` where another agent has one of the phone numbers."""
        now = self._database.clock.now()
        row = AgentRow(
            id=new_id(AGENT), account_id=self._account_id, created_at=now, updated_at=now
        )
        row.numbers = []
        async with self._database.write() as session:
            session.add(row)
            await self._store(session, row, fields)
        return _record(row)

    async def get(self, agent_id: str) -> AgentRecord:
        """Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.scalar(select(AgentRow).where(*self._is(agent_id)))
        return _record(_existing(row, agent_id))

    async def named(self, name: str) -> AgentRecord | None:
        """The active agent with this name, the newest of several."""
        wanted = (
            select(AgentRow)
            .where(
                AgentRow.account_id == self._account_id,
                AgentRow.name == name,
                AgentRow.status == AgentStatus.ACTIVE.value,
            )
            .order_by(AgentRow.created_at.desc(), AgentRow.id.desc())
            .limit(1)
        )
        async with self._database.read() as session:
            row = await session.scalar(wanted)
        return None if row is None else _record(row)

    async def list(
        self,
        *,
        status: AgentStatus | None = None,
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        cursor: str | None = None,
    ) -> Page[AgentRecord]:
        """Raises `InvalidRequest` for a bad window."""
        filters = [AgentRow.account_id == self._account_id]
        if status is not None:
            filters.append(AgentRow.status == status.value)
        async with self._database.read() as session:
            return await read_page(
                session, AgentRow, filters, _record, limit=limit, offset=offset, cursor=cursor
            )

    async def update(self, agent_id: str, changes: Mapping[str, Any]) -> AgentRecord:
        """Set the named fields of `AgentFields`; with no changes the agent stays as it is.

        `settings` is merged key by key, where None removes a key; every other field is replaced.
        Raises `NotFound`, and `Conflict` where another agent has one of the phone numbers.
        """
        async with self._database.write() as session:
            row = await self._locked(session, agent_id)
            before = _fields(row)
            after = _merged(before, changes)
            if after != before:
                await self._store(session, row, after)
        return _record(row)

    async def replace(self, agent_id: str, fields: AgentFields) -> AgentRecord:
        """Set every field. Raises as `update` does."""
        async with self._database.write() as session:
            row = await self._locked(session, agent_id)
            await self._store(session, row, fields)
        return _record(row)

    async def delete(self, agent_id: str) -> None:
        """Remove the agent for good, and end its sessions that nobody has connected to.

        Its live sessions are for the caller to end; all of them keep its id. Raises `NotFound`.
        """
        now = self._database.clock.now()
        async with self._database.write() as session:
            gone = await session.scalar(
                delete(AgentRow).where(*self._is(agent_id)).returning(AgentRow.id)
            )
            if gone is None:
                raise _missing(agent_id)
            await session.execute(
                update(SessionRow)
                .where(
                    SessionRow.account_id == self._account_id,
                    SessionRow.agent_id == agent_id,
                    SessionRow.state == SessionState.CREATED.value,
                    SessionRow.expires_at > now,
                )
                .values(
                    state=SessionState.ENDED.value,
                    ended_at=now,
                    ended_reason=EndedReason.AGENT_DELETED.value,
                )
            )

    async def _locked(self, session: AsyncSession, agent_id: str) -> AgentRow:
        row = await session.scalar(select(AgentRow).where(*self._is(agent_id)).with_for_update())
        return _existing(row, agent_id)

    async def _store(self, session: AsyncSession, row: AgentRow, fields: AgentFields) -> None:
        await self._refuse_taken(session, row.id, fields.phone_numbers)
        for name in PLAIN:
            setattr(row, name, getattr(fields, name))
        row.tools = [dict(tool) for tool in fields.tools]
        row.metadata_ = dict(fields.metadata)
        row.settings = dict(fields.settings)
        row.status = fields.status.value
        row.updated_at = self._database.clock.now()
        kept = {number.number: number for number in row.numbers}
        row.numbers = [
            _placed(kept.get(number) or NumberRow(account_id=row.account_id, number=number), place)
            for place, number in enumerate(fields.phone_numbers)
        ]
        try:
            await session.flush()
        except IntegrityError as error:
            if fields.phone_numbers:
                raise _taken(fields.phone_numbers) from error
            raise

    async def _refuse_taken(
        self, session: AsyncSession, agent_id: str, numbers: tuple[str, ...]
    ) -> None:
        if len(set(numbers)) < len(numbers):
            raise InvalidRequest(
                "expected each phone number once, got one of them twice", param="phone_numbers"
            )
        if not numbers:
            return
        with session.no_autoflush:
            taken = await session.scalars(
                select(NumberRow.number).where(
                    NumberRow.account_id == self._account_id,
                    NumberRow.number.in_(numbers),
                    NumberRow.agent_id != agent_id,
                )
            )
        if found := tuple(sorted(taken)):
            raise _taken(found)

    def _is(self, agent_id: str) -> tuple[ColumnElement[bool], ...]:
        return AgentRow.id == agent_id, AgentRow.account_id == self._account_id


def _placed(number: NumberRow, place: int) -> NumberRow:
    number.position = place
    return number


def _merged(fields: AgentFields, changes: Mapping[str, Any]) -> AgentFields:
    if "settings" not in changes:
        return replace(fields, **changes)
    both = {**fields.settings, **changes["settings"]}
    settings = {name: value for name, value in both.items() if value is not None}
    return replace(fields, **{**changes, "settings": settings})


def _missing(agent_id: str) -> NotFound:
    return NotFound(f"no agent {agent_id!r}", param="agent_id")


def _existing(row: AgentRow | None, agent_id: str) -> AgentRow:
    if row is None:
        raise _missing(agent_id)
    return row


def _taken(numbers: tuple[str, ...]) -> Conflict:
    return Conflict(
        f"expected phone numbers no other agent answers, got {', '.join(numbers)}; "
        "remove it from the other agent first",
        code="phone_number_taken",
        param="phone_numbers",
    )


def _values(row: AgentRow) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in PLAIN},
        "tools": tuple(row.tools),
        "phone_numbers": tuple(number.number for number in row.numbers),
        "metadata": dict(row.metadata_),
        "status": AgentStatus(row.status),
        "settings": dict(row.settings),
    }


def _fields(row: AgentRow) -> AgentFields:
    return AgentFields(**_values(row))


def _record(row: AgentRow) -> AgentRecord:
    return AgentRecord(
        **_values(row),
        id=row.id,
        account_id=row.account_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
