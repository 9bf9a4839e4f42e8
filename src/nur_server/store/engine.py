"""The database: transactions, the state of its schema, and what can go wrong with it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, Self, cast

from sqlalchemy import URL, Connection, exc, inspect, text
from sqlalchemy import Table as SQLTable
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from nur_server.clock import Clock, SystemClock
from nur_server.errors import InternalError, Unavailable
from nur_server.store import postgresql, schema, sqlite
from nur_server.store.addresses import is_sqlite, parse_url
from nur_server.store.schema import Table
from nur_server.store.steady import SteadySession

POOL_SECONDS = 10.0
"""Longest wait for a free connection."""
UNUSABLE = (exc.OperationalError, exc.InterfaceError, sqlite3.Error, OSError, TimeoutError)
UNUSABLE_CLASSES = frozenset({"08", "40", "53", "57", "58"})
"""Of PostgreSQL's SQLSTATE: no connection, rolled back by a conflict, out of resources (the disk is
full, too many connections), an operator's intervention (shutting down, starting up, cancelled), the
system's own trouble. https://www.postgresql.org/docs/current/errcodes-appendix.html"""
UNUSABLE_STATES = frozenset({"25006", "55P03"})
"""Read-only, as a standby is until it takes over; a lock that was not to be had."""
MIGRATION_LOCK = 0x6E7572
"""The PostgreSQL advisory lock held by whoever changes the schema."""


class Database:
    """One open database. Made by `open`, shared by all repositories, closed once."""

    def __init__(self, url: URL, reader: AsyncEngine, writer: AsyncEngine, clock: Clock) -> None:
        self._url = url
        self._reader = reader
        self._writer = writer
        self.clock = clock

    @classmethod
    async def open(cls, url: str, *, clock: Clock | None = None) -> Self:
        """Connect to `sqlite:///path` (made where it is missing) or `postgresql://…`.

        Raises `InternalError` for an address that cannot be used, `Unavailable` for a database
        that does not answer or cannot be written.
        """
        address = parse_url(url)
        kind = sqlite if is_sqlite(address) else postgresql
        reader, writer = kind.open_engines(address, POOL_SECONDS)
        database = cls(address, reader, writer, clock or SystemClock())
        try:
            await database._probe()
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Close every connection. May be called twice."""
        await self._reader.dispose()
        await self._writer.dispose()

    @property
    def is_sqlite(self) -> bool:
        return is_sqlite(self._url)

    @property
    def url(self) -> URL:
        """The address with its asynchronous driver."""
        return self._url

    def connect_arguments(self) -> dict[str, Any]:
        """What the asynchronous driver's own `connect` takes to open a further connection."""
        _, options = self._writer.dialect.create_connect_args(self._url)
        return dict(options)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Use the database as a server: on SQLite the only one, on PostgreSQL one of several.

        Raises `InternalError` (`database_in_use`) where another server has it, and `Unavailable`
        where that cannot be noted.
        """
        if not self.is_sqlite:
            yield
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(sqlite.claimed(self._url))
            except OSError as error:
                raise _unusable(self._url, error) from error
            yield

    async def ping(self) -> None:
        """Raises `Unavailable` where the database does not answer."""
        async with self.read() as session:
            await session.execute(text("SELECT 1"))

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A transaction that sees one state of the database and cannot change it."""
        with self._translated():
            async with SteadySession(self._reader, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A transaction that is durable once the block is left, and undone if it raises.

        On SQLite it holds the write lock from its beginning, so what it reads stays true; on
        PostgreSQL what it goes on to change must be read `with_for_update()`.
        """
        with self._translated():
            async with SteadySession(
                self._writer, expire_on_commit=False, autoflush=False
            ) as session:
                await session.connection()
                yield session
                await session.commit()

    async def migrate(self, *, by_command: bool = False) -> None:
        """Bring the schema to what this code needs.

        SQLite and an empty PostgreSQL database are brought there at any time. A PostgreSQL
        database with an older schema only `by_command`, as other nodes may be using it; otherwise
        `InternalError` says so. A schema newer than the code is always an `InternalError`.
        Processes that do this at the same time wait for one another.
        """
        async with self._migrating() as connection:
            await connection.run_sync(self._migrate, by_command)

    async def differences(self) -> list[Any]:
        """What a migration would have to change for the tables to match the code; empty: nothing.

        Each as Alembic's `compare_metadata` words it.
        """
        from nur_server.store import upgrade

        with self._translated():
            async with self._reader.connect() as connection:
                return await connection.run_sync(upgrade.differences, Table.metadata)

    @asynccontextmanager
    async def _migrating(self) -> AsyncIterator[AsyncConnection]:
        """A transaction on a connection of its own, alone with the schema."""
        kind = sqlite if is_sqlite(self._url) else postgresql
        engine = kind.migration_engine(self._url)
        try:
            with self._translated():
                async with engine.begin() as connection:
                    if not is_sqlite(self._url):
                        await connection.execute(
                            text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
                        )
                    yield connection
        finally:
            await engine.dispose()

    def _migrate(self, connection: Connection, by_command: bool) -> None:
        found = _revision(connection)
        if found == schema.REVISION:
            _require_tables(connection)
            return
        # Only where there is something to do: Alembic takes 60 ms to import, and 8 MB.
        from nur_server.store import upgrade

        if found is not None and not upgrade.is_known(found):
            raise InternalError(
                f"expected a database schema up to {schema.REVISION}, found {found}, "
                "which this version of the server does not know; run a newer version",
                code="schema_too_new",
            )
        if found is not None and not is_sqlite(self._url) and not by_command:
            raise InternalError(
                f"expected the database schema {schema.REVISION}, found {found}; "
                "stop the nodes of the older version and run `nur migrate`",
                code="schema_outdated",
            )
        try:
            upgrade.upgrade(connection)
        except exc.DBAPIError as error:
            raise InternalError(
                f"expected to bring the database schema from {found or 'nothing'} to "
                f"{schema.REVISION}, and it failed: {error.orig}; nothing was changed. If tables "
                "are in the way that a broken-off migration has left, restore a backup, or name "
                "an empty database",
                code="migration_failed",
            ) from error
        if is_sqlite(self._url) and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise InternalError(
                "the migration would leave rows that refer to missing ones; nothing was changed",
                code="migration_failed",
            )

    async def _probe(self) -> None:
        """Fail now rather than at the first request."""
        with self._translated():
            if is_sqlite(self._url):
                await asyncio.to_thread(sqlite.check_file, self._url)
            elif await postgresql.is_shared(self.connect_arguments()):
                raise _shared()
            try:
                async with self._writer.begin() as connection:
                    await connection.execute(text("SELECT 1"))
            except exc.DBAPIError as error:
                if postgresql.is_lost_statement(error.orig):
                    raise
                raise _unusable(self._url, error) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except exc.IntegrityError:
            raise
        except exc.TimeoutError as error:
            raise Unavailable(
                f"no database connection became free within {POOL_SECONDS:.0f} s; try again later",
                code="database_busy",
            ) from error
        except UNUSABLE as error:
            raise _unusable(self._url, error) from error
        except exc.DBAPIError as error:
            if postgresql.is_lost_statement(error.orig):
                raise _shared() from error
            if _is_unusable(error):
                raise _unusable(self._url, error) from error
            raise


def _revision(connection: Connection) -> str | None:
    """The migration the database is at. None: it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _require_tables(connection: Connection) -> None:
    missing = set(Table.metadata.tables) - set(inspect(connection).get_table_names())
    if missing:
        raise InternalError(
            f"expected the tables of database schema {schema.REVISION}, but "
            f"{', '.join(sorted(missing))} {'is' if len(missing) == 1 else 'are'} missing: a "
            "migration or a restore was broken off; restore a backup, or name an empty database",
            code="schema_incomplete",
        )


def dialect_of(session: AsyncSession) -> str:
    """`sqlite` or `postgresql`."""
    return session.get_bind().dialect.name


def insert_for(dialect: str, row: type[Table]) -> Insert:
    """An INSERT that can be told what to do on a conflict."""
    table = cast(SQLTable, row.__table__)
    if dialect == "sqlite":
        return cast(Insert, sqlite_insert(table))
    return postgresql_insert(table)


def insert_into(session: AsyncSession, row: type[Table]) -> Insert:
    """The same for the database of a session."""
    return insert_for(dialect_of(session), row)


def _is_unusable(error: exc.DBAPIError) -> bool:
    """The database is, for the moment, rather than the statement."""
    if error.connection_invalidated or "not a database" in str(error.orig):
        return True
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    return sqlstate in UNUSABLE_STATES or sqlstate[:2] in UNUSABLE_CLASSES


def _shared() -> InternalError:
    return InternalError(
        "expected a connection to PostgreSQL of the server's own, but a pooler shares it between "
        "transactions (PgBouncer's transaction mode, Supabase's port 6543, Neon's -pooler hosts); "
        "set NUR_DATABASE_URL to the database's direct address, or to a pooler in session mode",
        code="database_pooled",
    )


def _unusable(url: URL, error: BaseException) -> Unavailable:
    reason = getattr(error, "orig", None) or error
    return Unavailable(
        f"the database {url.render_as_string(hide_password=True)} cannot be used: {reason}; "
        "check that it exists, that it can be written, and that nothing else holds it",
        code="database_unavailable",
    )
