from datetime import timedelta

import pytest

from nur_server.calls import states
from nur_server.clock import ManualClock
from nur_server.conversation.events import EndedReason
from nur_server.errors import NotFound
from nur_server.store.call_records import (
    CallFields,
    CallStatus,
)
from nur_server.store.calls import (
    Calls,
)
from nur_server.store.engine import Database
from nur_server.store.records import SessionKind
from nur_server.store.sessions import Sessions
from nur_server.store.voice import VoiceSessions

from .samples import ACCOUNT, NODE, OTHER_ACCOUNT, live_session, waiting_session


@pytest.fixture
def voice(database: Database) -> VoiceSessions:
    return VoiceSessions(database, ACCOUNT)


async def sessions_of_every_status(database: Database, clock: ManualClock) -> dict[str, str]:
    """Ids by what they are; all without a call."""
    sessions = Sessions(database, ACCOUNT)
    made = {"late": (await waiting_session(database)).id}
    clock.advance(2 * 3600)
    made["waiting"] = (await waiting_session(database)).id
    made["live"] = (await live_session(database)).id
    for name, reason in (("over", EndedReason.CLIENT_ENDED), ("broke", EndedReason.INTERNAL_ERROR)):
        made[name] = (await live_session(database)).id
        await sessions.end(made[name], reason)
    made["never"] = (await waiting_session(database)).id
    await sessions.end(made["never"], EndedReason.CLIENT_ENDED)
    return made


async def test_sessions_in_the_words_of_calls(
    database: Database, voice: VoiceSessions, clock: ManualClock
) -> None:
    made = await sessions_of_every_status(database, clock)
    expected = {
        "late": CallStatus.FAILED,
        "waiting": CallStatus.INITIATING,
        "live": CallStatus.IN_PROGRESS,
        "over": CallStatus.COMPLETED,
        "broke": CallStatus.FAILED,
        "never": CallStatus.CANCELED,
    }
    for name, status in expected.items():
        assert (await voice.get(made[name])).status is status
    for status in CallStatus:
        found = {record.session_id for record in (await voice.list(status=status)).items}
        assert found == {made[name] for name, said in expected.items() if said is status}


async def test_calls_speak_for_themselves(
    database: Database, voice: VoiceSessions, clock: ManualClock
) -> None:
    calls = Calls(database)
    fields = CallFields(to_number="+14155552671", from_number="+14155559999", engine="loopback")
    call = await calls.create(ACCOUNT, fields, check=lambda usage: None, node_id=NODE)
    await calls.move(call.id, CallStatus.RINGING, states.sources(CallStatus.RINGING))
    for id in (call.id, call.session_id):
        record = await voice.get(id)
        assert (record.status, record.kind) == (CallStatus.RINGING, SessionKind.OUTBOUND)
        assert record.call is not None
        assert (record.started_at, record.duration_seconds(clock.now())) == (None, 0)
    assert (await voice.list(status=CallStatus.RINGING)).total == 1
    assert (await voice.list(status=CallStatus.IN_PROGRESS)).total == 0
    with pytest.raises(NotFound):
        await VoiceSessions(database, OTHER_ACCOUNT).get(call.id)


async def test_filters_and_pages(
    database: Database, voice: VoiceSessions, clock: ManualClock
) -> None:
    made = []
    for _ in range(4):
        made.append((await live_session(database)).id)
        clock.advance(60)
    start = clock.now() - timedelta(seconds=180)
    found = await voice.list(start=start, end=start + timedelta(seconds=60))
    assert [record.session_id for record in found.items] == [made[2], made[1]]
    first = await voice.list(limit=3)
    rest = await voice.list(limit=3, cursor=first.next_cursor)
    assert [r.session_id for r in (*first.items, *rest.items)] == list(reversed(made))
    assert [r.session_id for r in (await voice.list(offset=3)).items] == [made[0]]
    assert (await voice.list(agent_id="agt_none")).total == 0
