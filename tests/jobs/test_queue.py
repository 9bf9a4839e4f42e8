"""Jobs are put down with the rows they belong to, and carried out."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from nur_server.errors import Unavailable
from nur_server.jobs.queue import Job, Queue, QueueName, Run, enqueue
from nur_server.store.engine import Database

from .conftest import QUICK, WAIT_SECONDS, eventually

IDLE_SERVER = """
import asyncio, sys
from nur_server.jobs.queue import Queue
from nur_server.store import outbox
from nur_server.store.engine import Database

async def run():
    database = await Database.open(sys.argv[1])
    await outbox.prepare(database)
    queue = Queue(database, "node-a")
    await queue.start()
    await asyncio.sleep(0)
    await queue.stop()
    await database.close()

asyncio.run(run())
sys.exit("dbos" in sys.modules)
"""


class Worker:
    """A queue whose jobs are noted."""

    def __init__(self, database: Database, node_id: str = "node-a") -> None:
        self.database = database
        self.queue = Queue(database, node_id, QUICK)
        self.runs: list[Run] = []
        self.queue.register("note", self.note)

    async def note(self, run: Run) -> None:
        self.runs.append(run)

    async def put_down(self, *jobs: Job) -> None:
        async with self.database.write() as session:
            for job in jobs:
                await enqueue(session, job)

    async def until(self, holds: Callable[[], bool]) -> None:
        async def check() -> bool:
            return holds()

        await eventually(check)


def note(key: str, **more: object) -> Job:
    return Job(name="note", payload={"key": key}, key=key, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[Worker]:
    await worker.queue.start()
    try:
        yield worker
    finally:
        await worker.queue.stop()


@pytest.fixture
async def worker(database: Database) -> AsyncIterator[Worker]:
    async with working(Worker(database)) as started:
        yield started


async def test_a_job_is_carried_out_with_its_payload(worker: Worker) -> None:
    await worker.put_down(note("first"))
    await worker.until(lambda: len(worker.runs) == 1)
    assert worker.runs == [Run("first", {"key": "first"}, 0)]


async def test_a_key_is_carried_out_once(worker: Worker) -> None:
    await worker.put_down(note("once"), note("once"))
    await worker.until(lambda: len(worker.runs) == 1)
    await worker.put_down(note("once"), note("last"))
    await worker.until(lambda: len(worker.runs) == 2)
    assert [run.key for run in worker.runs] == ["once", "last"]


async def test_what_is_rolled_back_was_never_put_down(worker: Worker) -> None:
    with pytest.raises(RuntimeError, match="changed my mind"):
        async with worker.database.write() as session:
            await enqueue(session, note("undone"))
            raise RuntimeError("changed my mind")
    await worker.put_down(note("kept"))
    await worker.until(lambda: bool(worker.runs))
    assert [run.key for run in worker.runs] == ["kept"]


async def test_a_job_waits_for_its_time(worker: Worker) -> None:
    await worker.put_down(note("first"))
    await worker.until(lambda: len(worker.runs) == 1)
    soon = worker.database.clock.now() + timedelta(seconds=0.7)
    await worker.put_down(note("later", at=soon), note("now"))
    await worker.until(lambda: len(worker.runs) == 3)
    assert [run.key for run in worker.runs] == ["first", "now", "later"]
    assert worker.database.clock.now() >= soon


async def test_a_handler_that_fails_is_tried_again_under_the_same_key(worker: Worker) -> None:
    tries: list[Run] = []

    async def stumble(run: Run) -> None:
        tries.append(run)
        if run.failures == 0:
            raise Unavailable("not yet")

    worker.queue.register("stumble", stumble)
    await worker.put_down(Job(name="stumble", payload={}, key="steps"))
    await worker.until(lambda: len(tries) == 2)
    assert [(run.key, run.failures) for run in tries] == [("steps", 0), ("steps", 1)]


async def test_a_stuck_receiver_holds_up_no_other(worker: Worker) -> None:
    release = asyncio.Event()
    done: Counter[str] = Counter()

    async def deliver(run: Run) -> None:
        if run.payload["to"] == "stuck":
            await release.wait()
        done[run.payload["to"]] += 1

    worker.queue.register("deliver", deliver)
    jobs = [(to, number) for number in range(20) for to in ("stuck", "brisk")]
    await worker.put_down(
        *[
            Job(
                name="deliver",
                payload={"to": to},
                key=f"{to}{number}",
                queue=QueueName.WEBHOOKS,
                partition=to,
            )
            for to, number in jobs
        ]
    )
    await worker.until(lambda: done["brisk"] == 20)
    assert done["stuck"] == 0
    release.set()
    await worker.until(lambda: done["stuck"] == 20)


async def test_what_a_stop_cuts_off_is_carried_out_by_the_next_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nur_server.jobs.queue.STOP_SECONDS", 0.2)
    started = asyncio.Event()

    async def hang(run: Run) -> None:
        started.set()
        await asyncio.Event().wait()

    first = Worker(database)
    first.queue.register("note", hang)
    async with working(first):
        await first.put_down(note("cut off"))
        async with asyncio.timeout(WAIT_SECONDS):
            await started.wait()

    async with working(Worker(database)) as second:
        await second.until(lambda: bool(second.runs))
    assert [run.key for run in second.runs] == ["cut off"]


async def test_a_queue_can_be_stopped_while_it_starts(database: Database) -> None:
    worker = Worker(database)
    await worker.put_down(note("patient", at=database.clock.now() + timedelta(seconds=1)))
    for pause in (0.0, 0.06, 0.1, 0.2):
        async with working(Worker(database)):
            await asyncio.sleep(pause)
    async with working(worker):
        await worker.until(lambda: bool(worker.runs))
    assert [run.key for run in worker.runs] == ["patient"]


async def test_what_is_due_is_done_before_a_node_goes(worker: Worker) -> None:
    far = worker.database.clock.now() + timedelta(hours=1)
    await worker.put_down(note("last"), note("later", at=far))
    await worker.queue.finish(WAIT_SECONDS)
    assert [run.key for run in worker.runs] == ["last"]


async def test_a_node_does_not_wait_for_ever_for_what_is_due(database: Database) -> None:
    worker = Worker(database)
    await worker.put_down(note("nobody takes it"))
    await worker.queue.finish(0.1)
    assert worker.runs == []


async def test_nothing_is_started_before_there_is_something_to_do(worker: Worker) -> None:
    await asyncio.sleep(3 * QUICK.look_seconds)
    assert not worker.queue.is_started
    await worker.put_down(note("first"))
    await worker.until(lambda: worker.queue.is_started)


async def test_where_there_is_nothing_to_do_dbos_is_not_even_loaded(
    database: Database, prepared_url: str
) -> None:
    """`database`, at `prepared_url`, is prepared."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", IDLE_SERVER, prepared_url)
    assert await process.wait() == 0


async def test_jobs_that_were_done_are_forgotten_in_time(worker: Worker) -> None:
    await worker.put_down(note("done"))
    await worker.until(lambda: bool(worker.runs))
    now = worker.database.clock.now()
    assert await worker.queue.forget(now) == 0

    async def is_forgotten() -> bool:
        return await worker.queue.forget(now + timedelta(days=3)) == 1

    await eventually(is_forgotten)
