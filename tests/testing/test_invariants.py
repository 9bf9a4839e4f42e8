"""Every invariant notices when it is broken."""

from dataclasses import replace
from typing import Any

import pytest

from nur_server.conversation.config import AnsweringPolicy, ConversationConfig, SilencePolicy
from nur_server.conversation.events import EndedReason, Role
from nur_server.conversation.journal import JournalWriter, read
from nur_server.conversation.notices import (
    AgentTranscriptDelta,
    CallAnswered,
    ReplyDone,
    ReplyStarted,
    ReplyStatus,
    SessionEnded,
)
from nur_server.conversation.record import Speaker, ToolStatus
from nur_server.ports import ReplyRequest
from nur_server.testing import Call, Evidence, conversation, invariants
from nur_server.testing.ear import Cleared, Closed, Played, Told, Transferred

LONG = "We have running shoes, walking shoes, hiking boots and a few pairs of sandals."
TOOLS = {
    "tools": [{"name": "look", "description": "Look", "parameters": {"type": "object"}}],
    "silence": {"reprompt_seconds": 3.0, "max_reprompts": 1},
}


@pytest.fixture
async def evidence() -> Evidence:
    """A whole conversation: an answer that is cut, a tool, asking again, the end."""
    replies = [LONG, [Call("look", {})], "There it is."]
    async with conversation(TOOLS, replies=replies, tools={"look": lambda: "here"}) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Stop please, only look.", after=1.0)
        await call.agent_done()
        await call.waits(6)
        await call.hangs_up()
        return call.evidence


def told(evidence: Evidence, kind: type[Any]) -> Told:
    return next(a for a in evidence.arrivals if isinstance(a, Told) and isinstance(a.notice, kind))


def without(evidence: Evidence, arrival: object) -> Evidence:
    return replace(evidence, arrivals=[a for a in evidence.arrivals if a is not arrival])


async def test_a_good_conversation_breaks_nothing(evidence: Evidence) -> None:
    assert invariants.broken(evidence) == []
    assert {turn.trigger for turn in evidence.turns} >= {"speech", "user_speech", "silence"}


async def test_words_that_were_not_told(evidence: Evidence) -> None:
    fewer = without(evidence, told(evidence, AgentTranscriptDelta))
    assert invariants.heard_is_stored(fewer)


async def test_words_that_were_stored_and_not_heard(evidence: Evidence) -> None:
    turns = [
        replace(t, text=f"{t.text} More.") if t.speaker is Speaker.AGENT and t.text else t
        for t in evidence.turns
    ]
    assert invariants.heard_is_stored(replace(evidence, turns=turns))


async def test_words_told_before_they_were_played(evidence: Evidence) -> None:
    silent = [a for a in evidence.arrivals if not isinstance(a, Played)]
    assert invariants.heard_is_stored(replace(evidence, arrivals=silent))


async def test_a_model_that_is_told_what_nobody_heard(evidence: Evidence) -> None:
    request = evidence.prompts[-1]
    said = [replace(m, content="!") if m.role is Role.ASSISTANT else m for m in request.messages]
    assert invariants.heard_is_stored(replace(evidence, prompts=[ReplyRequest(tuple(said))]))


async def test_a_model_that_is_not_told_of_the_cut(evidence: Evidence) -> None:
    request = evidence.prompts[-1]
    heard = [replace(m, content="Hm.") if m.role is Role.USER else m for m in request.messages]
    assert invariants.cuts_are_told(replace(evidence, prompts=[ReplyRequest(tuple(heard))]))


async def test_audio_after_a_cut(evidence: Evidence) -> None:
    cleared = next(a for a in evidence.arrivals if isinstance(a, Cleared))
    late = [*evidence.arrivals, Played(99.0, cleared.response_id, 480)]
    assert invariants.replies_are_in_order(replace(evidence, arrivals=late))


async def test_a_reply_that_is_never_done(evidence: Evidence) -> None:
    assert invariants.replies_are_in_order(without(evidence, told(evidence, ReplyDone)))


async def test_two_replies_at_once(evidence: Evidence) -> None:
    second = Told(0.0, ReplyStarted("resp_other", "msg_other"))
    both = [told(evidence, ReplyStarted), second, *evidence.arrivals]
    assert invariants.replies_are_in_order(replace(evidence, arrivals=both))


async def test_a_reply_that_is_done_before_its_last_frame(evidence: Evidence) -> None:
    longer = [
        replace(a, length=a.length * 3) if isinstance(a, Played) else a for a in evidence.arrivals
    ]
    assert invariants.done_waits_for_the_last_frame(replace(evidence, arrivals=longer))


def completed(evidence: Evidence) -> str:
    """The reply that was heard out."""
    return next(
        n.reply_id
        for n in evidence.notices
        if isinstance(n, ReplyDone) and n.status is ReplyStatus.COMPLETED and is_played(evidence, n)
    )


def is_played(evidence: Evidence, done: ReplyDone) -> bool:
    return any(isinstance(a, Played) and a.response_id == done.reply_id for a in evidence.arrivals)


async def test_a_completed_reply_with_a_gap_in_its_audio(evidence: Evidence) -> None:
    reply_id = completed(evidence)
    frames = [a for a in evidence.arrivals if isinstance(a, Played) and a.response_id == reply_id]
    fewer = [a for a in evidence.arrivals if a not in frames[5:8]]
    assert invariants.completed_replies_are_whole(replace(evidence, arrivals=fewer))


async def test_a_completed_reply_that_repeats_some_of_its_audio(evidence: Evidence) -> None:
    reply_id = completed(evidence)
    frames = [a for a in evidence.arrivals if isinstance(a, Played) and a.response_id == reply_id]
    more = [*evidence.arrivals, *frames[5:8]]
    assert invariants.completed_replies_are_whole(replace(evidence, arrivals=more))


async def test_a_completed_reply_whose_last_words_were_not_told(evidence: Evidence) -> None:
    reply_id = completed(evidence)
    untold = [
        a
        for a in evidence.arrivals
        if not (
            isinstance(a, Told)
            and isinstance(a.notice, AgentTranscriptDelta)
            and a.notice.reply_id == reply_id
        )
    ]
    assert invariants.completed_replies_are_whole(replace(evidence, arrivals=untold))


async def test_a_tool_that_ran_twice(evidence: Evidence) -> None:
    assert invariants.calls_have_one_result(replace(evidence, runs=[*evidence.runs] * 2))


async def test_a_tool_that_ran_again_while_it_ran(evidence: Evidence) -> None:
    running, result = evidence.tool_states
    again = replace(running, call_id="call_again", arguments="")
    states = [running, again, result]
    assert invariants.tools_run_once_at_a_time(replace(evidence, tool_states=states))
    assert not invariants.tools_run_once_at_a_time(
        replace(evidence, tool_states=[running, result, again])
    )


async def test_a_tool_with_two_results(evidence: Evidence) -> None:
    last = evidence.tool_states[-1]
    states = [*evidence.tool_states, replace(last, status=ToolStatus.TIMED_OUT)]
    assert invariants.calls_have_one_result(replace(evidence, tool_states=states))


async def test_a_tool_without_a_result_at_the_end(evidence: Evidence) -> None:
    states = [r for r in evidence.tool_states if r.status is ToolStatus.RUNNING]
    assert invariants.calls_have_one_result(replace(evidence, tool_states=states))


async def test_a_call_without_its_result_in_the_prompt(evidence: Evidence) -> None:
    request = evidence.prompts[-1]
    unpaired = [m for m in request.messages if m.role is not Role.TOOL]
    assert invariants.calls_have_one_result(
        replace(evidence, prompts=[ReplyRequest(tuple(unpaired))])
    )


async def test_silence_counted_from_too_early(evidence: Evidence) -> None:
    config = ConversationConfig("ses", silence=SilencePolicy(reprompt_seconds=30.0))
    assert invariants.silence_counts_from_the_end(replace(evidence, config=config))


async def test_an_end_for_silence_that_came_too_early(evidence: Evidence) -> None:
    config = ConversationConfig("ses", silence=SilencePolicy(end_seconds=5.0))
    last = max(a.at for a in evidence.arrivals if isinstance(a, Played))
    for wait, is_early in ((4.5, True), (5.0, False)):
        end = Told(last + wait, SessionEnded(EndedReason.SILENCE, last + wait))
        ended = replace(evidence, config=config, arrivals=[*evidence.arrivals, end])
        assert bool(invariants.silence_counts_from_the_end(ended)) is is_early


async def test_words_to_somebody_unknown(evidence: Evidence) -> None:
    config = ConversationConfig("ses", answering=AnsweringPolicy())
    assert invariants.nobody_unknown_is_spoken_to(replace(evidence, config=config))
    answered = [Told(0.0, CallAnswered("human", "short_greeting")), *evidence.arrivals]
    known = replace(evidence, config=config, arrivals=answered)
    assert not invariants.nobody_unknown_is_spoken_to(known)


async def test_a_transfer_that_outlives_its_session(evidence: Evidence) -> None:
    late = [*evidence.arrivals, Transferred(99.0, "+15550100")]
    assert invariants.the_end_is_the_end(replace(evidence, arrivals=late))


async def test_an_end_of_a_turn_without_a_reason(evidence: Evidence) -> None:
    turns = [replace(turn, end_reason="") for turn in evidence.turns]
    assert invariants.everything_has_a_reason(replace(evidence, turns=turns))


async def test_turns_that_are_missing(evidence: Evidence) -> None:
    assert invariants.everything_has_a_reason(replace(evidence, turns=evidence.turns[1:]))


async def test_an_end_for_two_reasons(evidence: Evidence) -> None:
    other = [
        replace(a, reason=EndedReason.SILENCE) if isinstance(a, Closed) else a
        for a in evidence.arrivals
    ]
    assert invariants.the_end_is_the_end(replace(evidence, arrivals=other))


async def test_a_journal_that_replays_otherwise(evidence: Evidence) -> None:
    config, events = read(evidence.journal)
    writer = JournalWriter(config)
    for event in events:
        writer.add(event)
        writer.answered([])
    chunk = writer.take()
    assert chunk is not None
    assert invariants.journal_replays(replace(evidence, journal=[chunk[1]]))
