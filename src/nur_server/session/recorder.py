"""A session's recording: the caller left, the agent right, as both were heard, in real time.

The event loop only notes which samples belong where. Once a second they are handed over, silence
is filled in and FLAC is made on a thread, and what was made is kept at once. Nothing here can hold
up a call or end it: where work piles up a stretch of the recording stays silent, and where the
archive fails the recording ends there and says why.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from nur_server.audio.flac import FlacEncoder
from nur_server.audio.playout import LEAD_SECONDS
from nur_server.audio.resample import StreamResampler
from nur_server.clock import Clock
from nur_server.errors import NurError, Unavailable
from nur_server.session.setup import SessionSetup

log = structlog.get_logger()

RATE = 16_000
"""Samples per second and channel."""
BATCH_SECONDS = 1.0
HOLD_SECONDS = 0.5
"""Kept back from each batch for what comes late or is taken back."""
JITTER_SECONDS = 0.2
"""The caller's audio may come so late and still follows on what came before, and so early."""
STALL_SECONDS = 5.0
"""Longest stall of the caller's audio whose place is kept for what comes late, all at once."""
BURST_SECONDS = 1.0
"""Behind a stall, such a burst comes within so long."""
MAX_BATCHES = 30
"""Waiting for the encoder or the archive; those beyond are dropped."""
SILENCE_SECONDS = 10
"""Longest stretch encoded at a time."""
ARCHIVE_SECONDS = 10.0
"""Longest wait for the archive to keep a piece."""
FINISH_SECONDS = 120.0
RETRY_SECONDS = 0.5
MAX_RETRY_SECONDS = 5.0
"""Between two tries to note a recording's beginning or end in a store that is away."""
STORE_AWAY = frozenset({"database_unavailable", "database_busy"})
"""Codes of errors of the store that holds the records, rather than of the place for the audio."""
THREADS = 2

Samples = NDArray[np.int16]
Result = TypeVar("Result")


class Archive(Protocol):
    """Where recordings are kept. Raises `NurError` where it cannot: with a code of `STORE_AWAY`
    the same may be asked for again."""

    async def begin(
        self, account_id: str, session_id: str, agent_id: str | None, keep_days: int | None
    ) -> str:
        """Make room for a session's recording. Returns its id."""
        ...

    async def append(self, recording_id: str, data: bytes) -> None:
        """Keep the next piece of the FLAC stream. Durable when it returns."""
        ...

    async def finish(
        self, recording_id: str, header: bytes, duration_seconds: float, lost_seconds: float
    ) -> None:
        """The stream is whole; `header` replaces its first bytes."""
        ...

    async def fail(self, recording_id: str, code: str, message: str) -> None:
        """Nothing more follows. What was kept stays."""
        ...


class Side(IntEnum):
    """Whose audio; also the channel."""

    CALLER = 0
    AGENT = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples of one side, and when they were heard."""

    side: Side
    start: int
    """At `RATE`, from the start of the recording."""
    samples: Samples
    rate: int
    follows: bool
    """It goes on where the side's last piece ended."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Of what the agent was to say, nothing was heard from here on."""

    at: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What has become known, and how far nothing more will."""

    marks: tuple[Piece | Cut, ...]
    until: int


class Mixer:
    """Puts pieces together to stereo. Positions are samples at `RATE`."""

    def __init__(self) -> None:
        self.position = 0
        """How far it was taken."""
        self._pieces: list[tuple[Side, int, Samples]] = []
        self._resampler: StreamResampler | None = None
        self._next = 0
        """Where the agent's resampled audio goes on."""

    def add(self, mark: Piece | Cut) -> None:
        match mark:
            case Cut(at):
                self._cut(at)
            case Piece(side=Side.CALLER):
                self._pieces.append((mark.side, mark.start, mark.samples))
            case Piece():
                self._add_agent(mark)

    def take(self, until: int) -> Iterator[Samples]:
        """All up to `until`, samples by channels, in stretches of bounded length."""
        while self.position < until:
            length = min(until - self.position, SILENCE_SECONDS * RATE)
            frames = np.zeros((length, len(Side)), np.int16)
            for side, start, samples in self._pieces:
                begin = max(start, self.position)
                end = min(start + len(samples), self.position + length)
                if begin < end:
                    there = slice(begin - self.position, end - self.position)
                    frames[there, side] = samples[begin - start : end - start]
            self.position += length
            self._pieces = [p for p in self._pieces if p[1] + len(p[2]) > self.position]
            yield frames

    def _add_agent(self, piece: Piece) -> None:
        resampler = self._resampler
        if resampler is None or not piece.follows or resampler.rate_in != piece.rate:
            self._end_run()
            resampler = self._resampler = StreamResampler(piece.rate, RATE)
            self._next = piece.start
        self._place(resampler.process(piece.samples))

    def _end_run(self) -> None:
        if self._resampler is not None:
            self._place(self._resampler.flush())
            self._resampler = None

    def _place(self, samples: Samples) -> None:
        if len(samples):
            self._pieces.append((Side.AGENT, self._next, samples))
            self._next += len(samples)

    def _cut(self, at: int) -> None:
        self._end_run()
        self._pieces = [
            (side, start, samples if side is Side.CALLER else samples[: max(0, at - start)])
            for side, start, samples in self._pieces
        ]


class _Run:
    """The caller's audio since the last hand-over. Positions are samples at `RATE`."""

    def __init__(self) -> None:
        self.end = 0
        """Where what was heard ends."""
        self._start = 0
        self._pieces: list[Samples] = []
        self._before: list[Piece] = []
        """What stands before the latest stall."""
        self._stall: int | None = None
        """Where the stall before the run began. None: there is no room before it."""
        self._resumed = 0
        """When the stall was over."""

    def hear(self, samples: Samples, now: int, handed: int) -> None:
        """Take audio that ends about `now`. Nothing before `handed` can be changed any more."""
        start = max(now - len(samples), handed)
        if start - self.end > JITTER_SECONDS * RATE:
            self._settle()
            self._stall, self._resumed = max(self.end, handed), now
            self._start = self.end = start
        self._pieces.append(samples)
        self.end += len(samples)
        if self._is_filling(now):
            self._fill(self.end - now)
        else:
            self._drop_newest(self.end - now - int(JITTER_SECONDS * RATE))

    def settled(self, now: int) -> int:
        """Up to where nothing of the caller's will come any more."""
        if now - self.end > JITTER_SECONDS * RATE:
            return self.end
        return self._stall if self._stall is not None and self._is_filling(now) else now

    def take(self, now: int) -> list[Piece]:
        """What may be handed over: from now on it stays where it is."""
        if not self._is_filling(now):
            self._settle()
        taken, self._before = self._before, []
        return taken

    def close(self) -> None:
        """Nothing more comes."""
        self._settle()

    def _settle(self) -> None:
        if self._pieces:
            samples = np.concatenate(self._pieces)
            self._before.append(Piece(Side.CALLER, self._start, samples, RATE, False))
        self._pieces, self._start, self._stall = [], self.end, None

    def _is_filling(self, now: int) -> bool:
        return self._stall is not None and now - self._resumed <= BURST_SECONDS * RATE

    def _fill(self, excess: int) -> None:
        """Move the run back into the stall; what does not fit is the oldest."""
        if excess <= 0 or self._stall is None:
            return
        room = min(excess, self._start - self._stall)
        self._start -= room
        self.end -= excess
        if excess > room:
            self._pieces = [np.concatenate(self._pieces)[excess - room :]]

    def _drop_newest(self, excess: int) -> None:
        if excess <= 0:
            return
        newest = self._pieces.pop()
        kept = newest[: max(0, len(newest) - excess)]
        self._pieces.append(kept)
        self.end -= len(newest) - len(kept)


class Recorder:
    """One session's, for its event loop. Methods return at once and never raise."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._ends = {Side.CALLER: 0, Side.AGENT: 0}
        self._run = _Run()
        self._speaking = ""
        self._marks: list[Piece | Cut] = []
        self._handed = 0
        self._batches: deque[Batch] = deque()
        self._wake = asyncio.Event()
        self._is_open = True
        self.lost_samples = 0
        """Left silent because work had piled up."""

    def heard(self, samples: Samples) -> None:
        """The caller's audio: mono at `RATE`, ending about now.

        Behind a stall it stands where it was heard; what comes in a burst fills the stall,
        backwards from now. What would lie in the future is dropped: the sides stay in step.
        """
        if not self._is_open:
            return
        now = self._now()
        self._run.hear(samples, now, self._handed)
        self._ends[Side.CALLER] = self._run.end
        self._hand_over_if_due(now)

    def played(self, response_id: str, samples: Samples, rate: int) -> None:
        """Agent audio on its way to be heard: mono at `rate`."""
        if not self._is_open:
            return
        now, end = self._now(), self._ends[Side.AGENT]
        is_same, self._speaking = response_id == self._speaking, response_id
        late = LEAD_SECONDS * RATE if is_same else 0
        follows = now - end <= late
        start = max(end if follows else now, self._handed)
        piece = Piece(Side.AGENT, start, samples, rate, follows and is_same)
        self._add(piece, len(samples) * RATE // rate)

    def cut(self) -> None:
        """What was sent ahead and lies in the future is not heard after all."""
        now = self._now()
        if self._is_open and self._ends[Side.AGENT] > now:
            self._marks.append(Cut(now))
            self._ends[Side.AGENT] = now
            self._speaking = ""

    def stop(self) -> None:
        """The session is over. May be called twice."""
        if self._is_open:
            self._is_open = False
            self._run.close()
            self._hand_over(max(self._now(), self._handed))
            self._wake.set()

    @property
    def waiting(self) -> int:
        """Batches that are still to be encoded."""
        return len(self._batches)

    async def next(self) -> Batch | None:
        """What is to be encoded next; None after the last."""
        while not self._batches:
            if not self._is_open:
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._batches.popleft()

    def give_up(self) -> None:
        """Nothing more can be kept."""
        self._is_open = False
        self._marks.clear()
        self._batches.clear()
        self._wake.set()

    def _now(self) -> int:
        return int((self._clock.monotonic() - self._began) * RATE)

    def _add(self, piece: Piece, length: int) -> None:
        self._marks.append(piece)
        self._ends[piece.side] = piece.start + length
        self._hand_over_if_due(self._now())

    def _hand_over_if_due(self, now: int) -> None:
        if now - self._handed < (BATCH_SECONDS + HOLD_SECONDS) * RATE:
            return
        until = min(now - int(HOLD_SECONDS * RATE), self._run.settled(now))
        until = max(until, now - int(STALL_SECONDS * RATE))
        if until - self._handed >= BATCH_SECONDS * RATE:
            self._hand_over(until)

    def _hand_over(self, until: int) -> None:
        self._marks.extend(self._run.take(self._now()))
        marks, self._marks = tuple(self._marks), []
        if len(self._batches) >= MAX_BATCHES:
            self.lost_samples += until - self._handed
        else:
            self._batches.append(Batch(marks, until))
            self._wake.set()
        self._handed = until


class Recorders:
    """The recordings being made in this process."""

    def __init__(self, archive: Archive, clock: Clock) -> None:
        self._archive = archive
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="recording")
        self._tasks: set[asyncio.Task[None]] = set()
        self.lost_seconds = 0.0
        self.failed = 0
        """Recordings that broke off."""

    def __len__(self) -> int:
        return len(self._tasks)

    def open(self, setup: SessionSetup) -> Recorder:
        """Begin a session's recording; it goes on until `Recorder.stop`."""
        recorder = Recorder(self._clock)
        task = asyncio.create_task(self._record(setup, recorder), name="recording")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return recorder

    async def settled(self) -> None:
        """Return when every recording begun so far is stored."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Store what can be stored, for as long as the caller waits."""
        try:
            await self.settled()
        finally:
            for task in tuple(self._tasks):
                task.cancel()
            self._threads.shutdown(wait=False)

    async def _record(self, setup: SessionSetup, recorder: Recorder) -> None:
        try:
            recording_id = await _insist(
                lambda: self._archive.begin(
                    setup.account_id, setup.session_id, setup.agent_id, setup.keep_recording_days
                ),
                ARCHIVE_SECONDS,
            )
        except Exception as error:
            self._broke_off(recorder, setup.session_id, error)
            return
        try:
            await self._keep_all(recording_id, recorder)
        except Exception as error:
            failure = self._broke_off(recorder, setup.session_id, error)
            await self._tell(recording_id, failure)
        finally:
            self.lost_seconds += recorder.lost_samples / RATE

    async def _keep_all(self, recording_id: str, recorder: Recorder) -> None:
        loop = asyncio.get_running_loop()
        mixer, encoder = Mixer(), FlacEncoder(RATE, len(Side))
        while (batch := await recorder.next()) is not None:
            data = await loop.run_in_executor(self._threads, _encode, mixer, encoder, batch)
            if data:
                async with asyncio.timeout(ARCHIVE_SECONDS):
                    await self._archive.append(recording_id, data)
        rest, header = await loop.run_in_executor(self._threads, encoder.close)
        async with asyncio.timeout(FINISH_SECONDS):
            await self._archive.append(recording_id, rest)
        lasted, lost = mixer.position / RATE, recorder.lost_samples / RATE
        await _insist(
            lambda: self._archive.finish(recording_id, header, lasted, lost), FINISH_SECONDS
        )

    def _broke_off(self, recorder: Recorder, session_id: str, error: Exception) -> NurError:
        recorder.give_up()
        self.failed += 1
        match error:
            case NurError():
                failure = error
            case TimeoutError():
                failure = Unavailable(
                    f"expected the archive to keep audio within {ARCHIVE_SECONDS:g} s",
                    code="recording_timeout",
                )
            case _:
                log.exception("recording.crashed", session_id=session_id)
                failure = Unavailable("the recorder failed", code="internal_error")
        log.warning("recording.broke_off", session_id=session_id, code=failure.code)
        return failure

    async def _tell(self, recording_id: str, failure: NurError) -> None:
        try:
            await _insist(
                lambda: self._archive.fail(recording_id, failure.code, failure.message),
                FINISH_SECONDS,
            )
        except (NurError, TimeoutError):
            log.warning("recording.not_closed", recording_id=recording_id)


async def _insist(work: Callable[[], Awaitable[Result]], seconds: float) -> Result:
    """Do work on a recording's record, and again for as long as the store that it stands in is
    away. Each time within `seconds`."""
    pause = RETRY_SECONDS
    while True:
        try:
            async with asyncio.timeout(seconds):
                return await work()
        except Unavailable as error:
            if error.code not in STORE_AWAY:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, MAX_RETRY_SECONDS)


def _encode(mixer: Mixer, encoder: FlacEncoder, batch: Batch) -> bytes:
    for mark in batch.marks:
        mixer.add(mark)
    return b"".join(encoder.write(frames) for frames in mixer.take(batch.until))
