"""How the user's voice sounds against how it usually does."""

from dataclasses import replace

import pytest

from nur_server.conversation.events import SpeechScored
from nur_server.turn_taking.voice import (
    AWAY_DB,
    DULL_DB,
    GAIN_DB,
    LOUDER_MEMORY,
    MOST_BY_LEVEL,
    SETTLED_MS,
    SHORT_STRAYING_DULL_DB,
    SPEAKER_MEMORY,
    STRAYING_DULL_DB,
    Background,
    Speaker,
    Voice,
    VoiceMeter,
    away,
)

USUAL = Voice(-20.0, -32.0)
QUIET_ROOM_DB = -75.0


def window(level_db: float, treble_db: float | None) -> SpeechScored:
    return SpeechScored(0.0, 512, 0.9, level_db, treble_db)


def learnt(*voices: Voice) -> Voice:
    speaker = Speaker()
    for voice in voices:
        speaker.learn(voice)
    assert speaker.voice is not None
    return speaker.voice


@pytest.mark.parametrize(
    ("voice", "expected"),
    [
        (USUAL, 0.0),
        (Voice(-12.0, -20.0), 0.0),
        (Voice(-20.0, -32 - STRAYING_DULL_DB), 0.0),
        (Voice(-20.0, -32 - STRAYING_DULL_DB - DULL_DB), 1.0),
        (Voice(-20 - AWAY_DB, -32 - AWAY_DB - STRAYING_DULL_DB - DULL_DB), 2.0),
        (Voice(-23.0, -35 - STRAYING_DULL_DB - DULL_DB), 1.5),
    ],
)
def test_away_is_much_duller_than_usual_and_the_more_so_if_quieter(
    voice: Voice, expected: float
) -> None:
    assert away(voice, USUAL, QUIET_ROOM_DB) == pytest.approx(expected)


@pytest.mark.parametrize("quieter_db", [0, 2, 4, 6, 8, GAIN_DB])
def test_what_a_gain_control_does_moves_nobody(quieter_db: float) -> None:
    assert away(Voice(-20 - quieter_db, -32 - quieter_db), USUAL, QUIET_ROOM_DB) == 0.0


@pytest.mark.parametrize("quieter_db", [14, 20, 40])
def test_the_level_alone_is_never_more_than_a_doubt(quieter_db: float) -> None:
    voice = Voice(-20 - quieter_db, -32 - quieter_db)
    assert 0.0 < away(voice, USUAL, QUIET_ROOM_DB) <= MOST_BY_LEVEL < 1.0


@pytest.mark.parametrize("duller_db", [8, 11, SHORT_STRAYING_DULL_DB])
def test_a_word_or_two_may_hold_dull_sounds_alone(duller_db: float) -> None:
    word = Voice(-20.0, -32 - duller_db, speech_ms=SETTLED_MS - 100)
    assert away(word, USUAL, QUIET_ROOM_DB) == 0.0
    after_a_word = Voice(-20.0, -32.0, speech_ms=400)
    assert away(Voice(-20.0, -32 - duller_db), after_a_word, QUIET_ROOM_DB) == 0.0
    assert away(replace(word, treble_db=-72.0), USUAL, QUIET_ROOM_DB) > 1.0, "a hand over it"


def test_bursts_are_left_out_of_the_brightness() -> None:
    vowels, hiss = VoiceMeter(), VoiceMeter()
    for _ in range(40):
        vowels.hear(window(-20.0, -34.0), Background())
        hiss.hear(window(-20.0, -34.0), Background())
    for _ in range(8):
        hiss.hear(window(-26.0, -27.0), Background())
    for meter in (vowels, hiss):
        assert meter.voice is not None
        assert meter.voice.brightness_db == pytest.approx(-14.0)
        assert meter.voice.speech_ms >= SETTLED_MS


def test_a_short_turn_teaches_less_than_a_long_one() -> None:
    short = learnt(USUAL, Voice(-30.0, -52.0, speech_ms=SETTLED_MS // 4))
    assert short.level_db == pytest.approx(-20 - 10 * SPEAKER_MEMORY / 4)
    assert short.brightness_db == pytest.approx(-12 - 10 * SPEAKER_MEMORY / 4)


def test_nobody_is_away_before_the_user_was_heard() -> None:
    assert away(Voice(-50.0, -80.0), None, QUIET_ROOM_DB) == 0.0
    assert away(None, USUAL, QUIET_ROOM_DB) == 0.0


def test_treble_does_not_tell_where_there_is_none_or_only_noise() -> None:
    dull = Voice(-20.0, -50.0)
    assert away(dull, USUAL, QUIET_ROOM_DB) > 1.0
    assert away(dull, USUAL, background_treble_db=-33.0) == 0.0
    assert away(dull, Voice(-20.0), QUIET_ROOM_DB) == 0.0
    assert away(Voice(-26.0), USUAL, QUIET_ROOM_DB) == 0.0


def test_the_background_is_taken_off_the_treble() -> None:
    background = Background()
    for _ in range(200):
        background.hear(window(-50.0, -40.0))
    assert background.treble_db == pytest.approx(-40.0)
    meter = VoiceMeter()
    meter.hear(window(-20.0, -37.0), background)
    assert meter.voice is not None and meter.voice.treble_db == pytest.approx(-40.0, abs=0.1)


def test_a_detector_without_treble_leaves_the_level() -> None:
    meter = VoiceMeter()
    meter.hear(window(-20.0, None), Background())
    assert meter.voice == Voice(-20.0)


def test_the_usual_voice_follows_the_turns() -> None:
    voice = learnt(USUAL, Voice(-30.0, -52.0))
    assert voice.level_db == pytest.approx(-20 - 10 * SPEAKER_MEMORY)
    assert voice.brightness_db == pytest.approx(-12 - 10 * SPEAKER_MEMORY)


def test_a_much_louder_voice_counts_more() -> None:
    """One shout is not how they speak; several are."""
    once = learnt(USUAL, Voice(-8.0, -20.0))
    assert once.level_db == pytest.approx(-20 + 12 * LOUDER_MEMORY)
    assert away(USUAL, once, QUIET_ROOM_DB) <= 1.0


def test_a_turn_without_treble_leaves_the_brightness_as_it_was() -> None:
    assert learnt(USUAL, Voice(-20.0)).brightness_db == USUAL.brightness_db
    assert learnt(Voice(-20.0), USUAL).brightness_db == USUAL.brightness_db


def test_treble_below_the_background_is_dull_but_says_nothing_of_the_usual_voice() -> None:
    background = Background()
    background.hear(window(-60.0, -50.0))
    meter = VoiceMeter()
    meter.hear(window(-20.0, -51.0), background)
    voice = meter.voice
    assert voice is not None and not voice.is_treble_clear
    assert away(voice, USUAL, background.treble_db) > 2.0
    assert learnt(USUAL, voice).brightness_db == USUAL.brightness_db
