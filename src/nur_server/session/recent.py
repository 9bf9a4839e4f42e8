"""The last seconds of a user's audio: what an utterance takes its beginning from."""

from collections import deque

import numpy as np

from nur_server.audio.rates import LISTEN_RATE
from nur_server.ports import Samples

KEPT_SECONDS = 3
"""More than the pre-roll and the delay of the voice-activity detector together."""


class RecentAudio:
    """Mono int16 at 16 kHz, addressed by its position since the session began."""

    def __init__(self) -> None:
        self._blocks: deque[Samples] = deque()
        self._kept = 0
        self._end = 0

    @property
    def end(self) -> int:
        """Position behind the last sample."""
        return self._end

    def append(self, samples: Samples) -> None:
        self._blocks.append(samples)
        self._kept += len(samples)
        self._end += len(samples)
        while self._kept - len(self._blocks[0]) >= KEPT_SECONDS * LISTEN_RATE:
            self._kept -= len(self._blocks.popleft())

    def since(self, position: int) -> tuple[int, Samples]:
        """The audio from `position`, or from the oldest kept: where it really starts, and it."""
        start = max(position, self._end - self._kept)
        if start >= self._end:
            return self._end, np.zeros(0, np.int16)
        held = np.concatenate(self._blocks)
        return start, held[start - (self._end - self._kept) :]
