"""The user's turn ends when the user is silent, whatever else is heard."""

from dataclasses import replace

import pytest

from nur_server.conversation.notices import UserSpeechStopped
from nur_server.turn_taking.endless import LONGEST_TURN_SECONDS, UNBROKEN_SECONDS
from tests.conversation.stage import Speech, Stage
from tests.conversation.test_engine import CONFIG, LONG, says, stage

QUESTION = "Could you tell me what time you open tomorrow morning?"


def television(s: Stage, below_db: float, *, at: float, seconds: float, text: str = "") -> Speech:
    """Heard wherever the user, whose speech was arranged before, is silent."""
    return s.say(text, at=at, seconds=seconds, level_db=-20 - below_db, is_noise=not text)


def answered_after(s: Stage, said: Speech) -> float:
    """Seconds from the end of `said` to the first frame of the answer."""
    return next(at for at, _ in s.frames if at > said.end) - said.end


@pytest.mark.parametrize("below_db", [13.0, 18.0, 24.0])
@pytest.mark.parametrize("seconds", [3.0, 20.0, 60.0])
def test_a_television_behind_the_user_does_not_hold_the_turn(
    below_db: float, seconds: float
) -> None:
    s = stage(answers=says("We open at seven."))
    said = s.say(QUESTION, at=2.0)
    television(s, below_db, at=0.2, seconds=said.end + seconds)
    s.run(30)
    assert s.agent_said == ["We open at seven."]
    assert answered_after(s, said) < 2.0
    assert len(s.user_said) == 1, "the television takes no turn"


def test_the_television_does_not_interrupt_the_answer() -> None:
    s = stage(answers=says(LONG))
    said = s.say(QUESTION, at=2.0)
    television(s, 18.0, at=0.2, seconds=60, text="And now the weather for the weekend. " * 30)
    s.run(25)
    s.assert_not_interrupted()
    assert answered_after(s, said) < 2.0


def test_the_user_interrupts_over_the_television() -> None:
    s = stage(answers=says(LONG, "Fine."))
    said = s.say(QUESTION, at=2.0)
    s.say("Stop, please, what about Sunday?", at=said.end + 3.0)
    television(s, 18.0, at=0.2, seconds=60)
    s.run(12)
    assert s.assert_interrupted().end_reason == "stop_command"
    assert "Fine." in s.agent_said


@pytest.mark.parametrize("below_db", [0.0, 6.0, 9.0])
def test_words_that_have_stopped_coming_end_the_turn(below_db: float) -> None:
    s = stage(answers=says("We open at seven."))
    said = s.say(QUESTION, at=0.5)
    television(s, below_db, at=said.end, seconds=30)
    s.run(12)
    assert s.agent_said == ["We open at seven."]
    assert answered_after(s, said) < 5.0
    assert s.notices_of(UserSpeechStopped)[0].reason == "no_new_words"


def test_a_recogniser_that_does_not_keep_up_is_waited_for_within_a_bound() -> None:
    s = stage(answers=says("We open at seven."))
    s.transcript_delay = 300.0
    said = s.say(QUESTION, at=0.5)
    television(s, 3.0, at=said.end, seconds=200)
    s.run(UNBROKEN_SECONDS + 2)
    assert s.notices_of(UserSpeechStopped) == []
    s.run(5)
    assert s.notices_of(UserSpeechStopped)[0].reason == "unbroken_sound"


def test_who_speaks_for_a_minute_without_a_pause_is_heard_to_the_end() -> None:
    s = stage(replace(CONFIG, max_turns=None), answers=says("I see."))
    words = " ".join(f"word{number}" for number in range(180))
    said = s.say(words, at=0.5, seconds=60)
    s.run(70)
    assert s.user_said == [words]
    assert answered_after(s, said) < 3.0


def test_no_turn_lasts_for_ever() -> None:
    s = stage(replace(CONFIG, max_turns=None), answers=says("I see."))
    s.say(" ".join(f"word{number}" for number in range(900)), at=0.5, seconds=300)
    s.run(LONGEST_TURN_SECONDS + 5)
    assert s.notices_of(UserSpeechStopped)[0].reason == "too_long"


def test_soft_speech_after_loud_speech_is_still_the_users() -> None:
    s = stage(answers=says("We open at seven."))
    s.say("Could you tell me", at=0.5, seconds=1.2)
    said = s.say("what time you open tomorrow?", at=1.75, seconds=1.6, level_db=-29.0)
    s.run(10)
    assert s.user_said == ["Could you tell me what time you open tomorrow?"]
    assert answered_after(s, said) < 2.0
