"""The beep after which a voicemail records.

One steady sinusoid of 400–2200 Hz, 160 ms to 2.5 s long, that nothing tonal leads up to. Ringback
and busy tones are two sinusoids that beat, a disconnected number's chime is a row of tones, speech
is neither pure nor steady, and a fax answers for longer than 2.5 s.
"""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

LOWEST_HZ, HIGHEST_HZ = 400, 2200
STEP_SECONDS = 0.02
WINDOWS_IN_SHORTEST = 6
"""Whole 40 ms windows within 160 ms, wherever the tone begins."""
WINDOWS_IN_LONGEST = 123
"""Within 2.5 s."""
WINDOWS_BETWEEN = 3
"""From the end of a beep to being sure that no other tone follows on it."""
NEVER = 1_000_000
LEAST_RMS = 100.0
"""Of int16: -50 dBFS."""
LEAST_PURITY = 0.92
"""Share of a window's energy within two bins (50 Hz) of its peak."""
MOST_UNSTEADY = 2.5
"""Energy of a window's loudest 5 ms over its quietest."""
MOST_DRIFT_BINS = 1


class BeepDetector:
    """Says when a beep has just ended. Judges 40 ms of audio every 20 ms."""

    def __init__(self, sample_rate: int = 16_000) -> None:
        """Raises `ValueError` for a rate that is not a multiple of 200 Hz from 8 kHz up."""
        if sample_rate < 8000 or sample_rate % 200:
            raise ValueError(
                f"expected a rate of 8000 Hz or more in steps of 200, got {sample_rate}"
            )
        self._step = int(sample_rate * STEP_SECONDS)
        self._window = 2 * self._step
        self._shape = np.hanning(self._window).astype(np.float32)
        hz_per_bin = sample_rate / self._window
        self._lowest = int(LOWEST_HZ / hz_per_bin)
        self._highest = int(HIGHEST_HZ / hz_per_bin)
        self._rest = np.zeros(0, np.int16)
        self._bin: int | None = None
        """Where the tone that is sounding has its peak."""
        self._windows = 0
        """It has sounded for."""
        self._since_tone = NEVER
        """Windows since the last tone that was long enough for a beep."""
        self._is_in_row = False
        """The sounding tone followed on another one."""
        self._may_be_beep = False
        """The last tone was one, unless another follows on it."""

    def hear(self, samples: Samples) -> bool:
        """Take audio of any length. True once when a beep has just ended."""
        self._rest = np.concatenate([self._rest, samples])
        has_ended = False
        while len(self._rest) >= self._window:
            window, self._rest = self._rest[: self._window], self._rest[self._step :]
            has_ended |= self._judge(self._tone(window.astype(np.float32)))
        return has_ended

    def _judge(self, found: int | None) -> bool:
        """Whether a beep is over, and nothing has followed on it, with this window."""
        sounding = self._bin
        if found is not None and sounding is not None and abs(found - sounding) <= MOST_DRIFT_BINS:
            self._windows += 1
            if self._windows == WINDOWS_IN_SHORTEST:
                self._is_in_row = self._since_tone <= WINDOWS_BETWEEN + 1
                self._may_be_beep = False
            return False
        if self._windows >= WINDOWS_IN_SHORTEST:
            self._may_be_beep = not self._is_in_row and self._windows <= WINDOWS_IN_LONGEST
            self._since_tone = 0
        self._bin, self._windows = found, int(found is not None)
        self._since_tone += 1
        if found is not None or self._since_tone < WINDOWS_BETWEEN or not self._may_be_beep:
            return False
        self._may_be_beep = False
        return True

    def _tone(self, window: NDArray[np.float32]) -> int | None:
        """The bin of the one sinusoid the window consists of, where it does."""
        if float(window @ window) < LEAST_RMS**2 * len(window):
            return None
        pieces = np.square(window).reshape(8, -1).sum(axis=1)
        if pieces.max() > MOST_UNSTEADY * pieces.min():
            return None
        power = np.square(np.abs(np.fft.rfft(window * self._shape)))
        peak = int(power[1:].argmax()) + 1
        is_pure = power[max(0, peak - 2) : peak + 3].sum() >= LEAST_PURITY * power.sum()
        return peak if is_pure and self._lowest <= peak <= self._highest else None
