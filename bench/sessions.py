"""What sessions cost: delay, CPU, memory, start.

    python -m bench.sessions                 # scripted engines, real voice activity
    python -m bench.sessions --embedded      # embedded speech and the offline responder
    python -m bench.sessions --calls 1,10,50

Each call lasts about 20 s: the caller asks, listens, interrupts the long answer (any speech does,
so that the decision is the detector's onset), listens and leaves. Audio travels as binary PCM over
the WebSocket. The callers run in this process, the server in its own; CPU and memory are the
server's, read from /proc.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field

import httpx2
import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import connect

from bench.server import BenchServer, running_server
from nur_server.audio.resample import resample
from nur_server.ports import SpeakRequest, TextToSpeech
from nur_server.providers import flite
from nur_server.providers.espeak import Espeak

RATE = 24_000
FRAME = RATE // 50
PROMPT = (
    "You are a friendly agent for a shoe shop. We sell running shoes, walking shoes, hiking boots "
    "and sandals, and all of them are in stock in every size. Delivery takes three to five days."
)
QUESTION = "Which shoes do you sell in your shop?"
INTERRUPTION = "Stop, please tell me how long delivery takes."

Samples = NDArray[np.int16]


@dataclass
class Call:
    """What one caller saw. Times are epoch seconds."""

    speech_ends: list[float] = field(default_factory=list)
    stopped: list[float] = field(default_factory=list)
    """Server time of each end-of-turn decision."""
    first_audio: list[float] = field(default_factory=list)
    yielded: list[float] = field(default_factory=list)
    """Server time of each decision to yield."""
    last_before_yield: list[float] = field(default_factory=list)
    seconds: float = 0.0


async def speech() -> list[Samples]:
    engine: TextToSpeech = flite.Flite() if flite.available() else Espeak()
    voice = "rms" if flite.available() else "en-us"
    made = []
    for text in (QUESTION, INTERRUPTION):
        chunks = [chunk async for chunk in engine.speak(SpeakRequest(text, voice))]
        samples = np.concatenate([chunk.samples for chunk in chunks])
        made.append(resample(samples, chunks[0].sample_rate, RATE))
    await engine.close()  # type: ignore[attr-defined]
    return made


def script(lines: list[Samples]) -> tuple[Samples, list[float]]:
    """20 s of the caller's audio, and when each line ends, in seconds."""
    audio = np.zeros(RATE * 20, np.int16)
    ends = []
    for start, line in zip((1.0, 8.0), lines, strict=True):
        begin = int(start * RATE)
        audio[begin : begin + len(line)] = line
        ends.append((begin + len(line)) / RATE)
    return audio, ends


async def call(url: str, audio: Samples, ends: list[float]) -> Call:
    seen = Call()
    async with connect(f"{url}?audio=binary", compression=None, max_size=None) as socket:
        ready = json.loads(await socket.recv())
        assert ready["type"] == "session.ready", ready
        began = time.time()
        seen.speech_ends = [began + end for end in ends]
        listening = asyncio.create_task(listen(socket, seen))
        for number in range(len(audio) // FRAME):
            await socket.send(audio[number * FRAME : (number + 1) * FRAME].tobytes())
            await asyncio.sleep(max(0.0, began + (number + 1) * 0.02 - time.time()))
        await socket.send(json.dumps({"type": "session.end"}))
        await listening
        seen.seconds = time.time() - began
    return seen


async def listen(socket: object, seen: Call) -> None:
    awaits_audio = False
    last_audio = 0.0
    async for message in socket:  # type: ignore[attr-defined]
        now = time.time()
        if isinstance(message, bytes):
            last_audio = now
            if awaits_audio:
                seen.first_audio.append(now)
                awaits_audio = False
            continue
        event = json.loads(message)
        match event["type"]:
            case "input.speech.stopped":
                seen.stopped.append(event["timestamp"])
                awaits_audio = True
            case "reply.done" if event["status"] == "interrupted":
                seen.yielded.append(event["timestamp"])
                seen.last_before_yield.append(last_audio)


async def make_sessions(server: BenchServer, count: int) -> list[str]:
    async with httpx2.AsyncClient(
        base_url=server.url, headers={"Authorization": f"Bearer {server.key}"}, timeout=30
    ) as client:
        agent = await client.post(
            "/v1/agents",
            json={
                "name": "Bench",
                "voice_id": "claire",
                "system_prompt": PROMPT,
                "interruption_threshold": 0,
            },
        )
        agent.raise_for_status()
        urls = []
        for _ in range(count):
            made = await client.post(f"/v1/agents/{agent.json()['id']}/sessions", json={})
            made.raise_for_status()
            urls.append(made.json()["websocket_url"])
        return urls


def percentiles(values: list[float]) -> str:
    if not values:
        return "none"
    low, high = np.percentile(np.array(values) * 1000, [50, 95])
    return f"p50 {low:7.1f}  p95 {high:7.1f}  (n={len(values)})"


async def run(server: BenchServer, calls: int, audio: Samples, ends: list[float]) -> None:
    urls = await make_sessions(server, calls)
    cpu = server.cpu_seconds()
    spread = 20.0 / max(1, calls) if calls > 20 else 0.1
    most_mb = server.resident_mb()

    async def one(number: int, url: str) -> Call:
        await asyncio.sleep(number * spread)
        return await call(url, audio, ends)

    tasks = [asyncio.create_task(one(n, url)) for n, url in enumerate(urls)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.5)
        most_mb = max(most_mb, server.resident_mb())
    seen = [task.result() for task in tasks]
    cpu = server.cpu_seconds() - cpu
    seconds = sum(one.seconds for one in seen)
    print(f"\n{calls} calls")
    pairs = [(c.stopped, c.first_audio, c.speech_ends) for c in seen]
    decided = [a - s for stopped, audio, _ in pairs for s, a in zip(stopped, audio, strict=False)]
    spoken = [a - e for _, audio, ends in pairs for e, a in zip(ends, audio, strict=False)]
    yields = [
        last - y for c in seen for y, last in zip(c.yielded, c.last_before_yield, strict=True)
    ]
    print(f"  end-of-turn decision to first agent audio, ms   {percentiles(decided)}")
    print(f"  end of user's speech to first agent audio, ms   {percentiles(spoken)}")
    print(f"  decision to interrupt to last agent audio, ms   {percentiles(yields)}")
    print(f"  interrupted {len(yields)} of {calls}")
    print(f"  CPU {cpu / seconds * 1000:.1f} ms per session-second")
    print(f"  resident {most_mb:.0f} MB at most, {server.threads()} threads")


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--embedded", action="store_true", help="embedded speech, not scripted")
    options.add_argument("--calls", default="", help="numbers of calls at once, e.g. 1,10,50")
    chosen = options.parse_args()
    counts = [
        int(n) for n in (chosen.calls or ("1,5" if chosen.embedded else "1,20,60")).split(",")
    ]
    audio, ends = script(await speech())
    with running_server("embedded" if chosen.embedded else "scripted") as server:
        print(f"ready {server.ready_seconds:.2f} s after the start of the process")
        idle = server.resident_mb()
        files = server.open_files()
        print(f"resident {idle:.0f} MB before the first call, {server.threads()} threads")
        for count in counts:
            await run(server, count, audio, ends)
        await asyncio.sleep(2.5)
        print(f"\n2.5 s after the last call: resident {server.resident_mb():.0f} MB, ")
        print(f"  open files {server.open_files()} (before {files}), {server.threads()} threads")


if __name__ == "__main__":
    asyncio.run(main())
