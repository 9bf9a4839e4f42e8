"""When a voicemail says that it records, and what only sounds like it."""

import numpy as np
import pytest

from nur_server.audio import g711
from nur_server.audio.beep import BeepDetector

RATE = 16_000


def sine(hz: float, seconds: float, rate: int = RATE, level: float = 5000) -> np.ndarray:
    at = np.arange(int(rate * seconds)) / rate
    return (level * np.sin(2 * np.pi * hz * at)).astype(np.int16)


def silence(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.zeros(int(rate * seconds), np.int16)


def beeps(*parts: np.ndarray, rate: int = RATE, step: int = 320) -> int:
    detector = BeepDetector(rate)
    audio = np.concatenate(parts)
    return sum(detector.hear(audio[i : i + step]) for i in range(0, len(audio), step))


@pytest.mark.parametrize("hz", [420, 440, 620, 853, 1000, 1400, 2000, 2150])
@pytest.mark.parametrize("seconds", [0.18, 0.4, 1.5])
def test_a_beep_is_heard_once(hz: float, seconds: float) -> None:
    assert beeps(silence(0.33), sine(hz, seconds), silence(0.3)) == 1


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000])
@pytest.mark.parametrize("step", [7, 160, 4096, 100_000])
def test_it_is_heard_at_any_rate_and_however_the_audio_is_cut(rate: int, step: int) -> None:
    audio = (silence(0.2, rate), sine(1000, 0.3, rate), silence(0.2, rate))
    assert beeps(*audio, rate=rate, step=step) == 1


def test_it_is_told_when_the_beep_is_over_and_not_before() -> None:
    detector = BeepDetector()
    assert not detector.hear(sine(1000, 0.5))
    assert detector.hear(silence(0.1))
    assert not detector.hear(silence(2.0))


def test_it_is_heard_through_noise_and_the_telephone_network() -> None:
    noise = np.random.default_rng(3).normal(0, 300, RATE // 2)
    sound = np.concatenate([sine(1000, 0.3), silence(0.2)])
    audio = (sound + noise).astype(np.int16)
    assert beeps(g711.decode(g711.encode(audio, "mulaw"), "mulaw")) == 1


def warble() -> np.ndarray:
    at = np.arange(RATE) / RATE
    return (5000 * np.sin(2 * np.pi * (800 * at + 20 * np.sin(2 * np.pi * 5 * at)))).astype(
        np.int16
    )


@pytest.mark.parametrize(
    ("what", "audio"),
    [
        ("a click", sine(1000, 0.1)),
        ("a hum", sine(120, 1.0)),
        ("a whistle", sine(2800, 1.0)),
        ("something faint", sine(1000, 0.5, level=60)),
        ("a fax", sine(2100, 3.2)),
        ("ringback", sine(440, 2.0) + sine(480, 2.0)),
        ("British ringback", sine(400, 0.4) + sine(450, 0.4)),
        ("a busy tone", sine(480, 0.5) + sine(620, 0.5)),
        ("a key", sine(770, 0.3) + sine(1336, 0.3)),
        ("a number out of service", np.concatenate([sine(f, 0.33) for f in (950, 1400, 1800)])),
        ("a gliding voice", warble()),
        ("noise", np.random.default_rng(4).normal(0, 5000, 2 * RATE).astype(np.int16)),
    ],
)
def test_what_is_no_beep_is_not_heard(what: str, audio: np.ndarray) -> None:
    assert beeps(silence(0.2), audio, silence(0.3)) == 0, what


@pytest.mark.parametrize("rate", [0, 4000, 11_025])
def test_a_rate_it_cannot_work_at_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match=f"got {rate}"):
        BeepDetector(rate)
