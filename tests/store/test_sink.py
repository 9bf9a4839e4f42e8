from datetime import timedelta

import pytest

from nur_server.clock import ManualClock
from nur_server.conversation.events import EndedReason
from nur_server.errors import Conflict, NotFound
from nur_server.ports import SessionSink, SessionSummary
from nur_server.store.engine import Database
from nur_server.store.records import SessionState, SessionStatus
from nur_server.store.sessions import Sessions, end_lost_sessions
from nur_server.store.sink import StoreSink

from .samples import ACCOUNT, NODE, live_session, tool_call, turn, waiting_session

SUMMARY = SessionSummary(
    reason=EndedReason.MAX_TURNS,
    duration_seconds=21.5,
    user_turns=3,
    agent_turns=4,
    interruptions=1,
    error_code="provider_timeout",
    metrics={"latency_p50_ms": 480.0},
)


@pytest.fixture
def sink(database: Database) -> SessionSink:
    return StoreSink(database, NODE)


async def test_a_session_lives_from_start_to_end(
    database: Database, sink: SessionSink, clock: ManualClock
) -> None:
    made = await waiting_session(database)
    sessions = Sessions(database, ACCOUNT)
    await sink.session_started(made.id)
    live = await sessions.get(made.id)
    assert (live.state, live.node_id, live.started_at) == (SessionState.LIVE, NODE, clock.now())
    clock.advance(21.5)
    await sink.session_ended(made.id, SUMMARY)
    ended = await sessions.get(made.id)
    assert (ended.state, ended.ended_reason) == (SessionState.ENDED, EndedReason.MAX_TURNS)
    assert (ended.ended_at, ended.duration_seconds) == (clock.now(), 21.5)
    assert (ended.user_turns, ended.agent_turns, ended.interruptions) == (3, 4, 1)
    assert (ended.error_code, ended.metrics) == ("provider_timeout", {"latency_p50_ms": 480.0})


async def test_each_write_may_be_repeated(database: Database, sink: SessionSink) -> None:
    made = await waiting_session(database)
    for _ in range(2):
        await sink.session_started(made.id)
    for _ in range(2):
        await sink.session_ended(made.id, SUMMARY)
    other = SessionSummary(EndedReason.SILENCE, 99.0, 0, 0, 0)
    await sink.session_ended(made.id, other)
    ended = await Sessions(database, ACCOUNT).get(made.id)
    assert (ended.ended_reason, ended.duration_seconds) == (EndedReason.MAX_TURNS, 21.5)


async def test_an_end_that_comes_late_says_when_it_was(
    database: Database, sink: SessionSink, clock: ManualClock
) -> None:
    made = await waiting_session(database)
    began = clock.now()
    clock.advance(4_000)
    await sink.session_started(made.id, began)
    await sink.session_ended(made.id, SUMMARY, began + timedelta(seconds=21.5))
    ended = await Sessions(database, ACCOUNT).get(made.id)
    assert (ended.started_at, ended.ended_at) == (began, began + timedelta(seconds=21.5))


async def test_a_session_taken_for_lost_has_its_own_end_once_it_comes(
    database: Database, sink: SessionSink, clock: ManualClock
) -> None:
    made = await live_session(database)
    ended_at = clock.now()
    clock.advance(60)
    await end_lost_sessions(database, NODE)
    for _ in range(2):
        await sink.session_ended(made.id, SUMMARY, ended_at)
    ended = await Sessions(database, ACCOUNT).get(made.id)
    assert (ended.ended_reason, ended.ended_at) == (EndedReason.MAX_TURNS, ended_at)
    assert (ended.error_code, ended.duration_seconds) == ("provider_timeout", 21.5)
    assert await end_lost_sessions(database, NODE) == 0


async def test_the_figures_follow_a_session_ended_by_other_means(
    database: Database, sink: SessionSink
) -> None:
    live = await live_session(database)
    sessions = Sessions(database, ACCOUNT)
    first = await sessions.end(live.id, EndedReason.CLIENT_ENDED)
    await sink.session_ended(live.id, SUMMARY)
    ended = await sessions.get(live.id)
    assert (ended.ended_reason, ended.ended_at) == (EndedReason.CLIENT_ENDED, first.ended_at)
    assert (ended.duration_seconds, ended.user_turns) == (21.5, 3)


async def test_a_session_that_ran_into_its_expiry_has_expired(
    database: Database, sink: SessionSink
) -> None:
    live = await live_session(database)
    await sink.session_ended(live.id, SessionSummary(EndedReason.EXPIRED, 3600.0, 1, 1, 0))
    assert (await Sessions(database, ACCOUNT).get(live.id)).status is SessionStatus.EXPIRED


async def test_a_session_that_is_over_does_not_start(database: Database, sink: SessionSink) -> None:
    made = await waiting_session(database)
    await Sessions(database, ACCOUNT).end(made.id, EndedReason.CLIENT_ENDED)
    with pytest.raises(Conflict):
        await sink.session_started(made.id)


async def test_nothing_is_written_for_a_session_that_is_not_stored(sink: SessionSink) -> None:
    for attempt in (
        sink.session_started("ses_unknown"),
        sink.turn_finished("ses_unknown", turn()),
        sink.tool_changed("ses_unknown", "resp_1", tool_call()),
        sink.journal_written("ses_unknown", 0, b""),
        sink.session_ended("ses_unknown", SUMMARY),
    ):
        with pytest.raises(NotFound) as refused:
            await attempt
        assert refused.value.code == "session_not_found"
