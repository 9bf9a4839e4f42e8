"""What is known about one stretch of the user's talking."""

import pytest

from nur_server.audio.rates import LISTEN_RATE
from nur_server.conversation.events import SpeechScored, TranscriptUpdated
from nur_server.conversation.user_turn import COVER_SLACK, Stage, UserTurn
from nur_server.turn_taking.speech_tracker import Sound
from nur_server.turn_taking.voice import Background

WINDOW = 512


def turn() -> UserTurn:
    return UserTurn("utt_1", "msg_1", 0, 0.0, Stage.OVERLAPPING, speech_end=0)


def speak(heard: UserTurn, windows: int, level_db: float = -20.0) -> None:
    """Further windows of speech."""
    for _ in range(windows):
        end = heard.speech_end + WINDOW
        score = SpeechScored(end / LISTEN_RATE, end, 0.9, level_db)
        heard.take(Sound.SPEECH, score, WINDOW, Background())


def hypothesis(text: str, covers: int, confidence: float | None = None) -> TranscriptUpdated:
    return TranscriptUpdated(1.0, "utt_1", text, covers, False, confidence)


def test_speech_is_counted_without_its_pauses() -> None:
    heard = turn()
    speak(heard, 5)
    heard.take(
        Sound.PAUSE, SpeechScored(1.0, heard.speech_end + WINDOW, 0.1, -60.0), WINDOW, Background()
    )
    assert heard.speech_ms == 160 and heard.speech_end == 5 * WINDOW


def test_its_level_is_that_of_its_loud_windows() -> None:
    heard = turn()
    speak(heard, 5, -20.0)
    speak(heard, 5, -60.0)
    assert heard.voice is not None
    assert heard.voice.level_db == pytest.approx(-23.0, abs=0.1)


def test_silence_has_no_voice() -> None:
    assert turn().voice is None


def test_a_hypothesis_is_current_until_more_is_said() -> None:
    heard = turn()
    speak(heard, 10)
    heard.understand(hypothesis("one two", heard.speech_end - COVER_SLACK))
    assert heard.is_text_current
    speak(heard, 2)
    assert not heard.is_text_current


def test_how_much_speech_a_hypothesis_accounts_for_stays_with_it() -> None:
    heard = turn()
    speak(heard, 10)
    assert heard.understand(hypothesis("one", 6 * WINDOW, 0.9))
    assert heard.text_ms == 192 and heard.confidence == 0.9
    speak(heard, 10)
    assert heard.text_ms == 192
    assert not heard.understand(hypothesis("one", 20 * WINDOW))
    assert heard.text_ms == 640


def test_new_speech_makes_a_pause_a_thing_of_the_past() -> None:
    heard = turn()
    heard.is_pause_marked = heard.is_turn_asked = True
    heard.turn_probability = 0.9
    speak(heard, 1)
    assert not heard.is_pause_marked and not heard.is_turn_asked
    assert heard.turn_probability is None


def test_words_that_were_well_understood_are_not_taken_back() -> None:
    heard = turn()
    speak(heard, 10)
    heard.understand(hypothesis("I live in Oregon", 10 * WINDOW, 0.8))
    assert not heard.understand(hypothesis("", 12 * WINDOW))
    assert heard.text == "I live in Oregon" and heard.covers == 12 * WINDOW


def test_words_that_were_a_guess_are_taken_back() -> None:
    heard = turn()
    speak(heard, 10)
    heard.understand(hypothesis("Mm-hmm", 10 * WINDOW, 0.5))
    assert heard.understand(hypothesis("", 12 * WINDOW))
    assert heard.text == ""
