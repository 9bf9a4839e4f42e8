"""Kill -9 of a server at random moments of a storm of webhooks and scheduled calls.

    python -m bench.kill --runs 200 [--database postgresql://…]

Each run lets a server accept events and calls, kills it, starts it again, and waits until all it
had accepted is done. Reported: what was lost (never received), what was repeated although it had
been marked as finished, and calls that were placed twice. All three must be 0.

Run as `python -m bench.kill serve URL PORT FOLDER` it is that server.
"""

import argparse
import asyncio
import os
import random
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
from sqlalchemy import text
from tests.jobs.receiver import Receiver, receiving

READY_SECONDS = 60.0
SETTLE_SECONDS = 60.0
STORM_SECONDS = (0.3, 2.0)
CLIENTS = 4
CALLS = 3
"""Scheduled in a run."""
REFUSED = 0.2
"""Part of the deliveries the receiver refuses."""
TO = "+15550100"
BACK_OFF = (0.2, 0.5, 1.0)


class Node:
    """A server process."""

    def __init__(self, url: str, folder: Path, *, port: int | None = None) -> None:
        self.database_url = url
        self._folder = folder
        self.port = port or _free_port()
        self._process: asyncio.subprocess.Process | None = None
        self.placed = folder / "placed"

    async def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "bench.kill", "serve", self.database_url]
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, str(self.port), str(self._folder), stdout=log, stderr=log
            )
        async with httpx2.AsyncClient() as client:
            deadline = time.monotonic() + READY_SECONDS
            while time.monotonic() < deadline:
                if self._process.returncode is not None:
                    code = self._process.returncode
                    raise RuntimeError(f"the server ended with {code}: {self.log()[-2000:]}")
                with suppress(httpx2.HTTPError):
                    answer = await client.get(f"http://127.0.0.1:{self.port}/readyz")
                    if answer.status_code == 200:
                        return
                await asyncio.sleep(0.05)
        raise RuntimeError(f"expected a ready server within {READY_SECONDS:g} s")

    async def kill(self) -> None:
        """At once: the server gets to do nothing more."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    @property
    def key(self) -> str:
        return (self._folder / "key").read_text()

    def client(self, key: str | None = None) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {key or self.key}"},
            timeout=10,
        )


@dataclass
class Tally:
    """What came of the runs."""

    runs: int = 0
    accepted: int = 0
    calls: int = 0
    lost: set[str] = field(default_factory=set)
    repeated: set[str] = field(default_factory=set)
    """Received once more after the server had marked it as delivered."""
    again: int = 0
    """Received twice because the server died before it could mark it."""
    placed_twice: set[str] = field(default_factory=set)
    unfinished_calls: set[str] = field(default_factory=set)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.repeated or self.placed_twice or self.unfinished_calls)


class Storm:
    """Events and calls thrown at one node, of which some may die."""

    def __init__(self, node: Node, receiver: Receiver, dice: random.Random) -> None:
        self._node = node
        self._receiver = receiver
        self._dice = dice
        self.tally = Tally()
        self._webhook_id = ""
        self._agent_id = ""
        receiver.answer = lambda path, body: 503 if dice.random() < REFUSED else 204

    async def set_up(self) -> None:
        async with self._node.client() as client:
            body = {"url": self._receiver.url(), "events": ["*"]}
            self._webhook_id = (await client.post("/v1/webhooks", json=body)).json()["id"]
            agent = {"name": "A", "voice_id": "rachel_v2", "system_prompt": "Be brief."}
            self._agent_id = (await client.post("/v1/agents", json=agent)).json()["id"]

    async def run(self) -> None:
        """Throw, kill, start again, and see whether all is done."""
        events, calls = await self._throw()
        await self._node.kill()
        finished = set(await _finished(self._node.database_url))
        before = self._receiver.accepted_ids()
        await self._node.start()
        await self._settle(events, calls)
        self._judge(events, calls, finished, before)

    async def _throw(self) -> tuple[set[str], set[str]]:
        """What the server has accepted before the storm is over."""
        events: set[str] = set()
        calls: set[str] = set()
        async with self._node.client() as client, asyncio.TaskGroup() as group:
            throwing = [group.create_task(self._events(client, events)) for _ in range(CLIENTS)]
            throwing.append(group.create_task(self._calls(client, calls)))
            await asyncio.sleep(self._dice.uniform(*STORM_SECONDS))
            for task in throwing:
                task.cancel()
        return events, calls

    async def _events(self, client: httpx2.AsyncClient, accepted: set[str]) -> None:
        while True:
            answer = await client.post(f"/v1/webhooks/{self._webhook_id}/test")
            if answer.status_code == 201:
                accepted.add(answer.json()["event_id"])

    async def _calls(self, client: httpx2.AsyncClient, accepted: set[str]) -> None:
        for _ in range(CALLS):
            at = datetime.now(UTC) + timedelta(seconds=self._dice.uniform(0.3, 1.5))
            body = {"phone_number": TO, "scheduled_at": at.isoformat()}
            answer = await client.post(f"/v1/agents/{self._agent_id}/calls", json=body)
            if answer.status_code == 201:
                accepted.add(answer.json()["id"])

    async def _settle(self, events: set[str], calls: set[str]) -> None:
        """Wait until everything accepted is done, or for long enough."""
        with suppress(TimeoutError):
            await self._receiver.until(
                lambda: events <= set(self._receiver.accepted_ids()), SETTLE_SECONDS
            )
        deadline = time.monotonic() + SETTLE_SECONDS
        waiting = set(calls)
        async with self._node.client() as client:
            while waiting and time.monotonic() < deadline:
                for call_id in list(waiting):
                    call = (await client.get(f"/v1/calls/{call_id}")).json()
                    if call["ended_at"] is not None:
                        waiting.discard(call_id)
                await asyncio.sleep(0.1)
        self.tally.unfinished_calls |= waiting

    def _judge(
        self, events: set[str], calls: set[str], finished: set[str], before: Counter[str]
    ) -> None:
        after = self._receiver.accepted_ids()
        tally = self.tally
        tally.runs += 1
        tally.accepted += len(events)
        tally.calls += len(calls)
        tally.lost |= events - set(after)
        grown = {event for event, count in after.items() if count > before[event] > 0}
        tally.repeated |= grown & finished
        tally.again += len(grown - finished)
        placed = Counter(
            self._node.placed.read_text().split() if self._node.placed.exists() else ()
        )
        tally.placed_twice |= {call for call, count in placed.items() if count > 1}


async def _finished(url: str) -> list[str]:
    """The events that are marked as delivered, while no server runs."""
    from nur_server.store.engine import Database

    database = await Database.open(url)
    try:
        async with database.read() as session:
            found = await session.scalars(
                text("SELECT event_id FROM webhook_deliveries WHERE status = 'delivered'")
            )
            return list(found)
    finally:
        await database.close()


@asynccontextmanager
async def storming(url: str, folder: Path, seed: int) -> AsyncIterator[Storm]:
    """A running server, and the storm that is going to hit it."""
    node = Node(url, folder)
    async with receiving() as receiver:
        try:
            await node.start()
            storm = Storm(node, receiver, random.Random(seed))
            await storm.set_up()
            yield storm
        finally:
            await node.kill()


async def measure(url: str, folder: Path, runs: int, seed: int) -> Tally:
    async with storming(url, folder, seed) as storm:
        for number in range(1, runs + 1):
            await storm.run()
            tally = storm.tally
            print(
                f"{number}/{runs}: {tally.accepted} events, {tally.calls} calls accepted, "
                f"{len(tally.lost)} lost, {len(tally.repeated)} repeated, "
                f"{len(tally.placed_twice)} calls placed twice, "
                f"{len(tally.unfinished_calls)} unfinished, {tally.again} received twice "
                "for dying before it was noted",
                flush=True,
            )
        return storm.tally


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The server


def _serve(url: str, port: int, folder: Path) -> None:
    import uvicorn

    from nur_server.api.app import Telephony, create_app
    from nur_server.calls.policy import CallPolicy
    from nur_server.jobs.queue import Pace
    from nur_server.jobs.work import Times
    from nur_server.ports import DialRequest, HangupCause
    from nur_server.providers.catalogue import Catalogue
    from nur_server.settings import Settings
    from nur_server.store.records import NewKey
    from nur_server.transports.loopback import Refuse, Ring, Script

    def callee(request: DialRequest) -> Script:
        """Note that the call was placed, where a killed server cannot take it back."""
        file = os.open(folder / "placed", os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(file, f"{request.call_id}\n".encode())
        os.close(file)
        return (Ring(0.3), Refuse(HangupCause.BUSY))

    def keep(key: NewKey) -> None:
        (folder / "key").write_text(key.secret)

    app = create_app(
        Settings(
            _env_file=None,  # type: ignore[call-arg]
            data_dir=folder,
            database_url=url,  # type: ignore[arg-type]
            port=port,
            allow_private_urls=True,
            discover_models=False,
            log_level="warning",
        ),
        catalogue=Catalogue.scripted(),
        rate_limits={"general": "1000000/minute"},
        on_first_key=keep,
        telephony=Telephony(
            policy=CallPolicy(calls_per_second=1000, concurrent_calls=1000), callee=callee
        ),
        work_times=Times(pace=Pace(0.1, 0.1, 0.2), back_off=BACK_OFF, beat=1.0, round=1.0),
    )
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", ws="websockets-sansio")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--database", help="default: SQLite in a temporary folder")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="nurkill"))
    try:
        url = given.database or f"sqlite:///{folder / 'kill.db'}"
        began = time.monotonic()
        tally = asyncio.run(measure(url, folder / "node", given.runs, given.seed))
        print(f"{tally.runs} runs in {time.monotonic() - began:.0f} s: {tally}")
        raise SystemExit(0 if tally.is_clean else 1)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        _serve(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
