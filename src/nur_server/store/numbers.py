"""Phone numbers: those an account has brought along, and those it may show when it calls.

Which agent answers a number is said by `agent_numbers`, whether the number was brought along or
only named in the agent.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.errors import Conflict, NotFound, RateLimited
from nur_server.store.engine import Database, insert_into
from nur_server.store.schema import AgentRow, CallerIdRow, NumberRow, PhoneNumberRow

MOST_ATTEMPTS = 5
"""Guesses at one code."""
CODE_LIFE = timedelta(minutes=10)
CODE_EVERY = timedelta(seconds=30)
"""Between two codes for one number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneNumberRecord:
    number: str
    """E.164."""
    account_id: str
    agent_id: str | None
    """Who answers it. None: nobody."""
    is_imported: bool
    """False: it is only named in its agent."""
    label: str | None = None
    termination_uri: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Whose number was called, and who answers it."""

    account_id: str
    agent_id: str | None


class PhoneNumbers:
    """The numbers of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def list(self) -> tuple[PhoneNumberRecord, ...]:
        """All of them, in the order of the digits."""
        async with self._database.read() as session:
            imported = await session.scalars(
                select(PhoneNumberRow).where(PhoneNumberRow.account_id == self._account_id)
            )
            named = await session.scalars(
                select(NumberRow).where(NumberRow.account_id == self._account_id)
            )
            rows = {row.number: row for row in imported}
            agents = {row.number: row.agent_id for row in named}
        return tuple(
            self._record(number, rows.get(number), agents.get(number))
            for number in sorted(rows.keys() | agents.keys())
        )

    async def get(self, number: str) -> PhoneNumberRecord:
        """Raises `NotFound`."""
        async with self._database.read() as session:
            return await self._read(session, number)

    async def create(
        self,
        number: str,
        *,
        label: str | None = None,
        termination_uri: str | None = None,
        agent_id: str | None = None,
    ) -> PhoneNumberRecord:
        """Bring a number along. Raises `Conflict` where it is some account's, `NotFound` for the
        agent."""
        try:
            async with self._database.write() as session:
                session.add(
                    PhoneNumberRow(
                        number=number,
                        account_id=self._account_id,
                        label=label,
                        termination_uri=termination_uri,
                        created_at=self._database.clock.now(),
                    )
                )
                await session.flush()
                if agent_id is not None:
                    await self._assign(session, number, agent_id)
                return await self._read(session, number)
        except IntegrityError as error:
            raise Conflict(
                f"expected a number that is not imported yet, got {number}",
                code="phone_number_conflict",
                param="phone_number",
            ) from error

    async def assign(self, number: str, agent_id: str | None) -> PhoneNumberRecord:
        """Have an agent answer the number; None: nobody. Raises `NotFound`."""
        async with self._database.write() as session:
            await self._read(session, number)
            if agent_id is None:
                await self._unassign(session, number)
            else:
                await self._assign(session, number, agent_id)
            row = await self._row(session, number)
            return self._record(number, row, agent_id)

    async def delete(self, number: str) -> None:
        """Give the number up; nobody answers it any more. Raises `NotFound`."""
        async with self._database.write() as session:
            await self._read(session, number)
            await self._unassign(session, number)
            await session.execute(
                delete(PhoneNumberRow).where(
                    PhoneNumberRow.number == number,
                    PhoneNumberRow.account_id == self._account_id,
                )
            )

    async def _assign(self, session: AsyncSession, number: str, agent_id: str) -> None:
        agent = await session.scalar(
            select(AgentRow.id)
            .where(AgentRow.id == agent_id, AgentRow.account_id == self._account_id)
            .with_for_update(read=True)
        )
        if agent is None:
            raise NotFound(f"no agent {agent_id!r}", code="agent_not_found", param="agent_id")
        last = await session.scalar(
            select(func.coalesce(func.max(NumberRow.position), -1)).where(
                NumberRow.agent_id == agent_id
            )
        )
        insert = insert_into(session, NumberRow).values(
            account_id=self._account_id, number=number, agent_id=agent_id, position=(last or 0) + 1
        )
        await session.execute(
            insert.on_conflict_do_update(
                index_elements=["account_id", "number"],
                set_={name: insert.excluded[name] for name in ("agent_id", "position")},
            )
        )

    async def _unassign(self, session: AsyncSession, number: str) -> None:
        await session.execute(
            delete(NumberRow).where(
                NumberRow.account_id == self._account_id, NumberRow.number == number
            )
        )

    async def _row(self, session: AsyncSession, number: str) -> PhoneNumberRow | None:
        row: PhoneNumberRow | None = await session.scalar(
            select(PhoneNumberRow).where(
                PhoneNumberRow.number == number, PhoneNumberRow.account_id == self._account_id
            )
        )
        return row

    async def _read(self, session: AsyncSession, number: str) -> PhoneNumberRecord:
        row = await self._row(session, number)
        agent_id = await session.scalar(
            select(NumberRow.agent_id).where(
                NumberRow.account_id == self._account_id, NumberRow.number == number
            )
        )
        if row is None and agent_id is None:
            raise NotFound(
                f"no phone number {number!r}",
                code="phone_number_not_found",
                param="phone_number",
            )
        return self._record(number, row, agent_id)

    def _record(
        self, number: str, row: PhoneNumberRow | None, agent_id: str | None
    ) -> PhoneNumberRecord:
        return PhoneNumberRecord(
            number=number,
            account_id=self._account_id,
            agent_id=agent_id,
            is_imported=row is not None,
            label=row.label if row else None,
            termination_uri=row.termination_uri if row else None,
            created_at=row.created_at if row else None,
        )


async def find_route(database: Database, number: str) -> Route | None:
    """Who is reached at a number. None: nobody, or more than one account names it.

    The account that imported it, else the only one with an agent that names it.
    """
    async with database.read() as session:
        owner = await session.scalar(
            select(PhoneNumberRow.account_id).where(PhoneNumberRow.number == number)
        )
        named = await session.scalars(
            select(NumberRow).where(NumberRow.number == number).limit(100)
        )
        agents = {row.account_id: row.agent_id for row in named}
    if owner is not None:
        return Route(owner, agents.get(owner))
    if len(agents) == 1:
        ((account_id, agent_id),) = agents.items()
        return Route(account_id, agent_id)
    return None


# Caller ids


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerIdRecord:
    number: str
    """E.164."""
    account_id: str
    created_at: datetime
    verified_at: datetime | None = None
    verified_over: str | None = None
    """The telephony engine whose call proved it."""
    code_expires_at: datetime | None = None
    """Until when a code is waited for. None: none is."""
    attempts_left: int = 0
    call_id: str | None = None
    """The latest call that spoke a code."""


class CallerIds:
    """The numbers one account may show when it calls."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database = database
        self._account_id = account_id

    async def list(self) -> tuple[CallerIdRecord, ...]:
        """All of them, in the order they were added."""
        async with self._database.read() as session:
            rows = await session.scalars(
                select(CallerIdRow)
                .where(CallerIdRow.account_id == self._account_id)
                .order_by(CallerIdRow.created_at, CallerIdRow.number)
            )
            return tuple(_caller_id(row) for row in rows)

    async def get(self, number: str) -> CallerIdRecord:
        """Raises `NotFound`."""
        async with self._database.read() as session:
            return _caller_id(await self._row(session, number))

    async def expect_code(self, number: str, code_hash: str, engine: str) -> CallerIdRecord:
        """A call over `engine` is about to speak a code for the number.

        Raises `RateLimited` where the last one was a moment ago.
        """
        now = self._database.clock.now()
        values = {
            "account_id": self._account_id,
            "number": number,
            "created_at": now,
            "code_hash": code_hash,
            "code_engine": engine,
            "code_expires_at": now + CODE_LIFE,
            "attempts": 0,
            "call_id": None,
        }
        fresh = ("code_hash", "code_engine", "code_expires_at", "attempts", "call_id")
        async with self._database.write() as session:
            insert = insert_into(session, CallerIdRow).values(values)
            made = await session.scalar(
                insert.on_conflict_do_update(
                    index_elements=["account_id", "number"],
                    set_={name: insert.excluded[name] for name in fresh},
                    where=CallerIdRow.code_expires_at.is_(None)
                    | (CallerIdRow.code_expires_at <= now + CODE_LIFE - CODE_EVERY),
                ).returning(CallerIdRow.number)
            )
            if made is None:
                raise RateLimited(
                    f"expected {CODE_EVERY.total_seconds():.0f} s between two codes for {number}; "
                    "wait for the call that is on its way",
                    code="verification_too_soon",
                    retry_after_seconds=CODE_EVERY.total_seconds(),
                )
            return _caller_id(await self._row(session, number))

    async def note_call(self, number: str, call_id: str) -> CallerIdRecord:
        """Which call speaks the code."""
        async with self._database.write() as session:
            row = await self._row(session, number)
            row.call_id = call_id
            return _caller_id(row)

    async def forget_code(self, number: str) -> None:
        """No call speaks the code after all."""
        async with self._database.write() as session:
            row = await self._row(session, number)
            row.code_hash = row.code_engine = row.code_expires_at = None

    async def verify(self, number: str, code_hash: str) -> CallerIdRecord | None:
        """The number is the account's where the code is right. None: it is wrong, or too late.

        Each try counts, at most `MOST_ATTEMPTS` per code. Raises `NotFound`.
        """
        now = self._database.clock.now()
        async with self._database.write() as session:
            await self._row(session, number)
            session.expunge_all()
            tried = await session.execute(
                update(CallerIdRow)
                .where(
                    CallerIdRow.account_id == self._account_id,
                    CallerIdRow.number == number,
                    CallerIdRow.code_expires_at > now,
                    CallerIdRow.attempts < MOST_ATTEMPTS,
                )
                .values(attempts=CallerIdRow.attempts + 1),
                execution_options={"synchronize_session": False},
            )
            assert isinstance(tried, CursorResult)
            row = await self._row(session, number)
            if tried.rowcount == 0 or row.code_hash != code_hash:
                return None
            row.verified_at, row.verified_over = now, row.code_engine
            row.code_hash = row.code_engine = row.code_expires_at = None
            return _caller_id(row)

    async def delete(self, number: str) -> None:
        """It may not be shown any more. Raises `NotFound`."""
        async with self._database.write() as session:
            await session.delete(await self._row(session, number))

    async def _row(self, session: AsyncSession, number: str) -> CallerIdRow:
        row = await session.get(CallerIdRow, (self._account_id, number))
        if row is None:
            raise NotFound(
                f"no caller id {number!r}", code="caller_id_not_found", param="phone_number"
            )
        return row


def _caller_id(row: CallerIdRow) -> CallerIdRecord:
    return CallerIdRecord(
        number=row.number,
        account_id=row.account_id,
        created_at=row.created_at,
        verified_at=row.verified_at,
        verified_over=row.verified_over,
        code_expires_at=row.code_expires_at,
        attempts_left=MOST_ATTEMPTS - row.attempts if row.code_hash else 0,
        call_id=row.call_id,
    )
