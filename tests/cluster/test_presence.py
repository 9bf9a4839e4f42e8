"""Who is there, and who has gone without a word."""

from collections.abc import AsyncIterator

import pytest

from nur_server.cluster.presence import Presence
from nur_server.store.engine import Database
from nur_server.store.nodes import beat, hold_lease, read_beats


class Watcher(Presence):
    """Looks when it is told to."""

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self._look()


@pytest.fixture
async def watcher(database: Database) -> AsyncIterator[Watcher]:
    made = Watcher(database, "node-a", beat_seconds=3600, lost_looks=3)
    await made.start()
    yield made
    await made.stop()


async def test_a_node_is_present_while_it_beats(database: Database, watcher: Watcher) -> None:
    for _ in range(5):
        await beat(database, "node-b")
        await watcher.look()
    assert watcher.present() == {"node-a", "node-b"}
    assert await watcher.lost() == set()


async def test_a_node_that_beats_no_more_is_lost(database: Database, watcher: Watcher) -> None:
    await beat(database, "node-b")
    await watcher.look(3)
    assert await watcher.lost() == set()
    await watcher.look()
    assert await watcher.lost() == {"node-b"}
    await watcher.forget("node-b")
    assert await watcher.lost() == set()
    assert set(await read_beats(database)) == {"node-a"}


async def test_a_node_that_comes_back_is_present(database: Database, watcher: Watcher) -> None:
    await beat(database, "node-b")
    await watcher.look(5)
    await beat(database, "node-b")
    await watcher.look()
    assert watcher.present() == {"node-a", "node-b"}


async def test_a_node_that_leaves_is_not_missed(database: Database, watcher: Watcher) -> None:
    other = Presence(database, "node-b")
    await other.start()
    await watcher.look()
    assert watcher.present() == {"node-a", "node-b"}
    await other.stop()
    await watcher.look()
    assert (watcher.present(), await watcher.lost()) == ({"node-a"}, set())


async def test_a_duty_is_one_nodes_at_a_time(database: Database) -> None:
    assert await hold_lease(database, "duty", "node-a", 60)
    assert not await hold_lease(database, "duty", "node-b", 60)
    assert await hold_lease(database, "duty", "node-a", 0)
    assert await hold_lease(database, "duty", "node-b", 60)
