"""The scripted caller: audio frame by frame, silence where nothing is said."""

import asyncio
from collections.abc import Callable

import numpy as np

from nur_server.audio.rates import LISTEN_RATE
from nur_server.ports import Samples

FRAME_SECONDS = 0.02


class Caller:
    """Sends audio at the pace of speech. `run` is its one task."""

    def __init__(self, send: Callable[[Samples], None], frame_seconds: float = FRAME_SECONDS):
        self._send = send
        self._frame_seconds = frame_seconds
        self._frame = round(frame_seconds * LISTEN_RATE)
        self._pending = np.zeros(0, np.int16)
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.is_muted = False
        """Nothing at all is sent; what is said meanwhile is lost."""

    @property
    def is_speaking(self) -> bool:
        return bool(len(self._pending))

    def speak(self, samples: Samples) -> None:
        """Say this behind what is being said."""
        self._pending = np.concatenate([self._pending, samples])
        self._quiet.clear()

    def stop(self) -> None:
        """Fall silent in the middle of a word."""
        self._pending = np.zeros(0, np.int16)
        self._quiet.set()

    async def finished(self) -> None:
        """Return when everything was said."""
        await self._quiet.wait()

    async def run(self) -> None:
        """Until cancelled."""
        due = asyncio.get_running_loop().time()
        while True:
            frame = self._next_frame()
            if not self.is_muted:
                self._send(frame)
            due += self._frame_seconds
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    def _next_frame(self) -> Samples:
        frame, self._pending = self._pending[: self._frame], self._pending[self._frame :]
        if not len(self._pending):
            self._quiet.set()
        if len(frame) < self._frame:
            frame = np.concatenate([frame, np.zeros(self._frame - len(frame), np.int16)])
        return frame
