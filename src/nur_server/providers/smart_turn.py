"""End of turn by smart-turn v3.2: has the speaker finished, judged from how it sounded?

The model (https://github.com/pipecat-ai/smart-turn) sees the last 8 s of a turn as a log-mel
spectrogram. It costs some 70 ms of a core per pause, so it yields under load: a pause that would
wait too long is not judged, and the turn is decided from silence and words alone.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nur_server.errors import ProviderError, Unavailable
from nur_server.ports import Samples
from nur_server.providers import weights
from nur_server.providers.mel import RATE, log_mel, normalised

NAME = weights.SMART_TURN
FILE = "smart-turn-v3.2-cpu.onnx"

SECONDS = 8
"""Of audio that the model sees; less is filled up with silence before it."""
MAX_WAITING = 3
"""Pauses in line or being judged: a further one would come too late to be of use."""


class SmartTurnModel:
    """The network. May be used by several threads."""

    def __init__(self, file: Path) -> None:
        self._session = weights.open_session(file)

    @classmethod
    def load(cls, models_dir: Path) -> "SmartTurnModel":
        """From the pulled weights. Blocks for 0.2 s. Raises `Unavailable` when they are missing."""
        return cls(weights.path(models_dir, weights.SMART_TURN, FILE))

    def score(self, samples: Samples) -> float:
        """Probability, 0–1, that the speaker has finished. Blocks for some 70 ms."""
        recent = samples[-SECONDS * RATE :].astype(np.float32) / np.float32(32768)
        audio = np.pad(recent, (SECONDS * RATE - len(recent), 0))
        (output,) = self._session.run(None, {"input_features": log_mel(normalised(audio))[None]})
        return float(np.asarray(output).reshape(-1)[0])


class SmartTurn:
    """The `TurnModel` port on smart-turn, on one worker thread. For one event loop."""

    name = NAME

    def __init__(self, models_dir: Path, *, model: SmartTurnModel | None = None) -> None:
        """Loads the model on its worker thread at first use, unless one is given."""
        self._models_dir = models_dir
        self._model = model
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="smart-turn")
        self.waiting = 0
        """Pauses in line or being judged."""

    async def load(self) -> None:
        """Load the model off the loop. Raises `Unavailable` when the weights are missing."""
        await asyncio.get_running_loop().run_in_executor(self._worker, self._loaded)

    async def close(self) -> None:
        """End the worker once the running score is done."""
        await asyncio.to_thread(self._worker.shutdown, wait=True, cancel_futures=True)

    async def score(self, samples: Samples) -> float:
        """Probability, 0–1, that the speaker has finished; `samples` at 16 kHz end at the pause.

        Safe to cancel. Raises `Unavailable` when `MAX_WAITING` pauses are in line.
        """
        if self.waiting >= MAX_WAITING:
            raise Unavailable(
                f"{self.waiting} pauses are waiting for the turn model, {MAX_WAITING} are allowed",
                code="overloaded",
            )
        work = self._worker.submit(self._score, samples)
        self.waiting += 1
        loop = asyncio.get_running_loop()
        work.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            work.cancel()
            raise
        except Unavailable:
            raise
        except Exception as error:
            raise ProviderError(f"the turn model failed: {error!r}", provider=NAME) from error

    def _leave(self) -> None:
        self.waiting -= 1

    # On the worker thread

    def _loaded(self) -> SmartTurnModel:
        if self._model is None:
            self._model = SmartTurnModel.load(self._models_dir)
        return self._model

    def _score(self, samples: Samples) -> float:
        return self._loaded().score(samples)
