"""The server's database, for commands that work beside the server or without it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nur_server.api.app import database_url
from nur_server.settings import Settings
from nur_server.store.engine import Database


@asynccontextmanager
async def opened(settings: Settings, *, by_command: bool = False) -> AsyncIterator[Database]:
    """The database, at this version's schema. Raises as `Database.open` and `migrate` do."""
    database = await Database.open(database_url(settings))
    try:
        await database.migrate(by_command=by_command)
        yield database
    finally:
        await database.close()
