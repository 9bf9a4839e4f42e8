"""The level of windows, and of their treble."""

import numpy as np
import pytest

from nur_server.audio.levels import FLOOR_DB, Windows, level_db, treble_db

RATE = 16_000


def tone(hertz: float, amplitude: float = 0.5) -> Windows:
    phase = 2 * np.pi * hertz * np.arange(512) / RATE
    return (amplitude * np.sin(phase)[None]).astype(np.float32)


@pytest.mark.parametrize("hertz", [250, 1000, 2000, 3000])
def test_a_tone_is_as_loud_at_any_pitch(hertz: int) -> None:
    assert level_db(tone(hertz))[0] == -9.0


@pytest.mark.parametrize(
    ("hertz", "is_treble"), [(510, False), (1016, False), (2000, True), (3011, True), (6010, False)]
)
def test_only_what_lies_between_is_treble(hertz: int, is_treble: bool) -> None:
    treble = treble_db(tone(hertz), RATE)[0]
    assert treble == pytest.approx(-9.0, abs=0.5) if is_treble else treble < -45


def test_silence_is_at_the_floor_and_each_window_has_its_own_level() -> None:
    windows = np.concatenate([np.zeros((1, 512), np.float32), tone(2000), tone(2000, 0.05)])
    for levels in (level_db(windows), treble_db(windows, RATE)):
        assert levels[0] == FLOOR_DB
        assert levels[1] - levels[2] == pytest.approx(20.0)
