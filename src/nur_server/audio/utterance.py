"""The audio of one utterance while it is spoken: written by the session, read by a recogniser.

The writer never waits; the reader sleeps until there is something worth waking for, so a recogniser
that works every half second costs nothing per frame.
"""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
from numpy.typing import NDArray

MAX_SECONDS = 600
"""Longest utterance kept: the oldest audio is what a recogniser has already transcribed."""


class UtteranceAudio:
    """A growing buffer of mono int16 samples at 16 kHz. For one event loop, one reader."""

    def __init__(self, sample_rate: int = 16_000) -> None:
        self.sample_rate = sample_rate
        self._blocks: list[NDArray[np.int16]] = []
        self._length = 0
        self._pauses: list[int] = []
        self._ended = False
        self._woken = asyncio.Event()
        self._wake_at: int | None = None

    # The session's side

    def append(self, samples: NDArray[np.int16]) -> None:
        """Add audio. What exceeds `MAX_SECONDS`, or comes after `end`, is dropped."""
        room = MAX_SECONDS * self.sample_rate - self._length
        if self._ended or room <= 0:
            return
        samples = samples[:room]
        self._blocks.append(samples)
        self._length += len(samples)
        if self._wake_at is not None and self._length >= self._wake_at:
            self._woken.set()

    def mark_pause(self) -> None:
        """The speaker has paused here: a hypothesis up to this point is wanted."""
        self._pauses.append(self._length)
        self._woken.set()

    def end(self) -> None:
        """No more audio follows. May be called twice."""
        self._ended = True
        self._woken.set()

    # The recogniser's side

    @property
    def length(self) -> int:
        """Samples so far."""
        return self._length

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def last_pause(self) -> int | None:
        """Position of the latest marked pause."""
        return self._pauses[-1] if self._pauses else None

    @property
    def pauses(self) -> tuple[int, ...]:
        """Positions of all marked pauses, in order: good places to cut."""
        return tuple(self._pauses)

    def read(self, start: int = 0, end: int | None = None) -> NDArray[np.int16]:
        """A copy of the samples `[start, end)`."""
        if len(self._blocks) > 1:
            self._blocks = [np.concatenate(self._blocks)]
        if not self._blocks:
            return np.zeros(0, np.int16)
        return self._blocks[0][start:end].copy()

    async def wait(self, beyond: int) -> None:
        """Return when there are more than `beyond` samples, at a new pause, or at the end.

        Safe to cancel.
        """
        seen_pauses = len(self._pauses)
        while self._length <= beyond and not self._ended and len(self._pauses) == seen_pauses:
            self._wake_at = beyond + 1
            self._woken.clear()
            await self._woken.wait()
        self._wake_at = None

    async def blocks(self, block_ms: int = 80) -> AsyncIterator[NDArray[np.int16]]:
        """The audio in blocks of at least `block_ms` (the last may be shorter), until the end.

        A pause hands out what has arrived so far at once.
        """
        position = 0
        wanted = self.sample_rate * block_ms // 1000
        while True:
            if not (self._ended and position == self._length):
                await self.wait(position + wanted - 1)
            if self._length > position:
                block = self.read(position)
                position += len(block)
                yield block
            elif self._ended:
                return
