"""PostgreSQL: one pool, whose reading transactions are read-only."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from nur_server.text.encoding import reread_json, write_json

CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 10.0
RECYCLE_SECONDS = 1800
"""Age at which a connection is replaced."""
POOL_SIZE = 10
PROBES = (0, 1, 0, 1, 1, 0, 1)
"""Which of two connections is asked, in turn, in search of a pooler. Most poolers hand out the
connection that was used last, and show themselves at the second question; one that hands them out
in turn is caught by the uneven order."""
LOST_STATEMENTS = ("26000", "42P05")
"""SQLSTATEs of a prepared statement that is missing, or there already: another client's connection
was handed out."""


def open_engines(url: URL, pool_seconds: float) -> tuple[AsyncEngine, AsyncEngine]:
    """One to read with, one to write with. They share their connections."""
    engine = create_async_engine(
        url,
        connect_args={"timeout": CONNECT_SECONDS, "command_timeout": STATEMENT_SECONDS},
        json_serializer=write_json,
        json_deserializer=reread_json,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=pool_seconds,
        pool_recycle=RECYCLE_SECONDS,
        hide_parameters=True,  # errors are logged: what was said, and secrets, are not
    )
    return engine.execution_options(postgresql_readonly=True), engine


def migration_engine(url: URL) -> AsyncEngine:
    """No time limit on statements."""
    return create_async_engine(url, connect_args={"timeout": CONNECT_SECONDS}, poolclass=NullPool)


def is_lost_statement(error: BaseException | None) -> bool:
    """Whether an error of the driver comes of connections that are shared between transactions."""
    return getattr(error, "sqlstate", None) in LOST_STATEMENTS


async def is_shared(options: Mapping[str, Any]) -> bool:
    """Whether a pooler stands in between that shares connections between transactions.

    Two connections then meet in one process of the server, or one of them moves from process to
    process. `options` are those of `Database.connect_arguments`. False too where the database
    does not answer.
    """
    import asyncpg  # type: ignore[import-untyped]

    connections: list[Any] = []
    try:
        for _ in range(2):
            connection = await asyncpg.connect(
                **{**options, "statement_cache_size": 0, "timeout": CONNECT_SECONDS}
            )
            connections.append(connection)
            if await _process_of(connection) == connection.get_server_pid():
                return False
        processes: list[set[int]] = [set(), set()]
        for asked in PROBES:
            processes[asked].add(await _process_of(connections[asked]))
        first, second = processes
        return bool(first & second) or len(first) > 1 or len(second) > 1
    except asyncpg.PostgresError as error:
        return is_lost_statement(error)
    except (OSError, TimeoutError, asyncpg.InterfaceError):
        return False
    finally:
        for connection in connections:
            with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=CONNECT_SECONDS)


async def _process_of(connection: Any) -> int:
    """The process of the server that answers. A direct connection was told of it at its start."""
    return int(await connection.fetchval("SELECT pg_backend_pid()", timeout=STATEMENT_SECONDS))
