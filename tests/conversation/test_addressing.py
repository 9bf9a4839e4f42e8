"""Whom words are for, by the voice: nobody is ignored for sounding otherwise than before."""

import pytest

from nur_server.conversation.notices import UserSpeechStopped
from nur_server.conversation.record import Speaker, Turn
from tests.conversation.stage import Say, Stage
from tests.conversation.test_engine import LONG, says, stage

DULL_DB = 13.0
"""By how much a word without an "s" or a "t" was duller than the sentence before it."""


def last_of_user(s: Stage) -> Turn:
    return s.turns[max(i for i, turn in s.turns.items() if turn.speaker is Speaker.USER)]


@pytest.mark.parametrize("quieter_db", [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0])
def test_a_stop_command_stops_the_agent_however_quiet(quieter_db: float) -> None:
    s = stage(answers=says(LONG))
    s.say("What do you have in your shop?", at=0.5)
    s.run(4)
    said = s.say(
        "Stop, please stop, I have another question.",
        at=4.0,
        level_db=-20 - quieter_db,
        treble_db=-50.0 - quieter_db,
    )
    s.run(6)
    assert s.assert_interrupted().end_reason == "stop_command"
    last_frame = max(at for at, response in s.frames if response == s.frames[0][1])
    assert last_frame < said.start + 1.0


@pytest.mark.parametrize("gains_db", [(8, 0, 8), (-8, 8, -8), (0, -10, 0), (-6, -12, -4)])
def test_a_gain_that_moves_between_turns_makes_nobody_a_stranger(
    gains_db: tuple[float, ...],
) -> None:
    s = stage(answers=says("One.", "Two.", "Three.", "Four."))
    for gain_db in (0.0, *gains_db):
        s.say("And what about the brown sandals?", level_db=-22.0 + gain_db)
        s.run(5)
    assert len(s.agent_said) == 4
    assert all(turn.trigger != "aside" for turn in s.turns.values())


@pytest.mark.parametrize("word", ["Tomorrow.", "For four people.", "Around noon.", "Blue."])
@pytest.mark.parametrize("said", ["We have a table.", "When would you like to come?"])
def test_a_lone_caller_is_answered_though_a_word_sounds_dull(word: str, said: str) -> None:
    s = stage(answers=says(said, "Fine."))
    s.say("I would like to book a table, please.", at=0.5)
    s.run(5)
    s.say(word, seconds=0.9, treble_db=-32.0 - DULL_DB)
    s.run(5)
    assert s.agent_said == [said, "Fine."]


@pytest.mark.parametrize("words", ["Tomorrow at around four in the afternoon.", "For all of us."])
def test_the_answer_to_a_question_is_for_the_agent_however_dull(words: str) -> None:
    s = stage(answers=says("When would you like to come?", "Fine."))
    s.say("I would like to book a table, please.", at=0.5)
    s.run(5)
    s.say(words, seconds=2.0, level_db=-30.0, treble_db=-60.0)
    s.run(5)
    assert s.agent_said == ["When would you like to come?", "Fine."]


def test_after_a_question_the_words_may_still_say_that_it_is_for_somebody_else() -> None:
    s = stage(answers=says("When would you like to come?", "Fine."))
    s.say("I would like to book a table, please.", at=0.5)
    s.run(5)
    s.say("Honey, put your shoes on the table.", seconds=2.0, level_db=-30.0, treble_db=-60.0)
    s.run(5)
    assert s.agent_said == ["When would you like to come?"]


@pytest.mark.parametrize("level_db", [-20.0, -33.0, -40.0])
def test_the_only_voice_there_is_never_ignored_twice_in_a_row(level_db: float) -> None:
    s = stage(answers=says("Boots."))
    s.say("What do you have?", at=0.5)
    s.run(4)
    for number in range(6):
        s.say(
            f"And is it number {number}?", seconds=1.5, level_db=level_db, treble_db=level_db - 40
        )
        s.run(4)
    triggers = [turn.trigger for _, turn in sorted(s.turns.items())]
    assert triggers.count("aside") == 1


def test_the_only_voice_there_is_heard_over_the_agent_the_second_time() -> None:
    s = stage(answers=[[Say(LONG * 3)]])
    s.say("What do you have in your shop?", at=0.5)
    s.run(4)
    far = {"level_db": -30.0, "treble_db": -65.0}
    s.say("Is there any of it in brown leather?", at=4.0, **far)
    s.run(4)
    s.assert_not_interrupted()
    s.say("What does the brown leather one cost?", **far)
    s.run(5)
    s.assert_interrupted()


def test_an_aside_carries_its_evidence() -> None:
    s = stage(answers=says(LONG, "Fine."))
    s.say("What do you have in your shop?", at=0.5)
    s.run(4)
    s.say("How much longer do you need in there?", at=4.0, level_db=-23.0, treble_db=-55.0)
    s.run(8)
    over_the_agent = last_of_user(s)
    s.say("What about the brown sandals?")
    s.run(5)
    s.say("Have you put it in there again?", seconds=2.0, level_db=-30.0, treble_db=-65.0)
    s.run(5)
    in_silence = last_of_user(s)
    for turn, level_db, brightness_db in ((over_the_agent, -23, -32), (in_silence, -30, -35)):
        assert turn.trigger == "aside"
        assert turn.evidence["level_db"] == pytest.approx(level_db, abs=0.1)
        assert turn.evidence["brightness_db"] == pytest.approx(brightness_db, abs=1.0)
        assert turn.evidence["away"] > 1.0


@pytest.mark.parametrize("word", ["Then.", "Blue.", "Um.", "Later."])
def test_a_word_that_is_not_answered_is_on_record_with_the_reason(word: str) -> None:
    s = stage(answers=says("We have a table.", "Fine."), confidence=0.6)
    s.say("I would like to book a table, please.", at=0.5, seconds=2.0)
    s.run(5)
    s.say(word, seconds=0.4)
    s.run(5)
    assert s.agent_said == ["We have a table."]
    turn = last_of_user(s)
    reason = "vocal_tic" if word == "Um." else "doubtful_words"
    assert (turn.text, turn.trigger, turn.confidence) == (word, "discarded", 0.6)
    assert turn.evidence["discarded"] == reason
    assert s.notices_of(UserSpeechStopped)[-1].evidence["discarded"] == reason


def test_an_echo_of_the_agents_words_is_on_record() -> None:
    s = stage(answers=says(LONG))
    s.say("What do you have in your shop?", at=0.5)
    s.run(4)
    s.say("hiking boots and a few pairs", at=5.0)
    s.run(6)
    s.assert_not_interrupted()
    turn = last_of_user(s)
    assert (turn.trigger, turn.end_reason) == ("discarded", "echo")
