"""Phone calls by voice: a callee with the embedded synthesiser, an agent with the embedded engines.

Audio goes through the simulated carrier at telephone quality. Nothing is asserted on a clock, only
on what was understood and how the calls ended.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from nur import AsyncNurClient, PhoneCall
from nur_server.api.app import Telephony, create_app
from nur_server.conversation.words import normalise
from nur_server.ports import DialRequest
from nur_server.settings import Settings
from nur_server.store.records import NewKey
from nur_server.transports.loopback import SCENES, Answer, HangUp, HearOut, Ring, Say, Script
from tests.integration.conftest import Embedded

pytestmark = [pytest.mark.xdist_group("spoken"), pytest.mark.timeout(180)]

# Words that the embedded recogniser understands at telephone quality, wherever frames begin.
CUSTOMER: Script = (
    Ring(0.5),
    Answer(),
    HearOut(),
    Say("What are your opening hours?"),
    HearOut(1.2),
    Say("Thank you for your help. Have a nice day."),
    HearOut(1.2, most_seconds=8),
    HangUp(),
)
PROMPT = (
    "You call the customers of a shoe shop. "
    "The shop is open from nine in the morning until six in the evening."
)


def callee(request: DialRequest) -> Script:
    return SCENES.get(request.to_number[-4:], CUSTOMER)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[AsyncNurClient]:
    made: list[NewKey] = []
    app = create_app(settings, on_first_key=made.append, telephony=Telephony(callee=callee))
    async with app.router.lifespan_context(app):
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
        async with AsyncNurClient(made[0].secret, "http://nur.test", http_client=http) as client:
            yield client


async def held(client: AsyncNurClient, number: str, **agent: Any) -> tuple[PhoneCall, list[Any]]:
    """A call to `number`, once it is over, and its turns."""
    made = await client.agents.create(
        **{"name": "Shop", "voice_id": "claire", "system_prompt": PROMPT, **agent}
    )
    call = await client.calls.create(
        agent_id=made.id, phone_number=number, context={"day": "Friday"}
    )
    async with asyncio.timeout(120):
        while call.ended_at is None:
            await asyncio.sleep(0.2)
            call = await client.calls.get(call.id)
    return call, (await client.sessions.transcript(call.session_id)).turns


def words_of(turns: list[Any], speaker: str) -> list[str]:
    said = " ".join(turn.text for turn in turns if turn.speaker == speaker)
    return normalise(said).split()


async def test_a_spoken_call(embedded: Embedded) -> None:
    async with serving(embedded()) as client:
        greeting = "Hello, this is the shoe shop. Your order is here until {{day}}."
        call, turns = await held(client, "+14155550177", first_message=greeting)
        assert (call.status, call.ended_reason) == ("completed", "caller_hung_up")
        assert turns[0].text == "Hello, this is the shoe shop. Your order is here until Friday."
        assert {"opening", "hours", "thank", "help"} <= set(words_of(turns, "user"))
        assert {"nine", "six"} <= set(words_of(turns, "agent"))


async def test_a_message_left_on_a_voicemail(embedded: Embedded) -> None:
    message = "This is the shoe shop. Your order has arrived."
    async with serving(embedded()) as client:
        call, turns = await held(
            client,
            "+15550104",
            first_message="Hello?",
            voicemail={"on_machine": "leave_message", "message": message},
        )
        assert (call.status, call.ended_reason) == ("completed", "voicemail")
        assert call.answered_by == "voicemail"
        assert [turn.text for turn in turns if turn.speaker == "agent"] == [message]
