"""Accounts: whom everything else belongs to."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.errors import NotFound
from nur_server.store.engine import Database, insert_into
from nur_server.store.records import AccountRecord
from nur_server.store.schema import AccountRow

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
            row = await session.get(AccountRow, account_id)
        if row is None:
            raise NotFound(f"no account {account_id!r}")
        return AccountRecord(id=row.id, name=row.name, created_at=row.created_at)


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
