import asyncio
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from nur_server.calls import states
from nur_server.clock import ManualClock
from nur_server.conversation.events import EndedReason
from nur_server.errors import Conflict, NotFound, RateLimited
from nur_server.store.agents import Agents
from nur_server.store.call_records import (
    CallFields,
    CallRecord,
    CallStatus,
    Direction,
    Usage,
)
from nur_server.store.calls import (
    Calls,
    call_id_of,
    session_id_of,
)
from nur_server.store.engine import Database
from nur_server.store.records import SessionKind, SessionState
from nur_server.store.sessions import Sessions

from .samples import ACCOUNT, NODE, OTHER_ACCOUNT, agent

TO, FROM = "+14155552671", "+14155559999"
OVER = EndedReason.CALLER_HUNG_UP


@pytest.fixture
def calls(database: Database) -> Calls:
    return Calls(database)


def allowed(usage: Usage) -> None:
    """No cap."""


async def make(calls: Calls, account_id: str = ACCOUNT, **fields: Any) -> CallRecord:
    node_id = fields.pop("node_id", None)
    given = {"to_number": TO, "from_number": FROM, "engine": "loopback"}
    return await calls.create(
        account_id, CallFields(**{**given, **fields}), check=allowed, node_id=node_id
    )


async def advance(calls: Calls, call_id: str, to: CallStatus) -> CallRecord | None:
    if to in states.FINAL:
        return await calls.finish(call_id, to, states.sources(to), OVER)
    return await calls.move(call_id, to, states.sources(to))


async def test_a_call_and_its_session(database: Database, calls: Calls, clock: ManualClock) -> None:
    stored = await Agents(database, ACCOUNT).create(agent())
    made = await make(
        calls,
        agent_id=stored.id,
        context={"name": "Ada"},
        metadata={"order": 7},
        recording=True,
        webhook_url="https://example.com/hook",
        initial_message="Hi!",
    )
    assert await calls.get(ACCOUNT, made.id) == made
    assert await calls.get(ACCOUNT, made.session_id) == made
    assert made.status is CallStatus.INITIATING
    assert (made.context, made.metadata) == ({"name": "Ada"}, {"order": 7})
    session = await Sessions(database, ACCOUNT).get(made.session_id)
    assert (session.kind, session.state) == (SessionKind.OUTBOUND, SessionState.CREATED)
    assert (session.agent_id, session.initial_message) == (stored.id, "Hi!")
    with pytest.raises(NotFound):
        await calls.get(OTHER_ACCOUNT, made.id)


def test_call_and_session_ids_lead_to_each_other() -> None:
    assert call_id_of("ses_12") == "call_12"
    assert session_id_of("call_12") == "ses_12"
    assert (call_id_of("call_12"), session_id_of("ses_12")) == ("call_12", "ses_12")
    assert call_id_of("agt_12") == "agt_12"


@pytest.mark.parametrize(
    "order",
    list(
        permutations(
            (
                CallStatus.RINGING,
                CallStatus.IN_PROGRESS,
                CallStatus.COMPLETED,
                CallStatus.NO_ANSWER,
            )
        )
    ),
)
async def test_reports_in_any_order_move_a_call_forward(
    calls: Calls, order: tuple[CallStatus, ...]
) -> None:
    call = await make(calls, node_id=NODE)
    seen = [call.status]
    for report in (*order, *order):
        before = await calls.get(ACCOUNT, call.id)
        moved = await advance(calls, call.id, report)
        after = await calls.get(ACCOUNT, call.id)
        assert after == (moved or before)
        if moved is not None:
            seen.append(moved.status)
    assert len(seen) == len(set(seen))
    assert seen[-1] in states.FINAL
    assert after.ended_reason is OVER


async def test_of_two_who_end_a_call_one_does(calls: Calls) -> None:
    call = await make(calls, node_id=NODE)
    ended = await asyncio.gather(
        *(advance(calls, call.id, CallStatus.CANCELED) for _ in range(5)),
        *(advance(calls, call.id, CallStatus.FAILED) for _ in range(5)),
    )
    assert sum(result is not None for result in ended) == 1


async def test_a_call_is_claimed_once(calls: Calls, clock: ManualClock) -> None:
    call = await make(calls, scheduled_at=clock.now() + timedelta(hours=1))
    claims = await asyncio.gather(
        *(calls.claim(call.id, f"node-{n}", check=allowed) for n in range(6))
    )
    (won,) = [claim for claim in claims if claim is not None]
    assert (won.status, won.claimed_at) == (CallStatus.INITIATING, clock.now())
    assert (await calls.get(ACCOUNT, call.id)).node_id == won.node_id


async def test_a_claimed_session_is_live_on_the_node(database: Database, calls: Calls) -> None:
    call = await make(calls)
    await calls.claim(call.id, NODE, check=allowed)
    sessions = Sessions(database, ACCOUNT)
    session = await sessions.get(call.session_id)
    assert (session.state, session.node_id) == (SessionState.LIVE, NODE)
    assert (await sessions.begin(call.session_id, NODE)).id == call.session_id
    with pytest.raises(Conflict):
        await sessions.begin(call.session_id, "node-b")


async def test_a_claim_that_is_refused_leaves_the_call_as_it_was(
    calls: Calls, clock: ManualClock
) -> None:
    call = await make(calls, scheduled_at=clock.now() + timedelta(hours=1))

    def refuse(usage: Usage) -> None:
        raise RateLimited("too many", retry_after_seconds=1)

    with pytest.raises(RateLimited):
        await calls.claim(call.id, NODE, check=refuse)
    assert await calls.get(ACCOUNT, call.id) == call


async def test_the_end_of_a_call_ends_its_session(
    database: Database, calls: Calls, clock: ManualClock
) -> None:
    call = await make(calls, node_id=NODE)
    await advance(calls, call.id, CallStatus.IN_PROGRESS)
    clock.advance(90)
    ended = await calls.finish(
        call.id,
        CallStatus.FAILED,
        states.sources(CallStatus.FAILED),
        EndedReason.CARRIER_ERROR,
        error_code="carrier_error",
        error_message="the trunk is down",
    )
    assert ended is not None
    assert ended.duration_seconds(clock.now()) == 90
    assert (ended.error_code, ended.error_message) == ("carrier_error", "the trunk is down")
    session = await Sessions(database, ACCOUNT).get(call.session_id)
    assert (session.state, session.ended_reason) == (
        SessionState.ENDED,
        EndedReason.CARRIER_ERROR,
    )
    assert session.started_at == ended.answered_at


async def test_a_session_that_has_ended_keeps_its_reason(database: Database, calls: Calls) -> None:
    call = await make(calls, node_id=NODE)
    sessions = Sessions(database, ACCOUNT)
    await sessions.end(call.session_id, EndedReason.MAX_TURNS)
    await advance(calls, call.id, CallStatus.FAILED)
    assert (await sessions.get(call.session_id)).ended_reason is EndedReason.MAX_TURNS


async def test_a_scheduled_call_is_moved_until_it_is_claimed(
    database: Database, calls: Calls, clock: ManualClock
) -> None:
    soon = clock.now() + timedelta(hours=1)
    call = await make(calls, scheduled_at=soon)
    later = soon + timedelta(days=30)
    moved = await calls.reschedule(ACCOUNT, call.session_id, later)
    assert moved is not None
    assert moved.scheduled_at == later
    assert (await Sessions(database, ACCOUNT).get(call.session_id)).expires_at > later
    assert await calls.reschedule(OTHER_ACCOUNT, call.id, soon) is None
    await calls.claim(call.id, NODE, check=allowed)
    assert await calls.reschedule(ACCOUNT, call.id, soon) is None


async def test_what_an_account_uses_up(calls: Calls, clock: ManualClock) -> None:
    clock.advance(12 * 3600)
    running = await make(calls, node_id=NODE)
    await advance(calls, running.id, CallStatus.IN_PROGRESS)
    over = await make(calls, node_id=NODE)
    await advance(calls, over.id, CallStatus.IN_PROGRESS)
    await make(calls, OTHER_ACCOUNT, node_id=NODE)
    await make(calls, scheduled_at=clock.now() + timedelta(hours=1))
    await make(calls, node_id=NODE, direction=Direction.INBOUND)
    assert await calls.usage(ACCOUNT) == Usage(2, 2, 2)
    clock.advance(61)
    await advance(calls, over.id, CallStatus.COMPLETED)
    assert await calls.usage(ACCOUNT) == Usage(1, 0, 4)
    await advance(calls, running.id, CallStatus.COMPLETED)
    clock.advance(12 * 3600)
    assert await calls.usage(ACCOUNT) == Usage(0, 0, 0)


async def test_the_check_sees_what_is_used_up(calls: Calls) -> None:
    await make(calls, node_id=NODE)
    seen: list[Usage] = []
    fields = CallFields(to_number=TO, from_number=FROM, engine="loopback")
    await calls.create(ACCOUNT, fields, check=seen.append)
    assert seen == [Usage(1, 1, 0)]


async def test_calls_are_listed(database: Database, calls: Calls, clock: ManualClock) -> None:
    stored = await Agents(database, ACCOUNT).create(agent())
    made = []
    for number in range(5):
        clock.advance(1)
        made.append(await make(calls, agent_id=stored.id if number % 2 else None))
    await advance(calls, made[0].id, CallStatus.FAILED)
    assert [c.id for c in (await calls.list(ACCOUNT, agent_id=stored.id)).items] == [
        made[3].id,
        made[1].id,
    ]
    assert (await calls.list(ACCOUNT, status=CallStatus.FAILED)).total == 1
    assert (await calls.list(ACCOUNT, direction=Direction.INBOUND)).total == 0
    between = await calls.list(
        ACCOUNT, created_after=made[1].created_at, created_before=made[4].created_at
    )
    assert [c.id for c in between.items] == [made[3].id, made[2].id]
    first = await calls.list(ACCOUNT, limit=3)
    rest = await calls.list(ACCOUNT, limit=3, cursor=first.next_cursor)
    assert [c.id for c in (*first.items, *rest.items)] == [c.id for c in reversed(made)]
    assert (await calls.list(OTHER_ACCOUNT)).total == 0


async def test_a_carrier_s_call_is_known_once(calls: Calls) -> None:
    call = await make(calls, carrier_call_id="CA1")
    assert await calls.find_at_carrier("loopback", "CA1") == call
    assert await calls.find_at_carrier("twilio", "CA1") is None
    with pytest.raises(Conflict) as refused:
        await make(calls, carrier_call_id="CA1")
    assert refused.value.code == "call_known"
    other = await make(calls)
    await calls.note_carrier(other.id, "CA2")
    assert await calls.find_at_carrier("loopback", "CA2") is not None


async def test_calls_that_wait_and_calls_that_are_over(calls: Calls, clock: ManualClock) -> None:
    waiting, claimed = await make(calls), await make(calls, node_id=NODE)
    assert await calls.unclaimed(clock.now()) == ()
    assert await calls.unclaimed(clock.now() + timedelta(seconds=1)) == (waiting.id,)
    assert [c.id for c in await calls.left_by(NODE)] == [claimed.id]
    await advance(calls, claimed.id, CallStatus.FAILED)
    assert await calls.left_by(NODE) == ()
    assert await calls.over_among((waiting.id, claimed.id)) == (claimed.id,)
    assert await calls.over_among(()) == ()


async def test_every_new_status_is_reported_once_it_is_stored(database: Database) -> None:
    reported: list[str] = []
    calls = Calls(database, lambda call: reported.append(call.status.value))
    call = await make(calls, node_id=NODE)
    await advance(calls, call.id, CallStatus.IN_PROGRESS)
    await advance(calls, call.id, CallStatus.RINGING)
    await advance(calls, call.id, CallStatus.COMPLETED)
    await advance(calls, call.id, CallStatus.COMPLETED)
    assert reported == ["initiating", "in_progress", "completed"]


async def test_a_status_whose_event_cannot_be_recorded_is_not_stored(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: object, **_named: object) -> None:
        raise RuntimeError("the event cannot be recorded")

    reported: list[str] = []
    calls = Calls(database, lambda call: reported.append(call.status.value))
    call = await make(calls, node_id=NODE)
    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr("nur_server.store.announcing.record_event", fail)
        await advance(calls, call.id, CallStatus.RINGING)
    assert (await calls.get(ACCOUNT, call.id)).status is CallStatus.INITIATING
    await advance(calls, call.id, CallStatus.RINGING)
    assert reported == ["initiating", "ringing"]
