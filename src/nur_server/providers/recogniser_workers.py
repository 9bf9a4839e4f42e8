"""Threads on which speech is recognised: the most urgent first, and nothing that is not wanted."""

import asyncio
import functools
import heapq
import itertools
import threading
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Generic, TypeVar

from nur_server.errors import ProviderError

T = TypeVar("T")


class Abandoned(Exception):
    """The result is no longer wanted."""


class Priority(IntEnum):
    """Who goes first."""

    FINAL = 0
    """Finals, and hypotheses at a pause: the answer to the user waits for them."""
    PARTIAL = 1


class Job(Generic[T]):
    """Work for a thread, and the future its result goes to."""

    def __init__(self, work: Callable[[Callable[[], bool]], T]) -> None:
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[T] = self._loop.create_future()
        self.waited_seconds = 0.0
        """From submission to start."""
        self._submitted_at = self._loop.time()
        self._work = work
        self._abandoned = threading.Event()
        self.result.add_done_callback(lambda _: self._abandoned.set())

    def run(self) -> None:
        """On a worker thread."""
        if self._abandoned.is_set():
            return
        self.waited_seconds = self._loop.time() - self._submitted_at
        try:
            result = self._work(self._abandoned.is_set)
        except Abandoned:
            return
        except BaseException as error:
            self._deliver(functools.partial(self.result.set_exception, error))
        else:
            self._deliver(functools.partial(self.result.set_result, result))

    def _deliver(self, settle: Callable[[], None]) -> None:
        def on_loop() -> None:
            if not self.result.done():
                settle()

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(on_loop)


class Workers:
    """Threads that do the most urgent job first. Each utterance has one job at a time, so the
    queue is bounded by the number of live utterances."""

    def __init__(self, threads: int, name: str) -> None:
        """`name`: of the recogniser whose work it is."""
        self._name = name
        self._jobs: list[tuple[Priority, int, Job[Any]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._is_closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, priority: Priority, work: Callable[[Callable[[], bool]], T]) -> Job[T]:
        """Queue `work`, which is given a function that says whether it is still wanted.

        Cancelling the job's `result` takes it out of the queue or makes it stop early.
        """
        job = Job(work)
        with self._changed:
            if self._is_closed:
                raise ProviderError("the speech recogniser was closed", provider=self._name)
            heapq.heappush(self._jobs, (priority, next(self._order), job))
            self._changed.notify()
        return job

    @property
    def waiting(self) -> int:
        """Jobs that have not begun."""
        return len(self._jobs)

    def close(self) -> None:
        """Drop what waits and end the threads. Blocks until the running jobs are done."""
        with self._changed:
            self._is_closed = True
            self._jobs.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._is_closed:
                    self._changed.wait()
                if self._is_closed:
                    return
                _, _, job = heapq.heappop(self._jobs)
            job.run()
