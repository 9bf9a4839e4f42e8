"""Voice activity by Silero VAD, scored for all sessions in one batched call.

The model judges windows of 512 samples (32 ms at 16 kHz) and carries a state from window to window.
`SileroModel` holds the states of all streams and runs on one worker thread; `SileroVad` collects
the windows on the event loop. While a batch runs, further windows collect for the next one, so that
the batches grow with the load: one window alone costs 250 us, one in a batch of 32 costs 75 us.

Digital silence (every sample zero, as from a muted microphone) all but settles the model's state
within five seconds. From then on such windows are not run: the last probability is repeated and the
state stays, until a sample differs from zero. The next onset moves by a window at most.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from nur_server.audio import levels
from nur_server.audio.levels import Levels
from nur_server.ports import ActivityScore, Samples
from nur_server.providers import weights

NAME = weights.SILERO
FILE = "silero_vad_16k_op15.onnx"

RATE = 16_000
WINDOW = 512
"""Samples the model judges at a time: 32 ms."""
CONTEXT = 64
"""Samples of the window before that the model sees again."""
BLOCK = 64
"""Windows in one call of the model at most: larger blocks are no cheaper per window."""
SETTLED_WINDOWS = 160
"""Windows of digital silence after which the model's state has settled."""

BACKLOG_WINDOWS = 500
"""Windows a stream may be behind (16 s). Beyond it the oldest are dropped, without a score: what
was just said matters more."""
ROUNDS = 4
"""Windows of one stream judged before the others have their turn."""
GATHER_SECONDS_PER_STREAM = 0.0005
GATHER_SECONDS = 0.008
"""Longest wait for the windows of other streams to arrive, once there are many."""


log = structlog.get_logger(__name__)

Windows = NDArray[np.int16]
"""Shape (n, WINDOW): one window each of n streams."""


@dataclass(frozen=True, slots=True)
class WindowScores:
    """Of one window of each of n streams."""

    probability: NDArray[np.float64]
    """In steps of 1/255."""
    level_db: Levels
    treble_db: Levels


class SileroModel:
    """The network and the states of its streams, by slot. Used by one thread at a time."""

    def __init__(self, file: Path) -> None:
        self._session = weights.open_session(file)
        self._rate = np.array(RATE, np.int64)
        self._state = np.zeros((2, 0, 128), np.float32)
        self._context = np.zeros((0, CONTEXT), np.float32)
        self._probability = np.zeros(0, np.float64)
        """The last one of each slot."""
        self._silent = np.zeros(0, np.int64)
        """Windows of digital silence in a row."""

    @classmethod
    def load(cls, models_dir: Path) -> "SileroModel":
        """From the pulled weights. Blocks for 50 ms. Raises `Unavailable` when they are missing."""
        return cls(weights.path(models_dir, weights.SILERO, FILE))

    def reset(self, slot: int) -> None:
        """Make `slot` ready for a new stream."""
        if slot >= len(self._probability):
            self._grow(slot + 1)
        self._state[:, slot] = 0
        self._context[slot] = 0
        self._probability[slot] = 0
        self._silent[slot] = 0

    def score(self, slots: Sequence[int], windows: Windows) -> WindowScores:
        """Judge one window of each slot; `slots` are distinct and were `reset` before."""
        index = np.asarray(slots)
        audio = windows.astype(np.float32) / np.float32(32768)
        silent = ~windows.any(axis=1)
        self._silent[index] = np.where(silent, self._silent[index] + 1, 0)
        running = np.flatnonzero(self._silent[index] <= SETTLED_WINDOWS)
        for start in range(0, len(running), BLOCK):
            part = running[start : start + BLOCK]
            self._run(index[part], audio[part])
        return WindowScores(
            np.round(self._probability[index] * 255) / 255,
            levels.level_db(audio),
            levels.treble_db(audio, RATE),
        )

    def _run(self, slots: NDArray[np.int64], audio: NDArray[np.float32]) -> None:
        probability, state = self._session.run(
            None,
            {
                "input": np.concatenate([self._context[slots], audio], axis=1),
                "state": self._state[:, slots],
                "sr": self._rate,
            },
        )
        self._state[:, slots] = np.asarray(state)
        self._context[slots] = audio[:, -CONTEXT:]
        self._probability[slots] = np.asarray(probability)[:, 0]

    def _grow(self, size: int) -> None:
        add = max(size, 2 * len(self._probability), 8) - len(self._probability)
        self._state = np.pad(self._state, ((0, 0), (0, add), (0, 0)))
        self._context = np.pad(self._context, ((0, add), (0, 0)))
        self._probability = np.pad(self._probability, (0, add))
        self._silent = np.pad(self._silent, (0, add))


class SileroStream:
    """The windows of one session that wait to be judged. Made by `SileroVad.open`."""

    def __init__(self, vad: "SileroVad", slot: int, on_score: Callable[[ActivityScore], None]):
        self.slot = slot
        self.on_score = on_score
        self.is_open = True
        self.is_new = True
        """Whether the slot still holds the state of an earlier stream."""
        self.waiting: deque[tuple[int, Samples]] = deque()
        """Each window with the position of its end."""
        self.has_failed = False
        """Whether the listener raised an error, which is logged once."""
        self.dropped = 0
        """Windows that were never judged."""
        self._vad = vad
        self._partial = np.empty(WINDOW, np.int16)
        self._filled = 0
        self._position = 0

    def feed(self, samples: Samples) -> None:
        """Take audio at 16 kHz, any length. Never blocks."""
        if not self.is_open:
            return
        while len(samples):
            taken = samples[: WINDOW - self._filled]
            self._partial[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            samples = samples[len(taken) :]
            if self._filled == WINDOW:
                self._position += WINDOW
                self.waiting.append((self._position, self._partial.copy()))
                self._filled = 0
        self._trim()
        if self.waiting:
            self._vad.wake()

    def close(self) -> None:
        """No further callback. May be called twice."""
        if self.is_open:
            self.is_open = False
            self.waiting.clear()
            self._vad.release(self)

    def _trim(self) -> None:
        late = len(self.waiting) - BACKLOG_WINDOWS
        if late <= 0:
            return
        for _ in range(late):
            self.waiting.popleft()
        if self.dropped == 0:
            log.warning("voice activity falls behind: the oldest audio is not judged")
        self.dropped += late


_Batch = list[tuple[list[SileroStream], list[tuple[int, Samples]]]]
"""Rounds; each has distinct streams and one window of each."""


class SileroVad:
    """The `VoiceActivityDetector` port on Silero VAD. For one event loop."""

    name = NAME

    def __init__(self, models_dir: Path, *, model: SileroModel | None = None) -> None:
        """Loads the model on its worker thread at first use, unless one is given."""
        self._models_dir = models_dir
        self._model = model
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="silero")
        self._streams: dict[int, SileroStream] = {}
        self._free: list[int] = []
        self._is_pending = False
        """Whether a batch runs or is about to."""

    async def load(self) -> None:
        """Load the model off the loop. Raises `Unavailable` when the weights are missing."""
        await asyncio.get_running_loop().run_in_executor(self._worker, self._loaded)

    async def close(self) -> None:
        """Close every stream and end the worker."""
        for stream in list(self._streams.values()):
            stream.close()
        await asyncio.to_thread(self._worker.shutdown, wait=True, cancel_futures=True)

    def open(self, on_score: Callable[[ActivityScore], None]) -> SileroStream:
        """A stream whose windows are scored together with those of all other sessions."""
        slot = self._free.pop() if self._free else len(self._streams)
        stream = self._streams[slot] = SileroStream(self, slot, on_score)
        return stream

    # Called by the streams

    def release(self, stream: SileroStream) -> None:
        """Give the slot of a closed stream to the next. A batch on its way keeps it meanwhile."""
        del self._streams[stream.slot]
        self._free.append(stream.slot)

    def wake(self) -> None:
        """There are windows to judge: start a batch, unless one is on its way."""
        if self._is_pending:
            return
        self._is_pending = True
        delay = min(GATHER_SECONDS, GATHER_SECONDS_PER_STREAM * (len(self._streams) - 1))
        asyncio.get_running_loop().call_later(delay, self._start)

    # The life of a batch

    def _start(self) -> None:
        batch = self._collect()
        if not batch:
            self._is_pending = False
            return
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._worker, self._score, batch)
        work.add_done_callback(lambda done: self._finish(batch, done))

    def _collect(self) -> _Batch:
        batch: _Batch = []
        for _ in range(ROUNDS):
            streams = [stream for stream in self._streams.values() if stream.waiting]
            if not streams:
                break
            batch.append((streams, [stream.waiting.popleft() for stream in streams]))
        return batch

    def _finish(self, batch: _Batch, done: "asyncio.Future[list[WindowScores]]") -> None:
        self._is_pending = False
        if done.cancelled():
            return
        if (error := done.exception()) is not None:
            log.error("voice activity failed on a batch", error=repr(error))
        else:
            for (streams, windows), scores in zip(batch, done.result(), strict=True):
                _deliver(streams, windows, scores)
        if any(stream.waiting for stream in self._streams.values()):
            self.wake()

    # On the worker thread

    def _loaded(self) -> SileroModel:
        if self._model is None:
            self._model = SileroModel.load(self._models_dir)
        return self._model

    def _score(self, batch: _Batch) -> list[WindowScores]:
        model = self._loaded()
        results = []
        for streams, windows in batch:
            for stream in streams:
                if stream.is_new:
                    stream.is_new = False
                    model.reset(stream.slot)
            slots = [stream.slot for stream in streams]
            results.append(model.score(slots, np.stack([samples for _, samples in windows])))
        return results


def _deliver(
    streams: list[SileroStream], windows: list[tuple[int, Samples]], scores: WindowScores
) -> None:
    """Call back each stream that is still open. One that fails does not harm the others."""
    figures = (scores.probability, scores.level_db, scores.treble_db)
    rows = zip(*(each.tolist() for each in figures), strict=True)
    for stream, (position, _), row in zip(streams, windows, rows, strict=True):
        if not stream.is_open:
            continue
        try:
            stream.on_score(ActivityScore(position, *row))
        except Exception as error:
            if not stream.has_failed:
                log.error("a listener of voice activity failed", error=repr(error))
            stream.has_failed = True
