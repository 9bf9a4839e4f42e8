"""Conversations over bad networks, and clients that come back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.api_realtime.conftest import Serve, Server, eventually
from tests.webrtc.browser import Browser, browser, tone
from tests.webrtc.relay import Relay, Weather, relayed, without_candidates
from tests.webrtc.test_plain import join


@asynccontextmanager
async def joined(server: Server, far: Browser, path: str, weather: Weather) -> AsyncIterator[Relay]:
    """A browser that talks through a relay."""
    _, _, _, session_id, secret = path.split("/")
    answer = await server.http.post(
        f"/v1/sessions/{session_id}/sdp",
        content=without_candidates(await far.offer()),
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert answer.status_code == 201, answer.text
    async with relayed(answer.text, weather) as (through, relay):
        await far.accept(through)
        await far.connected()
        yield relay


@pytest.mark.parametrize(
    "weather",
    [
        Weather(jitter_seconds=0.06),
        Weather(loss=0.05, jitter_seconds=0.06, burst_every_seconds=1.0),
    ],
    ids=["jitter", "loss, jitter and bursts"],
)
async def test_a_conversation_holds(serve: Serve, weather: Weather) -> None:
    async with serve(replies=["First.", "Second."]) as server, browser() as far:
        path = await server.make_session(await server.make_agent(first_message="Hi there!"))
        async with joined(server, far, path, weather) as relay:
            await far.until("transcript.agent", text="Hi there!")
            far.say(tone(0.6))
            await far.until("transcript.agent", text="First.")
            far.say(tone(0.6))
            await far.until("transcript.agent", text="Second.")
            assert max(abs(samples).max() for _, samples in far.heard) > 1_000
            assert relay.carried > 100
            assert (relay.dropped > 0) == (weather.loss > 0)
            users = [m for m in far.seen if m["type"] == "transcript.user"]
            assert len(users) == 2


async def test_media_that_stops_is_noticed_and_the_client_comes_back(serve: Serve) -> None:
    async with serve(replies=["First.", "Second."]) as server, browser() as far:
        path = await server.make_session(await server.make_agent(first_message="Hi there!"))
        session_id = path.split("/")[3]
        weather = Weather()
        async with joined(server, far, path, weather):
            await far.until("transcript.agent", text="Hi there!")
            far.say(tone(0.6))
            await far.until("transcript.agent", text="First.")
            session = server.services.live.get(session_id)
            assert session is not None and session.is_attached
            weather.is_cut = True
            await eventually(lambda: not session.is_attached)
        async with browser() as again:
            await join(server, again, path)
            ready = await again.until("session.ready")
            assert ready["session_id"] == session_id
            again.say(tone(0.6))
            await again.until("transcript.agent", text="Second.")
            again.send("session.end")
            await again.until("session.ended")
        turns = (await server.get(f"/v1/sessions/{session_id}/transcript"))["turns"]
        said = [turn["text"] for turn in turns if turn["speaker"] == "agent"]
        assert said == ["Hi there!", "First.", "Second."]


async def test_a_page_loaded_again_takes_over_at_once(serve: Serve) -> None:
    async with serve(replies=["First."]) as server, browser() as far, browser() as again:
        path = await server.make_session(await server.make_agent(first_message="Hi there!"))
        await join(server, far, path)
        await far.until("transcript.agent", text="Hi there!")
        await join(server, again, path)
        await again.until("session.ready")
        again.say(tone(0.6))
        await again.until("transcript.agent", text="First.")
        await eventually(lambda: len(server.services.media) == 1)
        assert not any(m["type"] == "transcript.user" for m in far.seen)


async def test_a_flood_of_messages_is_dropped_and_told_and_the_call_goes_on(serve: Serve) -> None:
    async with serve(replies=["First."]) as server, browser() as far:
        path = await server.make_session(await server.make_agent(first_message="Hi there!"))
        await join(server, far, path)
        await far.until("transcript.agent", text="Hi there!")
        for _ in range(60):
            far.send("conversation.message", role="user", content="x" * 200_000)
        await far.until("session.error")
        for message in ("{", "[]", '{"type": "nonsense"}', '{"type": "input.audio", "audio": ""}'):
            assert far.channel is not None
            far.channel.send(message.encode(), False)
        far.say(tone(0.6))
        await far.until("transcript.agent", text="First.")
        assert len(server.services.media) == 1


async def test_a_client_without_a_data_channel_is_talked_with(serve: Serve) -> None:
    async with serve(replies=["First."]) as server, browser(channel=False) as far:
        path = await server.make_session(await server.make_agent(first_message="Hi there!"))
        await join(server, far, path)
        session_id = path.split("/")[3]
        await eventually(lambda: any(abs(samples).max() > 1_000 for _, samples in far.heard))
        _, _, _, _, secret = path.split("/")
        ended = await server.http.delete(
            f"/v1/sessions/{session_id}/sdp", headers={"Authorization": f"Bearer {secret}"}
        )
        assert ended.status_code == 200
        await eventually(lambda: len(server.services.media) == 0)
