"""Windows of audio become stretches of speech and silence."""

from nur_server.audio.rates import LISTEN_RATE
from nur_server.conversation.events import SpeechScored
from nur_server.turn_taking.speech_tracker import (
    END_SILENCE_MS,
    ONSET_WINDOWS,
    Sound,
    SpeechTracker,
    to_ms,
)

WINDOW = 512
THRESHOLD = 0.5


def hear(ear: SpeechTracker, *probabilities: float) -> list[Sound]:
    """What each of the next windows adds."""
    sounds = []
    for probability in probabilities:
        end = ear.position + WINDOW
        score = SpeechScored(end / LISTEN_RATE, end, probability, -20.0)
        sounds.append(ear.hear(score, THRESHOLD))
    return sounds


def test_speech_begins_with_two_windows_in_a_row() -> None:
    ear = SpeechTracker()
    assert hear(ear, 0.1, 0.9, 0.9, 0.9) == [Sound.QUIET, Sound.QUIET, Sound.ONSET, Sound.SPEECH]
    assert ear.onset == WINDOW and ear.is_speaking


def test_a_click_is_no_onset() -> None:
    ear = SpeechTracker()
    assert Sound.ONSET not in hear(ear, *[0.9] * (ONSET_WINDOWS - 1), 0.1, 0.9, 0.1)


def test_speech_goes_on_a_little_below_the_threshold() -> None:
    ear = SpeechTracker()
    assert hear(ear, 0.4) == [Sound.QUIET]
    hear(ear, 0.9, 0.9)
    assert hear(ear, 0.4, 0.2) == [Sound.SPEECH, Sound.PAUSE]


def test_after_a_pause_speech_needs_a_new_onset() -> None:
    ear = SpeechTracker()
    hear(ear, 0.9, 0.9)
    pauses = -(-END_SILENCE_MS // to_ms(WINDOW))
    hear(ear, *[0.1] * pauses)
    assert not ear.is_speaking and ear.silence_ms == pauses * to_ms(WINDOW)
    assert hear(ear, 0.9, 0.9) == [Sound.QUIET, Sound.ONSET]


def test_a_gap_within_a_word_is_no_end() -> None:
    ear = SpeechTracker()
    hear(ear, 0.9, 0.9, 0.1)
    assert hear(ear, 0.9) == [Sound.SPEECH]
    assert ear.silence_ms == 0 and ear.speech_end == ear.position


def test_silence_passes_without_audio() -> None:
    ear = SpeechTracker()
    hear(ear, 0.9, 0.9)
    ear.starve(200)
    assert ear.silence_ms == 200 and not ear.is_speaking
