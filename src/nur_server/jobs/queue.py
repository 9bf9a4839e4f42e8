"""The queue that carries out jobs, on DBOS.

Every job is carried out once at least: one that was cut off, by the death of its node too, is
carried out again, under the same key. So a handler first finds out what is left to do. A handler
that fails is tried again, later and later. Waiting takes up nothing: a job that is to be tried
again is put down anew with a later time.

DBOS exists once in a process. It is loaded and started when there is something to do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from nur_server.clock import SystemClock
from nur_server.errors import InternalError, NurError
from nur_server.store import outbox
from nur_server.store.engine import Database
from nur_server.store.outbox import Job, QueueName, enqueue

if TYPE_CHECKING:
    from nur_server.jobs.machinery import Machinery

__all__ = ["Handler", "Job", "Pace", "Queue", "QueueName", "Run", "enqueue"]

JOB_SECONDS = 60.0
"""Longest a handler may take."""
MAX_FAILURES = 50
"""Tries after which a job that always fails is given up: about four hours."""
MAX_PAUSE_SECONDS = 300.0
"""Between two tries."""
STOP_SECONDS = 3.0
"""How long running jobs may go on when the node stops."""
UNFINISHED = ("ENQUEUED", "DELAYED", "PENDING")
"""States of a job, in DBOS's words, before it is done."""
KEPT = timedelta(days=2)
"""How long a job that was done is remembered by its key."""

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
        self._machinery: Machinery | None = None
        self._is_stopping = False

    def register(self, name: str, handler: Handler) -> None:
        """Before `start`: who carries out the jobs of this name."""
        self._handlers[name] = handler

    @property
    def is_started(self) -> bool:
        """Whether there ever was something to do."""
        return self._machinery is not None

    async def start(self) -> None:
        """Be ready: jobs can be put down, and will be carried out."""
        await outbox.prepare(self._database)
        self._loop = asyncio.get_running_loop()
        self._starting = asyncio.create_task(self._start_when_needed(), name="queue")

    async def finish(self, seconds: float) -> None:
        """Return once nothing is under way or due, after `seconds` at the latest: what the last
        sessions have left is told before the server goes."""
        if not (_place.is_free or _place.holder is self):
            return
        with suppress(TimeoutError, NurError):
            async with asyncio.timeout(seconds):
                while await outbox.has_jobs(self._database, "ENQUEUED", "PENDING"):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(self._pace.poll_seconds)

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
        if self._machinery is not None:
            await asyncio.to_thread(self._machinery.shut_down, STOP_SECONDS)
            self._machinery = None
            _place.leave(self)

    async def adopt(self, present: Collection[str]) -> int:
        """Carry out again what nodes that are not present had begun. How many jobs that is."""
        if self._machinery is None:
            return 0
        return await asyncio.to_thread(self._machinery.adopt, frozenset(present))

    async def forget(self, now: datetime) -> int:
        """Remove jobs that were done long ago. How many, of a batch."""
        if self._machinery is None:
            return 0
        return await asyncio.to_thread(self._machinery.forget, now - KEPT)

    # Starting and stopping

    async def _start_when_needed(self) -> None:
        while True:
            try:
                if _place.is_free and await outbox.has_jobs(self._database, *UNFINISHED):
                    self._launching = asyncio.ensure_future(asyncio.to_thread(self._launch))
                    await asyncio.shield(self._launching)
                    return
            except Exception as error:
                log.warning("queue.not_started", error=type(error).__name__, exc_info=True)
            await asyncio.sleep(self._pace.look_seconds)

    def _launch(self) -> None:
        """Blocks. Nothing is left running where it fails."""
        if self._is_stopping or not _place.take(self):
            return
        assert self._loop is not None
        try:
            from nur_server.jobs.machinery import Machinery

            self._machinery = Machinery.launch(
                outbox.url_of(self._database),
                self._node_id,
                self.perform,
                poll_seconds=self._pace.poll_seconds,
                idle_seconds=self._pace.idle_seconds,
            )
        except BaseException:
            _place.leave(self)
            raise

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
                return await outbox.put_down(self._database, again)
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
