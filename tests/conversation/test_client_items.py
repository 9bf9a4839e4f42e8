"""What clients add to a conversation, take out of it, and ask beside it."""

from dataclasses import replace

import pytest

from nur_server.conversation.asides import MOST_ASIDES
from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.events import (
    AsideCancelled,
    AsideRequested,
    InputCommitted,
    ItemRemoved,
    MessageAdded,
    ReplyRequested,
    Role,
    ToolCallNoted,
)
from nur_server.conversation.notices import (
    AsideDone,
    InputTaken,
    ReplyDone,
    ReplyStarted,
    ReplyStatus,
    UserSpeechStarted,
    UserSpeechStopped,
    UserTranscript,
)
from nur_server.turn_taking.settings import TurnDetection
from tests.conversation.stage import Part, Say, Stage

CONFIG = ConversationConfig("ses_0123456789ab0123456789ab01234567", system_prompt="You sell shoes.")
LONG = "We have boots in brown, in black and in green. They are warm and dry. Each pair is new."


def stage(config: ConversationConfig, *answers: list[Part]) -> Stage:
    left = list(answers)
    return Stage(
        config=config, model=lambda messages: left.pop(0) if left else [Say("All right.")]
    ).open()


def contents(s: Stage) -> list[str]:
    return [message.content for message in s.prompts[-1]]


# Messages


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (None, ["One.", "Two.", "New."]),
        ("", ["New.", "One.", "Two."]),
        ("a", ["One.", "New.", "Two."]),
        ("unknown", ["One.", "Two.", "New."]),
    ],
)
def test_a_message_stands_where_its_client_puts_it(after: str | None, expected: list[str]) -> None:
    s = stage(CONFIG)
    s.feed(MessageAdded(s.now, Role.ASSISTANT, "One.", "a"))
    s.feed(MessageAdded(s.now, Role.ASSISTANT, "Two.", "b"))
    s.feed(MessageAdded(s.now, Role.ASSISTANT, "New.", "c", after))
    s.feed(ReplyRequested(s.now))
    assert contents(s)[1:] == expected


@pytest.mark.parametrize("role", [Role.USER, Role.ASSISTANT, Role.SYSTEM])
def test_a_message_taken_out_is_not_shown_to_the_model(role: Role) -> None:
    s = stage(CONFIG)
    s.feed(MessageAdded(s.now, role, "Forget this.", "a"))
    s.feed(MessageAdded(s.now, Role.ASSISTANT, "Keep this.", "b"))
    s.feed(ItemRemoved(s.now, "a"))
    s.feed(ItemRemoved(s.now, "never added"))
    s.feed(ReplyRequested(s.now))
    assert contents(s) == ["You sell shoes.", "Keep this."]


def test_what_was_said_can_be_taken_out() -> None:
    s = stage(CONFIG, [Say("We do.")])
    s.say("Do you sell boots?", at=0.5)
    s.run(5)
    item_id = s.notices_of(UserTranscript)[-1].item_id
    s.feed(ItemRemoved(s.now, item_id))
    s.feed(ItemRemoved(s.now, s.notices_of(ReplyStarted)[0].item_id))
    s.feed(ReplyRequested(s.now))
    assert contents(s) == ["You sell shoes."]


def test_a_call_of_before_is_shown_with_its_result_and_runs_nothing() -> None:
    s = stage(CONFIG)
    s.feed(MessageAdded(s.now, Role.USER, "Where is order 7?", "a"))
    s.feed(ToolCallNoted(s.now, "c7", "lookup", '{"id": 7}', "on its way", "b"))
    s.run(3)
    assert s.prompts == []
    s.feed(ReplyRequested(s.now))
    *_, call, result = s.prompts[-1]
    assert [made.name for made in call.tool_calls] == ["lookup"]
    assert (result.role, result.content) == (Role.TOOL, "on its way")
    s.run(3)
    s.feed(ItemRemoved(s.now, "b"))
    s.feed(ReplyRequested(s.now))
    assert not any(message.tool_calls for message in s.prompts[-1])


# Who typed what


def test_a_typed_message_is_recorded_once_it_is_answered() -> None:
    s = stage(CONFIG, [Say("We do.")], [Say("In brown.")])
    s.feed(MessageAdded(s.now, Role.USER, "An earlier question.", "a"))
    s.feed(MessageAdded(s.now, Role.ASSISTANT, "An earlier answer.", "b"))
    s.feed(MessageAdded(s.now, Role.USER, "Do you sell boots?", "c"))
    s.run(1)
    assert s.turns == {}
    s.feed(ReplyRequested(s.now))
    s.run(3)
    assert [(t.speaker.value, t.text, t.trigger) for t in s.turns.values()] == [
        ("user", "Do you sell boots?", "typed"),
        ("agent", "We do.", "reply_create"),
    ]
    s.feed(ReplyRequested(s.now))
    s.run(3)
    assert len(s.turns) == 3


def test_a_typed_message_that_was_taken_out_is_not_recorded() -> None:
    s = stage(CONFIG)
    s.feed(MessageAdded(s.now, Role.USER, "Do you sell boots?", "c"))
    s.feed(ItemRemoved(s.now, "c"))
    s.feed(ReplyRequested(s.now))
    s.run(3)
    assert [turn.speaker.value for turn in s.turns.values()] == ["agent"]


# Replies


def test_a_reply_says_which_request_it_answers() -> None:
    s = stage(CONFIG)
    s.feed(ReplyRequested(s.now, request_id="r1"))
    s.run(3)
    s.feed(ReplyRequested(s.now, request_id="r2", speaks=False))
    s.run(3)
    started = s.notices_of(ReplyStarted)
    assert [(n.request_id, n.trigger, n.speaks) for n in started] == [
        ("r1", "reply_create", True),
        ("r2", "reply_create", False),
    ]


def test_the_answer_to_the_user_is_the_reply_that_was_asked_for() -> None:
    s = stage(replace(CONFIG, eager_replies=False))
    s.say("What do you have in your shop today?", at=0.5)
    s.run(1.2)
    s.feed(ReplyRequested(s.now, request_id="r1"))
    s.run(8)
    assert [n.request_id for n in s.notices_of(ReplyStarted)] == ["r1"]


def test_a_request_can_wait_for_the_reply_that_is_running() -> None:
    s = stage(replace(CONFIG, greeting=LONG), [Say("And now this.")])
    s.run(1)
    s.feed(ReplyRequested(s.now, waits=True))
    s.run(12)
    assert s.agent_said == [LONG, "And now this."]


def test_a_reply_can_be_text_alone() -> None:
    s = stage(CONFIG, [Say("Only text.")], [Say("Aloud.")])
    s.feed(ReplyRequested(s.now, speaks=False))
    s.run(2)
    assert s.frames == [] and s.agent_said == ["Only text."]
    s.feed(ReplyRequested(s.now))
    s.run(4)
    assert s.frames != [] and s.agent_said[-1] == "Aloud."


def test_a_reply_can_be_no_part_of_the_conversation() -> None:
    s = stage(CONFIG, [Say("Beside it.")])
    s.feed(ReplyRequested(s.now, "Say something.", is_kept=False))
    s.run(3)
    assert s.agent_said == ["Beside it."]
    s.feed(ReplyRequested(s.now))
    assert contents(s) == ["You sell shoes."]


def test_turns_can_be_left_to_the_client_to_answer() -> None:
    own = replace(CONFIG, turn_detection=TurnDetection(creates_reply=False))
    s = stage(own)
    s.say("Do you sell boots?", at=0.5)
    s.run(6)
    assert s.user_said == ["Do you sell boots?"] and s.prompts == []
    s.feed(ReplyRequested(s.now))
    s.run(3)
    assert s.agent_said == ["All right."]


# Asides


def test_an_aside_is_answered_beside_the_conversation() -> None:
    s = stage(replace(CONFIG, greeting=LONG), [Say("angry")])
    s.run(1)
    s.feed(AsideRequested(s.now, "r1", "Which mood?", ((Role.USER, "I want my money back!"),)))
    s.run(10)
    assert contents(s) == ["Which mood?", "I want my money back!"]
    done = s.notices_of(AsideDone)[0]
    assert (done.request_id, done.text, done.status) == ("r1", "angry", ReplyStatus.COMPLETED)
    assert s.agent_said == [LONG]
    assert [n.status for n in s.notices_of(ReplyDone)] == [ReplyStatus.COMPLETED]


def test_an_aside_without_messages_is_about_the_conversation() -> None:
    s = stage(CONFIG, [Say("We do.")])
    s.say("Do you sell boots?", at=0.5)
    s.run(5)
    s.feed(AsideRequested(s.now, "r1", "What is it about?"))
    s.run(1)
    assert contents(s) == ["What is it about?", "Do you sell boots?", "We do."]


def test_asides_are_bounded_and_can_be_cancelled() -> None:
    s = stage(CONFIG)
    for number in range(MOST_ASIDES + 1):
        s.feed(AsideRequested(s.now, f"r{number}"))
    assert [(n.request_id, n.reason) for n in s.notices_of(AsideDone)] == [
        (f"r{MOST_ASIDES}", "too_many_asides")
    ]
    s.feed(AsideCancelled(s.now, "r0"))
    s.feed(AsideCancelled(s.now, "unknown"))
    assert s.notices_of(AsideDone)[-1].status is ReplyStatus.CANCELLED
    s.run(2)
    statuses = [n.status for n in s.notices_of(AsideDone)]
    assert statuses.count(ReplyStatus.COMPLETED) == MOST_ASIDES - 1


# What is told of the user's turns


def test_the_notices_of_a_turn_name_its_item() -> None:
    s = stage(CONFIG)
    s.say("Do you sell boots?", at=0.5)
    s.run(5)
    (started,), (stopped,) = s.notices_of(UserSpeechStarted), s.notices_of(UserSpeechStopped)
    words = s.notices_of(UserTranscript)[-1]
    assert started.item_id == stopped.item_id == words.item_id != ""
    assert 100 < started.at_ms < 600 < stopped.at_ms < 2_500


def test_a_commit_without_speech_is_an_empty_turn() -> None:
    s = stage(replace(CONFIG, turn_detection=TurnDetection(client_commits=True))).run(1)
    s.feed(InputCommitted(s.now))
    s.run(2)
    (taken,), (words,) = s.notices_of(InputTaken), s.notices_of(UserTranscript)
    assert taken.item_id == words.item_id and words.text == "" and words.is_final
    assert s.prompts == [] and s.turns == {}
