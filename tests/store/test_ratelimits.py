"""Windows counted by several nodes at once."""

import asyncio

import pytest
from limits import parse
from limits.aio.strategies import FixedWindowRateLimiter

from nur_server.clock import SystemClock
from nur_server.store.engine import Database
from nur_server.store.ratelimits import PostgresStorage, shared_counts

TEN = parse("10/minute")
BLINK = parse("2/second")


@pytest.fixture
def kind() -> str:
    return "postgresql"


@pytest.fixture
async def empty(database: Database) -> Database:
    await PostgresStorage(database).reset()
    return database


async def test_nodes_count_together(url: str, empty: Database) -> None:
    other = await Database.open(url, clock=SystemClock())
    nodes = [FixedWindowRateLimiter(PostgresStorage(each)) for each in (empty, other)]
    allowed = await asyncio.gather(*[nodes[n % 2].hit(TEN, "dial", "key_1") for n in range(30)])
    assert allowed.count(True) == 10
    assert await nodes[0].hit(TEN, "dial", "key_2")
    await other.close()


async def test_a_window_ends(empty: Database) -> None:
    limiter = FixedWindowRateLimiter(PostgresStorage(empty))
    assert [await limiter.hit(BLINK, "dial") for _ in range(3)] == [True, True, False]
    for _ in range(300):
        if await limiter.hit(BLINK, "dial"):
            break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("expected a new window")
    assert (await limiter.get_window_stats(BLINK, "dial")).remaining in (0, 1)


async def test_what_is_left_is_known_without_asking(empty: Database) -> None:
    storage = PostgresStorage(empty)
    limiter = FixedWindowRateLimiter(storage)
    await limiter.hit(TEN, "dial")
    assert (await limiter.get_window_stats(TEN, "dial")).remaining == 9
    await limiter.clear(TEN, "dial")
    assert (await limiter.get_window_stats(TEN, "dial")).remaining == 10
    assert await storage.check()


async def test_on_postgresql_counts_are_shared(database: Database) -> None:
    assert isinstance(await shared_counts(database), PostgresStorage)


async def test_on_sqlite_each_node_counts_for_itself(tmp_path: object) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/limits.db")
    assert await shared_counts(database) is None
    await database.close()
