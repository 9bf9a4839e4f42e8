"""A recording run again."""

from dataclasses import replace

import pytest

from nur_server.conversation.events import Ticked
from nur_server.conversation.phone import PhoneTool, phone_tool
from nur_server.replay.recording import Recording, Verdict, replay
from nur_server.replay.timeline import ended_reason, timeline, turns
from nur_server.testing import Call
from tests.replay.recorded import CONFIG, an_interrupted_call, recorded, recording

TO_SALES = {"to_number": "+15550100"}


async def test_a_replay_asks_for_the_same_actions() -> None:
    call = await an_interrupted_call()
    again = replay(recording(call))
    assert again.verdict is Verdict.EQUAL
    assert again.events == len(again.steps) > 100
    assert turns(again.steps) == call.turns
    assert ended_reason(again.steps) == "client_ended"


async def test_every_chunk_is_compared() -> None:
    async with recorded(replies=[]) as call:
        await call.says(" ".join(["word"] * 200))
    found = recording(call)
    assert len(found.checkpoints) == len(call.memory.journal) > 1
    assert replay(found).is_equal


async def test_other_actions_are_noticed_and_placed() -> None:
    found = recording(await an_interrupted_call())
    wrong = replace(found.checkpoints[0], digest="0" * 64)
    again = replay(replace(found, checkpoints=(wrong, *found.checkpoints[1:])))
    assert (again.verdict, again.differs_after) == (Verdict.DIFFERENT, 0)


async def test_one_event_more_is_noticed() -> None:
    found = recording(await an_interrupted_call())
    more = (Ticked(0.0), *found.events)
    assert replay(replace(found, events=more)).verdict is Verdict.DIFFERENT


async def test_missing_events_are_noticed() -> None:
    found = recording(await an_interrupted_call())
    assert replay(replace(found, events=found.events[:-5])).verdict is Verdict.INCOMPLETE


async def test_a_journal_without_a_digest_cannot_be_compared() -> None:
    found = recording(await an_interrupted_call())
    assert replay(replace(found, checkpoints=())).verdict is Verdict.UNSEALED


async def test_a_journal_that_begins_in_the_middle_is_refused() -> None:
    async with recorded(replies=[]) as call:
        await call.says(" ".join(["word"] * 200))
    with pytest.raises(ValueError, match="its beginning is missing"):
        Recording.read(call.memory.journal[1:])


def test_what_is_no_journal_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a journal chunk"):
        Recording.read([b"hello"])
    with pytest.raises(ValueError, match="got none"):
        Recording.read([])


async def test_the_timeline_of_a_phone_call_shows_keys_and_transfers() -> None:
    tools = tuple(map(phone_tool, (PhoneTool.SEND_DTMF, PhoneTool.TRANSFER_CALL)))
    replies = [[Call("send_dtmf", {"digits": "1"})], [Call("transfer_call", TO_SALES)], "Sorry."]
    async with recorded(config=replace(CONFIG, tools=tools), replies=replies) as call:
        call.presses("42")
        await call.until(lambda: bool(call.agent_said))
    shown = [f"{m.who} {m.what}" for m in timeline(replay(recording(call)).steps)]
    assert "user presses 4" in shown and "user said '[pressed 42]'" in shown
    assert "agent presses 1" in shown
    assert any(line.startswith("tool transfers to +15550100 (") for line in shown)
    assert any(line.endswith("fails: this session is not a phone call") for line in shown)


async def test_the_timeline_says_who_did_what_when_and_why() -> None:
    call = await an_interrupted_call()
    shown = [f"{m.who} {m.what}" for m in timeline(replay(recording(call)).steps)]
    assert shown[0] == "session opens"
    assert "user said 'What do you have?'" in shown
    assert any(line.startswith("user has finished: ") and "silence_ms" in line for line in shown)
    assert any(line.startswith("agent is done, interrupted: ") for line in shown)
    assert any("was heard to say 'We have running" in line and "✂" in line for line in shown)
    assert shown[-1] == "session ends: client_ended"
