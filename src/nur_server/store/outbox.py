"""Durable jobs, enqueued in the transaction of the row they belong to.

A job is a row of DBOS's tables, in the same database: it exists if and only if the transaction is
committed. `jobs/worker.py` carries it out; no other module knows of DBOS. DBOS is imported when it
is needed first: that takes 0.1 s and 13 MB, and a server that neither sends webhooks nor schedules
calls starts and runs without it.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, bindparam, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from nur_server.clock import SystemClock
from nur_server.store.addresses import POSTGRESQL_OPTIONS, is_sqlite
from nur_server.store.engine import Database, dialect_of
from nur_server.store.schema import LibraryRow
from nur_server.store.sqlite import BUSY_SECONDS
from nur_server.store.steady import unbroken

__all__ = [
    "URL",
    "Engine",
    "Job",
    "QueueName",
    "enqueue",
    "has_jobs",
    "open_engine",
    "prepare",
    "put_down",
    "url_of",
]

if TYPE_CHECKING:
    from dbos import DBOSClient, EnqueueOptions

LIBRARY = "dbos"
APPLICATION = "nur"
SCHEMA = "dbos"
"""Where its tables are in PostgreSQL; SQLite has one schema only."""
VERSION = "1"
"""Of what jobs mean. Fixed, so that work put down before an upgrade is done after it."""
WORKFLOW = "nur.job"

_clients: dict[str, "DBOSClient"] = {}
"""By dialect, once loaded."""
_loader = ThreadPoolExecutor(1, thread_name_prefix="dbos-loader")

# It brings a handler of its own unless there is one; what it says belongs in the server's log.
_logger = logging.getLogger("dbos")
_logger.addHandler(logging.NullHandler())
_logger.setLevel(logging.WARNING)


class QueueName(StrEnum):
    JOBS = "jobs"
    WEBHOOKS = "webhooks"
    """Partitioned by receiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to do, once at least."""

    name: str
    payload: Mapping[str, Any]
    """JSON."""
    key: str
    """Names the job: another with the same key is the same job, even after it was done."""
    at: datetime | None = None
    """Not before. None: as soon as possible."""
    queue: QueueName = QueueName.JOBS
    partition: str | None = None
    origin: str | None = None
    """The key of the job this one is another try of."""
    failures: int = 0
    """Tries before this one."""


async def enqueue(session: AsyncSession, job: Job) -> None:
    """Put a job down as part of the session's transaction. `prepare` was called before."""
    connection: AsyncConnection = await session.connection()
    client = await unbroken(_load_client(connection.dialect.name))
    await unbroken(connection.run_sync(partial(_insert, job=job, client=client)))


def _insert(connection: Connection, job: Job, client: "DBOSClient") -> None:
    from dbos import WorkflowSerializationFormat

    options: EnqueueOptions = {
        "workflow_name": WORKFLOW,
        "workflow_id": job.key,
        "queue_name": job.queue.value,
        "app_version": VERSION,
        "serialization_type": WorkflowSerializationFormat.PORTABLE,
    }
    if job.partition is not None:
        options["queue_partition_key"] = job.partition
    if job.at is not None:
        options["delay_seconds"] = max(0.0, (job.at - SystemClock().now()).total_seconds())
    client.enqueue_in_transaction(connection, options, _written(job))


def _written(job: Job) -> dict[str, Any]:
    """A job as JSON. A newer version reads what an older one wrote: add, never change."""
    return {
        "name": job.name,
        "payload": dict(job.payload),
        "key": job.origin or job.key,
        "failures": job.failures,
        "queue": job.queue.value,
        "partition": job.partition,
    }


def read(written: Mapping[str, Any]) -> Job:
    """A job that was put down. Its key is that of its first try."""
    return Job(
        name=written["name"],
        payload=written["payload"],
        key=written["key"],
        failures=written["failures"],
        queue=QueueName(written["queue"]),
        partition=written["partition"],
    )


async def _load_client(dialect: str) -> "DBOSClient":
    """The client, made on a thread of its own: the transaction that waits for it holds a lock, and
    those in the loop's pool may be waiting for that lock."""
    if dialect not in _clients:
        loop = asyncio.get_running_loop()
        _clients[dialect] = await loop.run_in_executor(_loader, _client, dialect)
    return _clients[dialect]


def _client(dialect: str) -> "DBOSClient":
    """Knows the tables, and writes over its callers' connections; it opens none itself."""
    from dbos import DBOSClient

    address = "sqlite://" if dialect == "sqlite" else "postgresql+psycopg://"
    return DBOSClient(
        system_database_engine=create_engine(address),
        dbos_system_schema=SCHEMA,
        application_name=APPLICATION,
        lazy=True,
    )


# The tables


async def prepare(database: Database) -> None:
    """Bring the tables to what the installed DBOS needs, after `Database.migrate`.

    Where the same version has done so before, it is not even loaded.
    """
    installed = version(LIBRARY)
    async with database.read() as session:
        row = await session.get(LibraryRow, LIBRARY)
        if row is not None and row.version == installed:
            return
    await asyncio.to_thread(_migrate, url_of(database))
    async with database.write() as session:
        await session.merge(LibraryRow(name=LIBRARY, version=installed))


def _migrate(url: URL) -> None:
    from dbos import DBOS

    DBOS.migrate(url.render_as_string(hide_password=False), schema=SCHEMA)


def url_of(database: Database) -> URL:
    """The database's address for a driver that blocks."""
    url = database.url
    if is_sqlite(url):
        return url.set(drivername="sqlite")
    names = {ours: theirs for theirs, ours in POSTGRESQL_OPTIONS.items() if theirs != "ssl"}
    query = {names.get(name, name): value for name, value in url.query.items()}
    return url.set(drivername="postgresql+psycopg", query=query)


async def put_down(database: Database, job: Job) -> None:
    """`enqueue` in a transaction of its own."""
    async with database.write() as session:
        await enqueue(session, job)


async def has_jobs(database: Database, *states: str) -> bool:
    """Whether there is a job in one of the states, which are named as DBOS names them."""
    async with database.read() as session:
        prefix = "" if dialect_of(session) == "sqlite" else f"{SCHEMA}."
        look = text(f"SELECT 1 FROM {prefix}workflow_status WHERE status IN :states LIMIT 1")
        wanted = look.bindparams(bindparam("states", expanding=True))
        return await session.scalar(wanted, {"states": states}) is not None


def open_engine(url: URL, connections: int) -> Engine:
    """A pool of blocking connections to the database at `url_of`, for the job library."""
    if not is_sqlite(url):
        return create_engine(url, pool_size=connections, max_overflow=0, pool_pre_ping=True)
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": "IMMEDIATE"},
        pool_size=connections,
        max_overflow=0,
    )

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", prepare)
    return engine
