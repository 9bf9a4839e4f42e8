"""Nudges between nodes that share a PostgreSQL database."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from nur_server.cluster import bus as bus_module
from nur_server.cluster.bus import LocalBus, PostgresBus, bus_of
from nur_server.store.engine import Database

WAIT_SECONDS = 20


class Ear:
    """Hears what is published."""

    def __init__(self, database: Database) -> None:
        self.bus = PostgresBus(database)
        self.heard: asyncio.Queue[str] = asyncio.Queue()

    async def next(self) -> str:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.heard.get()

    async def listening(self) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            await self.bus.is_listening.wait()


@pytest.fixture
def kind() -> str:
    return "postgresql"


@pytest.fixture
async def ear(database: Database) -> AsyncIterator[Ear]:
    made = Ear(database)
    await made.bus.start(made.heard.put_nowait)
    await made.listening()
    yield made
    await made.bus.stop()


async def test_what_one_node_publishes_every_other_hears(database: Database, ear: Ear) -> None:
    speaker = PostgresBus(database)
    await speaker.publish("one")
    await speaker.publish("two")
    assert [await ear.next(), await ear.next()] == ["one", "two"]


async def test_a_broken_connection_is_replaced(
    database: Database, postgresql: object, prepared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(bus_module, "RETRY_SECONDS", (0.05,))
    made = Ear(database)
    await made.bus.start(made.heard.put_nowait)
    await made.listening()
    name = prepared_url.partition("@/")[2].partition("?")[0]
    broken = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{name}' AND query = 'SELECT 1'"
    )
    await asyncio.sleep(3 * bus_module.CHECK_SECONDS)
    await asyncio.to_thread(postgresql.execute, broken)  # type: ignore[attr-defined]
    for _ in range(round(WAIT_SECONDS / 0.01)):
        if not made.bus.is_listening.is_set():
            break
        await asyncio.sleep(0.01)
    await made.listening()
    await made.bus.publish("back")
    assert await made.next() == "back"
    await made.bus.stop()


async def test_on_postgresql_nodes_are_connected(database: Database) -> None:
    assert isinstance(bus_of(database), PostgresBus)


async def test_on_sqlite_nobody_hears(tmp_path: object) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/bus.db")
    bus = bus_of(database)
    assert isinstance(bus, LocalBus)
    heard: list[str] = []
    await bus.start(heard.append)
    await bus.publish("anybody?")
    await bus.stop()
    assert heard == []
    await database.close()
