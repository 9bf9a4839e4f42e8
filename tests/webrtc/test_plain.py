"""A conversation over a plain peer connection: `POST /v1/sessions/{id}/sdp`."""

import asyncio
import json

from nur_server.providers.scripted import Call
from tests.api_realtime.conftest import Serve, Server, eventually
from tests.webrtc.browser import Browser, browser, tone

LOOKUP = {
    "name": "lookup_order",
    "description": "Looks up an order.",
    "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}},
}


async def join(server: Server, far: Browser, path: str) -> None:
    """Connect to the session whose socket has this path."""
    _, _, _, session_id, secret = path.split("/")
    answer = await server.http.post(
        f"/v1/sessions/{session_id}/sdp",
        content=await far.offer(),
        headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/sdp"},
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"].startswith("application/sdp")
    await far.accept(answer.text)
    await far.connected()


async def test_a_whole_conversation(serve: Serve) -> None:
    story = " ".join(["Once upon a time there was a very long story."] * 20)
    replies = [[Call("lookup_order", {"order_id": "1234"})], "It has shipped.", story, "All right."]
    async with serve(replies=replies) as server, browser() as far:
        agent = await server.make_agent(first_message="Hi there!", tools=[LOOKUP])
        path = await server.make_session(agent, recording=True)
        session_id = path.split("/")[3]
        await join(server, far, path)
        ready = await far.until("session.ready")
        assert ready["session_id"] == session_id
        await far.until("transcript.agent", text="Hi there!")
        assert max(abs(samples).max() for _, samples in far.heard) > 1_000

        far.say(tone(0.6))
        call = await far.until("tool.call")
        far.send("tool.result", call_id=call["call_id"], result={"status": "shipped"})
        await far.until("transcript.agent", text="It has shipped.")

        far.say(tone(0.6))
        await far.next("transcript.agent.delta")
        await asyncio.sleep(0.3)
        far.say(tone(1.5))
        done = await far.until("reply.done", status="interrupted")
        cut = next(
            m for m in far.seen
            if m["type"] == "transcript.agent" and m["reply_id"] == done["reply_id"]
        )  # fmt: skip
        assert cut["interrupted"] and story.startswith(cut["text"].rstrip("."))
        await far.until("transcript.agent", text="All right.")

        far.send("session.end")
        await far.until("session.ended")
        await eventually(lambda: len(server.services.media) == 0)
        session = await server.get(f"/v1/sessions/{session_id}")
        assert (session["kind"], session["status"]) == ("webrtc", "ended")
        assert session["ended_reason"] == "client_ended"
        turns = (await server.get(f"/v1/sessions/{session_id}/transcript"))["turns"]
        said = [turn["text"] for turn in turns if turn["speaker"] == "agent"]
        assert said[0] == "Hi there!" and cut["text"] in said and said[-1] == "All right."
        await recorded(server, session_id)


async def recorded(server: Server, session_id: str) -> None:
    async with asyncio.timeout(10):
        while True:
            found = await server.http.get(f"/v1/sessions/{session_id}/recording")
            if found.status_code == 200:
                body = json.loads(found.text)
                assert body["duration_seconds"] > 1
                return
            await asyncio.sleep(0.05)
