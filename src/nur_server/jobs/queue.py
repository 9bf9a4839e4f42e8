"""The queue that carries out jobs, on DBOS.

Every job is carried out once at least: one that was cut off, by the death of its node too, is
carried out again, under the same key. So a handler first finds out what is left to do. A handler
that fails is tried again, later and later. Waiting takes up nothing: a job that is to be tried
again is put down anew with a later time.

DBOS exists once in a process, and is started when there is something to do.
"""

import asyncio
import logging
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from dbos import DBOS, DBOSClient, WorkflowStatus
from sqlalchemy import URL, Engine, create_engine, event, text

from nur_server.clock import SystemClock, iso
from nur_server.errors import InternalError, NurError
from nur_server.store import outbox
from nur_server.store.addresses import is_sqlite
from nur_server.store.engine import Database
from nur_server.store.outbox import Job, QueueName, enqueue
from nur_server.store.sqlite import BUSY_SECONDS

__all__ = ["Handler", "Job", "Pace", "Queue", "QueueName", "Run", "enqueue"]

JOB_SECONDS = 60.0
"""Longest a handler may take."""
MAX_FAILURES = 50
"""Tries after which a job that always fails is given up: about four hours."""
MAX_PAUSE_SECONDS = 300.0
"""Between two tries."""
STOP_SECONDS = 3.0
"""How long running jobs may go on when the node stops."""
CONNECTIONS = 8
"""Of its own, to the database."""
RUNNING_AT_ONCE = {QueueName.JOBS: 32, QueueName.WEBHOOKS: 64}
PER_RECEIVER = 8
"""Deliveries to one receiver at a time, per node."""
KEPT = timedelta(days=2)
"""How long a job that was done is remembered by its key."""
BATCH = 500
THREADS = "dbos-executor-"
"""What the names of DBOS's threads begin with."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """A job being carried out."""

    key: str
    """The same for every try of the job."""
    payload: Mapping[str, Any]
    failures: int
    """Tries that failed before."""


Handler = Callable[[Run], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the queue looks."""

    look_seconds: float = 1.0
    """For the first job ever, before it has started."""
    poll_seconds: float = 0.25
    """For jobs that are due, once it has."""
    idle_seconds: float = 1.0
    """For messages between jobs, of which there are none: stopping takes as long."""


class Queue:
    """Carries out jobs on this node. For one event loop, which runs the handlers."""

    def __init__(self, database: Database, node_id: str, pace: Pace = Pace()) -> None:
        self._database = database
        self._node_id = node_id
        self._pace = pace
        self._handlers: dict[str, Handler] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Task[None] | None = None
        self._launching: asyncio.Future[None] | None = None
        self._engine: Engine | None = None
        self._is_stopping = False

    def register(self, name: str, handler: Handler) -> None:
        """Before `start`: who carries out the jobs of this name."""
        self._handlers[name] = handler

    @property
    def is_started(self) -> bool:
        """Whether there ever was something to do."""
        return self._engine is not None

    async def start(self) -> None:
        """Be ready: jobs can be put down, and will be carried out."""
        await outbox.prepare(self._database)
        self._loop = asyncio.get_running_loop()
        self._starting = asyncio.create_task(self._start_when_needed(), name="queue")

    async def stop(self) -> None:
        """Carry out no more. What is cut off is put down again. Bounded."""
        self._is_stopping = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([each for each in (self._starting, self._launching) if each])
        for _ in range(2):
            if self._running:
                await asyncio.wait(self._running, timeout=STOP_SECONDS)
            for task in self._running:
                task.cancel()
        if self._engine is not None:
            await asyncio.to_thread(self._shut_down)

    async def adopt(self, present: Collection[str]) -> int:
        """Carry out again what nodes that are not present had begun. How many jobs that is."""
        if self._engine is None:
            return 0
        return await asyncio.to_thread(_adopt, frozenset(present))

    async def forget(self, now: datetime) -> int:
        """Remove jobs that were done long ago. How many, of a batch."""
        if self._engine is None:
            return 0
        return await asyncio.to_thread(_forget, now - KEPT)

    # Starting and stopping

    async def _start_when_needed(self) -> None:
        while True:
            try:
                if _place.is_free and await self._has_work():
                    self._launching = asyncio.ensure_future(asyncio.to_thread(self._launch))
                    await asyncio.shield(self._launching)
                    return
            except Exception as error:
                log.warning("queue.not_started", error=type(error).__name__, exc_info=True)
            await asyncio.sleep(self._pace.look_seconds)

    async def _has_work(self) -> bool:
        async with self._database.read() as session:
            prefix = "" if session.get_bind().dialect.name == "sqlite" else f"{outbox.SCHEMA}."
            found = await session.scalar(
                text(
                    f"SELECT 1 FROM {prefix}workflow_status "
                    "WHERE status IN ('ENQUEUED', 'DELAYED', 'PENDING') LIMIT 1"
                )
            )
        return found is not None

    def _launch(self) -> None:
        """Blocks. Nothing is left running where it fails."""
        if self._is_stopping or not _place.take(self):
            return
        assert self._loop is not None
        url = asyncio.run_coroutine_threadsafe(outbox.url_of(self._database), self._loop).result(
            STOP_SECONDS
        )
        engine = _engine(url)
        try:
            DBOS(
                config={
                    "name": outbox.APPLICATION,
                    "system_database_engine": engine,
                    "dbos_system_schema": outbox.SCHEMA,
                    "application_version": outbox.VERSION,
                    "executor_id": self._node_id,
                    "log_level": "WARNING",
                    "enable_otlp": False,
                    "max_executor_threads": sum(RUNNING_AT_ONCE.values()) + 8,
                    "use_listen_notify": False,
                    "notification_listener_polling_interval_sec": self._pace.idle_seconds,
                }
            )
            _set_up_queues(engine, self._pace.poll_seconds)
            DBOS.launch()
        except BaseException:
            DBOS.destroy()
            engine.dispose()
            _place.leave(self)
            raise
        self._engine = engine

    def _shut_down(self) -> None:
        """Blocks, a second or so. An outcome that cannot be noted any more is found out again."""
        assert self._engine is not None
        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        DBOS.destroy()
        for thread in threading.enumerate():
            if thread.name.startswith(THREADS):
                thread.join(STOP_SECONDS)
        self._engine.dispose()
        self._engine = None
        _place.leave(self)

    # Carrying out

    def perform(self, key: str, job: Job) -> None:
        """Blocks until the job is done or put down again. Called in threads of the queue."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._perform(key, job), self._loop).result()

    async def _perform(self, key: str, job: Job) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await self._try(key, job)
        finally:
            self._running.discard(task)

    async def _try(self, key: str, job: Job) -> None:
        if self._is_stopping:
            return await self._put_down_again(key, job, failures=job.failures)
        try:
            handler = self._handlers.get(job.name)
            if handler is None:
                raise InternalError(f"expected a job this version knows, got {job.name!r}")
            async with asyncio.timeout(JOB_SECONDS):
                await handler(Run(job.key, job.payload, job.failures))
        except asyncio.CancelledError:
            await self._put_down_again(key, job, failures=job.failures)
        except Exception as error:
            failures = job.failures + 1
            given_up = failures >= MAX_FAILURES
            log.warning(
                "job.failed",
                job=job.name,
                key=job.key,
                failures=failures,
                given_up=given_up,
                error=type(error).__name__,
                exc_info=not isinstance(error, NurError),
            )
            if not given_up:
                await self._put_down_again(key, job, failures=failures)

    async def _put_down_again(self, key: str, job: Job, *, failures: int) -> None:
        """Until the database takes it, or the node stops: then the job counts as cut off."""
        pause = min(2.0**failures, MAX_PAUSE_SECONDS)
        again = Job(
            name=job.name,
            payload=job.payload,
            key=f"{key}+",
            at=SystemClock().now() + timedelta(seconds=pause),
            queue=job.queue,
            partition=job.partition,
            origin=job.key,
            failures=failures,
        )
        while True:
            try:
                async with self._database.write() as session:
                    return await enqueue(session, again)
            except NurError:
                if self._is_stopping:
                    raise
                await asyncio.sleep(pause)


class _Place:
    """Who has DBOS, which exists once in a process."""

    def __init__(self) -> None:
        self.holder: Queue | None = None

    @property
    def is_free(self) -> bool:
        return self.holder is None

    def take(self, queue: Queue) -> bool:
        if self.holder is None:
            self.holder = queue
        return self.holder is queue

    def leave(self, queue: Queue) -> None:
        if self.holder is queue:
            self.holder = None


_place = _Place()


@DBOS.workflow(name=outbox.WORKFLOW)
def _carry_out(written: dict[str, Any]) -> None:
    """What DBOS runs: any job. DBOS's own record of it says whether it was carried out."""
    holder, key = _place.holder, DBOS.workflow_id
    assert holder is not None
    assert key is not None
    holder.perform(key, outbox.read(written))


def _set_up_queues(engine: Engine, poll_seconds: float) -> None:
    """Before the start, which looks for queues at once and then every second."""
    client = DBOSClient(
        system_database_engine=engine,
        dbos_system_schema=outbox.SCHEMA,
        application_name=outbox.APPLICATION,
    )
    for name, at_once in RUNNING_AT_ONCE.items():
        per_receiver = PER_RECEIVER if name is QueueName.WEBHOOKS else None
        client.register_queue(
            name.value,
            worker_concurrency=at_once,
            partition_worker_concurrency=per_receiver,
            polling_interval_sec=poll_seconds,
        )


def _adopt(present: frozenset[str]) -> int:
    orphans: dict[str | None, list[str]] = defaultdict(list)
    for job in _jobs(status="PENDING"):
        if job.executor_id not in present:
            orphans[job.queue_name].append(job.workflow_id)
    for queue_name, keys in orphans.items():
        DBOS.resume_workflows(keys, queue_name=queue_name)
    return sum(len(keys) for keys in orphans.values())


def _forget(before: datetime) -> int:
    done = _jobs(status=["SUCCESS", "ERROR", "CANCELLED"], completed_before=iso(before))
    keys = [job.workflow_id for job in done]
    if keys:
        DBOS.delete_workflows(keys)
    return len(keys)


def _jobs(**filters: Any) -> list[WorkflowStatus]:
    return DBOS.list_workflows(
        name=outbox.WORKFLOW, limit=BATCH, load_input=False, load_output=False, **filters
    )


def _engine(url: URL) -> Engine:
    if not is_sqlite(url):
        return create_engine(url, pool_size=CONNECTIONS, max_overflow=0, pool_pre_ping=True)
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": "IMMEDIATE"},
        pool_size=CONNECTIONS,
        max_overflow=0,
    )

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", prepare)
    return engine
