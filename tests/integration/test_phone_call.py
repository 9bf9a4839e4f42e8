"""A voicemail by voice: its greeting and beep by the simulated carrier, at telephone quality.

The agent has the embedded engines. Nothing is asserted on a clock, only on how the call ended.
Calls that people answer are in `test_whole_calls.py`.
"""

import asyncio

import httpx2
import pytest

from nur import AsyncNurClient
from nur_server.api.app import create_app
from nur_server.store.records import NewKey
from tests.integration.conftest import Embedded

pytestmark = [pytest.mark.xdist_group("spoken"), pytest.mark.timeout(400)]

VOICEMAIL = "+15550104"
MESSAGE = "This is the shoe shop. Your order has arrived."


async def test_a_message_left_on_a_voicemail(embedded: Embedded) -> None:
    keys: list[NewKey] = []
    app = create_app(embedded(), on_first_key=keys.append)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as http,
        AsyncNurClient(keys[0].secret, "http://nur.test", http_client=http) as client,
    ):
        agent = await client.agents.create(
            name="Shop",
            voice_id="claire",
            system_prompt="You call the customers of a shoe shop.",
            first_message="Hello?",
            voicemail={"on_machine": "leave_message", "message": MESSAGE},
        )
        call = await client.calls.create(agent_id=agent.id, phone_number=VOICEMAIL)
        async with asyncio.timeout(120):
            while call.ended_at is None:
                await asyncio.sleep(0.2)
                call = await client.calls.get(call.id)
        assert (call.status, call.ended_reason) == ("completed", "voicemail")
        assert call.answered_by == "voicemail"
        turns = (await client.sessions.transcript(call.session_id)).turns
        assert [turn.text for turn in turns if turn.speaker == "agent"] == [MESSAGE]
