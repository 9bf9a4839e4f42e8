from dataclasses import replace

import pytest

from nur_server.conversation.record import Speaker, ToolStatus, Turn
from nur_server.errors import NotFound
from nur_server.store.engine import Database
from nur_server.store.sink import StoreSink
from nur_server.store.turns import Turns

from .samples import ACCOUNT, NODE, OTHER_ACCOUNT, live_session, tool_call, turn

DONE = tool_call("call_b", status=ToolStatus.SUCCEEDED, result='{"ok": true}', answered_ms=1900)
FULL = Turn(
    index=1,
    item_id="item_9",
    speaker=Speaker.AGENT,
    text="Your order left — it comes tomorrow.",
    started_ms=1000,
    ended_ms=4200,
    trigger="user_speech",
    interrupted_at_ms=4200,
    unheard="before noon.",
    end_reason="interrupted",
    evidence={"overlap_ms": 320, "words": ["wait"], "level_db": -23.5},
    latency_ms=480,
    confidence=0.25,
    tool_calls=(DONE, tool_call("call_a")),
    error_code="provider_timeout",
)


@pytest.fixture
def sink(database: Database) -> StoreSink:
    return StoreSink(database, NODE)


@pytest.fixture
def turns(database: Database) -> Turns:
    return Turns(database, ACCOUNT)


async def test_a_transcript_is_read_as_it_was_spoken(
    database: Database, sink: StoreSink, turns: Turns
) -> None:
    live = await live_session(database)
    for spoken in (FULL, turn(0), turn(2)):
        await sink.turn_finished(live.id, spoken)
    assert await turns.list(live.id) == (turn(0), FULL, turn(2))


async def test_a_turn_replaces_the_one_with_its_index(
    database: Database, sink: StoreSink, turns: Turns
) -> None:
    live = await live_session(database)
    await sink.turn_finished(live.id, turn(0))
    await sink.turn_finished(live.id, FULL)
    shorter = turn(1, text="Your order left.")
    await sink.turn_finished(live.id, shorter)
    assert await turns.list(live.id) == (turn(0), shorter)


async def test_a_late_result_comes_with_the_rewritten_turn(
    database: Database, sink: StoreSink, turns: Turns
) -> None:
    live = await live_session(database)
    await sink.turn_finished(live.id, FULL)
    late = tool_call("call_a", status=ToolStatus.FAILED, result="no such order", answered_ms=9000)
    rewritten = replace(FULL, tool_calls=(DONE, late))
    await sink.turn_finished(live.id, rewritten)
    assert await turns.list(live.id) == (rewritten,)


async def test_a_turn_does_not_change_a_result_in_the_journal(
    database: Database, sink: StoreSink, turns: Turns
) -> None:
    live = await live_session(database)
    await sink.tool_changed(live.id, "resp_1", DONE)
    other = replace(DONE, status=ToolStatus.FAILED, result="late")
    await sink.turn_finished(live.id, turn(1, tool_calls=(other,)))
    (stored,) = await turns.list(live.id)
    assert stored.tool_calls == (DONE,)


async def test_turns_of_sessions_do_not_mix(
    database: Database, sink: StoreSink, turns: Turns
) -> None:
    first, second = await live_session(database), await live_session(database)
    await sink.turn_finished(first.id, turn(0, tool_calls=(tool_call(),)))
    await sink.turn_finished(second.id, turn(0, text="Other words.", tool_calls=(tool_call(),)))
    (of_second,) = await turns.list(second.id)
    assert of_second.text == "Other words."


async def test_a_transcript_of_another_account_does_not_exist(
    database: Database, sink: StoreSink
) -> None:
    live = await live_session(database)
    await sink.turn_finished(live.id, turn(0))
    with pytest.raises(NotFound):
        await Turns(database, OTHER_ACCOUNT).list(live.id)


async def test_a_session_without_turns_has_an_empty_transcript(
    database: Database, turns: Turns
) -> None:
    assert await turns.list((await live_session(database)).id) == ()


async def test_words_no_database_can_hold_do_not_lose_the_turn(
    database: Database, sink: StoreSink, turns: Turns
) -> None:
    live = await live_session(database)
    await sink.turn_finished(live.id, turn(0, text="a\x00b\ud83d", evidence={"heard": "\x00"}))
    (stored,) = await turns.list(live.id)
    assert (stored.text, stored.evidence) == ("a\ufffdb\ufffd", {"heard": "\ufffd"})
