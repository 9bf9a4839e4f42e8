"""How the user's voice sounds against how it usually does."""

import pytest

from nur_server.conversation.events import SpeechScored
from nur_server.turn_taking.voice import (
    AWAY_DB,
    DULL_DB,
    LOUDER_MEMORY,
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
        (Voice(-20 - AWAY_DB, -32 - AWAY_DB), 1.0),
        (Voice(-20.0, -32 - STRAYING_DULL_DB), 0.0),
        (Voice(-20.0, -32 - STRAYING_DULL_DB - DULL_DB), 1.0),
        (Voice(-20 - AWAY_DB, -32 - AWAY_DB - STRAYING_DULL_DB - DULL_DB), 2.0),
    ],
)
def test_away_is_quieter_or_duller_than_usual(voice: Voice, expected: float) -> None:
    assert away(voice, USUAL, QUIET_ROOM_DB) == pytest.approx(expected)


def test_nobody_is_away_before_the_user_was_heard() -> None:
    assert away(Voice(-50.0, -80.0), None, QUIET_ROOM_DB) == 0.0
    assert away(None, USUAL, QUIET_ROOM_DB) == 0.0


def test_treble_does_not_tell_where_there_is_none_or_only_noise() -> None:
    dull = Voice(-20.0, -50.0)
    assert away(dull, USUAL, QUIET_ROOM_DB) > 1.0
    assert away(dull, USUAL, background_treble_db=-33.0) == 0.0
    assert away(dull, Voice(-20.0), QUIET_ROOM_DB) == 0.0
    assert away(Voice(-26.0), USUAL, QUIET_ROOM_DB) == pytest.approx(1.0)


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
