"""The worker that carries out durable jobs, on DBOS.

A job is a workflow of DBOS, enqueued by `store/outbox.py` in the transaction it belongs to. DBOS
takes it from its queue; its handler runs as a task of the server's event loop, so it may use
whatever belongs to that loop. DBOS itself has a loop and threads of its own: it writes down the
outcomes of jobs there, and one that waits for the database holds up nothing else.

Every job is carried out at least once: one that was cut off, by a stop of its node or by its death,
stays pending and is carried out again under the same key. A handler therefore first finds out what
is left to do. A job whose handler fails is enqueued anew for a later time, so waiting occupies
nothing.

DBOS exists once in a process, and importing it takes 0.1 s and 13 MB. It is imported and launched
when there is something to do.
"""

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from nur_server.clock import SystemClock, iso
from nur_server.errors import InternalError, NurError
from nur_server.store import outbox
from nur_server.store.engine import Database
from nur_server.store.outbox import Job, QueueName

if TYPE_CHECKING:
    from dbos import DBOS, WorkflowStatus

JOB_SECONDS = 60.0
"""Longest a handler may take."""
MAX_FAILURES = 50
"""Tries after which a job that always fails is given up: about four hours."""
MAX_PAUSE_SECONDS = 300.0
"""Longest pause between two tries."""
STOP_SECONDS = 3.0
"""How long running jobs may go on when the worker stops, and how long a cancelled one may take."""
STARTING_SECONDS = 0.01
"""Between two looks at a thread that is being started."""
KEPT = timedelta(days=2)
"""How long a job that was done is remembered by its key."""
RUNNING_AT_ONCE = {QueueName.JOBS: 32, QueueName.WEBHOOKS: 64}
"""Most jobs of a queue at a time, per node."""
PER_RECEIVER = 8
"""Most deliveries to one receiver at a time, per node."""
CONNECTIONS = 8
"""Connections to the database that are DBOS's own."""
THREADS = 8
"""Threads of DBOS's pool, which write down outcomes: as many as there are connections."""
POOL_THREADS, QUEUE_THREADS = "dbos-executor-", "queue-worker-"
"""What the names of DBOS's threads begin with: of its pool, and those that take jobs."""
BATCH = 500
"""Most jobs read from DBOS's tables at once."""
UNFINISHED = ("ENQUEUED", "DELAYED", "PENDING")
"""DBOS's names for the states of a job that is not done."""

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
    """How often the worker looks for jobs."""

    look_seconds: float = 1.0
    """For the first job ever, before DBOS is launched."""
    poll_seconds: float = 0.25
    """For jobs that are due, once it is."""
    idle_seconds: float = 1.0
    """For messages between jobs, of which there are none. Stopping takes as long."""


class Worker:
    """Carries out the jobs of this node. For one event loop, which runs the handlers."""

    _running_here: "Worker | None" = None
    """The worker of this process that has DBOS."""

    def __init__(self, database: Database, node_id: str, pace: Pace = Pace()) -> None:
        self._database = database
        self._node_id = node_id
        self._pace = pace
        self._handlers: dict[str, Handler] = {}
        self._jobs: set[asyncio.Task[Any]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._launching: asyncio.Task[None] | None = None
        self._library = ExitStack()
        """Ends DBOS. Blocks."""
        self._is_launched = False
        self._is_stopping = False

    def register(self, name: str, handler: Handler) -> None:
        """Before `start`: what carries out the jobs of this name."""
        self._handlers[name] = handler

    @property
    def is_launched(self) -> bool:
        """Whether there ever was something to do."""
        return self._is_launched

    async def start(self) -> None:
        """From here on jobs can be enqueued, and are carried out."""
        await outbox.prepare(self._database)
        self._starting = asyncio.create_task(self._launch_when_needed(), name="jobs")

    async def finish(self, seconds: float) -> None:
        """Return once no job is under way or due, after `seconds` at the latest."""
        if Worker._running_here not in (None, self):
            return
        with suppress(TimeoutError, NurError):
            async with asyncio.timeout(seconds):
                while await outbox.has_jobs(self._database, "ENQUEUED", "PENDING"):  # noqa: ASYNC110 - other processes enqueue and finish jobs too
                    await asyncio.sleep(self._pace.poll_seconds)

    async def stop(self) -> None:
        """Carry out no more. A job that is cut off stays pending: the next start of this node, or
        another node, carries it out again. Bounded."""
        self._is_stopping = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([each for each in (self._starting, self._launching) if each])
        if not self._is_launched:
            return
        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        for _ in range(2):
            if self._jobs:
                await asyncio.wait(self._jobs, timeout=STOP_SECONDS)
            for task in self._jobs:
                task.cancel()
        await asyncio.to_thread(self._library.close)
        self._is_launched = False
        Worker._running_here = None

    async def adopt(self, present: Collection[str]) -> int:
        """Carry out again what nodes that are not present had begun. Returns how many jobs."""
        if not self._is_launched:
            return 0
        return await asyncio.to_thread(_adopt, frozenset(present))

    async def forget(self, now: datetime) -> int:
        """Remove one batch of jobs that were done long ago. Returns how many."""
        if not self._is_launched:
            return 0
        return await asyncio.to_thread(_forget, now - KEPT)

    # Launching

    async def _launch_when_needed(self) -> None:
        while True:
            try:
                if Worker._running_here is None and await outbox.has_jobs(
                    self._database, *UNFINISHED
                ):
                    self._launching = asyncio.create_task(self._launch(), name="launch of jobs")
                    await asyncio.shield(self._launching)
                    return
            except Exception as error:
                log.warning("jobs.not_started", error=type(error).__name__, exc_info=True)
            await asyncio.sleep(self._pace.look_seconds)

    async def _launch(self) -> None:
        """Nothing is left running where it fails."""
        if self._is_stopping or Worker._running_here is not None:
            return
        Worker._running_here = self
        try:
            await asyncio.to_thread(self._set_up, asyncio.get_running_loop())
        except BaseException:
            await asyncio.to_thread(self._library.close)
            Worker._running_here = None
            raise
        self._is_launched = True

    def _set_up(self, server: asyncio.AbstractEventLoop) -> None:
        """Launch DBOS with its queues and its one workflow. Blocks."""
        from dbos import DBOS, DBOSClient

        engine = outbox.open_engine(outbox.url_of(self._database), CONNECTIONS)
        self._library.callback(engine.dispose)
        self._library.callback(_join, POOL_THREADS)
        library = DBOS(
            config={
                "name": outbox.APPLICATION,
                "system_database_engine": engine,
                "dbos_system_schema": outbox.SCHEMA,
                "application_version": outbox.VERSION,
                "executor_id": self._node_id,
                "log_level": "WARNING",
                "enable_otlp": False,
                "max_executor_threads": THREADS,
                "use_listen_notify": False,
                "notification_listener_polling_interval_sec": self._pace.idle_seconds,
            }
        )
        self._library.callback(DBOS.destroy)
        self._library.callback(_take_no_more, library)

        @DBOS.workflow(name=outbox.WORKFLOW)
        async def carry_out(written: dict[str, Any]) -> None:
            assert DBOS.workflow_id is not None
            job = self._carry_out(DBOS.workflow_id, outbox.read(written))
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(job, server))

        # Queues are registered before the launch, which looks for them at once and then every
        # second.
        client = DBOSClient(
            system_database_engine=engine,
            dbos_system_schema=outbox.SCHEMA,
            application_name=outbox.APPLICATION,
        )
        for name, at_once in RUNNING_AT_ONCE.items():
            client.register_queue(
                name.value,
                worker_concurrency=at_once,
                partition_worker_concurrency=PER_RECEIVER if name is QueueName.WEBHOOKS else None,
                polling_interval_sec=self._pace.poll_seconds,
            )
        DBOS.launch()

    # Carrying out

    async def _carry_out(self, id: str, job: Job) -> None:
        """Carry out a job once, under DBOS's id for this try; enqueue it anew where it fails."""
        task = asyncio.current_task()
        assert task is not None
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        if self._is_stopping:
            raise asyncio.CancelledError
        try:
            handler = self._handlers.get(job.name)
            if handler is None:
                raise InternalError(f"expected a job this version knows, got {job.name!r}")
            async with asyncio.timeout(JOB_SECONDS):
                await handler(Run(job.key, job.payload, job.failures))
        except asyncio.CancelledError as error:
            if self._is_stopping:
                raise
            await self._failed(id, job, error)
        except Exception as error:
            await self._failed(id, job, error)

    async def _failed(self, id: str, job: Job, error: BaseException) -> None:
        """Enqueue the job anew, once the database takes it, unless it has failed too often."""
        failures = job.failures + 1
        given_up = failures >= MAX_FAILURES
        log.warning(
            "job.failed",
            job=job.name,
            key=job.key,
            failures=failures,
            given_up=given_up,
            error=type(error).__name__,
            exc_info=None if isinstance(error, NurError) else error,
        )
        pause = min(2.0**failures, MAX_PAUSE_SECONDS)
        again = Job(
            name=job.name,
            payload=job.payload,
            key=f"{id}+",
            at=SystemClock().now() + timedelta(seconds=pause),
            queue=job.queue,
            partition=job.partition,
            origin=job.key,
            failures=failures,
        )
        while not given_up:
            try:
                await outbox.put_down(self._database, again)
            except NurError:
                await asyncio.sleep(pause)
            else:
                return


# DBOS at work; each call blocks


def _take_no_more(library: "DBOS") -> None:
    """A job that were taken while DBOS ends would be handed to a loop that runs no more."""
    for event in library.background_thread_stop_events:
        event.set()
    _join(QUEUE_THREADS)


def _join(names: str) -> None:
    """Wait for threads whose names begin so, for `STOP_SECONDS` each."""
    for thread in threading.enumerate():
        if thread.name.startswith(names):
            _join_one(thread)


def _join_one(thread: threading.Thread) -> None:
    """Wait for a thread, also for one that is only just being started: it cannot be joined yet."""
    until = time.monotonic() + STOP_SECONDS
    while thread.ident is None and time.monotonic() < until:
        time.sleep(STARTING_SECONDS)
    if thread.ident is not None:
        thread.join(max(0.0, until - time.monotonic()))


def _adopt(present: frozenset[str]) -> int:
    from dbos import DBOS

    orphans: dict[str | None, list[str]] = defaultdict(list)
    for job in _jobs(status="PENDING"):
        if job.executor_id not in present:
            orphans[job.queue_name].append(job.workflow_id)
    for queue_name, ids in orphans.items():
        DBOS.resume_workflows(ids, queue_name=queue_name)
    return sum(len(ids) for ids in orphans.values())


def _forget(before: datetime) -> int:
    from dbos import DBOS

    done = _jobs(status=["SUCCESS", "ERROR", "CANCELLED"], completed_before=iso(before))
    ids = [job.workflow_id for job in done]
    if ids:
        DBOS.delete_workflows(ids)
    return len(ids)


def _jobs(**filters: Any) -> "list[WorkflowStatus]":
    from dbos import DBOS

    return DBOS.list_workflows(
        name=outbox.WORKFLOW, limit=BATCH, load_input=False, load_output=False, **filters
    )
