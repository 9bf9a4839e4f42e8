"""One peer's audio between a media library's threads and the event loop.

The library gives no audio for digital silence, and wants its own in equal pieces at an even pace.
So a clock of our own ticks every 20 ms: it fills what was left out, and sends silence where the
agent says nothing, so that time passes at the same pace on both ends.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from nur_server.audio.rates import LISTEN_RATE
from nur_server.audio.resample import StreamResampler
from nur_server.ports import Samples
from nur_server.transports.webrtc.media import VOICE_RATE

TICK_SECONDS = 0.02
PIECE = VOICE_RATE // 100
"""Samples that the library takes at a time: 10 ms."""
SILENCE = bytes(2 * PIECE)
SLACK_SECONDS = 0.06
"""How late a piece may come before silence is put in its place: three ticks, which a busy machine
is late at times."""
MOST_QUEUED_SECONDS = 5.0
"""Agent audio that waits to be sent, as much as a socket's client may leave unread."""
MOST_PIECES = 200
"""Pieces of 10 ms that wait for the clock; the oldest are dropped: 2 s of a stalled process."""
MOST_HEARD = 100
"""Blocks of 20 ms that wait for the event loop; the oldest are dropped."""
BEHIND_SECONDS = 0.2
"""A clock that is later than this starts anew instead of catching up."""


class Inbound:
    """The far end's audio without gaps, at `LISTEN_RATE`, as `now` passes."""

    def __init__(self) -> None:
        self._resampler: StreamResampler | None = None
        self._began: float | None = None
        self._given = 0
        self.filled = 0
        """Samples of silence that were put where nothing came."""

    def take(self, pieces: list[tuple[bytes, int, int]], now: float) -> Samples | None:
        """What has come since the last call, as (bytes, samples per second, channels)."""
        parts = [self._read(*piece) for piece in pieces]
        if self._began is None:
            if not parts:
                return None
            self._began = now - TICK_SECONDS
        self._given += sum(map(len, parts))
        due = int((now - self._began - SLACK_SECONDS) * LISTEN_RATE)
        missing = due - self._given
        if missing > 0:
            parts.append(np.zeros(missing, np.int16))
            self._given += missing
            self.filled += missing
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read(self, data: bytes, rate: int, channels: int) -> Samples:
        samples: Samples = np.frombuffer(data, np.int16)
        if channels > 1:
            samples = samples.reshape(-1, channels).mean(axis=1).astype(np.int16)
        if self._resampler is None or self._resampler.rate_in != rate:
            self._resampler = StreamResampler(rate, LISTEN_RATE)
        return self._resampler.process(samples)


class Outbound:
    """The agent's audio in pieces of 10 ms. The loop adds and clears, the clock takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[tuple[str, Samples]] = deque()
        self._queued = 0
        self._sent: tuple[str, int] | None = None

    def add(self, response_id: str, samples: Samples) -> None:
        with self._lock:
            if self._queued < MOST_QUEUED_SECONDS * VOICE_RATE:
                self._queue.append((response_id, samples))
                self._queued += len(samples)

    def clear(self, response_id: str) -> None:
        with self._lock:
            self._queue = deque(item for item in self._queue if item[0] != response_id)
            self._queued = sum(len(samples) for _, samples in self._queue)

    @property
    def queued_ms(self) -> int:
        return self._queued * 1000 // VOICE_RATE

    @property
    def sent_ms(self) -> tuple[str, int] | None:
        """The response that was sent last, and how much of it."""
        sent = self._sent
        return None if sent is None else (sent[0], sent[1] * 1000 // VOICE_RATE)

    def piece(self) -> bytes:
        """The next 10 ms; silence where there is nothing to say."""
        with self._lock:
            if not self._queue:
                return SILENCE
            parts, missing = [], PIECE
            while missing and self._queue:
                response_id, head = self._queue.popleft()
                if len(head) > missing:
                    self._queue.appendleft((response_id, head[missing:]))
                    head = head[:missing]
                parts.append(head.tobytes())
                missing -= len(head)
                self._queued -= len(head)
                before = self._sent
                is_same = before is not None and before[0] == response_id
                self._sent = (response_id, len(head) + (before[1] if before and is_same else 0))
        return b"".join(parts) + bytes(2 * missing)


class PeerAudio:
    """Both directions of one peer. `received` is called on a thread of the library."""

    def __init__(self, push: Callable[[bytes], None], hear: Callable[[Samples], None]) -> None:
        """`push` is given 10 ms at `VOICE_RATE` on the clock's thread, `hear` audio on the loop."""
        self.outbound = Outbound()
        self.inbound = Inbound()
        self.is_flowing = False
        """Whether the peer is connected, so that the clock has something to do."""
        self._push = push
        self._hear = hear
        self._pieces: deque[tuple[bytes, int, int]] = deque(maxlen=MOST_PIECES)
        self._heard: deque[Samples] = deque(maxlen=MOST_HEARD)

    def received(self, data: bytes, rate: int, channels: int, frames: int) -> None:
        """10 ms of the far end's audio."""
        self._pieces.append((data, rate, channels))

    def tick(self, now: float) -> bool:
        """On the clock's thread, every 20 ms. Whether there is something to hear."""
        self._push(self.outbound.piece())
        self._push(self.outbound.piece())
        pieces = []
        while self._pieces:
            pieces.append(self._pieces.popleft())
        heard = self.inbound.take(pieces, now)
        if heard is None or not len(heard):
            return False
        self._heard.append(heard)
        return True

    def deliver(self) -> None:
        """On the event loop: hand over what was heard."""
        while self._heard:
            self._hear(self._heard.popleft())


class MediaClock:
    """One thread that ticks the audio of all peers. Begins with the first, ends with `close`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._peers: set[PeerAudio] = set()
        self._lock = threading.Lock()
        self._is_delivering = False
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, audio: PeerAudio) -> None:
        with self._lock:
            self._peers.add(audio)
        self._wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="media clock", daemon=True)
            self._thread.start()

    def remove(self, audio: PeerAudio) -> None:
        """Returns once the clock no longer touches it."""
        with self._lock:
            self._peers.discard(audio)

    async def close(self) -> None:
        self._stopping.set()
        self._wanted.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 2.0)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            if not self._peers:
                self._wanted.clear()
                self._wanted.wait(1.0)
                due = time.monotonic()
                continue
            due += TICK_SECONDS
            now = time.monotonic()
            if now - due > BEHIND_SECONDS:
                due = now
            time.sleep(max(0.0, due - now))
            if self._tick_all() and not self._is_delivering:
                self._is_delivering = True
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:
                    return  # The loop is closed: the process stops.

    def _tick_all(self) -> bool:
        now, has_heard = time.monotonic(), False
        with self._lock:
            for audio in self._peers:
                if audio.is_flowing:
                    has_heard = audio.tick(now) or has_heard
        return has_heard

    def _deliver(self) -> None:
        self._is_delivering = False
        for audio in tuple(self._peers):
            audio.deliver()
