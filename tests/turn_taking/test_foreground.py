"""Speech behind the user's own."""

from collections.abc import Iterable

import pytest

from nur_server.conversation.events import SpeechScored
from nur_server.turn_taking.foreground import (
    BACKDROP_PAUSE_MS,
    CONTRAST_DB,
    LONGEST_BACKDROP_MS,
    Foreground,
)

WINDOW = 512
WINDOW_MS = 32


def hear(ear: Foreground, levels: Iterable[float], *, is_turn_open: bool = True) -> list[bool]:
    return [
        ear.is_background(
            SpeechScored(0.0, WINDOW, 0.9, level, None), WINDOW, is_turn_open=is_turn_open
        )
        for level in levels
    ]


def rest(ear: Foreground, milliseconds: int) -> None:
    for _ in range(milliseconds // WINDOW_MS):
        ear.hear_silence(SpeechScored(0.0, WINDOW, 0.0, -60.0, None), WINDOW)


def with_backdrop(below_db: float = 18.0) -> Foreground:
    """Somebody has spoken in front of a television, which goes on."""
    ear = Foreground()
    ear.begin_turn()
    hear(ear, [-20.0] * 40)
    hear(ear, [-20.0 - below_db] * 40)
    assert ear.backdrop_db == pytest.approx(-20 - below_db, abs=1.0)
    return ear


@pytest.mark.parametrize("below_db", [13.0, 18.0, 24.0, 40.0])
def test_speech_well_below_the_turns_own_is_background(below_db: float) -> None:
    ear = Foreground()
    ear.begin_turn()
    assert not any(hear(ear, [-20.0] * 40))
    behind = hear(ear, [-20.0 - below_db] * 40)
    assert all(behind[8:]) and sum(behind) >= 32


@pytest.mark.parametrize("below_db", [0.0, 6.0, CONTRAST_DB - 1.5])
def test_a_soft_end_of_a_sentence_is_the_users(below_db: float) -> None:
    ear = Foreground()
    ear.begin_turn()
    assert not any(hear(ear, [-20.0] * 40 + [-20.0 - below_db] * 12))


def test_a_cough_is_no_measure_for_the_words_behind_it() -> None:
    ear = Foreground()
    ear.begin_turn()
    assert not any(hear(ear, [-8.0] * 8 + [-26.0] * 60)[8:])


def test_the_users_next_loud_word_is_theirs_at_once() -> None:
    ear = with_backdrop()
    assert hear(ear, [-20.0] * 4)[1:] == [False] * 3


def test_what_goes_on_behind_the_turn_opens_no_other() -> None:
    ear = with_backdrop()
    levels = ([-38.0, -36.0, -41.0] * 4 + [-31.0] * 8) * 10
    assert all(hear(ear, levels, is_turn_open=False))
    assert not all(hear(ear, [-20.0] * 4, is_turn_open=False))


def test_a_quieter_turn_than_the_last_one_is_heard() -> None:
    ear = Foreground()
    ear.begin_turn()
    hear(ear, [-20.0] * 40)
    rest(ear, 500)
    assert not any(hear(ear, [-38.0] * 2, is_turn_open=False))
    ear.begin_turn()
    assert not any(hear(ear, [-38.0] * 60))


def test_a_background_that_has_fallen_silent_is_forgotten() -> None:
    ear = with_backdrop()
    rest(ear, BACKDROP_PAUSE_MS + 100)
    assert ear.backdrop_db is None
    assert not any(hear(ear, [-38.0] * 10, is_turn_open=False))


def test_nobody_is_taken_for_the_background_for_good() -> None:
    ear = with_backdrop()
    windows = LONGEST_BACKDROP_MS // WINDOW_MS + 50
    assert not hear(ear, [-38.0] * windows, is_turn_open=False)[-1]


def test_sound_without_words_as_loud_as_the_user_is_no_background() -> None:
    ear = Foreground()
    ear.begin_turn()
    hear(ear, [-20.0] * 40)
    ear.take_for_background()
    assert ear.backdrop_db is None
    hear(ear, [-29.0] * 40)
    ear.take_for_background()
    assert ear.backdrop_db == pytest.approx(-29.0)
