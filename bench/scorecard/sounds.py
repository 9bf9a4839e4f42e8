"""Noises people make, rooms they are in and noise around them, made of nothing but arithmetic.

Everything is float32 at 16 kHz; a seed gives the same sound every time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE = 16_000

Sound = NDArray[np.float32]
Curve = Callable[[NDArray[np.floating[Any]]], NDArray[np.floating[Any]]]
"""Gain at frequencies in Hz."""


def _seconds(duration: float) -> NDArray[np.float64]:
    return np.arange(int(duration * RATE)) / RATE


def shape(sound: NDArray[np.floating[Any]], curve: Curve) -> Sound:
    """The sound with its spectrum weighed."""
    spectrum = np.fft.rfft(sound)
    gain = curve(np.fft.rfftfreq(len(sound), 1 / RATE))
    return np.asarray(np.fft.irfft(spectrum * gain, len(sound)), np.float32)


def _bell(centre: float, width: float) -> Curve:
    return lambda hertz: np.exp(-(((hertz - centre) / width) ** 2))


# Voiced noises


def voiced(
    duration: float,
    pitch: tuple[float, float],
    formants: tuple[tuple[float, float, float], ...],
    random: np.random.Generator,
) -> Sound:
    """A vowel or a hum: pulses gliding from one pitch to another through formants.

    A formant is a frequency, a width and a gain.
    """
    time = _seconds(duration)
    glide = np.linspace(*pitch, len(time)) * (
        1 + 0.01 * np.cumsum(random.normal(0, 0.02, len(time)))
    )
    phase = np.cumsum(glide) / RATE
    source = 2 * (phase % 1) - 1 + 0.03 * random.normal(size=len(time))

    def curve(hertz: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        total = np.zeros_like(hertz)
        for centre, width, gain in formants:
            total += gain * _bell(centre, width)(hertz)
        return total

    edge = np.minimum(1, np.minimum(time, time[::-1]) / 0.05)
    return (shape(source, curve) * edge).astype(np.float32)


HUM = ((250.0, 120.0, 1.0), (1100.0, 200.0, 0.06), (2200.0, 300.0, 0.03))
SCHWA = ((550.0, 120.0, 1.0), (1250.0, 180.0, 0.4), (2500.0, 250.0, 0.15))
OPEN = ((680.0, 130.0, 1.0), (1150.0, 180.0, 0.6), (2500.0, 250.0, 0.2))
FRONT = ((520.0, 110.0, 1.0), (1750.0, 200.0, 0.4), (2500.0, 250.0, 0.2))


def breath(duration: float, centre: float, width: float, random: np.random.Generator) -> Sound:
    """Turbulent air, swelling and fading."""
    time = _seconds(duration)
    envelope = np.sin(np.pi * np.linspace(0, 1, len(time))) ** 1.5
    sound = shape(random.normal(size=len(time)), _bell(centre, width))
    return np.asarray(sound * envelope, np.float32)


def burst(duration: float, centre: float, width: float, random: np.random.Generator) -> Sound:
    """Air let go at once: the first part of a cough, a click."""
    time = _seconds(duration)
    envelope = np.exp(-time / (duration / 4)) * np.minimum(1, time / 0.004)
    sound = shape(random.normal(size=len(time)), _bell(centre, width))
    return np.asarray(sound * envelope, np.float32)


def silence(duration: float) -> Sound:
    return np.zeros(int(duration * RATE), np.float32)


def _scaled(sound: Sound, gain: float) -> Sound:
    return np.asarray(sound / max(1e-9, float(np.abs(sound).max())) * gain, np.float32)


def _joined(*parts: tuple[Sound, float]) -> Sound:
    return np.concatenate([_scaled(sound, gain) for sound, gain in parts])


def _cough(random: np.random.Generator, gain: float = 1.0) -> Sound:
    open_part = burst(0.16, 1500, 1300, random)
    voice_part = (
        voiced(0.18, (160, 110), SCHWA, random) + 0.5 * breath(0.18, 1200, 900, random)[:2880]
    )
    return _joined((open_part, gain), (voice_part, 0.35 * gain))


def _throat(duration: float, random: np.random.Generator) -> Sound:
    time = _seconds(duration)
    rough = 1 + 0.9 * np.sin(2 * np.pi * 28 * time + random.uniform(0, 6))
    rasp = breath(duration, 900, 700, random) + 0.6 * voiced(duration, (95, 80), SCHWA, random)
    return (rasp * rough).astype(np.float32)


def _laugh(times: int, pitch: float, random: np.random.Generator) -> Sound:
    parts: list[tuple[Sound, float]] = []
    for number in range(times):
        parts.append((breath(0.07, 1500, 1000, random), 0.3))
        parts.append((voiced(0.09, (pitch, pitch * 0.9), OPEN, random), 0.9 - 0.1 * number))
    return _joined(*parts)


_H = (1200.0, 1000.0)
_NOISES: dict[str, Callable[[float, np.random.Generator], Sound]] = {
    "mm-hm": lambda p, r: _joined(
        (voiced(0.16, (p, 0.95 * p), HUM, r), 0.8), (breath(0.07, *_H, r), 0.1),
        (voiced(0.24, (1.05 * p, 1.25 * p), HUM, r), 1.0)),
    "mm-mm-hm": lambda p, r: _joined(
        (voiced(0.2, (p, p), HUM, r), 0.9), (silence(0.05), 0), (voiced(0.12, (p, p), HUM, r), 0.7),
        (breath(0.08, *_H, r), 0.1), (voiced(0.25, (1.1 * p, 1.2 * p), HUM, r), 1.0)),
    "uh-huh": lambda p, r: _joined(
        (voiced(0.13, (p, 0.95 * p), SCHWA, r), 0.9), (breath(0.08, *_H, r), 0.2),
        (voiced(0.2, (1.1 * p, 1.3 * p), SCHWA, r), 1.0)),
    "uh-huh-low": lambda p, r: _joined(
        (voiced(0.16, (p, 0.9 * p), OPEN, r), 1.0), (breath(0.1, *_H, r), 0.2),
        (voiced(0.22, (p, 0.8 * p), OPEN, r), 0.9)),
    "mm": lambda p, r: voiced(0.35, (p, 0.85 * p), HUM, r),
    "mmm": lambda p, r: voiced(0.6, (1.1 * p, 0.8 * p), HUM, r),
    "um": lambda p, r: _joined(
        (voiced(0.2, (p, p), SCHWA, r), 1.0), (voiced(0.2, (p, 0.95 * p), HUM, r), 0.6)),
    "uhm": lambda p, r: _joined(
        (voiced(0.3, (p, 0.97 * p), OPEN, r), 1.0), (voiced(0.3, (p, 0.95 * p), HUM, r), 0.6)),
    "uh": lambda p, r: voiced(0.35, (p, 0.95 * p), SCHWA, r),
    "eh": lambda p, r: voiced(0.3, (p, 0.9 * p), FRONT, r),
    "er": lambda p, r: voiced(0.4, (p, 0.92 * p), SCHWA, r),
    "er-um": lambda p, r: _joined(
        (voiced(0.3, (p, p), SCHWA, r), 1.0), (silence(0.12), 0),
        (voiced(0.2, (p, p), OPEN, r), 1.0), (voiced(0.25, (p, 0.9 * p), HUM, r), 0.6)),
    "hmm": lambda p, r: _joined(
        (breath(0.08, *_H, r), 0.15), (voiced(0.45, (p, 1.15 * p), HUM, r), 1.0)),
    "hmm-low": lambda p, r: _joined(
        (breath(0.1, *_H, r), 0.15), (voiced(0.7, (p, 0.75 * p), HUM, r), 1.0)),
    "cough": lambda p, r: _cough(r),
    "cough-soft": lambda p, r: _cough(r, 0.5),
    "double-cough": lambda p, r: _joined((_cough(r), 1.0), (silence(0.15), 0), (_cough(r), 0.8)),
    "throat": lambda p, r: _throat(0.45, r),
    "throat-long": lambda p, r: _throat(0.9, r),
    "sniff": lambda p, r: breath(0.3, 4000, 1800, r),
    "sniff-double": lambda p, r: _joined(
        (breath(0.22, 4200, 1800, r), 0.8), (silence(0.12), 0), (breath(0.28, 3800, 1800, r), 1.0)),
    "breath": lambda p, r: breath(0.8, 1600, 1300, r),
    "sigh": lambda p, r: breath(1.2, 1000, 900, r),
    "wheeze": lambda p, r: breath(1.0, 2400, 600, r),
    "click": lambda p, r: burst(0.04, 2500, 1500, r),
    "smack": lambda p, r: _joined((burst(0.03, 3500, 2000, r), 0.8), (silence(0.06), 0),
                                  (burst(0.04, 2000, 1500, r), 1.0)),
    "sneeze": lambda p, r: _joined(
        (voiced(0.2, (p, 1.3 * p), OPEN, r), 0.4), (burst(0.35, 3500, 2500, r), 1.0)),
    "sneeze-sharp": lambda p, r: _joined(
        (breath(0.15, 1500, 1000, r), 0.2), (burst(0.3, 4200, 2500, r), 1.0)),
    "laugh": lambda p, r: _laugh(4, 1.2 * p, r),
    "chuckle": lambda p, r: _laugh(3, 0.9 * p, r),
}  # fmt: skip


HEAD_SHADOW = (
    (0.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0),
    (-1.0, -1.0, -2.0, -4.0, -6.0, -10.0, -14.0, -18.0),
)
"""Hertz, and the level in dB behind the shoulder against in front of the mouth: about half of what
is measured straight behind the head."""


def noise_of(name: str, pitch: float, seed: int) -> Sound:
    """A person's noise, peak 1. Raises `KeyError` for a name there is none of."""
    sound = _NOISES[name](pitch, np.random.default_rng(seed))
    return _scaled(sound, 1.0)


# Rooms and lines


def further_away(sound: Sound, seed: int) -> Sound:
    """As heard from the far side of a room: reverberation of 0.45 s, treble lost."""
    random = np.random.default_rng(seed)
    time = _seconds(0.45)
    tail = random.normal(size=len(time)) * 10 ** (-3 * time / 0.45)
    tail[0] = 8.0
    size = 1 << (len(sound) + len(tail)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)
    wet = wet[: len(sound) + RATE // 4]
    return shape(wet, lambda hertz: 1 / (1 + (hertz / 2500) ** 2))


def turned_away(sound: Sound) -> Sound:
    """As heard from behind the shoulder: the head keeps back the more, the higher."""
    return shape(sound, lambda hertz: 10 ** (np.interp(hertz, *HEAD_SHADOW) / 20))


def covered(sound: Sound) -> Sound:
    """Through a hand over the microphone, as loud as before: nothing above 1 kHz. It is how public
    leaderboards make speech that is not directed at the agent."""
    dull = shape(sound, lambda hertz: 1 / (1 + (hertz / 1000) ** 8))
    return np.asarray(dull * (np.abs(sound).max() / np.abs(dull).max()), np.float32)


def background(kind: str, seconds: float, seed: int, voices: list[Sound]) -> Sound:
    """`pink` or `brown` noise, or the `babble` of `voices`, RMS 1."""
    random = np.random.default_rng(seed)
    length = int(seconds * RATE)
    if kind == "babble":
        sound = _babble(length, random, voices)
    else:
        power = {"pink": 0.5, "brown": 1.0}[kind]
        sound = shape(
            random.normal(size=length), lambda hertz: 1 / np.maximum(hertz, 40.0) ** power
        )
    return np.asarray(sound / np.sqrt(np.mean(sound.astype(np.float64) ** 2)), np.float32)


def _babble(length: int, random: np.random.Generator, voices: list[Sound]) -> Sound:
    """A room full of people: every voice over and over, from far away, twenty at once."""
    sound = np.zeros(length, np.float32)
    for _ in range(20):
        position = -int(random.integers(0, RATE * 2))
        gain = 10 ** (random.uniform(-6, 0) / 20)
        while position < length:
            voice = voices[int(random.integers(len(voices)))]
            begin, end = max(0, position), min(length, position + len(voice))
            if end > begin:
                sound[begin:end] += gain * voice[begin - position : end - position]
            position += len(voice)
    return further_away(sound, 7)[:length]
