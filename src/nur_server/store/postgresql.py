"""PostgreSQL: one pool, whose reading transactions are read-only."""

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from nur_server.text.encoding import reread_json, write_json

CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 10.0
RECYCLE_SECONDS = 1800
"""Age at which a connection is replaced."""
POOL_SIZE = 10


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
