"""What calls leave behind: failures, memory, tasks, threads and open files.

    python -m bench.calls                        # 1,000 simulated calls, 50 at a time
    python -m bench.calls --calls 200 --at-once 20

A whole server in this process, with scripted engines: each call is placed as the API places it,
rings, is answered, hears a greeting, says something, hears the answer and is hung up. Memory is
this process's, read from /proc after the first batch and after the last; both times the garbage
was collected and freed memory given back.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import ctypes
import gc
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nur_server.api.app import Telephony, create_app
from nur_server.api.call_bodies import CallOptions, Numbers
from nur_server.api.calls import dial
from nur_server.api.services import Services
from nur_server.calls.policy import CallPolicy
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.scripted import ScriptedTextToSpeech
from nur_server.settings import Settings
from nur_server.store.accounts import DEFAULT_ACCOUNT
from nur_server.store.call_records import (
    CallStatus,
)
from nur_server.store.records import AgentFields
from nur_server.transports.loopback import Answer, HangUp, HearOut, Ring, Sound

SETTLE_SECONDS = 3.0
"""After a batch; the product promises to leave nothing two seconds after a call."""
LOOKS, LOOK_SECONDS = 10, 0.1
MOST_GROWTH = 0.05
"""Of resident memory."""
GENEROUS = CallPolicy(calls_per_second=10**6, concurrent_calls=10**6, minutes_per_day=10**9)


@dataclass(frozen=True)
class Load:
    """What a process holds."""

    resident_mb: float
    tasks: int
    threads: int
    files: int

    def __str__(self) -> str:
        return (
            f"resident {self.resident_mb:7.1f} MB, {self.tasks} tasks, {self.threads} threads, "
            f"{self.files} open files"
        )


def load() -> Load:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Load(
        resident_mb=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        tasks=len(asyncio.all_tasks()),
        threads=threading.active_count(),
        files=len(list(Path("/proc/self/fd").iterdir())),
    )


async def settled() -> Load:
    """What is left once nothing goes on; the least of some looks, as the server's own rounds ask
    the database something every second."""
    await asyncio.sleep(SETTLE_SECONDS)
    looks = []
    for _ in range(LOOKS):
        looks.append(load())
        await asyncio.sleep(LOOK_SECONDS)
    return min(looks, key=lambda look: look.tasks)


def script() -> tuple[Ring | Answer | HearOut | Sound | HangUp, ...]:
    speech = (8000 * np.sin(np.arange(4000) * 0.3)).astype(np.int16)
    return (Ring(0.1), Answer(), HearOut(0.3), Sound(speech), HearOut(0.3), HangUp())


async def place(server: Services, agent_id: str) -> tuple[str, str]:
    """One call: its status and reason in the end."""
    options = CallOptions(context={"name": "Ada"})
    call = await dial(server, DEFAULT_ACCOUNT, agent_id, Numbers("+15550100", None), options)
    while call.id in server.calls:  # noqa: ASYNC110 - nothing of the product tells of it
        await asyncio.sleep(0.05)
    ended = await server.calls.calls.get(DEFAULT_ACCOUNT, call.id)
    turns = await server.turns(DEFAULT_ACCOUNT).list(call.session_id)
    reason = ended.ended_reason.value if ended.ended_reason else "none"
    return ended.status.value, reason if len(turns) == 3 else f"{reason}, {len(turns)} turns"


async def measure(server: Services, calls: int, at_once: int) -> bool:
    """Whether no call failed and nothing was left over."""
    agent = await server.agents(DEFAULT_ACCOUNT).create(
        AgentFields(
            name="Bench",
            voice_id="hazel",
            system_prompt="Be brief.",
            first_message="Hello {{name}}.",
        )
    )
    print(f"before the first call: {load()}")
    outcomes: Counter[tuple[str, str]] = Counter()
    after_first: Load | None = None
    began, cpu = time.monotonic(), time.process_time()
    for done in range(0, calls, at_once):
        batch = min(at_once, calls - done)
        outcomes.update(await asyncio.gather(*(place(server, agent.id) for _ in range(batch))))
        if after_first is None:
            after_first = await settled()
            print(f"after the first {batch:4d}: {after_first}")
        elif (done // at_once) % 5 == 4:
            print(f"after {done + batch:10d}: {load()}")
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    last = await settled()
    assert after_first is not None
    print(f"{SETTLE_SECONDS:g} s after the last: {last}")
    growth = last.resident_mb / after_first.resident_mb - 1
    failed = calls - outcomes[CallStatus.COMPLETED.value, "caller_hung_up"]
    print(f"\n{calls} calls, {at_once} at a time, in {seconds:.0f} s ({cpu:.0f} s of CPU)")
    for (status, reason), count in outcomes.most_common():
        print(f"  {count:6d} {status}: {reason}")
    left = {
        "tasks": last.tasks - after_first.tasks,
        "threads": last.threads - after_first.threads,
        "files": last.files - after_first.files,
        "calls": len(server.calls),
        "sessions": len(server.live),
    }
    print(f"failed: {failed}")
    print(f"memory against the first {at_once}: {growth:+.1%}")
    print(f"left over: {', '.join(f'{count} {what}' for what, count in left.items())}")
    return not failed and growth <= MOST_GROWTH and max(left.values()) <= 0


async def main() -> bool:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--calls", type=int, default=1000)
    options.add_argument("--at-once", type=int, default=50)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        callee = script()
        app = create_app(
            Settings(_env_file=None, data_dir=Path(folder), log_level="error", drain_seconds=0),
            catalogue=Catalogue.scripted(tts=ScriptedTextToSpeech(ms_per_character=20)),
            on_first_key=lambda key: None,
            telephony=Telephony(policy=GENEROUS, callee=lambda request: callee),
        )
        async with app.router.lifespan_context(app):
            return await measure(app.state.services, chosen.calls, chosen.at_once)


if __name__ == "__main__":
    raise SystemExit(0 if asyncio.run(main()) else 1)
