"""Calls from the order to the recording, over the simulated carrier and each vendor's.

The whole server with the embedded engines listens on a port of its own. Who is called is a
synthesised voice at telephone quality; the carriers are stand-ins that speak the vendors'
documented messages; webhooks and the agent's tool are received by HTTP servers. Nothing is
asserted on a clock.
"""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import soundfile
import uvicorn

from nur_server.api.app import Telephony, create_app
from nur_server.api.services import Services
from nur_server.audio.resample import resample
from nur_server.cli.line import RATE
from nur_server.cli.voices import hear, speak
from nur_server.jobs.work import Times
from nur_server.jobs.worker import Pace
from nur_server.ports import HangupCause, Samples
from nur_server.providers.moonshine import NAME as EARS
from nur_server.settings import Settings
from nur_server.store.records import NewKey
from nur_server.transports.loopback import Answer, HangUp, HearOut, Ring, Say, Script
from tests.hearing import assert_heard
from tests.integration.conftest import Embedded
from tests.jobs.receiver import Received, Receiver, receiving
from tests.providers.servers import Exchange, running
from tests.transports.carriers.fakes import FAKES
from tests.transports.carriers.stage import FakeCarrier, Person

pytestmark = [pytest.mark.xdist_group("spoken"), pytest.mark.timeout(600)]

CALLEE, OURS = "+14155552671", "+14155559999"
PUBLIC = "https://voice.test"
PATIENCE_SECONDS = 60.0
QUIET_SECONDS = 1.5
"""After which the agent has said what it had to say."""
GREETING = "Hello {{name}}, this is the shoe shop."
SAID = (
    "Please check the status of my order.",
    "What are your opening hours?",
    "Thank you for your help. Have a nice day.",
)
"""Words that the embedded recogniser understands at telephone quality, wherever frames begin."""
AGENT = {
    "name": "Shop",
    "voice_id": "rowan",
    "system_prompt": "You call the customers of a shoe shop. "
    "The shop is open from nine in the morning until six in the evening.",
    "first_message": GREETING,
}
CALL_EVENTS = [
    "call.initiating",
    "call.ringing",
    "call.in_progress",
    "session.started",
    "session.ended",
    "call.completed",
]
RECORDED = "recording.ready"
"""Comes about when the session ends: the recording is closed beside it."""
QUICK = Times(pace=Pace(0.1, 0.1, 0.2), back_off=(0.2,))


class Tool:
    """What the agent may ask over HTTP."""

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, exchange: Exchange) -> None:
        self.asked += 1
        await exchange.answer(json.dumps({"status": "waiting for payment"}))


@dataclass
class Here:
    """A running server, and a client of it."""

    services: Services
    http: httpx2.AsyncClient

    async def made(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.http.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    async def call_once(
        self, call_id: str, holds: Callable[[dict[str, Any]], Any]
    ) -> dict[str, Any]:
        """The call object, as soon as it holds."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                call = (await self.http.get(f"/v1/calls/{call_id}")).json()
                if holds(call):
                    return dict(call)
                await asyncio.sleep(0.1)

    async def heard(self, channel: Samples, rate: int) -> str:
        ears = self.services.catalogue.speech_to_text(EARS).engine
        return await hear(ears, resample(channel, rate, RATE))


@asynccontextmanager
async def serving(
    settings: Settings, listener: socket.socket, callee: Script
) -> AsyncIterator[Here]:
    made: list[NewKey] = []
    app = create_app(
        settings,
        on_first_key=made.append,
        telephony=Telephony(callee=lambda request: callee),
        work_times=QUICK,
    )
    config = uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    async with app.router.lifespan_context(app):
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with httpx2.AsyncClient(
                base_url=local(listener),
                headers={"Authorization": f"Bearer {made[0].secret}"},
                trust_env=False,
                timeout=PATIENCE_SECONDS,
            ) as http:
                yield Here(app.state.services, http)
        finally:
            server.should_exit = True
            await task


def local(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def customer(quiet: float = QUIET_SECONDS) -> Script:
    """Says what there is to say over the simulated carrier."""
    talk = [step for said in SAID for step in (HearOut(quiet, PATIENCE_SECONDS), Say(said))]
    return (Ring(), Answer(), *talk, HearOut(quiet, PATIENCE_SECONDS), HangUp())


async def answer(fake: FakeCarrier, speech: Sequence[Samples]) -> None:
    """Say the same to whoever calls over a carrier."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not fake.placed:  # noqa: ASYNC110 - set from within a request
            await asyncio.sleep(0.01)
    (placed,) = fake.placed
    assert (placed.to_number, placed.from_number) == (CALLEE, OURS)
    await fake.ring(placed)
    person = Person(await fake.pick_up(placed))
    heard = 0
    for said in speech:
        heard = await person.hear_out(heard, quiet_seconds=QUIET_SECONDS, seconds=PATIENCE_SECONDS)
        person.say(resample(said, RATE, person.phone.rate))
    await person.hear_out(heard, quiet_seconds=QUIET_SECONDS, seconds=PATIENCE_SECONDS)
    await fake.end(placed, HangupCause.NORMAL)
    await person.leave()


@asynccontextmanager
async def carried(
    embedded: Embedded, fake: FakeCarrier, listener: socket.socket
) -> AsyncIterator[Settings]:
    """A server's settings for a carrier that reaches it through a proxy."""
    fake.base = PUBLIC
    fake.ways = {
        PUBLIC: local(listener),
        "wss" + PUBLIC.removeprefix("https"): "ws" + local(listener).removeprefix("http"),
    }
    async with running(fake.handle) as api:
        try:
            yield embedded(
                carrier=fake.name,
                carrier_api_url=api.url,
                public_url=PUBLIC,
                caller_ids=OURS,
                allow_private_urls=True,
                **fake.settings,
            )
        finally:
            for phone in fake.phones:
                await phone.end()
            await fake.client.aclose()


@dataclass
class Outcome:
    """A call that is over, and what everybody was told of it."""

    call: dict[str, Any]
    details: dict[str, Any]
    left: str
    """What can be understood of the recording's left channel."""
    right: str


async def dialled(here: Here, receiver: Receiver, tool: str, callee: Awaitable[None]) -> Outcome:
    """A call by the API, talked through by `callee`, to its end."""
    check = {
        "name": "check_order",
        "description": "Check the status of the customer's order",
        "parameters": {},
        "http": {"url": tool, "method": "POST"},
    }
    agent = await here.made("/v1/agents", **AGENT, tools=[check])
    dialled = await here.made(
        "/voice/outbound/dial",
        agent_id=agent["id"],
        to_number=CALLEE,
        from_number=OURS,
        context={"name": "Ada"},
        recording=True,
        webhook_url=receiver.url("/call"),
    )
    assert dialled["status"] == "initiating"
    await callee
    call = await here.call_once(
        dialled["call_id"], lambda call: call["ended_at"] and call["recording_url"]
    )
    details = (await here.http.get(f"/voice/sessions/{call['id']}")).json()
    audio, rate = await recording(here, call["recording_url"])
    left, right = [await here.heard(audio[:, side], rate) for side in (0, 1)]
    return Outcome(call, details, left, right)


async def recording(here: Here, url: str) -> tuple[Samples, int]:
    """Downloaded without a key."""
    async with httpx2.AsyncClient(trust_env=False) as stranger:
        answer = await stranger.get(url.replace(PUBLIC, str(here.http.base_url).rstrip("/")))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/flac")
    samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    return samples, rate


def refused_once() -> Callable[[str, bytes], int]:
    """A receiver that takes every event at the second attempt."""
    seen: set[tuple[str, str]] = set()

    def status(path: str, body: bytes) -> int:
        delivery = path, json.loads(body)["id"]
        if delivery in seen:
            return 204
        seen.add(delivery)
        return 503

    return status


def check_webhooks(told: Sequence[Received], secret: str, call: dict[str, Any]) -> None:
    types = [each.type for each in told]
    assert [type for type in types if type != RECORDED] == CALL_EVENTS
    assert types.count(RECORDED) == 1
    assert len({each.id for each in told}) == len(told)
    for each in told:
        event = each.verify(secret)
        assert event["data"]["session_id"] == call["session_id"]


def text_of(details: dict[str, Any], role: str) -> str:
    return " ".join(line["content"] for line in details["transcript"] if line["role"] == role)


@pytest.fixture(params=[None, *FAKES], ids=lambda fake: "loopback" if fake is None else fake.name)
def fake(request: pytest.FixtureRequest) -> FakeCarrier | None:
    kind: type[FakeCarrier] | None = request.param
    return None if kind is None else kind()


async def nobody() -> None:
    """The simulated carrier's callee follows its script by itself."""


async def test_a_whole_call(embedded: Embedded, fake: FakeCarrier | None) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    tool = Tool()
    async with receiving() as receiver, running(tool.answer) as tools:
        receiver.answer = refused_once()
        if fake is None:
            settings = embedded(caller_ids=OURS, allow_private_urls=True)
            async with serving(settings, listener, customer()) as here:
                await talk_through(here, receiver, tools.url, tool, nobody())
            return
        speech = await speak(SAID)
        async with (
            carried(embedded, fake, listener) as settings,
            serving(settings, listener, ()) as here,
        ):
            await talk_through(here, receiver, tools.url, tool, answer(fake, speech))
            assert fake.placed[0].carrier_call_id
            assert fake.hung_up == []


async def talk_through(
    here: Here, receiver: Receiver, tool_url: str, tool: Tool, callee: Awaitable[None]
) -> None:
    hook = await here.made("/v1/webhooks", url=receiver.url("/account"), events=["*"])
    own = await here.made("/v1/webhooks/signing-secret")
    outcome = await dialled(here, receiver, tool_url, callee)
    call, details = outcome.call, outcome.details

    assert (call["status"], call["ended_reason"]) == ("completed", "caller_hung_up")
    assert details["transcript"][0]["content"] == "Hello Ada, this is the shoe shop."
    answers = text_of(details, "assistant")
    assert "waiting for payment" in answers
    assert "nine in the morning until six in the evening" in answers
    assert_heard(text_of(details, "user"), " ".join(SAID))
    assert tool.asked == 1

    assert call["recording_id"] == details["recording_id"]
    assert_heard(outcome.left, " ".join(SAID))
    assert_heard(outcome.right, answers)

    await receiver.accepted_count(2 * (len(CALL_EVENTS) + 1), PATIENCE_SECONDS)
    check_webhooks(receiver.accepted("/account"), hook["secret"], call)
    check_webhooks(receiver.accepted("/call"), own["secret"], call)
