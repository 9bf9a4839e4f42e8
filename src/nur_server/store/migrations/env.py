"""Run by Alembic. `nur_server.store.upgrade` hands over a connection; a developer who calls
`alembic` on this folder gives an address: `alembic -x url=sqlite+aiosqlite:///nur.db …`."""

import asyncio
from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from nur_server.store.schema import Moment, Table, Words


def written(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """How a new migration names our column types: by what they are in the database."""
    if kind == "type" and isinstance(item, Words):
        return "sa.String()"
    if kind == "type" and isinstance(item, Moment):
        return "sa.DateTime(timezone=True)"
    return False


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        render_as_batch=True,
        render_item=written,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run(url: str) -> None:
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(connect_and_run(context.get_x_argument(as_dictionary=True)["url"]))
