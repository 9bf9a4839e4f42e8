import asyncio
from dataclasses import replace

import pytest

from nur_server.conversation.record import ToolRecord, ToolStatus
from nur_server.errors import NotFound
from nur_server.store.engine import Database
from nur_server.store.sink import StoreSink
from nur_server.store.tool_calls import ToolCalls

from .samples import ACCOUNT, NODE, OTHER_ACCOUNT, live_session, tool_call

RUNNING = tool_call()
DONE = replace(RUNNING, status=ToolStatus.SUCCEEDED, result='{"ok": true}', answered_ms=1900)


@pytest.fixture
def sink(database: Database) -> StoreSink:
    return StoreSink(database, NODE)


async def stored(database: Database, session_id: str) -> list[ToolRecord]:
    return [record.call for record in await ToolCalls(database, ACCOUNT).list(session_id)]


async def test_a_call_is_in_the_journal_before_it_runs(database: Database, sink: StoreSink) -> None:
    live = await live_session(database)
    await sink.tool_changed(live.id, "resp_1", RUNNING)
    (record,) = await ToolCalls(database, ACCOUNT).list(live.id)
    assert (record.session_id, record.response_id, record.call) == (live.id, "resp_1", RUNNING)
    await sink.tool_changed(live.id, "resp_1", DONE)
    assert await stored(database, live.id) == [DONE]


async def test_a_call_that_never_ran_has_its_result_at_once(
    database: Database, sink: StoreSink
) -> None:
    live = await live_session(database)
    refused = tool_call(status=ToolStatus.REFUSED, result="no such tool", answered_ms=1200)
    await sink.tool_changed(live.id, "resp_1", refused)
    assert await stored(database, live.id) == [refused]


async def test_nothing_changes_a_result(database: Database, sink: StoreSink) -> None:
    live = await live_session(database)
    await sink.tool_changed(live.id, "resp_1", RUNNING)
    await sink.tool_changed(live.id, "resp_1", DONE)
    for later in (RUNNING, replace(DONE, status=ToolStatus.TIMED_OUT, result="too late")):
        await sink.tool_changed(live.id, "resp_1", later)
    assert await stored(database, live.id) == [DONE]


async def test_of_results_at_once_one_is_kept_whole(database: Database, sink: StoreSink) -> None:
    live = await live_session(database)
    await sink.tool_changed(live.id, "resp_1", RUNNING)
    results = [replace(DONE, result=f"result {n}", answered_ms=2000 + n) for n in range(6)]
    await asyncio.gather(*(sink.tool_changed(live.id, "resp_1", result) for result in results))
    (kept,) = await stored(database, live.id)
    assert kept in results


async def test_calls_are_listed_in_the_order_they_were_made(
    database: Database, sink: StoreSink
) -> None:
    live = await live_session(database)
    calls = [tool_call("z", called_ms=1), tool_call("a", called_ms=3), tool_call("m", called_ms=2)]
    for call in calls:
        await sink.tool_changed(live.id, "resp_1", call)
    assert [call.call_id for call in await stored(database, live.id)] == ["z", "m", "a"]


async def test_the_same_call_id_in_two_sessions_is_two_calls(
    database: Database, sink: StoreSink
) -> None:
    first, second = await live_session(database), await live_session(database)
    await sink.tool_changed(first.id, "resp_1", DONE)
    await sink.tool_changed(second.id, "resp_1", RUNNING)
    assert await stored(database, first.id) == [DONE]
    assert await stored(database, second.id) == [RUNNING]


async def test_calls_of_another_account_do_not_exist(database: Database, sink: StoreSink) -> None:
    live = await live_session(database)
    await sink.tool_changed(live.id, "resp_1", DONE)
    with pytest.raises(NotFound):
        await ToolCalls(database, OTHER_ACCOUNT).list(live.id)
