"""How nodes nudge one another. A nudge may get lost: what it is about is in the database, and who
waits for it looks there now and then anyway."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from nur_server.store.engine import Database
from nur_server.store.nodes import notify

CHANNEL = "nur"
CONNECT_SECONDS = 10.0
CHECK_SECONDS = 15.0
"""Between two looks whether the connection still lives."""
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0)

Heard = Callable[[str], None]

log = structlog.get_logger(__name__)


class Bus(Protocol):
    """Carries short texts to every other node that listens."""

    async def start(self, heard: Heard) -> None: ...

    async def stop(self) -> None: ...

    async def publish(self, message: str) -> None:
        """At most 8,000 bytes. Raises `Unavailable` where the database does not answer."""
        ...


class LocalBus:
    """Where nodes cannot reach one another, as on SQLite: nobody hears."""

    async def start(self, heard: Heard) -> None:
        """Nothing will be heard."""

    async def stop(self) -> None:
        """Nothing runs."""

    async def publish(self, message: str) -> None:
        """Nobody hears."""


class PostgresBus:
    """LISTEN and NOTIFY, over a connection of its own. Not for poolers that share connections."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._task: asyncio.Task[None] | None = None
        self.is_listening = asyncio.Event()

    async def start(self, heard: Heard) -> None:
        self._task = asyncio.create_task(self._listen(heard), name="bus")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def publish(self, message: str) -> None:
        await notify(self._database, CHANNEL, message)

    async def _listen(self, heard: Heard) -> None:
        """Until cancelled, through broken connections."""
        # The driver is not loaded where the database is SQLite.
        import asyncpg  # type: ignore[import-untyped]

        failures = 0
        while True:
            try:
                connection = await self._connect()
                failures = 0
                await self._hear(connection, heard)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("bus.broken", error=type(error).__name__)
            self.is_listening.clear()
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
            failures += 1

    async def _connect(self) -> Any:
        import asyncpg

        options = self._database.connect_arguments()
        return await asyncpg.connect(**options, timeout=CONNECT_SECONDS)

    async def _hear(self, connection: Any, heard: Heard) -> None:
        def pass_on(_connection: Any, _process: int, _channel: str, message: str) -> None:
            heard(message)

        try:
            await connection.add_listener(CHANNEL, pass_on)
            self.is_listening.set()
            while True:
                await asyncio.sleep(CHECK_SECONDS)
                await connection.execute("SELECT 1", timeout=CONNECT_SECONDS)
        finally:
            connection.terminate()


def bus_of(database: Database) -> Bus:
    """The bus of the nodes that share a database."""
    return LocalBus() if database.is_sqlite else PostgresBus(database)
