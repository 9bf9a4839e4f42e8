"""Whole calls over every carrier: orders, reports and media of a stand-in, on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nur_server.calls.policy import CallPolicy
from nur_server.calls.tasks import CallTimes
from nur_server.conversation.events import EndedReason
from nur_server.ports import CallObserver, HangupCause, InboundCall
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.scripted import Call, ScriptedLanguageModel, ScriptedTextToSpeech
from nur_server.store.call_records import (
    CallRecord,
    CallStatus,
)
from nur_server.transports.carriers.adapter import CarrierEngine
from tests.calls.exchange import Exchange, exchange
from tests.providers.servers import running
from tests.transports.carriers.fakes import FAKES
from tests.transports.carriers.stage import QUICK, FakeCarrier, Person, Placed, serving, tone

CALLEE, OURS = "+14155552671", "+14155559999"
POLICY = CallPolicy(trusted_caller_ids=frozenset({OURS}))
TIMES = CallTimes(look=0.05, close=1.0, first_media=3.0, media=5.0)


@dataclass
class Network:
    here: Exchange
    fake: FakeCarrier

    async def dial(self, **fields: Any) -> tuple[CallRecord, Placed]:
        call = await self.here.dial(to_number=CALLEE, **fields)
        async with asyncio.timeout(10):
            while not self.fake.placed:  # noqa: ASYNC110 - set from within a request
                await asyncio.sleep(0.01)
        return call, self.fake.placed[-1]


@pytest.fixture(params=FAKES, ids=lambda fake: str(fake.name))
def fake(request: pytest.FixtureRequest) -> FakeCarrier:
    kind: type[FakeCarrier] = request.param
    return kind()


@asynccontextmanager
async def network(folder: Path, fake: FakeCarrier, **agent: Any) -> AsyncIterator[Network]:
    known: list[Exchange] = []

    async def take(inbound: InboundCall) -> CallObserver | None:
        return await known[0].service.take(inbound)

    catalogue = agent.pop("catalogue", None) or Catalogue.scripted(
        tts=ScriptedTextToSpeech(ms_per_character=30, tone_hz=300)
    )
    async with running(fake.handle) as api, httpx2.AsyncClient(trust_env=False) as client:
        carrier = fake.carrier(client, api.url)
        async with serving(carrier, take, QUICK) as (engine, base):
            fake.base = base
            try:
                async with exchange(
                    folder, engine=engine, policy=POLICY, times=TIMES, catalogue=catalogue, **agent
                ) as here:
                    known.append(here)
                    assert isinstance(engine, CarrierEngine)
                    yield Network(here, fake)
            finally:
                for phone in fake.phones:
                    await phone.end()
                await fake.client.aclose()


async def test_a_conversation(tmp_path: Path, fake: FakeCarrier) -> None:
    async with network(tmp_path, fake, first_message="Hello {{name}}!") as net:
        call, placed = await net.dial(context={"name": "Ada"})
        assert (placed.to_number, placed.from_number) == (CALLEE, OURS)
        await fake.ring(placed)
        await net.here.reached(call.id, "ringing")
        person = Person(await fake.pick_up(placed))
        heard = await person.hear_out()
        person.say(tone(0.5, person.phone.rate))
        await person.hear_out(heard)
        await fake.end(placed, HangupCause.NORMAL)
        ended = await net.here.over(call.id)
        await person.leave()
        assert (ended.status, ended.ended_reason) == (
            CallStatus.COMPLETED,
            EndedReason.CALLER_HUNG_UP,
        )
        assert ended.carrier_call_id == placed.carrier_call_id
        assert net.here.statuses(call.id) == ["initiating", "ringing", "in_progress", "completed"]
        assert await net.here.said(ended) == [
            ("agent", "Hello Ada!"),
            ("user", "Hello."),
            ("agent", "Hello."),
        ]


async def test_ringing_and_answered_in_one_breath(tmp_path: Path, fake: FakeCarrier) -> None:
    async with network(tmp_path, fake, first_message="Hello!") as net:
        call, placed = await net.dial()
        await fake.ring(placed)
        person = Person(await fake.pick_up(placed))
        await net.here.reached(call.id, "in_progress")
        await fake.end(placed, HangupCause.NORMAL)
        await net.here.over(call.id)
        await person.leave()
        assert net.here.statuses(call.id) == ["initiating", "ringing", "in_progress", "completed"]


async def test_busy(tmp_path: Path, fake: FakeCarrier) -> None:
    async with network(tmp_path, fake) as net:
        call, placed = await net.dial()
        await fake.ring(placed)
        await fake.end(placed, HangupCause.BUSY)
        ended = await net.here.over(call.id)
        assert (ended.status, ended.ended_reason) == (CallStatus.FAILED, EndedReason.BUSY)
        assert fake.hung_up == []


async def test_canceled_while_it_rings(tmp_path: Path, fake: FakeCarrier) -> None:
    async with network(tmp_path, fake) as net:
        call, placed = await net.dial()
        await fake.ring(placed)
        await net.here.reached(call.id, "ringing")
        ended = await net.here.service.end(call.account_id, call.id)
        assert ended.status is CallStatus.CANCELED
        assert fake.hung_up == [placed.carrier_call_id]


async def test_the_agent_hangs_up_and_the_carrier_is_told(
    tmp_path: Path, fake: FakeCarrier
) -> None:
    llm = ScriptedLanguageModel([[Call("end_call", {})], "Goodbye then."])
    catalogue = Catalogue.scripted(llm=llm, tts=ScriptedTextToSpeech(tone_hz=300))
    tools = ({"type": "end_call"},)
    async with network(tmp_path, fake, catalogue=catalogue, tools=tools) as net:
        call, placed = await net.dial()
        person = Person(await fake.pick_up(placed))
        person.say(tone(0.5, person.phone.rate))
        ended = await net.here.over(call.id)
        await person.leave()
        assert (ended.status, ended.ended_reason) == (CallStatus.COMPLETED, EndedReason.AGENT_ENDED)
        assert fake.hung_up == [placed.carrier_call_id]


async def test_a_carrier_that_vanishes(tmp_path: Path, fake: FakeCarrier) -> None:
    async with network(tmp_path, fake, first_message="Hello!") as net:
        call, placed = await net.dial()
        phone = await fake.pick_up(placed)
        person = Person(phone)
        await person.hear_out()
        await person.leave()
        phone.vanish()
        ended = await net.here.over(call.id)
        assert (ended.status, ended.ended_reason) == (CallStatus.FAILED, EndedReason.CARRIER_ERROR)


async def test_a_call_comes_in(tmp_path: Path, fake: FakeCarrier) -> None:
    async with network(tmp_path, fake, first_message="Hello!", phone_numbers=(OURS,)) as net:
        phone = await fake.call_in(OURS, CALLEE)
        assert phone is not None
        person = Person(phone)
        await person.hear_out()
        (call,) = (await net.here.service.calls.list("acc_default")).items
        ended = await net.here.service.end(call.account_id, call.id)
        await person.leave()
        assert (ended.status, ended.direction) == (CallStatus.COMPLETED, "inbound")
        assert await net.here.said(ended) == [("agent", "Hello!")]


async def test_a_call_to_a_number_nobody_has(tmp_path: Path, fake: FakeCarrier) -> None:
    async with network(tmp_path, fake, phone_numbers=(OURS,)) as net:
        assert await fake.call_in("+442079460958", CALLEE) is None
        (call,) = (await net.here.service.calls.list("acc_default")).items
        assert (call.ended_reason, call.error_code) == (EndedReason.REJECTED, "unknown_number")
