"""The phone: who has answered, keys, and the tools that are built in."""

from dataclasses import replace

import pytest

from nur_server.conversation.actions import Notify, SendDigits, SetVolume, TransferCall
from nur_server.conversation.answering_machine import (
    UNCERTAIN_SECONDS,
    Answerer,
    AnswerEvidence,
    judge,
)
from nur_server.conversation.config import AnsweringPolicy, ConversationConfig, OnMachine
from nur_server.conversation.events import (
    BeepHeard,
    DigitPressed,
    EndedReason,
    Role,
    TransferFinished,
)
from nur_server.conversation.notices import CallAnswered, ReplyStarted
from nur_server.conversation.phone import ENTRY_SECONDS, PhoneTool, phone_tool
from nur_server.conversation.record import ToolStatus
from tests.conversation.stage import Call, Part, Say, Stage

CONFIG = ConversationConfig(
    "ses_0123456789ab",
    greeting="Hello, this is the shoe shop.",
    answering=AnsweringPolicy(OnMachine.LEAVE_MESSAGE, "Please call the shoe shop back."),
)
MACHINE = "You have reached the voicemail of Ada, please leave a message after the tone."


def stage(config: ConversationConfig = CONFIG, *answers: list[Part]) -> Stage:
    left = list(answers)
    return Stage(config=config, model=lambda m: left.pop(0) if left else [Say("Fine.")]).open()


def with_tool(name: PhoneTool, **more: object) -> ConversationConfig:
    tool = phone_tool(name, more.get("targets"))  # type: ignore[arg-type]
    return replace(CONFIG, greeting=None, answering=None, tools=(tool,))


def heard(
    text: str = "", speech_ms: int = 600, silence_ms: int = 700, **more: object
) -> AnswerEvidence:
    known: dict[str, object] = {"is_text_current": True, "beeped": False, "waited_seconds": 2.0}
    return AnswerEvidence(speech_ms, silence_ms, text, **(known | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("evidence", "answerer"),
    [
        (heard("Hello?"), Answerer.HUMAN),
        (heard("Hello?", silence_ms=200), None),
        (heard("Hello?", is_text_current=False), None),
        (heard(MACHINE, silence_ms=0), Answerer.VOICEMAIL),
        (heard("I'm not available right now"), Answerer.HUMAN),
        (heard("The mailbox is full and cannot accept new messages"), Answerer.MAILBOX_FULL),
        (heard("For sales press one, for support press two"), Answerer.MENU),
        (heard("", speech_ms=0, beeped=True), Answerer.VOICEMAIL),
        (heard("la la la", speech_ms=5000, silence_ms=0), None),
        (heard("la la la", speech_ms=11_000, silence_ms=0), Answerer.VOICEMAIL),
        (heard("hello this is Ada Lovelace speaking now", speech_ms=3200), Answerer.UNCERTAIN),
        (heard("", speech_ms=0), None),
        (heard("", speech_ms=0, waited_seconds=UNCERTAIN_SECONDS), Answerer.UNCERTAIN),
    ],
)
def test_who_has_answered(evidence: AnswerEvidence, answerer: Answerer | None) -> None:
    assert judge(evidence).answerer is answerer


def test_a_person_is_greeted_after_they_answered() -> None:
    s = stage()
    hello = s.say("Hello?", at=0.5)
    s.run(6)
    assert s.agent_said == [CONFIG.greeting]
    assert s.frames[0][0] > hello.end
    assert s.notices_of(CallAnswered)[0].answerer == "human"


def test_the_person_who_answered_is_in_the_history() -> None:
    s = stage()
    s.say("Hello?", at=0.5)
    s.run(6)
    s.say("Do you sell boots?", after=0.1)
    s.run(5)
    assert [m.content for m in s.prompts[-1] if m.role is Role.USER] == [
        "Hello?",
        "Do you sell boots?",
    ]


def test_nobody_is_apologised_to_before_it_is_known_who_they_are() -> None:
    s = Stage(config=CONFIG, transcript_fails=True).open()
    s.say("Hello?", at=1.0)
    s.run(12)
    [answered] = [at for at, a in s.actions if a == Notify(CallAnswered("human", "short_greeting"))]
    assert s.frames[0][0] >= answered
    assert s.agent_said == [CONFIG.greeting]


def test_nobody_is_told_goodbye_before_it_is_known_who_they_are() -> None:
    s = stage(replace(CONFIG, max_duration_seconds=5.0))
    s.say(MACHINE, at=4.0)
    s.run(6)
    assert s.frames == []
    assert s.ended is EndedReason.MAX_DURATION


def test_a_machine_gets_the_message_after_its_beep() -> None:
    s = stage()
    greeting = s.say(MACHINE, at=0.5)
    s.run(greeting.end + 0.5)
    assert s.frames == []
    s.feed(BeepHeard(s.now))
    s.run(6)
    assert s.agent_said == ["Please call the shoe shop back."]
    assert s.ended is EndedReason.VOICEMAIL


def test_a_machine_without_a_beep_gets_the_message_after_a_silence() -> None:
    s = stage()
    s.say(MACHINE, at=0.5)
    s.run(20)
    assert s.agent_said == ["Please call the shoe shop back."]


def test_a_machine_is_hung_up_on() -> None:
    s = stage(replace(CONFIG, answering=AnsweringPolicy(OnMachine.HANG_UP)))
    s.say(MACHINE, at=0.5)
    s.run(20)
    assert s.agent_said == []
    assert s.ended is EndedReason.VOICEMAIL


def test_a_machine_can_be_talked_to() -> None:
    s = stage(replace(CONFIG, answering=AnsweringPolicy(OnMachine.CARRY_ON)))
    s.say("For sales press one, for support press two", at=0.5)
    s.run(9)
    assert s.agent_said[0] == CONFIG.greeting


def test_silence_is_spoken_to_after_a_while() -> None:
    s = stage().run(14)
    assert s.agent_said == [CONFIG.greeting]
    assert s.frames[0][0] >= UNCERTAIN_SECONDS


def test_the_agent_ends_the_call_after_its_last_word() -> None:
    answer: list[Part] = [Say("Goodbye, and thank you for calling."), Call("end_call")]
    s = stage(with_tool(PhoneTool.END_CALL), answer)
    s.say("That was all, thanks a lot.", at=0.5)
    s.run(8)
    assert s.agent_said == ["Goodbye, and thank you for calling."]
    assert s.ended is EndedReason.AGENT_ENDED
    assert len(s.prompts) == 1


def test_keys_are_pressed_for_a_menu() -> None:
    s = stage(with_tool(PhoneTool.SEND_DTMF), [Call("send_dtmf", '{"digits": "12#"}')])
    s.say("For sales press one two hash.", at=0.5)
    s.run(6)
    assert s.of(SendDigits) == [SendDigits("12#")]


def test_a_call_is_transferred() -> None:
    config = with_tool(PhoneTool.TRANSFER_CALL, targets={"sales": "+15550100"})
    s = stage(config, [Say("One moment."), Call("transfer_call", '{"target": "sales"}')])
    s.say("Let me speak to sales please.", at=0.5)
    s.run(4)
    [transfer] = s.of(TransferCall)
    assert transfer.to_number == "+15550100"
    s.feed(TransferFinished(s.now, transfer.call_id, None))
    s.run(3)
    assert s.ended is EndedReason.TRANSFERRED


def test_nothing_is_said_to_a_caller_who_is_gone() -> None:
    call = Call("transfer_call", '{"to_number": "+15550100"}')
    s = stage(with_tool(PhoneTool.TRANSFER_CALL), [Say("One moment."), call])
    s.say("Let me speak to sales please.", at=0.5)
    s.run(4)
    s.feed(TransferFinished(s.now, s.of(TransferCall)[0].call_id, None))
    s.run(3)
    assert len(s.notices_of(ReplyStarted)) == len(s.prompts) == 1
    assert s.tool_records[s.of(TransferCall)[0].call_id][-1].status is ToolStatus.SUCCEEDED


def test_a_transfer_that_fails_is_told_to_the_model() -> None:
    config = with_tool(PhoneTool.TRANSFER_CALL)
    call = Call("transfer_call", '{"to_number": "+15550100"}')
    s = stage(config, [call], [Say("Nobody answers there.")])
    s.say("Let me speak to sales please.", at=0.5)
    s.run(3)
    s.feed(TransferFinished(s.now, s.of(TransferCall)[0].call_id, "busy"))
    s.run(5)
    assert s.agent_said[-1] == "Nobody answers there."
    assert "busy" in s.prompts[-1][-1].content


def test_a_transfer_waits_for_the_last_word() -> None:
    config = with_tool(PhoneTool.TRANSFER_CALL)
    answer: list[Part] = [
        Say("One moment please, I am connecting you with our sales department."),
        Call("transfer_call", '{"to_number": "+15550100"}'),
    ]
    s = stage(config, answer)
    s.say("Let me speak to sales please.", at=0.5)
    s.run(10)
    [at] = [at for at, action in s.actions if isinstance(action, TransferCall)]
    assert at >= s.frames[-1][0] > 4


def test_a_caller_who_speaks_up_before_the_transfer_is_kept() -> None:
    config = replace(with_tool(PhoneTool.TRANSFER_CALL), eager_replies=False)
    answer: list[Part] = [
        Say("One moment please, I am connecting you with our sales department."),
        Call("transfer_call", '{"to_number": "+15550100"}'),
    ]
    s = stage(config, answer, [Say("Of course, what is it?")])
    s.say("Let me speak to sales please.", at=0.5)
    s.run_until(lambda: s.is_agent_audible)
    s.say("No wait, I have one more question.", after=0.8)
    s.run(8)
    assert s.of(TransferCall) == []
    assert s.agent_said[-1] == "Of course, what is it?"
    assert "they are still here" in s.prompts[-1][-2].content


def test_a_caller_who_speaks_up_at_the_goodbye_is_not_hung_up_on() -> None:
    answer: list[Part] = [
        Say("Goodbye, and thank you very much for calling our little shoe shop today."),
        Call("end_call"),
    ]
    s = stage(with_tool(PhoneTool.END_CALL), answer, [Say("Of course, what is it?")])
    s.say("That was all, thanks a lot.", at=0.5)
    s.run_until(lambda: s.is_agent_audible)
    s.say("Wait, I have one more question please.", after=1.0)
    s.run(8)
    assert s.agent_said[-1] == "Of course, what is it?"
    assert s.ended is None


def test_the_time_for_the_first_key_counts_from_the_last_word() -> None:
    config = with_tool(PhoneTool.COLLECT_DIGITS)
    ask: list[Part] = [Say("Please enter the code from the letter. " * 8), Call("collect_digits")]
    s = stage(config, ask, [Say("Thank you.")])
    s.say("I want to log in.", at=0.5)
    s.run_until(lambda: bool(s.agent_said))
    assert s.now > ENTRY_SECONDS
    s.run(ENTRY_SECONDS - 1)
    for digit in "4711#":
        s.feed(DigitPressed(s.now, digit))
    s.run(4)
    assert s.prompts[-1][-1].content == '{"digits": "4711"}'


def test_keys_that_come_after_their_tool_has_timed_out_are_not_lost() -> None:
    s = stage(with_tool(PhoneTool.COLLECT_DIGITS), [Call("collect_digits")], [Say("Too late.")])
    s.say("I want to log in.", at=0.5)
    s.run(4)
    for _ in range(20):
        s.feed(DigitPressed(s.now, "1"))
        s.run(3.5)
    s.run(8)
    [records] = s.tool_records.values()
    assert records[-1].status is ToolStatus.TIMED_OUT
    assert s.user_said[-1] == f"[pressed {'1' * 20}]"


def test_digits_are_collected() -> None:
    config = with_tool(PhoneTool.COLLECT_DIGITS)
    answer: list[Part] = [Say("Enter your code."), Call("collect_digits", '{"max_digits": 6}')]
    s = stage(config, answer, [Say("Thank you.")])
    s.say("I want to log in.", at=0.5)
    s.run(4)
    for digit in "4711#":
        s.feed(DigitPressed(s.now, digit))
        s.run(0.3)
    s.run(4)
    assert s.prompts[-1][-1].content == '{"digits": "4711"}'
    assert s.agent_said[-1] == "Thank you."


def test_digits_that_never_come_are_an_error_for_the_model() -> None:
    config = with_tool(PhoneTool.COLLECT_DIGITS)
    s = stage(config, [Call("collect_digits")], [Say("I got nothing.")])
    s.say("I want to log in.", at=0.5)
    s.run(25)
    assert s.agent_said[-1] == "I got nothing."
    [records] = s.tool_records.values()
    assert records[-1].status is ToolStatus.FAILED


def test_keys_nobody_asked_for_are_a_turn_of_the_user() -> None:
    s = stage(replace(CONFIG, greeting=None, answering=None), [Say("You pressed four two.")])
    for digit in "42":
        s.feed(DigitPressed(s.now, digit))
        s.run(0.5)
    s.run(8)
    assert s.user_said == ["[pressed 42]"]
    assert s.agent_said == ["You pressed four two."]


def test_a_message_is_left_on_request() -> None:
    s = stage(
        with_tool(PhoneTool.LEAVE_VOICEMAIL),
        [Call("leave_voicemail", '{"message": "Please call back."}')],
    )
    s.say("Leave a message after the tone please.", at=0.5)
    s.run(8)
    assert s.agent_said[-1] == "Please call back."
    assert s.ended is EndedReason.VOICEMAIL


@pytest.mark.parametrize(("after", "pause"), [(0.6, 0.3), (0.9, 0.3), (0.9, 1.0)])
def test_a_voice_over_the_last_words_neither_holds_nor_lowers_them(
    after: float, pause: float
) -> None:
    """As the message is wanted, a voice keeps the agent from beginning, lowers it, or holds it."""
    s = stage(
        with_tool(PhoneTool.LEAVE_VOICEMAIL),
        [
            Say("I will leave a message for them, one moment.", delay=0.6),
            Say("", delay=pause),
            Call("leave_voicemail", '{"message": "Please call back."}'),
        ],
    )
    asked = s.say("Leave a message after the tone please.", at=0.5)
    s.say("Please record it now", at=asked.end + after, seconds=2.5)
    s.run(14)
    assert s.agent_said == ["I will leave a message for them, one moment.", "Please call back."]
    assert s.ended is EndedReason.VOICEMAIL
    assert [action.gain for _, action in s.actions if isinstance(action, SetVolume)][-1] == 1.0
