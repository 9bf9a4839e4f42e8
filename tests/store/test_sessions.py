import asyncio
from datetime import timedelta

import pytest

from nur_server.clock import ManualClock
from nur_server.conversation.events import EndedReason
from nur_server.conversation.record import Speaker, ToolStatus
from nur_server.errors import Conflict, NotFound
from nur_server.store.agents import Agents
from nur_server.store.engine import Database
from nur_server.store.records import (
    AgentStatus,
    SessionKind,
    SessionRecord,
    SessionState,
    SessionStatus,
)
from nur_server.store.sessions import (
    LOST,
    Sessions,
    end_lost_sessions,
    expire_sessions,
    find_session,
)
from nur_server.store.sink import StoreSink
from nur_server.store.tool_calls import ToolCalls

from .samples import (
    ACCOUNT,
    NODE,
    OTHER_ACCOUNT,
    agent,
    live_session,
    session,
    tool_call,
    turn,
    waiting_session,
)


@pytest.fixture
def sessions(database: Database) -> Sessions:
    return Sessions(database, ACCOUNT)


async def test_a_session_is_read_as_it_was_made(
    database: Database, sessions: Sessions, clock: ManualClock
) -> None:
    stored = await Agents(database, ACCOUNT).create(agent())
    made = await sessions.create(
        session(
            clock.now(),
            agent_id=stored.id,
            kind=SessionKind.OUTBOUND,
            metadata={"user_id": "usr_456"},
            context={"name": "Ana"},
            initial_message="Hello!",
            config={"language": "en", "tools": []},
        )
    )
    read = await sessions.get(made.id)
    assert read == made
    assert (read.state, read.status) == (SessionState.CREATED, SessionStatus.ACTIVE)
    assert (read.metadata, read.context) == ({"user_id": "usr_456"}, {"name": "Ana"})
    assert (read.kind, read.initial_message) == (SessionKind.OUTBOUND, "Hello!")
    assert read.config == {"language": "en", "tools": []}
    assert read.expires_at - read.created_at == timedelta(hours=1)


async def test_a_session_needs_an_active_agent_of_its_account(
    database: Database, sessions: Sessions, clock: ManualClock
) -> None:
    theirs = await Agents(database, OTHER_ACCOUNT).create(agent())
    paused = await Agents(database, ACCOUNT).create(agent(status=AgentStatus.PAUSED))
    with pytest.raises(NotFound):
        await sessions.create(session(clock.now(), agent_id=theirs.id))
    with pytest.raises(Conflict) as refused:
        await sessions.create(session(clock.now(), agent_id=paused.id))
    assert refused.value.code == "agent_paused"
    assert (await sessions.list()).total == 0


async def test_a_session_begins_once_and_ends_once(
    database: Database, sessions: Sessions, clock: ManualClock
) -> None:
    made = await waiting_session(database)
    clock.advance(2)
    live = await sessions.begin(made.id, NODE)
    assert (live.state, live.started_at, live.node_id) == (SessionState.LIVE, clock.now(), NODE)
    clock.advance(5)
    ended = await sessions.end(made.id, EndedReason.CLIENT_ENDED)
    assert (ended.state, ended.ended_at) == (SessionState.ENDED, clock.now())
    clock.advance(5)
    again = await sessions.end(made.id, EndedReason.SILENCE)
    assert again == ended
    with pytest.raises(Conflict) as refused:
        await sessions.begin(made.id, NODE)
    assert refused.value.code == "session_ended"


async def test_beginning_again_on_the_same_node_changes_nothing(
    database: Database, sessions: Sessions, clock: ManualClock
) -> None:
    live = await live_session(database)
    clock.advance(5)
    assert await sessions.begin(live.id, NODE) == live
    with pytest.raises(Conflict) as refused:
        await sessions.begin(live.id, "node-b")
    assert refused.value.code == "session_already_live"


async def test_of_nodes_that_begin_a_session_at_once_one_has_it(
    database: Database, sessions: Sessions
) -> None:
    made = await waiting_session(database)
    answers = await asyncio.gather(
        *(sessions.begin(made.id, f"node-{place}") for place in range(6)), return_exceptions=True
    )
    won = [answer for answer in answers if isinstance(answer, SessionRecord)]
    assert len(won) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 5
    assert (await sessions.get(made.id)).node_id == won[0].node_id


async def test_of_ends_at_once_one_gives_the_reason(database: Database, sessions: Sessions) -> None:
    live = await live_session(database)
    reasons = [EndedReason.CLIENT_ENDED, EndedReason.SILENCE, EndedReason.MAX_TURNS] * 2
    answers = await asyncio.gather(*(sessions.end(live.id, reason) for reason in reasons))
    assert len({answer.ended_reason for answer in answers}) == 1


async def test_a_session_nobody_connected_to_expires(
    database: Database, sessions: Sessions, clock: ManualClock
) -> None:
    made = await waiting_session(database)
    clock.advance(3600)
    before_sweep = await sessions.get(made.id)
    assert before_sweep.status is SessionStatus.EXPIRED
    assert before_sweep.ended_reason is EndedReason.EXPIRED
    with pytest.raises(Conflict) as refused:
        await sessions.begin(made.id, NODE)
    assert refused.value.code == "session_expired"
    assert await sessions.end(made.id, EndedReason.CLIENT_ENDED) == before_sweep
    assert await expire_sessions(database) == 1
    assert await sessions.get(made.id) == before_sweep
    assert await expire_sessions(database) == 0


async def test_a_live_session_stays_active_past_its_expiry(
    database: Database, sessions: Sessions, clock: ManualClock
) -> None:
    live = await live_session(database)
    clock.advance(3601)
    assert await expire_sessions(database) == 0
    assert (await sessions.get(live.id)).status is SessionStatus.ACTIVE
    ended = await sessions.end(live.id, EndedReason.EXPIRED)
    assert (ended.status, ended.ended_reason) == (SessionStatus.EXPIRED, EndedReason.EXPIRED)


async def test_lists_can_be_narrowed(
    database: Database, sessions: Sessions, clock: ManualClock
) -> None:
    stored = await Agents(database, ACCOUNT).create(agent())
    late = await waiting_session(database, expires_at=clock.now() + timedelta(minutes=1))
    clock.advance(120)
    start = clock.now()
    waiting = await waiting_session(database, agent_id=stored.id)
    clock.advance(1)
    live = await live_session(database, kind=SessionKind.WEBRTC)
    clock.advance(1)
    ended = await waiting_session(database)
    await sessions.end(ended.id, EndedReason.CLIENT_ENDED)

    async def ids(**filters: object) -> list[str]:
        page = await sessions.list(**filters)  # type: ignore[arg-type]
        assert page.total == len(page.items)
        return [item.id for item in page.items]

    assert await ids() == [ended.id, live.id, waiting.id, late.id]
    assert await ids(status=SessionStatus.ACTIVE) == [live.id, waiting.id]
    assert await ids(status=SessionStatus.ENDED) == [ended.id]
    assert await ids(status=SessionStatus.EXPIRED) == [late.id]
    await expire_sessions(database)
    assert await ids(status=SessionStatus.EXPIRED) == [late.id]
    assert await ids(agent_id=stored.id) == [waiting.id]
    assert await ids(kind=SessionKind.WEBRTC) == [live.id]
    assert await ids(created_after=start) == [ended.id, live.id]
    assert await ids(created_before=start) == [late.id]
    assert await ids(created_after=start, created_before=clock.now()) == [live.id]


async def test_a_session_of_another_account_does_not_exist(database: Database) -> None:
    ours = await waiting_session(database)
    theirs = Sessions(database, OTHER_ACCOUNT)
    for attempt in (
        theirs.get(ours.id),
        theirs.begin(ours.id, NODE),
        theirs.end(ours.id, EndedReason.CLIENT_ENDED),
    ):
        with pytest.raises(NotFound) as refused:
            await attempt
        assert refused.value.code == "session_not_found"
    assert (await theirs.list()).total == 0
    assert (await Sessions(database, ACCOUNT).get(ours.id)).state is SessionState.CREATED


async def test_the_id_alone_finds_a_session(database: Database) -> None:
    made = await waiting_session(database)
    assert await find_session(database, made.id) == made
    assert await find_session(database, "ses_unknown") is None


async def test_what_a_node_left_live_is_ended_when_it_starts_again(
    database: Database, sessions: Sessions, clock: ManualClock
) -> None:
    lost = await live_session(database)
    elsewhere = await live_session(database, node_id="node-b")
    waiting = await waiting_session(database)
    sink = StoreSink(database, NODE)
    await sink.turn_finished(lost.id, turn(0))
    await sink.turn_finished(lost.id, turn(1, interrupted_at_ms=1500, ended_ms=2500))
    await sink.tool_changed(lost.id, "resp_1", tool_call("running"))
    done = tool_call("done", status=ToolStatus.SUCCEEDED, result="{}", answered_ms=1300)
    await sink.tool_changed(lost.id, "resp_1", done)
    await sink.turn_finished(lost.id, turn(2, speaker=Speaker.USER, ended_ms=2400))
    clock.advance(60)

    assert await end_lost_sessions(database, NODE) == 1

    ended = await sessions.get(lost.id)
    assert (ended.state, ended.ended_reason) == (SessionState.ENDED, EndedReason.INTERNAL_ERROR)
    assert (ended.error_code, ended.ended_at) == (LOST, clock.now())
    assert (ended.user_turns, ended.agent_turns, ended.interruptions) == (2, 1, 1)
    assert ended.duration_seconds == 2.5
    calls = {
        record.call.call_id: record.call
        for record in await ToolCalls(database, ACCOUNT).list(lost.id)
    }
    assert calls["done"] == done
    assert calls["running"].status is ToolStatus.CANCELLED
    assert calls["running"].result
    assert (await sessions.get(elsewhere.id)).state is SessionState.LIVE
    assert (await sessions.get(waiting.id)).state is SessionState.CREATED
    assert await end_lost_sessions(database, NODE) == 0


async def test_a_session_whose_end_waits_to_be_written_is_not_lost(
    database: Database, sessions: Sessions
) -> None:
    lost, waits = await live_session(database), await live_session(database)
    assert await end_lost_sessions(database, NODE, but=frozenset({waits.id})) == 1
    assert (await sessions.get(waits.id)).state is SessionState.LIVE
    assert (await sessions.get(lost.id)).error_code == LOST


async def test_a_lost_session_without_turns_lasted_no_time(
    database: Database, sessions: Sessions
) -> None:
    lost = await live_session(database)
    await end_lost_sessions(database, NODE)
    ended = await sessions.get(lost.id)
    assert (ended.duration_seconds, ended.user_turns, ended.agent_turns) == (0.0, 0, 0)
