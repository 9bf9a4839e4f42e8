"""A recording with other settings."""

from dataclasses import replace
from typing import Any

import pytest

from nur_server.conversation.config import ToolSpec
from nur_server.conversation.record import Speaker
from nur_server.errors import InvalidRequest
from nur_server.replay.comparison import Comparison, compare
from nur_server.replay.recording import replay
from nur_server.replay.settings import apply, parse
from nur_server.replay.timeline import ended_reason, turns
from nur_server.replay.world import vary
from nur_server.testing import Call, Rehearsal
from tests.replay.recorded import CONFIG, LONG, an_interrupted_call, recorded, recording

TOOL = ToolSpec("lookup", "Look up", {"type": "object", "properties": {"id": {"type": "string"}}})


def compared(call: Rehearsal, *settings: str) -> Comparison:
    found = replay(recording(call))
    return compare(found, vary(found, {}), vary(found, parse(settings)))


def said(call: Rehearsal, *settings: str) -> list[tuple[Speaker, str]]:
    varied = vary(replay(recording(call)), parse(settings))
    return [(turn.speaker, turn.text) for turn in turns(varied.steps) if turn.text]


async def test_with_its_own_settings_it_goes_as_it_went() -> None:
    call = await an_interrupted_call()
    assert said(call) == [(turn.speaker, turn.text) for turn in call.turns if turn.text]
    result = compared(call)
    assert result.is_faithful
    assert result.changes == ()
    assert result.assumed == ()


async def test_tools_answer_as_they_did() -> None:
    replies = [[Call("lookup", {"id": "7"})], "It is there."]
    async with recorded(
        config=replace(CONFIG, tools=(TOOL,)), replies=replies, tools={"lookup": lambda id: "yes"}
    ) as call:
        await call.says("Where is order seven?")
        await call.agent_done()
    varied = vary(replay(recording(call)), {})
    [turn] = [turn for turn in turns(varied.steps) if turn.tool_calls]
    assert turn.tool_calls[0].result == "yes"
    assert turns(varied.steps)[-1].text == "It is there."
    assert varied.assumed == ()


async def test_without_interruptions_the_agent_says_all_of_it() -> None:
    call = await an_interrupted_call()
    assert (Speaker.AGENT, LONG) in said(call, "interruption_threshold=1")
    result = compared(call, "interruption_threshold=1")
    assert result.is_faithful
    assert any(line.startswith("gone: ") and "interrupted" in line for line in result.changes)
    assert any(line.startswith("new: ") and "tomorrow morning" in line for line in result.changes)
    assert any(row.differs for row in result.rows)


async def test_a_deaf_threshold_hears_nothing() -> None:
    async with recorded(replies=["Yes."]) as call:
        await call.says("Do you sell boots?")
        await call.agent_done()
    assert said(call, "vad_threshold=1") != []
    assert said(call, "min_silence_ms=900", "max_silence_ms=1000")[0] == (
        Speaker.USER,
        "Do you sell boots?",
    )


async def test_a_longer_silence_ends_turns_later() -> None:
    async with recorded(replies=["Yes."]) as call:
        await call.says("Do you sell boots?")
        await call.agent_done()
        await call.waits(2)
    result = compared(call, "min_silence=1200")
    assert any("ms of silence instead of" in line for line in result.changes)
    assert any("begins" in line and "later" in line for line in result.changes)


async def test_two_turns_become_one_when_pauses_may_be_longer() -> None:
    async with recorded(replies=["Which?", "Good."]) as call:
        await call.says("I want shoes.")
        await call.agent_done()
        await call.says("The red ones.")
        await call.agent_done()
        await call.waits(8)
    users = [text for speaker, text in said(call, "min_silence=5000") if speaker is Speaker.USER]
    assert users == ["I want shoes. The red ones."]
    assert compared(call, "min_silence=5000").assumed != ()


async def test_the_end_is_compared() -> None:
    async with recorded(replies=["Yes.", "No."]) as call:
        await call.says("Do you sell boots?")
        await call.agent_done()
        await call.says("Do you sell hats?")
        await call.agent_done()
    result = compared(call, "max_turns=1")
    assert result.changes[-1] == "the session ends max_turns instead of client_ended"


async def test_a_conversation_that_would_not_end_is_left_alone_after_a_while() -> None:
    async with recorded(replies=[]) as call:
        await call.waits(1)
    assert ended_reason(vary(replay(recording(call)), {}).steps) == "client_ended"


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("vad_threshold=0.7", "vad_threshold", 0.7),
        ("voice_focus=far-field", "voice_focus", "far-field"),
        ("min_silence=300", "min_silence_ms", 300),
        ("max_silence_ms=none", "max_silence_ms", None),
        ("interrupt_response=false", "interrupt_response", False),
        (
            "uninterruptible_turns=greeting, silence",
            "uninterruptible_turns",
            {"greeting", "silence"},
        ),
        ("system_prompt=Be 5 = brief", "system_prompt", "Be 5 = brief"),
        ("reprompt_seconds=4", "reprompt_seconds", 4.0),
    ],
)
def test_settings_are_read(setting: str, name: str, value: Any) -> None:
    assert parse([setting]) == {name: value}
    apply(CONFIG, parse([setting]))


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("vad_threshold", "expected name=value with one of "),
        ("volume=3", "voice_focus; got 'volume=3'"),
        ("tools=[]", "got 'tools=[]'"),
        ("max_turns=many", "expected max_turns as a whole number or none, got 'many'"),
        ("vad_threshold=loud", "expected vad_threshold as a number, got 'loud'"),
        ("voice_focus=loud", "expected voice_focus as near-field or far-field, got 'loud'"),
        ("eager_replies=maybe", "expected eager_replies as true or false, got 'maybe'"),
        ("vad_threshold=7", "expected vad_threshold from 0 to 1, got 7"),
        ("min_silence=-1", "expected min_silence_ms of at least 0, got -1"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse([setting])
    assert complaint in refused.value.message


async def test_what_goes_alike_stands_side_by_side() -> None:
    async with recorded(replies=["Yes."]) as call:
        await call.says("Do you sell boots?")
        await call.agent_done()
        await call.waits(3)
    rows = compared(call, "min_silence=1200").rows
    assert not any(row.left is None or row.right is None for row in rows)
    [left] = [row.left.what for row in rows if row.left and row.differs]
    assert left.startswith("has finished: turn_complete (silence_ms ")
