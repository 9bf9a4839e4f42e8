"""Whole calls, from the order to the record of their end."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nur_server.calls.policy import CallPolicy
from nur_server.calls.service import LOST, Incoming, Refusal
from nur_server.clock import SystemClock
from nur_server.conversation.events import EndedReason
from nur_server.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    ProviderRejected,
    ProviderUnreachable,
    RateLimited,
    Unavailable,
)
from nur_server.ports import CallObserver, DialRequest, HangupCause
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.scripted import Call, ScriptedLanguageModel
from nur_server.store.agents import Agents
from nur_server.store.call_records import (
    CallFields,
    CallStatus,
    Direction,
)
from nur_server.store.numbers import CallerIds, PhoneNumbers
from nur_server.store.records import AgentStatus
from nur_server.store.sessions import Sessions
from nur_server.transports.loopback import NAME as LOOPBACK
from nur_server.transports.loopback import (
    Answer,
    HangUp,
    HearOut,
    Pause,
    Press,
    Refuse,
    Ring,
    Script,
    Vanish,
)
from tests.calls.exchange import ACCOUNT, GENEROUS, NODE, SOMEBODY, Exchange, exchange, voice

STAYS: Script = (Ring(0.05), Answer(), Pause(30))
RINGS: Script = (Ring(30),)


async def test_a_whole_call(tmp_path: Path) -> None:
    async with exchange(tmp_path, first_message="Hello {{name}}!") as here:
        accepted = await here.dial(context={"name": "Ada"})
        assert accepted.status is CallStatus.INITIATING
        call = await here.over(accepted.id)
        assert (call.status, call.ended_reason) == (
            CallStatus.COMPLETED,
            EndedReason.CALLER_HUNG_UP,
        )
        assert here.statuses(call.id) == ["initiating", "ringing", "in_progress", "completed"]
        assert await here.said(call) == [
            ("agent", "Hello Ada!"),
            ("user", "Hello."),
            ("agent", "Hello."),
        ]
        assert call.error_code is None
        assert call.created_at < call.ringing_at < call.answered_at < call.ended_at  # type: ignore[operator]
        session = await Sessions(here.database, ACCOUNT).get(call.session_id)
        assert session.ended_reason is EndedReason.CALLER_HUNG_UP
        assert session.started_at == call.answered_at
        assert not len(here.live)


async def test_nothing_is_left_of_a_call(tmp_path: Path) -> None:
    async with exchange(tmp_path, first_message="Hi.") as here:
        before = asyncio.all_tasks()
        call = await here.dial()
        await here.over(call.id)
        await asyncio.sleep(0.1)
        left = {task.get_name() for task in asyncio.all_tasks() - before}
        assert left == {"pacer"}, "the clock of all sessions goes on"


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        ((Ring(0.05), Refuse(HangupCause.BUSY)), CallStatus.FAILED, EndedReason.BUSY),
        ((Refuse(HangupCause.REJECTED),), CallStatus.FAILED, EndedReason.REJECTED),
        ((Refuse(HangupCause.INVALID_NUMBER),), CallStatus.FAILED, EndedReason.INVALID_NUMBER),
        (
            (Ring(0.05), Refuse(HangupCause.NO_ANSWER)),
            CallStatus.NO_ANSWER,
            EndedReason.NO_ANSWER,
        ),
        (RINGS, CallStatus.NO_ANSWER, EndedReason.NO_ANSWER),
        ((Ring(0.05), HangUp()), CallStatus.FAILED, EndedReason.NO_MEDIA),
        ((Answer(), Vanish()), CallStatus.FAILED, EndedReason.NO_MEDIA),
        ((Answer(), Pause(0.2), Vanish()), CallStatus.FAILED, EndedReason.CARRIER_ERROR),
        ((Answer(), HearOut(0.1), HangUp()), CallStatus.COMPLETED, EndedReason.CALLER_HUNG_UP),
    ],
)
async def test_how_a_call_ends(
    tmp_path: Path, script: Script, status: CallStatus, reason: EndedReason
) -> None:
    async with exchange(tmp_path, script, first_message="Hi.") as here:
        accepted = await here.dial(ring_seconds=1)
        call = await here.over(accepted.id)
        assert (call.status, call.ended_reason) == (status, reason)
        session = await Sessions(here.database, ACCOUNT).get(call.session_id)
        assert session.ended_reason is reason
        assert call.error_code == (reason.value if status is CallStatus.FAILED else None)


async def test_nothing_is_spoken_before_the_answer(tmp_path: Path) -> None:
    script = (Ring(0.4), Refuse(HangupCause.BUSY))
    async with exchange(tmp_path, script, first_message="Hi.") as here:
        call = await here.over((await here.dial()).id)
        assert await here.said(call) == []
        assert here.calls[0].agent_frames == 0


async def test_an_interruption_in_the_middle_of_the_greeting(tmp_path: Path) -> None:
    script = (Answer(), Pause(0.5), voice(0.6), Pause(0.5), HangUp())
    long = "Good morning, this is a long story about shoes and boots and sandals and socks."
    async with exchange(tmp_path, script, first_message=long, interruption_threshold=0.0) as here:
        call = await here.over((await here.dial()).id)
        speaker, heard = (await here.said(call))[0]
        assert speaker == "agent"
        assert long.startswith(heard.rstrip("…")[:5]) and len(heard) < len(long)


# Ended by us


async def test_a_ringing_call_is_canceled(tmp_path: Path) -> None:
    async with exchange(tmp_path, RINGS) as here:
        call = await here.dial()
        await here.reached(call.id, "ringing")
        ended = await here.service.end(ACCOUNT, call.id)
        assert (ended.status, ended.ended_reason) == (CallStatus.CANCELED, EndedReason.CANCELED)
        assert here.statuses(call.id) == ["initiating", "ringing", "canceled"]


async def test_a_conversation_is_ended(tmp_path: Path) -> None:
    async with exchange(tmp_path, STAYS) as here:
        call = await here.dial()
        await here.reached(call.id, "in_progress")
        ended = await here.service.end(ACCOUNT, call.session_id)
        assert (ended.status, ended.ended_reason) == (
            CallStatus.COMPLETED,
            EndedReason.CLIENT_ENDED,
        )
        assert await here.service.end(ACCOUNT, call.id) == ended, "once more changes nothing"


async def test_the_longest_a_call_may_be_ends_with_a_goodbye(tmp_path: Path) -> None:
    async with exchange(tmp_path, STAYS, settings={"goodbye": "Bye."}) as here:
        call = await here.over((await here.dial(max_duration_seconds=1)).id)
        assert (call.status, call.ended_reason) == (
            CallStatus.COMPLETED,
            EndedReason.MAX_DURATION,
        )
        assert ("agent", "Bye.") in await here.said(call)


async def test_the_agent_hangs_up_after_its_last_word(tmp_path: Path) -> None:
    llm = ScriptedLanguageModel([[Call("end_call", {})], "Goodbye then."])
    script = (Answer(), voice(), Pause(30))
    catalogue = Catalogue.scripted(llm=llm)
    async with exchange(
        tmp_path, script, catalogue=catalogue, tools=({"type": "end_call"},)
    ) as here:
        call = await here.over((await here.dial()).id)
        assert (call.status, call.ended_reason) == (CallStatus.COMPLETED, EndedReason.AGENT_ENDED)


async def test_an_end_asked_of_another_node(tmp_path: Path) -> None:
    """Another node stores the end; this one finds it in its next look."""
    async with exchange(tmp_path, STAYS) as here:
        call = await here.dial()
        await here.reached(call.id, "in_progress")
        await here.service.calls.finish(
            call.id,
            CallStatus.COMPLETED,
            (CallStatus.IN_PROGRESS,),
            EndedReason.CLIENT_ENDED,
        )
        stopping = asyncio.Event()
        running = asyncio.create_task(here.service.run(stopping))
        ended = await here.over(call.id)
        assert ended.ended_reason is EndedReason.CLIENT_ENDED
        assert not len(here.live)
        stopping.set()
        await running


async def test_a_server_that_stops_ends_its_calls(tmp_path: Path) -> None:
    async with exchange(tmp_path, lambda r: STAYS if r.ring_seconds < 40 else RINGS) as here:
        talking, ringing = await here.dial(ring_seconds=30), await here.dial(ring_seconds=60)
        await here.reached(talking.id, "in_progress")
        await here.reached(ringing.id, "ringing")
        await here.service.drain(0.1)
        for call in (talking, ringing):
            ended = await here.read(call.id)
            assert (ended.status, ended.ended_reason) == (
                CallStatus.FAILED,
                EndedReason.SERVER_SHUTDOWN,
            )
        with pytest.raises(Unavailable):
            await here.dial()


# Placed once


async def test_a_call_is_placed_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    async with exchange(tmp_path, RINGS) as here:
        soon = datetime.now(UTC) + timedelta(hours=1)
        call = await here.dial(scheduled_at=soon)
        placed = await asyncio.gather(*(here.service.place(call.id) for _ in range(10)))
        assert sorted(placed) == [False] * 9 + [True]
        await here.reached(call.id, "ringing")
        assert len(here.calls) == 1
        assert await here.service.place(call.id) is False


async def test_a_scheduled_call_waits_can_be_moved_and_is_placed(tmp_path: Path) -> None:
    async with exchange(tmp_path, RINGS) as here:
        soon = datetime.now(UTC) + timedelta(hours=1)
        call = await here.dial(scheduled_at=soon)
        assert call.status is CallStatus.SCHEDULED
        assert not here.calls
        moved = await here.service.reschedule(ACCOUNT, call.id, soon + timedelta(hours=1))
        assert moved.scheduled_at == soon + timedelta(hours=1)
        assert await here.service.place(call.id)
        await here.reached(call.id, "ringing")
        with pytest.raises(Conflict) as refused:
            await here.service.reschedule(ACCOUNT, call.id, soon + timedelta(hours=2))
        assert refused.value.code == "call_not_scheduled"
        assert here.statuses(call.id) == ["scheduled", "scheduled", "initiating", "ringing"]


async def test_a_scheduled_call_is_canceled_for_good(tmp_path: Path) -> None:
    async with exchange(tmp_path) as here:
        call = await here.dial(scheduled_at=datetime.now(UTC) + timedelta(hours=1))
        ended = await here.service.end(ACCOUNT, call.id)
        assert (ended.status, ended.ended_reason) == (CallStatus.CANCELED, EndedReason.CANCELED)
        assert await here.service.place(call.id) is False
        assert not here.calls


async def test_a_scheduled_call_found_too_late(tmp_path: Path) -> None:
    async with exchange(tmp_path) as here:
        call = await here.dial(scheduled_at=datetime.now(UTC) + timedelta(hours=1))
        assert await here.service.miss(call.id)
        missed = await here.read(call.id)
        assert (missed.status, missed.ended_reason) == (
            CallStatus.FAILED,
            EndedReason.SCHEDULE_MISSED,
        )
        assert await here.service.miss(call.id) is False


@pytest.mark.parametrize(
    ("change", "status", "reason", "code"),
    [
        ("pause", CallStatus.CANCELED, EndedReason.CANCELED, None),
        ("delete", CallStatus.FAILED, EndedReason.AGENT_DELETED, "not_found"),
    ],
)
async def test_a_scheduled_call_whose_agent_is_gone(
    tmp_path: Path, change: str, status: CallStatus, reason: EndedReason, code: str | None
) -> None:
    async with exchange(tmp_path) as here:
        call = await here.dial(scheduled_at=datetime.now(UTC) + timedelta(hours=1))
        agents = Agents(here.database, ACCOUNT)
        if change == "pause":
            await agents.update(here.agent.id, {"status": AgentStatus.PAUSED})
        else:
            await agents.delete(here.agent.id)
        await here.service.place(call.id)
        ended = await here.over(call.id)
        assert (ended.status, ended.ended_reason) == (status, reason)
        assert ended.error_code == (code or "agent_paused")
        assert not here.calls


async def test_a_scheduled_call_whose_caller_id_was_given_up(tmp_path: Path) -> None:
    ours = "+14155552671"
    async with exchange(tmp_path, (Ring(0.05), Answer(), HangUp())) as here:
        own = CallerIds(here.database, ACCOUNT)
        await own.expect_code(ours, "hash", LOOPBACK)
        assert await own.verify(ours, "hash")
        at = datetime.now(UTC) + timedelta(hours=1)
        kept, given_up = [await here.dial(scheduled_at=at, from_number=ours) for _ in range(2)]
        await here.service.place(kept.id)
        assert (await here.over(kept.id)).status is CallStatus.COMPLETED
        await own.delete(ours)
        await here.service.place(given_up.id)
        ended = await here.over(given_up.id)
        assert (ended.status, ended.ended_reason) == (CallStatus.CANCELED, EndedReason.CANCELED)
        assert ended.error_code == "caller_id_not_verified"
        assert len(here.calls) == 1


async def test_a_scheduled_call_to_where_calls_may_go_no_more(tmp_path: Path) -> None:
    premium = "+19005551234"
    opened = replace(GENEROUS, allows_premium=True)
    async with exchange(tmp_path, policy=opened) as here:
        at = datetime.now(UTC) + timedelta(hours=1)
        call = await here.dial(scheduled_at=at, to_number=premium)
        here.service.policy = GENEROUS
        await here.service.place(call.id)
        ended = await here.over(call.id)
        assert (ended.status, ended.error_code) == (CallStatus.CANCELED, "destination_blocked")
        assert not here.calls


async def test_a_call_goes_on_when_its_agent_is_deleted(tmp_path: Path) -> None:
    script = (Ring(0.3), Answer(), HearOut(0.2), voice(), HearOut(0.2), HangUp())
    async with exchange(tmp_path, script, first_message="Hi.") as here:
        call = await here.dial()
        await here.reached(call.id, "ringing")
        await Agents(here.database, ACCOUNT).delete(here.agent.id)
        ended = await here.over(call.id)
        assert ended.status is CallStatus.COMPLETED
        assert len(await here.said(ended)) == 3


# When things break


class Unreachable:
    """A carrier that does not take orders."""

    name = "unreachable"

    async def dial(self, request: DialRequest, observer: CallObserver) -> str:
        raise ProviderUnreachable("no route to the carrier", provider=self.name)

    async def hang_up(self, carrier_call_id: str) -> None:
        raise AssertionError("there is no call to hang up")


class Silent(Unreachable):
    """A carrier that never answers an order."""

    name = "silent"

    async def dial(self, request: DialRequest, observer: CallObserver) -> str:
        await asyncio.Event().wait()
        raise AssertionError


class Choosy(Unreachable):
    """A carrier that knows of no such number."""

    name = "choosy"

    async def dial(self, request: DialRequest, observer: CallObserver) -> str:
        raise ProviderRejected("no such number", provider=self.name, code="invalid_number")


class Confused(Unreachable):
    """A carrier that reports everything twice, backwards, and before the order is taken."""

    name = "confused"

    def __init__(self) -> None:
        self.hung_up: list[str] = []

    async def dial(self, request: DialRequest, observer: CallObserver) -> str:
        for _ in range(2):
            observer.ended(HangupCause.BUSY, "486")
            observer.ringing()
        return "c-1"

    async def hang_up(self, carrier_call_id: str) -> None:
        self.hung_up.append(carrier_call_id)


class Swift(Confused):
    """A carrier whose callee has been rung, and was busy, before the order is answered."""

    name = "swift"

    async def dial(self, request: DialRequest, observer: CallObserver) -> str:
        observer.ringing()
        observer.ended(HangupCause.BUSY, "486")
        return "c-1"


TRUSTED = CallPolicy(trusted_caller_ids=frozenset({"+14155559999"}))
REAL = "+14155552671"


@pytest.mark.parametrize(
    ("carrier", "reason", "code"),
    [
        (Unreachable(), EndedReason.CARRIER_ERROR, "provider_unreachable"),
        (Silent(), EndedReason.CARRIER_ERROR, "carrier_timeout"),
        (Choosy(), EndedReason.INVALID_NUMBER, "invalid_number"),
    ],
)
async def test_a_carrier_that_takes_no_order(
    tmp_path: Path, carrier: Unreachable, reason: EndedReason, code: str
) -> None:
    async with exchange(tmp_path, engine=carrier, policy=TRUSTED) as here:
        call = await here.over((await here.dial(to_number=REAL)).id)
        assert (call.status, call.ended_reason) == (CallStatus.FAILED, reason)
        assert call.error_code == code
        assert call.error_message


async def test_reports_in_any_order(tmp_path: Path) -> None:
    carrier = Confused()
    async with exchange(tmp_path, engine=carrier, policy=TRUSTED) as here:
        call = await here.over((await here.dial(to_number=REAL)).id)
        assert (call.status, call.ended_reason) == (CallStatus.FAILED, EndedReason.BUSY)
        assert (call.error_message, call.carrier_call_id) == ("486", "c-1")
        assert here.statuses(call.id) == ["initiating", "failed"]
        assert carrier.hung_up == [], "the carrier has ended it already"


async def test_reports_that_come_before_the_order_is_answered(tmp_path: Path) -> None:
    async with exchange(tmp_path, engine=Swift(), policy=TRUSTED) as here:
        call = await here.over((await here.dial(to_number=REAL)).id)
        assert here.statuses(call.id) == ["initiating", "ringing", "failed"]


async def test_calls_left_by_a_server_that_died(tmp_path: Path) -> None:
    async with exchange(tmp_path) as here:
        fields = CallFields(
            to_number=SOMEBODY, from_number=SOMEBODY, engine="loopback", agent_id=here.agent.id
        )
        calls = here.service.calls
        left = await calls.create(ACCOUNT, fields, check=lambda usage: None, node_id=NODE)
        other = await calls.create(ACCOUNT, fields, check=lambda usage: None, node_id="node-b")
        assert await here.service.recover() == 1
        ended = await here.read(left.id)
        assert (ended.status, ended.ended_reason, ended.error_code) == (
            CallStatus.FAILED,
            EndedReason.INTERNAL_ERROR,
            LOST,
        )
        assert not (await here.read(other.id)).is_over
        assert not here.calls, "nobody knows how far it had got: it is not placed again"


async def test_a_call_accepted_by_a_server_that_died_before_placing_it(tmp_path: Path) -> None:
    clock = Ahead()
    async with exchange(tmp_path, RINGS, clock=clock) as here:
        fields = CallFields(
            to_number=SOMEBODY, from_number=SOMEBODY, engine="loopback", agent_id=here.agent.id
        )
        calls = here.service.calls
        old = await calls.create(ACCOUNT, fields, check=lambda usage: None)
        clock.by = timedelta(seconds=90)
        young = await calls.create(ACCOUNT, fields, check=lambda usage: None)
        clock.by += timedelta(seconds=10)
        stopping = asyncio.Event()
        running = asyncio.create_task(here.service.run(stopping))
        await here.reached(young.id, "ringing")
        missed = await here.reached(old.id, "failed")
        assert missed.ended_reason is EndedReason.SCHEDULE_MISSED
        stopping.set()
        await running


class Ahead(SystemClock):
    """The machine's clock, and then some."""

    by = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.by


# What may be called


@pytest.mark.parametrize(
    ("fields", "error", "code"),
    [
        ({"to_number": "+19005551234"}, Forbidden, "destination_blocked"),
        ({"to_number": "+5355555555"}, Forbidden, "destination_blocked"),
        ({"to_number": "+1415"}, InvalidRequest, "invalid_phone_number"),
        ({"from_number": "+14155559999"}, InvalidRequest, "caller_id_not_verified"),
        ({"from_number": "nobody"}, InvalidRequest, "invalid_phone_number"),
        ({"agent_id": "agt_none"}, NotFound, "agent_not_found"),
        (
            {"scheduled_at": datetime(2020, 1, 1, tzinfo=UTC)},
            InvalidRequest,
            "schedule_in_past",
        ),
    ],
)
async def test_calls_that_are_not_accepted(
    tmp_path: Path, fields: dict[str, object], error: type[Exception], code: str
) -> None:
    async with exchange(tmp_path) as here:
        with pytest.raises(error) as refused:
            await here.dial(**fields)
        assert getattr(refused.value, "code", None) == code
        assert (await here.service.calls.list(ACCOUNT)).total == 0
        assert not here.calls


async def test_a_paused_agent_makes_no_calls(tmp_path: Path) -> None:
    async with exchange(tmp_path, status=AgentStatus.PAUSED) as here:
        with pytest.raises(Conflict) as refused:
            await here.dial()
        assert refused.value.code == "agent_paused"


async def test_as_many_calls_at_a_time_as_the_account_may_have(tmp_path: Path) -> None:
    policy = CallPolicy(concurrent_calls=2)
    async with exchange(tmp_path, RINGS, policy=policy) as here:
        first, _ = await here.dial(), await here.dial()
        with pytest.raises(RateLimited) as refused:
            await here.dial()
        assert refused.value.code == "too_many_calls"
        await here.service.end(ACCOUNT, first.id)
        await here.dial()


async def test_a_burst_of_calls_is_cut_off_at_the_cap(tmp_path: Path) -> None:
    policy = CallPolicy(calls_per_second=3)
    async with exchange(tmp_path, RINGS, policy=policy) as here:
        results = await asyncio.gather(*(here.dial() for _ in range(8)), return_exceptions=True)
        assert sum(isinstance(result, RateLimited) for result in results) == 5
        assert (await here.service.calls.list(ACCOUNT)).total == 3


async def test_scheduled_calls_count_when_they_are_placed(tmp_path: Path) -> None:
    policy = CallPolicy(concurrent_calls=1)
    async with exchange(tmp_path, RINGS, policy=policy) as here:
        soon = datetime.now(UTC) + timedelta(hours=1)
        first, second = await here.dial(scheduled_at=soon), await here.dial(scheduled_at=soon)
        assert await here.service.place(first.id)
        with pytest.raises(RateLimited):
            await here.service.place(second.id)
        assert (await here.read(second.id)).status is CallStatus.SCHEDULED


async def test_minutes_begun_count_for_the_day(tmp_path: Path) -> None:
    script = (Answer(), Pause(0.1), HangUp())
    policy = CallPolicy(minutes_per_day=2)
    async with exchange(tmp_path, script, policy=policy) as here:
        for _ in range(2):
            await here.over((await here.dial()).id)
        with pytest.raises(RateLimited) as refused:
            await here.dial()
        assert refused.value.code == "call_minutes_used_up"
        assert (await here.service.calls.usage(ACCOUNT)).minutes_today == 2


async def test_no_more_lines_than_there_are(tmp_path: Path) -> None:
    async with exchange(tmp_path, RINGS, max_calls=1) as here:
        await here.dial()
        with pytest.raises(Unavailable) as refused:
            await here.dial()
        assert refused.value.code == "at_capacity"


# On the call


async def test_a_transfer_to_a_closed_destination_is_refused(tmp_path: Path) -> None:
    llm = ScriptedLanguageModel(
        [[Call("transfer_call", {"to_number": "+19005551234"})], "That did not work."]
    )
    script = (Answer(), voice(), HearOut(0.3), HangUp())
    async with exchange(
        tmp_path, script, catalogue=Catalogue.scripted(llm=llm), tools=({"type": "transfer_call"},)
    ) as here:
        call = await here.over((await here.dial()).id)
        assert ("agent", "That did not work.") in await here.said(call)
        assert here.calls[0].transferred_to is None


async def test_a_transferred_call_is_not_hung_up(tmp_path: Path) -> None:
    llm = ScriptedLanguageModel([[Call("transfer_call", {"to_number": REAL})], "One moment."])
    script = (Answer(), voice(), Pause(30))
    async with exchange(
        tmp_path, script, catalogue=Catalogue.scripted(llm=llm), tools=({"type": "transfer_call"},)
    ) as here:
        call = await here.over((await here.dial()).id)
        assert (call.status, call.ended_reason) == (CallStatus.COMPLETED, EndedReason.TRANSFERRED)
        assert here.calls[0].transferred_to == REAL


async def test_a_tool_that_only_a_client_could_run_is_answered_at_once(tmp_path: Path) -> None:
    llm = ScriptedLanguageModel([[Call("lookup", {})], "I cannot look that up."])
    script = (Answer(), voice(), HearOut(0.3), HangUp())
    tool = {"name": "lookup", "description": "Look up", "parameters": {}}
    async with exchange(
        tmp_path, script, catalogue=Catalogue.scripted(llm=llm), tools=(tool,)
    ) as here:
        call = await here.over((await here.dial()).id)
        assert ("agent", "I cannot look that up.") in await here.said(call)


async def test_keys_the_caller_presses_reach_the_agent(tmp_path: Path) -> None:
    llm = ScriptedLanguageModel(["You pressed four and two."])
    script = (Answer(), Pause(0.3), Press("42"), HearOut(0.3), HangUp())
    async with exchange(tmp_path, script, catalogue=Catalogue.scripted(llm=llm)) as here:
        await here.over((await here.dial()).id)
        assert "42" in llm.requests[0].messages[-1].content.replace(" ", "")


# Calls that come in


async def ring(here: Exchange, carrier_call_id: str, to_number: str) -> Incoming | Refusal:
    return await here.service.receive(
        "loopback", carrier_call_id, to_number=to_number, from_number="+14155550123"
    )


async def test_a_call_comes_in(tmp_path: Path) -> None:
    async with exchange(tmp_path, first_message="Hi.", phone_numbers=(REAL,)) as here:
        incoming = await ring(here, "c-1", REAL)
        assert isinstance(incoming, Incoming)
        engine = here.service.outbound.engine
        engine.call_in("c-1", incoming.progress, (HearOut(0.2), voice(), HearOut(0.2), HangUp()))  # type: ignore[attr-defined]
        call = await here.over(incoming.call.id)
        assert (call.direction, call.status) == (Direction.INBOUND, CallStatus.COMPLETED)
        assert call.agent_id == here.agent.id
        assert [speaker for speaker, _ in await here.said(call)] == ["agent", "user", "agent"]


async def test_hearing_of_the_same_call_again_changes_nothing(tmp_path: Path) -> None:
    async with exchange(tmp_path, phone_numbers=(REAL,)) as here:
        first, again = await ring(here, "c-1", REAL), await ring(here, "c-1", REAL)
        assert isinstance(first, Incoming) and isinstance(again, Incoming)
        assert again.progress is first.progress
        ended = await here.over(first.call.id)
        assert (ended.status, ended.ended_reason) == (CallStatus.FAILED, EndedReason.NO_MEDIA)
        late = await ring(here, "c-1", REAL)
        assert isinstance(late, Refusal)
        assert late.call_id == first.call.id


async def test_a_caller_who_gives_up_before_the_answer(tmp_path: Path) -> None:
    async with exchange(tmp_path, phone_numbers=(REAL,)) as here:
        incoming = await ring(here, "c-1", REAL)
        assert isinstance(incoming, Incoming)
        incoming.progress.ended(HangupCause.CANCELED)
        call = await here.over(incoming.call.id)
        assert call.status is CallStatus.CANCELED


@pytest.mark.parametrize("problem", ["unknown_number", "number_without_agent", "agent_paused"])
async def test_a_call_that_is_not_taken_is_on_record(tmp_path: Path, problem: str) -> None:
    async with exchange(tmp_path, phone_numbers=(REAL,)) as here:
        if problem == "agent_paused":
            agents = Agents(here.database, ACCOUNT)
            await agents.update(here.agent.id, {"status": AgentStatus.PAUSED})
        elif problem == "number_without_agent":
            numbers = PhoneNumbers(here.database, ACCOUNT)
            await numbers.create(REAL)
            await numbers.assign(REAL, None)
        number = "+442079460958" if problem == "unknown_number" else REAL
        refusal = await ring(here, "c-1", number)
        assert isinstance(refusal, Refusal)
        assert refusal.reason == problem
        assert refusal.call_id is not None
        call = await here.read(refusal.call_id)
        assert (call.status, call.ended_reason, call.error_code) == (
            CallStatus.FAILED,
            EndedReason.REJECTED,
            problem,
        )
        assert call.error_message
