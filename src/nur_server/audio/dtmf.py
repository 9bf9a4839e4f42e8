"""The tones of a telephone's keys, made and recognised: ITU-T Q.23 and Q.24.

For lines whose keys do not come as events. Never listen for tones on a line that reports its keys:
every digit would come twice.
"""

import re

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

RATE = 8000
ROWS = (697, 770, 852, 941)
COLUMNS = (1209, 1336, 1477, 1633)
"""Hz."""
KEYS = ("123A", "456B", "789C", "*0#D")
DIGITS = re.compile(r"[0-9*#A-D]+\Z")

TONE_SECONDS, GAP_SECONDS = 0.1, 0.1
FADE_SAMPLES = 16
"""2 ms at each edge of a tone, against clicks."""
TONE_AMPLITUDE = 8000.0
"""Of each of the two sinusoids: -12 dBFS."""

BLOCK = 205
"""25.6 ms: the length at which the eight frequencies lie nearest to whole cycles."""
LEAST_RMS = 70.0
LEAST_SHARE = 0.75
"""Of a block's energy in the two tones."""
MOST_TWIST = 6.3
"""Row over column in power: 8 dB."""
MOST_REVERSE_TWIST = 4.0
"""Column over row: what the key itself adds and a line's treble loss takes away; 6 dB."""
LEAST_DOMINANCE = 6.0
"""A tone over the others of its group."""
MOST_HARMONIC = 0.1
"""Second harmonic over its tone: speech has it, keys do not."""


def tones(digits: str, sample_rate: int = RATE) -> Samples:
    """`digits` pressed one after the other: each 100 ms and a pause of 100 ms.

    Raises `ValueError` for anything but `0`–`9`, `*`, `#`, `A`–`D`.
    """
    if not DIGITS.match(digits):
        raise ValueError(f"expected digits 0-9, *, # and A-D; got {digits[:32]!r}")
    pause = np.zeros(int(sample_rate * GAP_SECONDS), np.int16)
    return np.concatenate([part for digit in digits for part in (_tone(digit, sample_rate), pause)])


def _tone(digit: str, sample_rate: int) -> Samples:
    row = next(number for number, keys in enumerate(KEYS) if digit in keys)
    column = KEYS[row].index(digit)
    at = np.arange(int(sample_rate * TONE_SECONDS)) / sample_rate
    wave = np.sin(2 * np.pi * ROWS[row] * at) + np.sin(2 * np.pi * COLUMNS[column] * at)
    edge = np.minimum(np.arange(len(at)), np.arange(len(at))[::-1]) / FADE_SAMPLES
    return (wave * np.minimum(edge, 1.0) * TONE_AMPLITUDE).astype(np.int16)


class DigitDetector:
    """Recognises keys in a stream of 8 kHz audio by the Goertzel algorithm's eight filters.

    A key counts when two blocks in a row hold it, so a tone of 77 ms is always found.
    """

    def __init__(self) -> None:
        at = np.arange(BLOCK) / RATE
        frequencies = np.array(ROWS + COLUMNS)
        self._filters = np.exp(-2j * np.pi * np.outer(frequencies, at))
        self._harmonics = np.exp(-2j * np.pi * np.outer(2 * frequencies, at))
        self._rest = np.zeros(0, np.int16)
        self._last: str | None = None
        self._blocks = 0
        """In a row that held `_last`."""

    def hear(self, samples: Samples) -> str:
        """Take audio of any length. The digits recognised in it, each once per press."""
        self._rest = np.concatenate([self._rest, samples])
        found = ""
        while len(self._rest) >= BLOCK:
            block, self._rest = self._rest[:BLOCK], self._rest[BLOCK:]
            digit = self._key(block.astype(np.float64))
            self._blocks = self._blocks + 1 if digit == self._last else 1
            self._last = digit
            if digit is not None and self._blocks == 2:
                found += digit
        return found

    def _key(self, block: NDArray[np.float64]) -> str | None:
        energy = float(block @ block)
        if energy < LEAST_RMS**2 * BLOCK:
            return None
        power = np.square(np.abs(self._filters @ block)) / (BLOCK / 2)
        row, column = int(power[:4].argmax()), 4 + int(power[4:].argmax())
        low, high = float(power[row]), float(power[column])
        if low + high < LEAST_SHARE * energy:
            return None
        if low > MOST_TWIST * high or high > MOST_REVERSE_TWIST * low:
            return None
        if not (_dominates(power[:4], row) and _dominates(power[4:], column - 4)):
            return None
        second = np.square(np.abs(self._harmonics[[row, column]] @ block)) / (BLOCK / 2)
        if second[0] > MOST_HARMONIC * low or second[1] > MOST_HARMONIC * high:
            return None
        return KEYS[row][column - 4]


def _dominates(group: NDArray[np.float64], strongest: int) -> bool:
    others = np.delete(group, strongest)
    return bool(group[strongest] > LEAST_DOMINANCE * others.max())
