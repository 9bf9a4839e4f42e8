"""Accounts: whom everything else belongs to."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.errors import NotFound
from nur_server.store.engine import Database, insert_into
from nur_server.store.paging import DEFAULT_LIMIT, read_page
from nur_server.store.records import AccountRecord, Page
from nur_server.store.schema import AccountRow

ACCOUNT = "acc"
"""Of ids."""
DEFAULT_ACCOUNT = "acc_default"
"""The one account of a server that nobody has divided."""


class Accounts:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, account_id: str, name: str) -> bool:
        """Whether the account is new. An existing one stays as it is."""
        now = self._database.clock.now()
        async with self._database.write() as session:
            return await insert_account(session, account_id, name, now)

    async def get(self, account_id: str) -> AccountRecord:
        """Raises `NotFound`."""
        async with self._database.read() as session:
            return _record(await session.get(AccountRow, account_id), account_id)

    async def list(
        self, *, limit: int = DEFAULT_LIMIT, offset: int = 0, cursor: str | None = None
    ) -> Page[AccountRecord]:
        """All of them, newest first. Raises `InvalidRequest` for a bad window."""
        async with self._database.read() as session:
            return await read_page(
                session,
                AccountRow,
                [],
                lambda row: _record(row, row.id),
                limit=limit,
                offset=offset,
                cursor=cursor,
            )

    async def change(self, account_id: str, changes: Mapping[str, Any]) -> AccountRecord:
        """Set these fields of an account. Raises `NotFound`."""
        async with self._database.write() as session:
            row = await session.get(AccountRow, account_id)
            record = _record(row, account_id)
            for name, value in changes.items():
                setattr(row, name, value)
            return replace(record, **changes)


def _record(row: AccountRow | None, account_id: str) -> AccountRecord:
    if row is None:
        raise NotFound(f"no account {account_id!r}", param="account_id")
    return AccountRecord(
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        max_live_sessions=row.max_live_sessions,
        max_agents=row.max_agents,
        suspended_at=row.suspended_at,
    )


async def insert_account(
    session: AsyncSession, account_id: str, name: str, created_at: datetime
) -> bool:
    """Whether it was not there before."""
    made = await session.scalar(
        insert_into(session, AccountRow)
        .values(id=account_id, name=name, created_at=created_at)
        .on_conflict_do_nothing()
        .returning(AccountRow.id)
    )
    return made is not None
