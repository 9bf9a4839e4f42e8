"""The voice of a scripted caller: audio that says which words it holds.

Every word spoken is a square wave of a height of its own, so that whoever gets the audio, cut
anywhere, can read the words back. To a detector by loudness it is speech like any other.
"""

from itertools import pairwise

import numpy as np

from nur_server.audio.rates import LISTEN_RATE
from nur_server.ports import Samples

WORD_SECONDS = 0.28
SHORTEST_SECONDS = 0.3
LOUD = 8192
"""Height of the first word: -12 dBFS. Each further word is one higher."""
FAINT = 1024
"""Height of the first word of somebody further away: -30 dBFS."""
NOISE = 4096
"""Height of a sound without words."""
MAX_WORDS = 1024
"""Words told apart; beyond it numbers are used again."""
HEARD_SHARE = 0.5
"""Of a word's audio that must be there for it to be understood."""


class Voice:
    """Speaks and reads words."""

    def __init__(self) -> None:
        self._words: dict[int, str] = {}
        self._lengths: dict[int, int] = {}
        self._spoken = 0

    def say(self, text: str, seconds: float | None = None, *, faint: bool = False) -> Samples:
        """`text` as mono int16 at 16 kHz; `seconds` None is the pace of speech."""
        words = text.split()
        if seconds is None:
            seconds = max(SHORTEST_SECONDS, WORD_SECONDS * len(words))
        length = round(seconds * LISTEN_RATE)
        bounds = [length * number // max(1, len(words)) for number in range(len(words) + 1)]
        base = FAINT if faint else LOUD
        parts = []
        for number, word in enumerate(words):
            samples = bounds[number + 1] - bounds[number]
            height = base + self._spoken % MAX_WORDS
            self._spoken += 1
            self._words[height] = word
            self._lengths[height] = samples
            parts.append(_wave(height, samples))
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def noise(self, seconds: float) -> Samples:
        """A sound without words."""
        return _wave(NOISE, round(seconds * LISTEN_RATE))

    def read(self, samples: Samples) -> str:
        """The words in `samples`, in order; those cut off short are left out."""
        heights = np.abs(samples.astype(np.int32))
        if not len(heights):
            return ""
        starts = np.concatenate([[0], np.flatnonzero(np.diff(heights)) + 1, [len(heights)]])
        heard = []
        for start, end in pairwise(starts):
            height = int(heights[start])
            word = self._words.get(height)
            if word is not None and end - start >= HEARD_SHARE * self._lengths[height]:
                heard.append(word)
        return " ".join(heard)


def _wave(height: int, length: int) -> Samples:
    wave: Samples = np.where(np.arange(length) % 2, height, -height).astype(np.int16)
    return wave
