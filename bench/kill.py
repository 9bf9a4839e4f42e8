"""Kill -9 of a server at random moments of a storm of webhooks and scheduled calls.

    python -m bench.kill --runs 200 [--database postgresql | postgresql://…]

In each run a server accepts events and calls until it is killed, is started again, now and then
killed once more while it makes up for what it has missed, and started again; then all it had
accepted must get done. Reported, and all to be 0:

- lost: accepted and never received, or noted as delivered and never received
- repeated: received again although it was noted as delivered, or twice from one life of the server
- out of order: the events of a call, at either of its two receivers, or an end that was not told
- calls placed twice, and calls that never end

Received once more, because the server died before it could note the answer, is no error: that is
what "at least once" means, and why an event keeps its id.
"""

import argparse
import asyncio
import json
import random
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
from sqlalchemy import text
from tests.jobs.receiver import Receiver, receiving

from bench.node import Node
from nur_server.store.engine import Database

SETTLE_SECONDS = 60.0
STORM_SECONDS = (0.1, 1.6)
"""From the first thing accepted to the kill."""
KILLED_AGAIN = 0.3
"""Part of the runs."""
RECOVERING_SECONDS = (0.0, 1.0)
"""From being ready again to the second kill."""
CLIENTS = 4
CALLS = 3
"""Scheduled in a run."""
CALL_SECONDS = (0.1, 1.0)
"""From the order of a call to its time."""
REFUSED = 0.2
"""Part of the attempts the receiver refuses."""
MOST_REFUSED = 2
"""Attempts at one delivery."""
HOOKS, OF_CALLS = "/hooks", "/calls"
TO = "+15550100"
RANKS = {"call.initiating": 1, "call.ringing": 2, "call.failed": 3}
DELIVERED = """
SELECT webhooks.url, webhook_deliveries.event_id
FROM webhook_deliveries JOIN webhooks ON webhooks.id = webhook_deliveries.webhook_id
WHERE webhook_deliveries.status = 'delivered'
"""
UNDONE = """
SELECT (SELECT count(*) FROM webhook_deliveries WHERE status = 'pending')
    + (SELECT count(*) FROM calls WHERE ended_at IS NULL)
"""

Delivery = tuple[str, str]
"""The path it goes to, and the event."""


@dataclass
class Tally:
    """What came of the runs."""

    runs: int = 0
    kills: int = 0
    accepted: int = 0
    calls: int = 0
    interrupted: int = 0
    """Calls that were under way when the server was killed."""
    again: int = 0
    """Received twice because the server died before it could note it."""
    lost: set[str] = field(default_factory=set)
    repeated: set[str] = field(default_factory=set)
    disordered: set[str] = field(default_factory=set)
    placed_twice: set[str] = field(default_factory=set)
    unfinished: int = 0
    """Deliveries and calls that were not over in the end."""

    @property
    def is_clean(self) -> bool:
        problems = self.lost, self.repeated, self.disordered, self.placed_twice
        return not any(problems) and not self.unfinished

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.accepted} events and {self.calls} calls accepted, "
            f"{self.interrupted} of these under way at a kill: {len(self.lost)} lost, "
            f"{len(self.repeated)} repeated, {len(self.disordered)} calls out of order, "
            f"{len(self.placed_twice)} placed twice, {self.unfinished} unfinished; "
            f"{self.again} received twice for dying before it was noted"
        )


class Storm:
    """Events and calls thrown at one node, of which some may die."""

    def __init__(
        self, node: Node, database: Database, receiver: Receiver, dice: random.Random
    ) -> None:
        self._node = node
        self._database = database
        self._receiver = receiver
        self._dice = dice
        self.tally = Tally()
        self._webhook_id = ""
        self._agent_id = ""
        self._first = asyncio.Event()
        """Something was accepted in this run."""
        self._noted: set[Delivery] = set()
        """As delivered, when the server was killed the last time."""
        self._received: Counter[Delivery] = Counter()
        """Up to then."""
        self._told: defaultdict[Delivery, list[str]] = defaultdict(list)
        """The events of a call, by path and call, in the order they first came."""
        self._refused: Counter[Delivery] = Counter()
        receiver.answer = self._answer

    async def set_up(self) -> None:
        async with self._node.client() as client:
            body = {"url": self._receiver.url(HOOKS), "events": ["*"]}
            self._webhook_id = (await client.post("/v1/webhooks", json=body)).json()["id"]
            agent = {"name": "A", "voice_id": "rachel_v2", "system_prompt": "Be brief."}
            self._agent_id = (await client.post("/v1/agents", json=agent)).json()["id"]

    async def run(self) -> None:
        """Throw, kill, start again, and see whether all is done."""
        events, calls = await self._throw()
        await self._judge_life()
        if self._dice.random() < KILLED_AGAIN:
            await self._node.start()
            await asyncio.sleep(self._dice.uniform(*RECOVERING_SECONDS))
            await self._kill()
            await self._judge_life()
        await self._node.start()
        self.tally.unfinished += await self._settle()
        await self._judge_life()
        await self._judge(events, calls)

    def _answer(self, path: str, body: bytes) -> int:
        """Of the receiver, which is not always well."""
        delivery = (path, json.loads(body)["id"])
        if self._dice.random() < REFUSED and self._refused[delivery] < MOST_REFUSED:
            self._refused[delivery] += 1
            return 503
        return 204

    async def _throw(self) -> tuple[set[str], set[str]]:
        """What the server has accepted before it is killed in the middle of it."""
        events: set[str] = set()
        calls: set[str] = set()
        self._first.clear()
        async with self._node.client() as client, asyncio.TaskGroup() as group:
            throwing = [group.create_task(self._events(client, events)) for _ in range(CLIENTS)]
            throwing.append(group.create_task(self._calls(client, calls)))
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._first.wait()
            await asyncio.sleep(self._dice.uniform(*STORM_SECONDS))
            await self._kill()
            for task in throwing:
                task.cancel()
        return events, calls

    async def _kill(self) -> None:
        await self._node.kill()
        self.tally.kills += 1
        self.tally.interrupted += await self._count(
            "SELECT count(*) FROM calls WHERE ended_at IS NULL AND node_id IS NOT NULL"
        )

    async def _events(self, client: httpx2.AsyncClient, accepted: set[str]) -> None:
        while True:
            with suppress(httpx2.HTTPError):
                answer = await client.post(f"/v1/webhooks/{self._webhook_id}/test")
                if answer.status_code == 201:
                    accepted.add(answer.json()["event_id"])
                    self._first.set()

    async def _calls(self, client: httpx2.AsyncClient, accepted: set[str]) -> None:
        for _ in range(CALLS):
            at = datetime.now(UTC) + timedelta(seconds=self._dice.uniform(*CALL_SECONDS))
            body = {
                "phone_number": TO,
                "scheduled_at": at.isoformat(),
                "webhook_url": self._receiver.url(OF_CALLS),
            }
            with suppress(httpx2.HTTPError):
                answer = await client.post(f"/v1/agents/{self._agent_id}/calls", json=body)
                if answer.status_code == 201:
                    accepted.add(answer.json()["id"])
                    self._first.set()

    async def _settle(self) -> int:
        """Wait until everything is done, or for long enough; how much is not."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while undone := await self._count(UNDONE):
            if time.monotonic() > deadline:
                return undone
            await asyncio.sleep(0.1)
        return 0

    async def _judge_life(self) -> None:
        """What the server has sent since its start, and what it has noted of it."""
        grown: Counter[Delivery] = Counter()
        for each in self._receiver.accepted():
            delivery = (each.path, each.id)
            if each.type in RANKS and delivery not in self._received and not grown[delivery]:
                self._told[each.path, each.json["data"]["call_id"]].append(each.type)
            grown[delivery] += 1
        self._receiver.received.clear()
        tally = self.tally
        tally.repeated |= {
            event
            for (path, event), count in grown.items()
            if count > 1 or (path, event) in self._noted
        }
        tally.again += sum(1 for each in grown if self._received[each] and each not in self._noted)
        self._received += grown
        self._noted = await self._delivered()
        tally.lost |= {event for path, event in self._noted if not self._received[path, event]}

    async def _judge(self, events: set[str], calls: set[str]) -> None:
        tally = self.tally
        tally.runs += 1
        tally.accepted += len(events)
        tally.calls += len(calls)
        tally.lost |= {event for event in events if not self._received[HOOKS, event]}
        for path in (HOOKS, OF_CALLS):
            tally.disordered |= {call for call in calls if not _in_order(self._told[path, call])}
        placed = Counter(self._node.placed)
        tally.placed_twice |= {call for call, count in placed.items() if count > 1}

    async def _delivered(self) -> set[Delivery]:
        """What the server has noted as delivered."""
        async with self._database.read() as session:
            found = await session.execute(text(DELIVERED))
            return {(httpx2.URL(url).path, event) for url, event in found}

    async def _count(self, statement: str) -> int:
        async with self._database.read() as session:
            return int(await session.scalar(text(statement)) or 0)


def _in_order(told: list[str]) -> bool:
    """A call was told of from its beginning, forward, to its end."""
    ranks = [RANKS[type] for type in told]
    return ranks == sorted(set(ranks)) and ranks[-1:] == [max(RANKS.values())]


@asynccontextmanager
async def storming(url: str, folder: Path, seed: int) -> AsyncIterator[Storm]:
    """A running server, and the storm that is going to hit it."""
    node = Node(url, folder)
    async with receiving() as receiver:
        try:
            await node.start()
            database = await Database.open(url)
            try:
                storm = Storm(node, database, receiver, random.Random(seed))
                await storm.set_up()
                yield storm
            finally:
                await database.close()
        finally:
            await node.kill()


async def measure(url: str, folder: Path, runs: int, seed: int) -> Tally:
    async with storming(url, folder, seed) as storm:
        for number in range(1, runs + 1):
            await storm.run()
            print(f"{number}/{runs}: {storm.tally}", flush=True)
        return storm.tally


@contextmanager
def _database(wanted: str | None, folder: Path) -> Iterator[str]:
    if wanted != "postgresql":
        yield wanted or f"sqlite:///{folder / 'kill.db'}"
        return
    from tests.store.conftest import PostgreSQL, programs

    kept = folder / "postgresql"
    kept.mkdir()
    folder.chmod(0o755)
    server = PostgreSQL(programs(), kept)
    try:
        yield server.url(server.new_database())
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument(
        "--database",
        help="an address, or `postgresql` to start one; default: SQLite in a temporary folder",
    )
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="nurkill"))
    try:
        with _database(given.database, folder) as url:
            began = time.monotonic()
            tally = asyncio.run(measure(url, folder / "node", given.runs, given.seed))
        print(f"{tally.runs} runs in {time.monotonic() - began:.0f} s: {tally}")
        for kind in ("lost", "repeated", "disordered", "placed_twice"):
            if found := sorted(getattr(tally, kind)):
                print(f"{kind}: {found}")
        raise SystemExit(0 if tally.is_clean else 1)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
