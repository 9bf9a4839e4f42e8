"""The log-mel spectrogram that Whisper models take, in numpy.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022): 80 mel bands up
to 8 kHz on Slaney's scale, windows of 25 ms every 10 ms, log10 limited to 80 dB below the loudest.
"""

import functools

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
WINDOW = 400
"""Samples of one spectrum: 25 ms."""
HOP = 160
"""Samples between spectra: 10 ms."""
BANDS = 80

_LINEAR_HZ_PER_MEL = 200 / 3
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27
_FLOOR = 1e-10
_RANGE = 8.0
"""Decades kept below the loudest value."""

Floats = NDArray[np.float32]


def log_mel(audio: Floats) -> Floats:
    """Shape (BANDS, len(audio) // HOP), of audio at 16 kHz in -1 … 1."""
    padded = np.pad(audio, WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[:-1:HOP]
    spectrum = np.fft.rfft(frames * _hann(), axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    decades = np.log10(np.maximum(_filters() @ power.T, _FLOOR))
    limited = np.maximum(decades, decades.max() - _RANGE)
    return np.asarray((limited + 4) / 4, np.float32)


def normalised(audio: Floats) -> Floats:
    """The audio with mean 0 and variance 1, as Smart Turn takes it."""
    return np.asarray((audio - audio.mean()) / np.sqrt(audio.var() + 1e-7), np.float32)


@functools.cache
def _hann() -> Floats:
    """The periodic Hann window."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW), np.float32)


@functools.cache
def _filters() -> Floats:
    """Triangles of equal area over the bins of a spectrum; shape (BANDS, WINDOW // 2 + 1)."""
    bins = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    corners = _to_hertz(np.linspace(0, _to_mel(RATE / 2), BANDS + 2))
    low, centre, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(triangles * 2 / (high - low), np.float32)


def _to_mel(hertz: float) -> float:
    """Slaney's scale: linear up to 1 kHz, logarithmic above. `hertz` is 1000 or more."""
    return float(_LOG_FROM_MEL + np.log(hertz / _LOG_FROM_HZ) / _LOG_STEP)


def _to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mel * _LINEAR_HZ_PER_MEL
    logarithmic = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - _LOG_FROM_MEL))
    return np.where(mel < _LOG_FROM_MEL, linear, logarithmic)
