"""A model that is slow, or does not come to its end: what the user hears and the client is told."""

from dataclasses import replace
from typing import Any

import pytest

from nur_server.conversation.events import Role
from nur_server.conversation.notices import (
    AgentTranscript,
    AgentTranscriptDelta,
    ReplyDone,
    ReplyError,
    ReplyStarted,
    ReplyStatus,
)
from nur_server.conversation.record import Speaker
from tests.conversation.stage import Fail, Part, Say, Stage, Wait
from tests.conversation.test_engine import CONFIG, stage


@pytest.mark.parametrize("failing", [[Fail()], [Say("We have", piece=100), Fail()], [Say("")]])
def test_a_reply_without_its_end_is_failed_and_says_why(failing: list[Part]) -> None:
    s = stage(answers=[failing, failing])
    s.say("Which boots do you have?", at=0.5)
    s.run(12)
    [done] = s.notices_of(ReplyDone)
    [error] = s.notices_of(ReplyError)
    assert (done.status, done.reason) == (ReplyStatus.FAILED, error.code)
    [told] = s.notices_of(AgentTranscript)
    assert not told.interrupted
    [turn] = [t for t in s.turns.values() if t.speaker is Speaker.AGENT]
    assert (turn.end_reason, turn.error_code) == ("failed", error.code)
    assert turn.interrupted_at_ms is None


def slow(seconds: float, *parts: Part, **more: Any) -> Stage:
    s = stage(replace(CONFIG, **more), answers=[[Wait(seconds), *parts]])
    s.say("Do you sell boots?", at=0.5)
    return s.run(2.5 + seconds + 5)


def test_a_slow_model_is_waited_for_and_the_user_told() -> None:
    s = slow(25, Say("Yes, we do."), model_seconds=60.0)
    assert s.agent_said == [CONFIG.tool_filler, "Yes, we do."]
    assert [n.text for n in s.notices_of(AgentTranscript)] == [CONFIG.tool_filler, "Yes, we do."]
    assert len(s.notices_of(ReplyDone)) == len(s.notices_of(ReplyStarted)) == 1
    filler, answer = [t for t in s.turns.values() if t.speaker is Speaker.AGENT]
    assert (filler.trigger, answer.trigger) == ("filler", "user_speech")
    assert filler.item_id != answer.item_id
    assert filler.latency_ms is not None and answer.latency_ms is None
    deltas = [n.delta for n in s.notices_of(AgentTranscriptDelta) if n.item_id == answer.item_id]
    assert "".join(deltas) == "Yes, we do."


def test_a_model_in_time_gets_no_filler() -> None:
    assert slow(2.0, Say("Yes, we do.")).agent_said == ["Yes, we do."]
    assert slow(8, Say("Yes."), tool_filler=None).agent_said == ["Yes."]
    assert slow(5, Say("Yes."), tool_filler_seconds=9.0).agent_said == ["Yes."]


def test_an_answer_that_comes_while_the_filler_plays_follows_it() -> None:
    s = slow(3.5, Say("Yes, we do."))
    assert s.agent_said == [CONFIG.tool_filler, "Yes, we do."]


def test_a_model_that_never_answers_gets_a_filler_and_an_apology() -> None:
    s = slow(8, Fail())
    assert s.agent_said == [CONFIG.tool_filler, CONFIG.apology]
    [done] = s.notices_of(ReplyDone)
    assert done.status is ReplyStatus.FAILED


def test_the_user_may_speak_into_the_wait() -> None:
    s = stage(answers=[[Wait(20), Say("Yes.")], [Say("It is five.")]])
    s.say("Do you sell boots?", at=0.5)
    s.run(8)
    s.say("Stop, what time is it?", after=0.1)
    s.run(8)
    assert s.agent_said[-1] == "It is five."
    assert s.agent_said[0] == CONFIG.tool_filler
    [first, second] = s.notices_of(ReplyDone)
    assert (first.status, second.status) == (ReplyStatus.INTERRUPTED, ReplyStatus.COMPLETED)


def test_the_model_is_shown_the_filler_as_its_own_words() -> None:
    s = stage(answers=[[Wait(6), Say("Yes.")], [Say("Ten.")]])
    s.say("Do you sell boots?", at=0.5)
    s.run(12)
    s.say("And how many are there?", after=0.1)
    s.run(6)
    said = [m.content for m in s.prompts[-1] if m.role is Role.ASSISTANT]
    assert said == [CONFIG.tool_filler, "Yes."]
