"""Jobs are put down with the rows they belong to, and carried out."""

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from nur_server.errors import Unavailable
from nur_server.jobs.worker import UNFINISHED, Run, Worker
from nur_server.store import outbox
from nur_server.store.engine import Database
from nur_server.store.outbox import Job, QueueName, enqueue

from .conftest import QUICK, WAIT_SECONDS, eventually

IDLE_SERVER = """
import asyncio, sys
from nur_server.jobs.worker import Worker
from nur_server.store import outbox
from nur_server.store.engine import Database

async def run():
    database = await Database.open(sys.argv[1])
    await outbox.prepare(database)
    worker = Worker(database, "node-a")
    await worker.start()
    await asyncio.sleep(0)
    await worker.stop()
    await database.close()

asyncio.run(run())
sys.exit("dbos" in sys.modules)
"""


class Desk:
    """A worker whose jobs are noted."""

    def __init__(self, database: Database, node_id: str = "node-a") -> None:
        self.database = database
        self.worker = Worker(database, node_id, QUICK)
        self.runs: list[Run] = []
        self.worker.register("note", self.note)

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
async def working(desk: Desk) -> AsyncIterator[Desk]:
    await desk.worker.start()
    try:
        yield desk
    finally:
        await desk.worker.stop()


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    async with working(Desk(database)) as started:
        yield started


async def test_a_job_is_carried_out_with_its_payload(desk: Desk) -> None:
    await desk.put_down(note("first"))
    await desk.until(lambda: len(desk.runs) == 1)
    assert desk.runs == [Run("first", {"key": "first"}, 0)]


async def test_a_key_is_carried_out_once(desk: Desk) -> None:
    await desk.put_down(note("once"), note("once"))
    await desk.until(lambda: len(desk.runs) == 1)
    await desk.put_down(note("once"), note("last"))
    await desk.until(lambda: len(desk.runs) == 2)
    assert [run.key for run in desk.runs] == ["once", "last"]


async def test_what_is_rolled_back_was_never_put_down(desk: Desk) -> None:
    with pytest.raises(RuntimeError, match="changed my mind"):
        async with desk.database.write() as session:
            await enqueue(session, note("undone"))
            raise RuntimeError("changed my mind")
    await desk.put_down(note("kept"))
    await desk.until(lambda: bool(desk.runs))
    assert [run.key for run in desk.runs] == ["kept"]


async def test_a_job_waits_for_its_time(desk: Desk) -> None:
    await desk.put_down(note("first"))
    await desk.until(lambda: len(desk.runs) == 1)
    soon = desk.database.clock.now() + timedelta(seconds=0.7)
    await desk.put_down(note("later", at=soon), note("now"))
    await desk.until(lambda: len(desk.runs) == 3)
    assert [run.key for run in desk.runs] == ["first", "now", "later"]
    assert desk.database.clock.now() >= soon


async def test_a_handler_that_fails_is_tried_again_under_the_same_key(desk: Desk) -> None:
    tries: list[Run] = []

    async def stumble(run: Run) -> None:
        tries.append(run)
        if run.failures == 0:
            raise Unavailable("not yet")

    desk.worker.register("stumble", stumble)
    await desk.put_down(Job(name="stumble", payload={}, key="steps"))
    await desk.until(lambda: len(tries) == 2)
    assert [(run.key, run.failures) for run in tries] == [("steps", 0), ("steps", 1)]


async def test_a_stuck_receiver_holds_up_no_other(desk: Desk) -> None:
    release = asyncio.Event()
    done: Counter[str] = Counter()

    async def deliver(run: Run) -> None:
        if run.payload["to"] == "stuck":
            await release.wait()
        done[run.payload["to"]] += 1

    desk.worker.register("deliver", deliver)
    jobs = [(to, number) for number in range(20) for to in ("stuck", "brisk")]
    await desk.put_down(
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
    await desk.until(lambda: done["brisk"] == 20)
    assert done["stuck"] == 0
    release.set()
    await desk.until(lambda: done["stuck"] == 20)


async def test_what_a_stop_cuts_off_is_carried_out_by_the_next_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nur_server.jobs.worker.STOP_SECONDS", 0.2)
    started = asyncio.Event()

    async def hang(run: Run) -> None:
        started.set()
        await asyncio.Event().wait()

    first = Desk(database)
    first.worker.register("note", hang)
    async with working(first):
        await first.put_down(note("cut off"))
        async with asyncio.timeout(WAIT_SECONDS):
            await started.wait()

    async with working(Desk(database)) as second:
        await second.until(lambda: bool(second.runs))
    assert [run.key for run in second.runs] == ["cut off"]


async def test_what_a_stop_cuts_off_is_carried_out_by_another_node(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nur_server.jobs.worker.STOP_SECONDS", 0.2)
    started = asyncio.Event()
    runs: list[Run] = []

    async def hang(run: Run) -> None:
        runs.append(run)
        started.set()
        await asyncio.Event().wait()

    first = Desk(database, "node-a")
    first.worker.register("note", hang)
    async with working(first):
        await first.put_down(note("cut off"))
        async with asyncio.timeout(WAIT_SECONDS):
            await started.wait()

    second = Desk(database, "node-b")
    async with working(second):
        await second.put_down(note("own"))
        await second.until(lambda: len(second.runs) == 1)
        assert await second.worker.adopt({"node-a", "node-b"}) == 0
        assert await second.worker.adopt({"node-b"}) == 1
        await second.until(lambda: len(second.runs) == 2)
    assert [run.key for run in second.runs] == ["own", "cut off"]
    assert second.runs[1] == runs[0]


async def test_handlers_run_on_the_loop_of_the_server(desk: Desk) -> None:
    found: list[bool] = []
    loop = asyncio.get_running_loop()

    async def look(run: Run) -> None:
        found.append(asyncio.get_running_loop() is loop)

    desk.worker.register("look", look)
    await desk.put_down(*[Job(name="look", payload={}, key=key) for key in "abc"])
    await desk.until(lambda: len(found) == 3)
    assert all(found)


async def test_jobs_need_no_thread_of_the_loop(desk: Desk) -> None:
    """Its threads may all be waiting for the lock that a transaction with a job holds."""
    await desk.put_down(note("launches"))
    await desk.until(lambda: desk.worker.is_launched and len(desk.runs) == 1)
    release = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asyncio.get_running_loop().set_default_executor(pool)
        blocked = asyncio.ensure_future(asyncio.to_thread(release.wait))
        try:
            await desk.put_down(*[note(f"job {number}") for number in range(20)])
            await desk.until(lambda: len(desk.runs) == 21)

            async def are_written_down() -> bool:
                return not await outbox.has_jobs(desk.database, *UNFINISHED)

            await eventually(are_written_down)
        finally:
            release.set()
        await blocked
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


@pytest.mark.parametrize(
    "error", [Unavailable("away"), ValueError("a fault"), TimeoutError(), asyncio.CancelledError()]
)
async def test_whatever_a_handler_raises_it_is_tried_again(
    desk: Desk, error: BaseException
) -> None:
    tries: list[int] = []

    async def stumble(run: Run) -> None:
        tries.append(run.failures)
        if run.failures == 0:
            raise error

    desk.worker.register("stumble", stumble)
    await desk.put_down(Job(name="stumble", payload={}, key="steps"))
    await desk.until(lambda: tries == [0, 1])


async def test_a_stop_amid_many_jobs_loses_none(database: Database) -> None:
    keys = {f"job {number}" for number in range(60)}
    done: set[str] = set()
    first = Desk(database)
    await first.put_down(*[note(key) for key in keys])
    for _ in range(3):
        desk = Desk(database)
        before = len(done)

        async def take(run: Run) -> None:
            await asyncio.sleep(0)
            done.add(run.key)

        desk.worker.register("note", take)
        async with working(desk):
            await desk.until(lambda before=before: len(done) > before or done == keys)  # type: ignore[misc]
    async with working(Desk(database)) as last:
        await last.until(lambda: done | {run.key for run in last.runs} == keys)


async def test_a_queue_can_be_stopped_while_it_starts(database: Database) -> None:
    desk = Desk(database)
    await desk.put_down(note("patient", at=database.clock.now() + timedelta(seconds=1)))
    for pause in (0.0, 0.06, 0.1, 0.2):
        async with working(Desk(database)):
            await asyncio.sleep(pause)
    async with working(desk):
        await desk.until(lambda: bool(desk.runs))
    assert [run.key for run in desk.runs] == ["patient"]


async def test_what_is_due_is_done_before_a_node_goes(desk: Desk) -> None:
    far = desk.database.clock.now() + timedelta(hours=1)
    await desk.put_down(note("last"), note("later", at=far))
    await desk.worker.finish(WAIT_SECONDS)
    assert [run.key for run in desk.runs] == ["last"]


async def test_a_node_does_not_wait_for_ever_for_what_is_due(database: Database) -> None:
    desk = Desk(database)
    await desk.put_down(note("nobody takes it"))
    await desk.worker.finish(0.1)
    assert desk.runs == []


async def test_nothing_is_launched_before_there_is_something_to_do(desk: Desk) -> None:
    await asyncio.sleep(3 * QUICK.look_seconds)
    assert not desk.worker.is_launched
    await desk.put_down(note("first"))
    await desk.until(lambda: desk.worker.is_launched)


async def test_where_there_is_nothing_to_do_dbos_is_not_even_loaded(
    database: Database, prepared_url: str
) -> None:
    """`database`, at `prepared_url`, is prepared."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", IDLE_SERVER, prepared_url)
    assert await process.wait() == 0


async def test_jobs_that_were_done_are_forgotten_in_time(desk: Desk) -> None:
    await desk.put_down(note("done"))
    await desk.until(lambda: bool(desk.runs))
    now = desk.database.clock.now()
    assert await desk.worker.forget(now) == 0

    async def is_forgotten() -> bool:
        return await desk.worker.forget(now + timedelta(days=3)) == 1

    await eventually(is_forgotten)
