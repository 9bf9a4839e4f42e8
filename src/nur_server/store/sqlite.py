"""SQLite: one connection that writes, a few that can only read, each on a thread of its own.

WAL with `synchronous=NORMAL`: what was committed survives the death of the process.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from nur_server.errors import InternalError
from nur_server.text.encoding import reread_json, write_json

BUSY_SECONDS = 10.0
"""Longest wait for another process to finish writing."""
READERS = 4
LOCK_SUFFIX = "-server"
"""Ends the name of the file, beside the database, that the server which uses it holds locked."""


def check_file(url: URL) -> None:
    """Make the folder of the database, and see that there is one or can be. Blocks.

    Raises `OSError` and `sqlite3.Error`.
    """
    file = Path(url.database or "").absolute()
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, timeout=BUSY_SECONDS)
    try:
        connection.execute("PRAGMA schema_version")
    finally:
        connection.close()


@contextmanager
def claimed(url: URL) -> Iterator[None]:
    """Be the one server that uses the database, until the block is left or the process ends.

    The lock is on a file of its own, found from wherever links lead: closing the database's file
    would release what SQLite has locked. Raises `InternalError` where another server has it, and
    `OSError`. Blocks.
    """
    file = Path(url.database or "").resolve()
    lock = os.open(f"{file}{LOCK_SUFFIX}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InternalError(
                f"expected an SQLite database for this server alone, but another server uses "
                f"{file}; stop that one, give this one a database of its own with "
                "NUR_DATABASE_URL, or have several servers share one in PostgreSQL",
                code="database_in_use",
            ) from None
        yield
    finally:
        os.close(lock)


def open_engines(url: URL, pool_seconds: float) -> tuple[AsyncEngine, AsyncEngine]:
    """One to read with, one to write with."""
    fixed = {"max_overflow": 0, "pool_timeout": pool_seconds}
    reader = _engine(url, "BEGIN", ("foreign_keys=ON", "query_only=ON"), **fixed, pool_size=READERS)
    writer = _engine(url, "BEGIN IMMEDIATE", ("foreign_keys=ON",), **fixed, pool_size=1)
    return reader, writer


def migration_engine(url: URL) -> AsyncEngine:
    """Foreign keys are off: a migration rebuilds tables by copying them."""
    return _engine(url, "BEGIN IMMEDIATE", ("foreign_keys=OFF",), poolclass=NullPool)


def _engine(url: URL, begin: str, pragmas: tuple[str, ...], **pool: Any) -> AsyncEngine:
    """`begin` is how every transaction starts; the driver starts none of its own."""
    engine = create_async_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
        json_serializer=write_json,
        json_deserializer=reread_json,
        hide_parameters=True,  # errors are logged: what was said, and secrets, are not
        **pool,
    )

    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    listen: Callable[..., None] = event.listen
    listen(engine.sync_engine, "connect", prepare)
    listen(engine.sync_engine, "begin", start)
    return engine
