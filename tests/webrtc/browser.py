"""The far end of a plain peer connection: a browser without its page."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import reactor_webrtc as rtc

from nur_server.transports.webrtc.reactor import shared_factory

PATIENCE_SECONDS = 20.0
RATE = 48_000
PIECE = RATE // 100


def tone(seconds: float) -> np.ndarray:
    return (np.sin(np.arange(int(RATE * seconds)) / 16) * 12_000).astype(np.int16)


class Browser:
    """Speaks and listens in real time. `seen` has the messages of the data channel."""

    def __init__(self, *, audio: bool = True, channel: bool = True, label: str = "events") -> None:
        self.seen: list[dict[str, Any]] = []
        self.heard: list[tuple[float, np.ndarray]] = []
        """When each 10 ms came, and what."""
        self.states: list[str] = []
        self._came = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._to_say = np.zeros(0, np.int16)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._keep: list[Any] = []
        self.candidates: list[rtc.IceCandidate] = []
        self._gathered = asyncio.Event()
        self._open = asyncio.Event()
        self._connected = asyncio.Event()
        observer = self._observer = rtc.PeerConnectionObserver()
        observer.on_track = self._on_track
        observer.on_ice_candidate = self.candidates.append
        observer.on_ice_gathering_change = self._on_gathering
        observer.on_connection_state_change = lambda state: self._soon(self._enter, state)
        self.peer: rtc.PeerConnection | None = shared_factory().create_peer_connection(
            rtc.RtcConfiguration(bundle_policy=rtc.BundlePolicy.MaxBundle), observer
        )
        self._voice = shared_factory().create_audio_track_with_local_source("mic")
        if audio:
            self.peer.add_track(self._voice)
        self.channel: rtc.DataChannel | None = None
        if channel:
            self.channel = self.peer.create_data_channel(label)
            self.channel.on_message(self._on_message)
            self.channel.on_open(lambda: self._soon(self._open.set))
        self._pushing = threading.Thread(target=self._push, daemon=True)

    def _soon(self, callback: Callable[..., Any], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(callback, *arguments)

    def _on_track(self, kind: rtc.MediaKind, track: rtc.Track) -> None:
        self._keep.append(track)
        track.on_audio_frame(
            lambda pcm, rate, channels, frames: self.heard.append(
                (time.monotonic(), np.frombuffer(pcm, np.int16))
            )
        )

    def _enter(self, state: rtc.PeerConnectionState) -> None:
        self.states.append(str(state).split(".")[-1])
        if self.states[-1] == "Connected":
            self._connected.set()

    def _on_gathering(self, state: rtc.IceGatheringState) -> None:
        if state == rtc.IceGatheringState.Complete:
            self._soon(self._gathered.set)

    def _on_message(self, data: bytes, is_binary: bool) -> None:
        self._soon(self._take, bytes(data))

    def _take(self, data: bytes) -> None:
        self.seen.append(json.loads(data))
        self._came.set()

    def _push(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            due += 0.01
            time.sleep(max(0.0, due - time.monotonic()))
            with self._lock:
                piece, self._to_say = self._to_say[:PIECE], self._to_say[PIECE:]
            self._voice.push_pcm(piece.tobytes().ljust(2 * PIECE, b"\0"), RATE, 1)

    # What a page does

    async def offer(self) -> str:
        assert self.peer is not None
        made = await self.peer.create_offer()
        await self.peer.set_local_description(made)
        await asyncio.wait_for(self._gathered.wait(), PATIENCE_SECONDS)
        lines = "".join(f"a={c.candidate}\r\n" for c in self.candidates if c.sdp_mline_index == 0)
        head, found, rest = made.sdp.partition("m=application")
        return head + lines + found + rest

    async def accept(self, answer: str) -> None:
        assert self.peer is not None
        await self.peer.set_remote_description(rtc.SessionDescription("answer", answer))
        self._pushing.start()

    async def connected(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._connected.wait()
            if self.channel is not None:
                await self._open.wait()

    def say(self, samples: np.ndarray) -> None:
        with self._lock:
            self._to_say = np.concatenate([self._to_say, samples])

    def send(self, type: str, **fields: Any) -> None:
        assert self.channel is not None
        self.channel.send(json.dumps({"type": type, **fields}).encode(), False)

    async def until(self, type: str, **fields: Any) -> dict[str, Any]:
        """The first message of this type with these values that has come, or comes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for message in self.seen:
                    if message["type"] == type and fields.items() <= message.items():
                        return message
                self._came.clear()
                await self._came.wait()

    async def next(self, type: str) -> dict[str, Any]:
        """The next message of this type; those that have come already do not count."""
        self.seen.clear()
        return await self.until(type)

    def loudness(self, since: float, until: float) -> float:
        parts = [samples for at, samples in self.heard if since <= at < until]
        return float(np.abs(np.concatenate(parts)).max()) if parts else 0.0

    async def close(self) -> None:
        self._stopping.set()
        if self._pushing.is_alive():
            await asyncio.to_thread(self._pushing.join)
        observer = self._observer
        observer.on_track = observer.on_ice_candidate = None
        observer.on_ice_gathering_change = observer.on_connection_state_change = None
        self.channel = None
        self._keep.clear()
        held, self.peer = [self.peer], None
        await asyncio.to_thread(held.clear)


@asynccontextmanager
async def browser(**options: Any) -> AsyncIterator[Browser]:
    found = Browser(**options)
    try:
        yield found
    finally:
        await found.close()
