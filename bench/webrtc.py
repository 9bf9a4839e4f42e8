"""What browsers cost, and what their transport adds.

    python -m bench.webrtc                       # 1, 10 and 25 sessions
    python -m bench.webrtc --sessions 1,50
    python -m bench.webrtc --connections 500     # memory after so many, one after another

Far ends in this process talk over peer connections with a server in its own: each asks,
listens to the long answer, and interrupts it. CPU and memory are the server's,
from /proc. "Media only" is the same connections with nobody talking: what the transport costs.
"""

import argparse
import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import numpy as np
import reactor_webrtc as rtc

from bench.server import BenchServer, running_server
from bench.sessions import speech
from nur_server.audio.resample import resample
from nur_server.transports.webrtc.reactor import shared_factory

RATE = 48_000
PIECE = RATE // 100
LOUD = 1_000
"""Of int16: louder than this is the agent."""
QUIET_SECONDS = 0.3
"""Without sound, after which an interrupted agent is silent."""


class FarEnd:
    """One client. Times are `time.monotonic`."""

    def __init__(self) -> None:
        self.loud_at: list[float] = []
        """Of each 10 ms of agent audio that is no silence."""
        self.answers: list[float] = []
        self.silences: list[float] = []
        self._loop = asyncio.get_running_loop()
        self._gathered, self._connected = asyncio.Event(), asyncio.Event()
        self.to_say = b""
        self.candidates: list[str] = []
        self._keep: list[Any] = []
        self._observer = observer = rtc.PeerConnectionObserver()
        observer.on_track = self._on_track
        observer.on_ice_candidate = lambda found: self.candidates.append(found.candidate)
        observer.on_ice_gathering_change = self._on_gathering
        observer.on_connection_state_change = self._on_state
        config = rtc.RtcConfiguration(bundle_policy=rtc.BundlePolicy.MaxBundle)
        self.peer: rtc.PeerConnection | None = shared_factory().create_peer_connection(
            config, observer
        )
        self.voice = shared_factory().create_audio_track_with_local_source("mic")
        self.peer.add_track(self.voice)

    def _on_track(self, kind: rtc.MediaKind, track: rtc.Track) -> None:
        self._keep.append(track)
        track.on_audio_frame(self._on_audio)

    def _on_audio(self, pcm: bytes, rate: int, channels: int, frames: int) -> None:
        if np.abs(np.frombuffer(pcm, np.int16)).max() > LOUD:
            self.loud_at.append(time.monotonic())

    def _on_gathering(self, state: rtc.IceGatheringState) -> None:
        if state == rtc.IceGatheringState.Complete:
            self._loop.call_soon_threadsafe(self._gathered.set)

    def _on_state(self, state: rtc.PeerConnectionState) -> None:
        if state == rtc.PeerConnectionState.Connected:
            self._loop.call_soon_threadsafe(self._connected.set)

    async def connect(self, http: httpx2.AsyncClient, agent_id: str) -> str:
        assert self.peer is not None
        session = (await http.post(f"/v1/agents/{agent_id}/sessions", json={})).json()
        secret = session["websocket_url"].rpartition("/")[2]
        made = await self.peer.create_offer()
        await self.peer.set_local_description(made)
        await asyncio.wait_for(self._gathered.wait(), 10)
        offer = made.sdp + "".join(f"a={line}\r\n" for line in set(self.candidates))
        answer = await http.post(
            f"/v1/sessions/{session['id']}/sdp",
            content=offer,
            headers={"Authorization": f"Bearer {secret}"},
        )
        assert answer.status_code == 201, answer.text
        await self.peer.set_remote_description(rtc.SessionDescription("answer", answer.text))
        await asyncio.wait_for(self._connected.wait(), 30)
        return str(session["id"])

    async def talk(self, until: float, said: Sequence[bytes]) -> None:
        """Ask in silence, hear the long answer begin, interrupt it, and hear it out."""
        question, interruption = said
        while time.monotonic() < until:
            ended = await self._say(question)
            first = await self._sound_after(ended)
            if first is None:
                continue
            self.answers.append(first - ended)
            await asyncio.sleep(1.0)
            began = time.monotonic()
            await self._say(interruption)
            times = [began, *(at for at in self.loud_at if at > began)]
            pairs = zip(times, [*times[1:], time.monotonic()], strict=True)
            silent = next((a for a, b in pairs if b - a > QUIET_SECONDS), None)
            if silent is not None:
                self.silences.append(silent - began)
            await self._until_silent(until)

    async def _say(self, said: bytes) -> float:
        """When it is over."""
        self.to_say = said
        await asyncio.sleep(len(said) / 2 / RATE)
        return time.monotonic()

    async def _until_silent(self, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(0.1)
            if not self.loud_at or time.monotonic() - self.loud_at[-1] > 1.0:
                return

    async def _sound_after(self, moment: float) -> float | None:
        for _ in range(200):
            found = [at for at in self.loud_at[-500:] if at > moment]
            if found:
                return found[0]
            await asyncio.sleep(0.02)
        return None

    async def close(self) -> None:
        observer = self._observer
        observer.on_track = observer.on_ice_candidate = None
        observer.on_ice_gathering_change = observer.on_connection_state_change = None
        self._keep.clear()
        held, self.peer = [self.peer], None
        await asyncio.to_thread(held.clear)


class Microphones:
    """One thread that sends what all far ends say, every 10 ms."""

    def __init__(self) -> None:
        self.far_ends: list[FarEnd] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            due += 0.01
            time.sleep(max(0.0, due - time.monotonic()))
            for far_end in tuple(self.far_ends):
                said = far_end.to_say
                piece, far_end.to_say = said[: 2 * PIECE], said[2 * PIECE :]
                far_end.voice.push_pcm(piece.ljust(2 * PIECE, b"\0"), RATE, 1)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()


def client_of(server: BenchServer) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=server.url,
        headers={"Authorization": f"Bearer {server.key}"},
        trust_env=False,
        timeout=30,
    )


async def agent_of(http: httpx2.AsyncClient) -> str:
    body = {"name": "Bench", "voice_id": "claire", "system_prompt": "Be brief."}
    answer = await http.post("/v1/agents", json=body)
    return str(answer.json()["id"])


async def measure(server: BenchServer, count: int, seconds: float) -> None:
    before_mb = server.resident_mb()
    said = [resample(part, 24_000, RATE).tobytes() for part in await speech()]
    microphones = Microphones()
    async with AsyncExitStack() as stack:
        stack.callback(microphones.close)
        http = await stack.enter_async_context(client_of(server))
        agent_id = await agent_of(http)
        far_ends = [FarEnd() for _ in range(count)]
        ids = []
        for far_end in far_ends:
            stack.push_async_callback(far_end.close)
            microphones.far_ends.append(far_end)
            ids.append(await far_end.connect(http, agent_id))
        await asyncio.sleep(1)
        media = await cost_of(server, lambda: asyncio.sleep(seconds / 2), count)
        until = time.monotonic() + seconds
        talking = await cost_of(
            server,
            lambda: asyncio.gather(*(far_end.talk(until, said) for far_end in far_ends)),
            count,
        )
        own = []
        for session_id in ids:
            await http.post(f"/v1/sessions/{session_id}/end")
        await asyncio.sleep(3)
        for session_id in ids:
            metrics = (await http.get(f"/v1/sessions/{session_id}")).json()["metrics"]
            own.append(metrics.get("latency_ms_p50", 0.0))
        microphones.far_ends.clear()
    answers = [1000 * s for far_end in far_ends for s in far_end.answers]
    silences = [1000 * s for far_end in far_ends for s in far_end.silences]
    print(
        f"{count:3} sessions: media only {media:5.1f} ms CPU per session-second, "
        f"talking {talking:5.1f}; {(server.resident_mb() - before_mb) / count:.1f} MB each; "
        f"end of speech to first audio {spread(answers)}, of it in the server "
        f"{statistics.median(own):.0f} ms; interruption to silence {spread(silences)}"
    )


async def cost_of(server: BenchServer, work: Callable[[], Any], count: int) -> float:
    """CPU milliseconds per session-second while `work` is done."""
    cpu, began = server.cpu_seconds(), time.monotonic()
    await work()
    return 1000 * (server.cpu_seconds() - cpu) / (time.monotonic() - began) / count


def spread(values: list[float]) -> str:
    if not values:
        return "none"
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"p50 {statistics.median(ordered):.0f} ms, p95 {p95:.0f} ms (n={len(ordered)})"


async def soak(server: BenchServer, connections: int) -> None:
    """Memory, files and threads after many connections, one after another."""
    async with client_of(server) as http:
        agent_id = await agent_of(http)
        for number in range(connections + 1):
            far_end = FarEnd()
            try:
                session_id = await far_end.connect(http, agent_id)
                await http.post(f"/v1/sessions/{session_id}/end")
            finally:
                await far_end.close()
            if number % 50 == 0:
                await asyncio.sleep(2.5)
                print(
                    f"after {number:4} connections: {server.resident_mb():.1f} MB, "
                    f"{server.open_files()} files"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", default="1,10,25")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=0)
    options = parser.parse_args()
    with running_server("scripted") as server:
        if options.connections:
            asyncio.run(soak(server, options.connections))
            return
        for count in map(int, options.sessions.split(",")):
            asyncio.run(measure(server, count, options.seconds))


if __name__ == "__main__":
    main()
