"""The server's database, for commands that work beside the server or without it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nur_server.api.app import database_url
from nur_server.settings import Settings
from nur_server.store.addresses import is_sqlite, parse_url
from nur_server.store.engine import Database


def exists(settings: Settings) -> bool:
    """Whether there is a database already. One on a server is taken to be there."""
    address = parse_url(database_url(settings))
    return not is_sqlite(address) or Path(address.database or "").is_file()


@asynccontextmanager
async def opened(settings: Settings, *, by_command: bool = False) -> AsyncIterator[Database]:
    """The database, at this version's schema. Raises as `Database.open` and `migrate` do."""
    database = await Database.open(database_url(settings))
    try:
        await database.migrate(by_command=by_command)
        yield database
    finally:
        await database.close()
