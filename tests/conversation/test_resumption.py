"""A cut-off is taken back: who goes on is heard at once, and what they say is one turn."""

from dataclasses import replace

import pytest

from nur_server.conversation.actions import Generate
from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.events import Role
from nur_server.conversation.notices import ReplyDone, UserTranscript
from nur_server.conversation.record import Speaker
from tests.conversation.stage import Call, Say, Stage
from tests.conversation.test_engine import CONFIG, says, stage

LONG = "Let me tell you all that I know of it, from the beginning to the very end of the matter."


def user_turns(s: Stage) -> list[tuple[int, str]]:
    return [(n, t.text) for n, t in sorted(s.turns.items()) if t.speaker is Speaker.USER]


def cut_in(first: str, rest: str, *, after: float, config: ConversationConfig = CONFIG) -> Stage:
    """The agent answers `first`, and the user goes on `after` seconds after its first sound."""
    s = stage(config, answers=says(LONG, "Fine."))
    s.say(first, at=0.5)
    s.run_until(lambda: s.is_agent_audible)
    s.say(rest, after=after)
    s.run(8)
    return s


@pytest.mark.parametrize("after", [0.05, 0.4, 0.9])
@pytest.mark.parametrize(
    ("first", "rest", "whole"),
    [
        (
            "What is the status of order one zero.",
            "four two please?",
            "What is the status of order one zero, four two please?",
        ),
        ("I need a new pair of boots.", "for my son.", "I need a new pair of boots, for my son."),
        (
            "Do you sell boots?",
            "that are made of leather?",
            "Do you sell boots, that are made of leather?",
        ),
    ],
)
def test_both_parts_are_one_turn(first: str, rest: str, whole: str, after: float) -> None:
    s = cut_in(first, rest, after=after)
    assert user_turns(s) == [(0, whole)]
    (reply,) = {d.reply_id for d in s.notices_of(ReplyDone) if d.reason == "resumed"}
    finals = [t for t in s.notices_of(UserTranscript) if t.is_final]
    assert len({t.item_id for t in finals}) == 1
    assert [t.text for t in finals] == [finals[0].text, whole]
    prompt = s.of(Generate)[-1].messages
    assert [m.content for m in prompt if m.role is Role.USER] == [whole]
    assert not [m for m in prompt if m.role is Role.ASSISTANT]
    assert s.agent_said[-1] == "Fine."
    assert reply


@pytest.mark.parametrize("after", [0.05, 0.5, 1.0])
def test_the_agent_is_silent_within_three_tenths_of_a_second(after: float) -> None:
    s = stage(answers=says(LONG, "Fine."))
    s.say("I need a new pair of boots.", at=0.5)
    s.run_until(lambda: s.is_agent_audible)
    speech = s.say("for my son, who is six years old now.", after=after)
    s.run(speech.start + 0.32 - s.now)
    frames = [at for at, _ in s.frames]
    assert max(frames) <= speech.start + 0.3
    s.run(8)
    assert not [at for at, _ in s.frames if speech.start + 0.3 < at < speech.end]


@pytest.mark.parametrize("noise", ["Mm-hm.", "Okay.", "Right.", "Um."])
def test_a_listening_noise_at_the_beginning_takes_nothing_back(noise: str) -> None:
    s = cut_in("I need a new pair of boots.", noise, after=0.4)
    assert s.agent_said == [LONG]
    assert user_turns(s)[0][1] == "I need a new pair of boots."


def test_somebody_who_speaks_later_interrupts() -> None:
    s = stage(answers=says(LONG * 2, "Fine."))
    s.say("I need a new pair of boots.", at=0.5)
    s.run_until(lambda: s.is_agent_audible)
    s.say("No, wait, I want to know what they cost.", after=2.2)
    s.run(9)
    assert [text for _, text in user_turns(s)] == [
        "I need a new pair of boots.",
        "No, wait, I want to know what they cost.",
    ]


def test_a_tool_that_was_called_stays_called_once_and_the_turns_stay_two() -> None:
    calls = [[Say("Let me look. " * 4), Call("order", "{}")], [Say("It is on its way.")]]
    s = stage(replace(CONFIG, tool_filler=None), answers=calls)
    s.say("Where is my order one zero.", at=0.5)
    s.run_until(lambda: s.is_agent_audible)
    s.run(0.3)
    s.say("four two, I would like to know.", after=0.1)
    s.run(10)
    texts = [text for _, text in user_turns(s)]
    assert "four two" in " ".join(texts)
    assert len(texts) == 2


def test_a_turn_that_goes_on_counts_once() -> None:
    config = replace(CONFIG, max_turns=1)
    s = cut_in("I need a new pair of boots.", "for my little son.", after=0.4, config=config)
    assert s.agent_said[-1] == "Fine."
