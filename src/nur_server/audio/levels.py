"""How loud windows of audio are, and how bright."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

FLOOR_DB = -96.0
"""Level of digital silence."""
TREBLE_HERTZ = (1500, 3400)
"""What reaches the microphone in a straight line, even by telephone: a head turned away, a hand or
a door keeps more of it back than of the voice's ground."""

Windows = NDArray[np.float32]
"""Shape (n, length): n windows, 1.0 is full scale."""
Levels = NDArray[np.float64]
"""Shape (n,): dBFS in steps of 0.5, `FLOOR_DB` for digital silence."""


def level_db(windows: Windows) -> Levels:
    """RMS of each window."""
    return _decibels(np.mean(np.square(windows), axis=1, dtype=np.float64))


def treble_db(windows: Windows, rate: int) -> Levels:
    """RMS of each window's part between `TREBLE_HERTZ`, at `rate` samples per second."""
    parts = windows @ _treble_waves(windows.shape[1], rate)
    return _decibels(np.sum(np.square(parts), axis=1, dtype=np.float64))


@cache
def _treble_waves(length: int, rate: int) -> NDArray[np.float32]:
    """Shape (length, waves): cosines and sines of the treble under a Hann window, without which
    what lies below leaks into it. The squares of a window's parts add up to its power there."""
    low, high = (round(hertz * length / rate) for hertz in TREBLE_HERTZ)
    hann = np.hanning(length + 1)[:-1]
    angles = 2 * np.pi / length * np.outer(np.arange(length), np.arange(low, high + 1))
    waves = hann[:, None] * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray(waves * np.sqrt(2 / (length * np.sum(hann**2))), np.float32)


def _decibels(power: NDArray[np.float64]) -> Levels:
    with np.errstate(divide="ignore"):
        return np.asarray(np.maximum(FLOOR_DB, np.round(20 * np.log10(power)) / 2))
