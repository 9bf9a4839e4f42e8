"""A client that ends its turns itself, takes back input, stops replies and paces tool results."""

from dataclasses import replace

import pytest

from nur_server.conversation.config import ConversationConfig, ToolSpec
from nur_server.conversation.engine import Conversation
from nur_server.conversation.events import (
    InputCleared,
    InputCommitted,
    ReplyFinished,
    ReplyRequested,
    ReplyText,
    ReplyTruncated,
    SessionOpened,
    ToolAnswered,
)
from nur_server.conversation.notices import (
    InputTaken,
    ReplyCorrected,
    ReplyDone,
    ReplyStarted,
    ReplyStatus,
    ToolCallRequested,
    UserSpeechStopped,
    UserTranscript,
)
from nur_server.turn_taking.settings import TurnDetection
from tests.conversation.stage import Call, Part, Say, Stage

CONFIG = ConversationConfig("ses_0123456789ab0123456789ab01234567")
BY_CLIENT = replace(CONFIG, turn_detection=TurnDetection(client_commits=True))
ORDER = ToolSpec(
    "lookup_order",
    "Looks up an order.",
    {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
)
LONG = "We have boots in brown, in black and in green. They are warm and dry. Each pair is new."


def stage(config: ConversationConfig, *answers: list[Part], **more: object) -> Stage:
    left = list(answers)
    model = lambda messages: left.pop(0) if left else [Say("All right.")]  # noqa: E731
    return Stage(config=config, model=model, **more).open()  # type: ignore[arg-type]


def test_silence_ends_no_turn_that_the_client_commits() -> None:
    s = stage(BY_CLIENT, [Say("Yes, we do.")])
    s.say("Do you sell boots?", at=0.5)
    s.run(20)
    assert s.user_said == [] and s.prompts == []
    s.feed(InputCommitted(s.now))
    s.run(4)
    assert s.user_said == ["Do you sell boots?"]
    assert s.agent_said == ["Yes, we do."]
    assert s.notices_of(UserSpeechStopped)[0].reason == "committed"


def test_a_commit_waits_for_the_last_words() -> None:
    s = stage(BY_CLIENT, [Say("Yes, we do.")], transcript_delay=0.6)
    s.say("Do you sell warm boots?", at=0.5)
    s.run(1.95)
    s.feed(InputCommitted(s.now))
    s.run(5)
    assert s.user_said == ["Do you sell warm boots?"]
    assert s.agent_said == ["Yes, we do."]


def test_a_commit_without_speech_is_a_turn_without_words() -> None:
    s = stage(BY_CLIENT).run(1)
    s.feed(InputCommitted(s.now))
    s.run(3)
    item_id = s.notices_of(InputTaken)[0].item_id
    assert s.notices == [InputTaken(item_id), UserTranscript(item_id, "", is_final=True)]
    assert s.prompts == [] and s.turns == {}


def test_a_committed_turn_can_leave_the_reply_to_the_client() -> None:
    s = stage(BY_CLIENT, [Say("Yes, we do.")])
    s.say("Do you sell boots?", at=0.5)
    s.run(2.5)
    s.feed(InputCommitted(s.now, triggers_reply=False))
    s.run(5)
    assert s.user_said == ["Do you sell boots?"] and s.agent_said == []
    s.feed(ReplyRequested(s.now))
    s.run(4)
    assert s.agent_said == ["Yes, we do."]
    assert s.prompts[0][-1].content == "Do you sell boots?"


@pytest.mark.parametrize("words", ["um", "Mm-hmm.", "uh huh"])
def test_what_the_client_commits_is_a_turn_however_little_it_is(words: str) -> None:
    s = stage(BY_CLIENT, [Say("Go on.")])
    s.say(words, at=0.5)
    s.run(2)
    s.feed(InputCommitted(s.now))
    s.run(3)
    assert s.user_said == [words]


def test_speech_interrupts_nothing_where_the_client_commits() -> None:
    s = stage(replace(BY_CLIENT, greeting=LONG))
    s.say("Stop, please stop.", at=1.0)
    s.run(14)
    s.assert_not_interrupted()
    assert s.agent_said == [LONG]


def test_a_client_may_commit_although_the_server_detects_turns() -> None:
    slow = replace(CONFIG, turn_detection=TurnDetection(min_silence_ms=4_000, max_silence_ms=6_000))
    s = stage(slow, [Say("Yes, we do.")])
    s.say("Do you sell boots?", at=0.5)
    s.run(2.2)
    s.feed(InputCommitted(s.now))
    s.run(3)
    assert s.agent_said == ["Yes, we do."]


def test_cleared_input_leaves_no_trace() -> None:
    s = stage(BY_CLIENT)
    s.say("Never mind that.", at=0.5)
    s.run(2)
    s.feed(InputCleared(s.now))
    s.run(2)
    s.feed(InputCommitted(s.now))
    s.run(3)
    assert s.user_said == [] and s.prompts == []
    assert s.notices_of(UserSpeechStopped)[0].reason == "cleared"


def test_a_cleared_overlap_lets_the_agent_go_on() -> None:
    s = stage(replace(CONFIG, greeting=LONG))
    s.say("well", at=1.0, seconds=0.3)
    s.run(1.25)
    s.feed(InputCleared(s.now))
    s.run(14)
    assert s.agent_said == [LONG]
    assert s.user_said == []


def test_a_reply_is_cut_where_the_client_stopped_playing_it() -> None:
    s = stage(replace(CONFIG, greeting=LONG)).run(4)
    item = s.notices_of(ReplyStarted)[0].item_id
    s.feed(ReplyTruncated(s.now, item, 1_200))
    s.run(1)
    done = s.notices_of(ReplyDone)[0]
    assert (done.status, done.reason) == (ReplyStatus.INTERRUPTED, "truncated")
    cut = s.assert_interrupted()
    assert LONG.startswith(cut.text) and 0 < len(cut.text) < 30
    assert f"{cut.text} {cut.unheard}" == LONG


@pytest.mark.parametrize("played_ms", [0, 900, 2_500])
def test_a_reply_that_is_over_is_corrected(played_ms: int) -> None:
    s = stage(replace(CONFIG, greeting=LONG), [Say("Yes.")]).run(15)
    assert s.agent_said == [LONG]
    item = s.notices_of(ReplyStarted)[0].item_id
    s.feed(ReplyTruncated(s.now, item, played_ms))
    heard = s.agent_said[0]
    assert LONG.startswith(heard) and len(heard) < len(LONG) * played_ms / 4_000 + 12
    assert s.notices_of(ReplyCorrected)[-1].text == heard
    s.say("What was that?", after=0.2)
    s.run(3)
    said = [m.content for m in s.prompts[0] if m.role.value == "assistant"]
    assert said == ([heard] if heard else [])


def test_truncating_beyond_the_end_or_an_unknown_reply_changes_nothing() -> None:
    s = stage(replace(CONFIG, greeting="Hello there.")).run(5)
    before = list(s.actions)
    s.feed(ReplyTruncated(s.now, s.notices_of(ReplyStarted)[0].item_id, 60_000))
    s.feed(ReplyTruncated(s.now, "msg_unknown", 100))
    assert s.actions == before


def test_a_result_that_triggers_no_reply_waits_for_the_client() -> None:
    s = stage(
        replace(CONFIG, tools=(ORDER,), tool_filler=None),
        [Call("lookup_order", '{"id": "7"}')],
        [Say("It was sent.")],
        tools=lambda name, arguments: None,
    )
    s.say("Where is order seven?", at=0.5)
    s.run(4)
    call = s.notices_of(ToolCallRequested)[0]
    assert call.raw_arguments == '{"id": "7"}'
    assert call.reply_id == s.notices_of(ReplyStarted)[0].reply_id
    s.feed(ToolAnswered(s.now, call.call_id, '"sent"', triggers_reply=False))
    s.run(4)
    assert [text for text in s.agent_said if text] == []
    s.feed(ReplyRequested(s.now))
    s.run(4)
    assert [text for text in s.agent_said if text] == ["It was sent."]
    assert any(m.content == '"sent"' for m in s.prompts[-1])


def test_tokens_are_on_the_end_of_a_reply() -> None:
    conversation = Conversation(replace(CONFIG, speaks=False))
    conversation.receive(SessionOpened(0.0))
    conversation.receive(ReplyRequested(0.1))
    reply = conversation._talker.response
    assert reply is not None
    conversation.receive(ReplyText(0.2, reply.id, "Hello."))
    actions = conversation.receive(ReplyFinished(0.3, reply.id, "stop", 120, 7))
    done = [a.notice for a in actions if isinstance(getattr(a, "notice", None), ReplyDone)]
    assert [(d.prompt_tokens, d.completion_tokens) for d in done] == [(120, 7)]
