"""Keys made and recognised, and what must not be taken for one."""

import numpy as np
import pytest

from nur_server.audio import g711
from nur_server.audio.dtmf import DIGITS, RATE, DigitDetector, tones

ALL = "0123456789*#ABCD"


def heard(samples: np.ndarray, step: int = 160) -> str:
    detector = DigitDetector()
    return "".join(detector.hear(samples[i : i + step]) for i in range(0, len(samples), step))


def tone(low: float, high: float, seconds: float = 0.1, twist_db: float = 0.0) -> np.ndarray:
    at = np.arange(int(RATE * seconds)) / RATE
    wave = np.sin(2 * np.pi * low * at) + 10 ** (twist_db / 20) * np.sin(2 * np.pi * high * at)
    return np.concatenate([(wave * 6000).astype(np.int16), np.zeros(800, np.int16)])


@pytest.mark.parametrize("step", [1, 160, 205, 8000])
def test_every_key_is_heard_once_however_the_audio_is_cut(step: int) -> None:
    digits = ALL if step > 1 else "5"
    assert heard(tones(digits), step) == digits


def test_a_key_pressed_twice_is_two_digits() -> None:
    assert heard(tones("1100")) == "1100"


def test_a_key_held_down_is_one_digit() -> None:
    assert heard(tone(770, 1336, seconds=2.0)) == "5"


def test_keys_pass_through_the_telephone_network() -> None:
    assert heard(g711.decode(g711.encode(tones(ALL), "mulaw"), "mulaw")) == ALL


def test_keys_are_heard_through_noise() -> None:
    noise = np.random.default_rng(1).normal(0, 6000 / 10 ** (15 / 20), len(tones(ALL)))
    assert heard(np.clip(tones(ALL) + noise, -32768, 32767).astype(np.int16)) == ALL


@pytest.mark.parametrize(
    ("what", "samples"),
    [
        ("silence", np.zeros(RATE, np.int16)),
        ("noise", np.random.default_rng(2).normal(0, 5000, RATE).astype(np.int16)),
        ("dial tone", tone(350, 440, 1.0)),
        ("one tone alone", tone(770, 770, 1.0)),
        ("frequencies between two keys", tone(733, 1270, 1.0)),
        ("a row far louder than its column", tone(770, 1336, 1.0, twist_db=-12)),
        ("a column far louder than its row", tone(770, 1336, 1.0, twist_db=9)),
        ("a tone too short for a key", tone(770, 1336, 0.025)),
    ],
)
def test_what_is_no_key_is_not_heard(what: str, samples: np.ndarray) -> None:
    assert heard(samples) == "", what


@pytest.mark.parametrize("wrong", ["", "12 3", "E", "5a", "+1", "1\n"])
def test_only_keys_can_be_pressed(wrong: str) -> None:
    assert not DIGITS.match(wrong)
    with pytest.raises(ValueError, match="expected digits"):
        tones(wrong)


def test_tones_last_as_long_at_any_rate() -> None:
    assert len(tones("12", 16_000)) == 2 * len(tones("12", 8_000))
