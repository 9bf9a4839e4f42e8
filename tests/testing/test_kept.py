"""The fuzz's judge notices when something is broken that only the inside shows."""

from dataclasses import replace

import pytest
from bench.kept import Judge

from nur_server.conversation.actions import (
    Action,
    CallTool,
    CommitTurn,
    DropUtterance,
    Generate,
    HangUp,
    HoldPlayout,
    Notify,
    OpenUtterance,
    RecordTool,
    ResumePlayout,
    SetVolume,
    Speak,
    TransferCall,
)
from nur_server.conversation.config import (
    AnsweringPolicy,
    ConversationConfig,
    ExecutionMode,
    ToolSpec,
)
from nur_server.conversation.events import (
    DigitPressed,
    EndedReason,
    EndRequested,
    Event,
    PlayoutProgressed,
    SessionOpened,
    Ticked,
    TransferFinished,
)
from nur_server.conversation.notices import ReplyDone, ReplyStarted, ReplyStatus
from nur_server.conversation.record import Speaker, ToolRecord, ToolStatus, Turn
from nur_server.replay.recording import Step
from nur_server.turn_taking.settings import TurnDetection

CONFIG = ConversationConfig("ses_0123456789ab", max_turns=None)
LOOK = ToolSpec("look", "Look", {}, timeout_seconds=4.0)
HOLDING = replace(LOOK, name="hold_on", execution_mode=ExecutionMode.HOLD)
STARTED = Notify(ReplyStarted("resp_1", "msg_1"))
GENERATE = Generate("resp_1", (), ())
OPENED = Step(SessionOpened(0.0), ())


def judged(*steps: tuple[Event, list[Action]], config: ConversationConfig = CONFIG) -> list[str]:
    judge = Judge(config)
    judge.see([OPENED, *(Step(event, tuple(actions)) for event, actions in steps)])
    return judge.broken


def done(status: ReplyStatus, reason: str | None = None) -> Notify:
    return Notify(ReplyDone("resp_1", status, reason))


def user(text: str) -> CommitTurn:
    return CommitTurn(Turn(0, "msg_0", Speaker.USER, text, 0, 1, "speech"))


def agent(trigger: str, cut_ms: int | None = None) -> CommitTurn:
    turn = Turn(1, "msg_1", Speaker.AGENT, "Hi.", 0, 1, trigger, interrupted_at_ms=cut_ms)
    return CommitTurn(turn)


def tool(status: ToolStatus, name: str = "look", result: str | None = None) -> RecordTool:
    return RecordTool("resp_1", ToolRecord("call_1", name, "{}", status, result, 0, None))


def collected(digits: str) -> RecordTool:
    return tool(ToolStatus.SUCCEEDED, "collect_digits", f'{{"digits": "{digits}"}}')


def pressed(digits: str) -> list[tuple[Event, list[Action]]]:
    return [(DigitPressed(1.0, digit), []) for digit in digits]


def test_words_that_nobody_answers() -> None:
    assert judged((Ticked(1.0), [user("Hello?")]), (Ticked(9.0), []))
    assert not judged((Ticked(1.0), [user("Hello?"), STARTED, GENERATE]), (Ticked(9.0), []))
    early = [GENERATE, user("Hello?"), STARTED]
    assert not judged((Ticked(1.0), early), (Ticked(9.0), []))


def test_a_result_that_no_reply_takes_up() -> None:
    ran: list[Action] = [tool(ToolStatus.RUNNING), tool(ToolStatus.SUCCEEDED)]
    assert judged((Ticked(1.0), ran), (Ticked(9.0), []))
    assert not judged((Ticked(1.0), [*ran, STARTED, GENERATE]), (Ticked(9.0), []))


def test_a_tool_that_is_not_timed_out() -> None:
    call = CallTool("call_1", "resp_1", LOOK, {})
    begun: tuple[Event, list[Action]] = (Ticked(1.0), [STARTED, tool(ToolStatus.RUNNING), call])
    assert judged(begun, (Ticked(5.5), []))
    assert not judged(begun, (Ticked(5.0), []))


def test_a_tool_of_a_reply_that_may_be_thrown_away() -> None:
    assert judged((Ticked(1.0), [GENERATE, CallTool("call_1", "resp_1", LOOK, {})]))


def test_a_second_filler_for_the_same_tool() -> None:
    running = tool(ToolStatus.RUNNING)
    filler: list[Action] = [STARTED, done(ReplyStatus.COMPLETED), agent("filler")]
    assert judged((Ticked(1.0), [running, *filler, *filler]))
    assert not judged((Ticked(1.0), [running, *filler]))


def test_a_second_filler_for_the_same_answer() -> None:
    waits = Turn(1, "msg_2", Speaker.AGENT, "Hm.", 0, 1, "filler")
    filler = CommitTurn(waits)
    assert judged((Ticked(1.0), [STARTED, GENERATE, filler, filler]))
    assert not judged((Ticked(1.0), [STARTED, GENERATE, filler]))


def test_a_reply_while_a_tool_holds_the_agent() -> None:
    config = replace(CONFIG, tools=(HOLDING,))
    running = tool(ToolStatus.RUNNING, "hold_on")
    assert judged((Ticked(1.0), [running, STARTED, GENERATE]), config=config)


def test_words_to_somebody_unknown() -> None:
    config = replace(CONFIG, answering=AnsweringPolicy())
    assert judged((Ticked(1.0), [STARTED]), config=config)


@pytest.mark.parametrize("text", ["<think>hidden", "**bold**", "see https://example.com"])
def test_something_internal_that_is_spoken(text: str) -> None:
    assert judged((Ticked(1.0), [Speak("resp_1", 0, text)]))


def test_an_agent_that_stays_quiet_for_good() -> None:
    ducked: tuple[Event, list[Action]] = (Ticked(1.0), [STARTED, SetVolume("resp_1", 0.35)])
    heard: tuple[Event, list[Action]] = (PlayoutProgressed(2.0, "resp_1", 500), [])
    assert judged(ducked, heard)
    assert not judged(ducked, (Ticked(1.5), [SetVolume("resp_1", 1.0)]), heard)


def test_an_agent_that_is_held_for_good() -> None:
    speaks: list[Action] = [STARTED, OpenUtterance("utt_1", 0), HoldPlayout("resp_1")]
    stops: list[Action] = [DropUtterance("utt_1")]
    assert judged((Ticked(1.0), speaks), (Ticked(2.0), stops))
    assert not judged((Ticked(1.0), speaks), (Ticked(2.0), [*stops, ResumePlayout("resp_1")]))


def test_an_interruption_that_was_not_allowed() -> None:
    config = replace(
        CONFIG, turn_detection=TurnDetection(uninterruptible_turns=frozenset({"greeting"}))
    )
    cut: list[Action] = [STARTED, done(ReplyStatus.INTERRUPTED, "stop_command")]
    assert judged((Ticked(1.0), [*cut, agent("greeting", 1000)]), config=config)
    assert not judged((Ticked(1.0), [*cut, agent("user_speech", 1000)]), config=config)


@pytest.mark.parametrize("digits", ["11", "2", "13", "21"])
def test_keys_that_are_lost_or_told_twice(digits: str) -> None:
    assert judged(*pressed("12"), (Ticked(2.0), [collected(digits)]))


def test_keys_that_are_told_once() -> None:
    steps = [*pressed("12#"), (Ticked(2.0), [collected("12")])]
    assert not judged(*steps, *pressed("34"), (Ticked(2.0), [user("[pressed 34]"), STARTED]))


def test_keys_that_are_told_again() -> None:
    again: list[Action] = [collected("12"), user("[pressed 12]")]
    assert judged(*pressed("12"), (Ticked(2.0), again))


def test_a_transfer_of_a_caller_who_has_spoken_since() -> None:
    asked = tool(ToolStatus.RUNNING, "transfer_call")
    transfer = TransferCall("call_1", "+15550100")
    assert judged((Ticked(1.0), [asked, user("Wait."), transfer]))
    assert not judged((Ticked(1.0), [asked, transfer]))


def test_a_transfer_before_the_last_word() -> None:
    assert judged((Ticked(1.0), [STARTED, TransferCall("call_1", "+15550100")]))


def test_a_last_word_that_is_cut() -> None:
    cut: list[Action] = [STARTED, done(ReplyStatus.CANCELLED, "agent_ended")]
    assert judged((Ticked(1.0), cut))
    kind = EndedReason.AGENT_ENDED
    assert judged((EndRequested(1.0, kind, finish_speaking=True), cut))
    assert not judged((EndRequested(1.0, kind), cut))


def test_a_reply_once_the_end_was_asked_for() -> None:
    assert judged((EndRequested(1.0, EndedReason.EXPIRED, finish_speaking=True), [GENERATE]))


def test_a_reply_to_a_caller_who_is_gone() -> None:
    assert judged((TransferFinished(1.0, "call_1", None), [STARTED, GENERATE]))
    assert not judged((TransferFinished(1.0, "call_1", "busy"), [STARTED, GENERATE]))


def test_an_end_without_its_goodbye() -> None:
    end = HangUp(EndedReason.MAX_DURATION)
    assert judged((Ticked(1.0), [end]))
    assert judged((Ticked(1.0), [agent("goodbye", 900), end]))
    assert not judged((Ticked(1.0), [agent("goodbye"), end]))


def test_an_end_for_silence_while_a_tool_runs() -> None:
    assert judged((Ticked(1.0), [tool(ToolStatus.RUNNING), HangUp(EndedReason.SILENCE)]))


def test_a_caller_who_is_never_answered_is_noticed() -> None:
    def left_alone(number: int) -> tuple[Event, list[Action]]:
        turn = Turn(number, f"msg_{number}", Speaker.USER, "Hello?", 0, 500, "aside")
        turn = replace(turn, end_reason="turn_complete")
        return Ticked(float(number)), [CommitTurn(turn)]

    assert judged(left_alone(1), left_alone(2)) == []
    (problem,) = judged(left_alone(1), left_alone(2), left_alone(3))
    assert "an answer to 'Hello?' at last" in problem
