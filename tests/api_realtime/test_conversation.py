"""Conversations over a real socket: what is said, in which order."""

import asyncio
import json

import numpy as np
import pytest

from nur_server.audio import g711
from nur_server.providers.scripted import Call, Say
from tests.api_realtime.conftest import RATE, Serve, Server, tone

LOOKUP = {
    "type": "function",
    "name": "lookup_order",
    "description": "Looks up an order.",
    "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}},
}


# /v1/ws


async def test_a_greeting_is_spoken_once_the_session_is_ready(server: Server) -> None:
    async with server.connect() as client:
        await client.update(greeting="Hi there!", output={"voice": "claire"})
        await client.until("reply.done", status="completed")
        assert client.types() == [
            "session.updated",
            "session.ready",
            "reply.started",
            "transcript.agent",
            "reply.done",
        ]
        updated, ready = client.seen[:2]
        assert updated["config"]["greeting"] == "Hi there!"
        assert ready["config"] == updated["config"]
        assert ready["config"]["output"]["voice"] == "claire"
        assert ready["config"]["id"] == ready["session_id"]
        assert isinstance(ready["expires_at"], int)
        assert all(isinstance(message["timestamp"], float) for message in client.seen)
        assert client.seen[-2]["text"] == "Hi there!"
        heard = np.frombuffer(client.spoken(), "<i2")
        assert len(heard) >= len("Hi there!") * 15 * RATE // 1000
        assert np.abs(heard).max() > 1_000


async def test_without_a_greeting_the_agent_waits(server: Server) -> None:
    async with server.ready() as client:
        assert client.types() == ["session.updated", "session.ready"]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.next()


async def test_a_spoken_turn_is_answered(serve: Serve) -> None:
    async with serve(replies=["It has shipped."]) as server, server.ready() as client:
        await client.speak()
        await client.until("reply.done", status="completed")
        assert client.types()[2:] == [
            "input.speech.started",
            "input.speech.stopped",
            "transcript.user",
            "reply.started",
            "transcript.agent",
            "reply.done",
        ]
        said = {m["type"]: m.get("text") for m in client.seen}
        assert said["transcript.user"] == "Where is my order?"
        assert said["transcript.agent"] == "It has shipped."


async def test_a_tool_is_run_by_the_client_and_its_result_is_spoken(serve: Serve) -> None:
    replies = [[Call("lookup_order", {"order_id": "1234"})], "It has shipped."]
    async with serve(replies=replies) as server, server.ready(tools=[LOOKUP]) as client:
        await client.speak()
        call = await client.until("tool.call")
        assert (call["name"], call["arguments"]) == ("lookup_order", {"order_id": "1234"})
        assert (call["args"], call["runner"]) == (call["arguments"], "client")
        await client.send("tool.result", call_id="call_unknown", result="ignored")
        await client.send("tool.result", call_id=call["call_id"], result={"status": "shipped"})
        await client.until("transcript.agent", text="It has shipped.")
        assert "session.error" not in client.types()
        given = server.llm.requests[-1].messages[-1].content
        assert json.loads(given) == {"status": "shipped"}


async def test_the_client_makes_the_agent_speak_and_stops_it(serve: Serve) -> None:
    story = " ".join(["Once upon a time there was a very long story."] * 20)
    async with serve(replies=lambda _: story) as server, server.ready() as client:
        await client.send("reply.create", instructions="Tell a story.")
        started = await client.until("reply.started")
        await client.until("transcript.agent.delta")
        await client.send("reply.cancel", reply_id=started["reply_id"])
        done = await client.until("reply.done")
        assert (done["reply_id"], done["status"]) == (started["reply_id"], "interrupted")
        assert done["reason"] == "cancelled"
        heard = next(m for m in client.seen if m["type"] == "transcript.agent")
        assert len(heard["text"]) < len(story)


async def test_with_text_as_input_audio_is_not_heard(server: Server) -> None:
    async with server.ready(input={"type": "text"}) as client:
        await client.speak()
        await client.send("conversation.message", role="user", content="Where is my order?")
        await client.send("reply.create")
        await client.until("reply.done")
        assert client.types()[2:] == ["reply.started", "transcript.agent", "reply.done"]


async def test_context_is_added_without_a_reply(server: Server) -> None:
    async with server.ready() as client:
        await client.send("conversation.message", role="system", content="The caller is Ada.")
        await client.send("conversation.message", role="user", content="Who am I?")
        await client.send("reply.create")
        await client.until("reply.done")
        assert client.types().count("reply.started") == 1
        said = [message.content for message in server.llm.requests[0].messages]
        assert any("The caller is Ada." in text for text in said)
        assert any("Who am I?" in text for text in said)


async def test_a_barge_in_cuts_the_transcript_to_what_was_heard(serve: Serve) -> None:
    story = " ".join(["Once upon a time there was a very long story."] * 20)
    async with serve(replies=[story, "All right."]) as server, server.ready() as client:
        await client.send("reply.create")
        await client.until("transcript.agent.delta")
        await client.speak(1.5)
        done = await client.until("reply.done", status="interrupted")
        heard = [m for m in client.seen if m["type"] == "transcript.agent"][-1]
        assert heard["interrupted"] is True
        assert heard["reply_id"] == done["reply_id"]
        assert story.startswith(heard["text"].rstrip(".")) and len(heard["text"]) < len(story)


async def test_text_only_sessions_do_not_send_audio(server: Server) -> None:
    async with server.ready(greeting="Hi there!", output={"type": "text"}) as client:
        await client.until("reply.done")
        await client.send("conversation.message", role="user", content="Hello?")
        await client.send("reply.create")
        await client.until("reply.done")
        assert client.spoken() == b""
        texts = [m["text"] for m in client.seen if m["type"] == "transcript.agent"]
        assert texts == ["Hi there!", "Hello."]


async def test_ending_a_session_says_so_and_closes(server: Server) -> None:
    async with server.ready() as client:
        await client.send("session.end")
        assert await client.closed() == 1000
        ended = client.seen[-1]
        assert (ended["type"], ended["reason"]) == ("session.ended", "client_ended")
        assert ended["session_duration_seconds"] >= 0
        assert ended["audio_duration_seconds"] is None


async def test_a_session_over_v1_ws_is_kept_like_any_other(server: Server) -> None:
    async with server.ready(greeting="Hi there!") as client:
        await client.until("reply.done")
        session_id = client.seen[1]["session_id"]
        await client.send("session.end")
        await client.closed()
    stored = await server.get(f"/v1/sessions/{session_id}")
    assert (stored["status"], stored["ended_reason"]) == ("ended", "client_ended")
    assert (stored["agent_id"], stored["kind"]) == (None, "websocket")
    turns = (await server.get(f"/v1/sessions/{session_id}/transcript"))["turns"]
    assert [turn["text"] for turn in turns] == ["Hi there!"]


async def test_a_stored_agent_is_named_by_the_first_update(server: Server) -> None:
    agent_id = await server.make_agent(first_message="Support here.", voice_id="marcus_v2")
    async with server.ready(agent_id=agent_id) as client:
        ready = client.seen[-1]
        assert (ready["config"]["agent_id"], ready["config"]["output"]["voice"]) == (
            agent_id,
            "marcus_v2",
        )
        await client.until("transcript.agent", text="Support here.")


async def test_a_binary_frame_on_v1_ws_is_json(server: Server) -> None:
    async with server.connect() as client:
        await client.connection.send(
            json.dumps({"type": "session.update", "session": {"greeting": "Hi."}}).encode()
        )
        await client.until("reply.done")
        assert client.audio == []


async def test_a_running_session_is_reconfigured(serve: Serve) -> None:
    async with serve() as server, server.ready(system_prompt="Be brief.", greeting="Hi.") as client:
        await client.until("reply.done")
        await client.update(system_prompt="Be lofty.", tools=[LOOKUP], greeting="Hi.")
        updated = await client.until("session.updated")
        assert updated["config"]["system_prompt"] == "Be lofty."
        assert [tool["name"] for tool in updated["config"]["tools"]] == ["lookup_order"]
        await client.send("reply.create")
        await client.until("reply.done")
        request = server.llm.requests[-1]
        assert "Be lofty." in request.messages[0].content
        assert [tool.name for tool in request.tools] == ["lookup_order"]


# /v1/sessions/{id}


async def test_a_stored_session_starts_on_connect(server: Server) -> None:
    path = await server.make_session(
        await server.make_agent(first_message="Hello {{name}}."), context={"name": "Ada"}
    )
    async with server.connect(path) as client:
        ready = await client.next()
        assert ready["type"] == "session.ready"
        assert f"/{ready['session_id']}/" in path
        assert ready["config"]["greeting"] == "Hello Ada."
        await client.until("transcript.agent", text="Hello Ada.")
        assert client.audio == []
        await client.send("session.end")
        assert await client.closed() == 1000


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_the_api_prefix_is_a_door_too(server: Server, prefix: str) -> None:
    path = await server.make_session(await server.make_agent())
    async with server.connect(prefix + path) as client:
        assert (await client.next())["type"] == "session.ready"


async def test_audio_is_binary_both_ways_for_a_client_that_asks(server: Server) -> None:
    path = await server.make_session(await server.make_agent(first_message="Hello Ada."))
    async with server.connect(path + "?audio=binary") as client:
        await client.until("reply.done")
        assert client.spoken() == b""
        assert sum(map(len, client.audio)) >= len("Hello Ada.") * 15 * RATE // 1000 * 2
        await client.connection.send(tone(0.5).tobytes())
        await client.until("input.speech.started")


async def test_audio_is_binary_both_ways_for_a_client_that_sends_it(server: Server) -> None:
    path = await server.make_session(await server.make_agent())
    async with server.connect(path) as client:
        await client.next()
        await client.connection.send(np.zeros(480, np.int16).tobytes())
        await client.send("reply.create")
        await client.until("reply.done")
        assert client.spoken() == b""
        assert client.audio


async def test_a_client_may_send_binary_audio_and_still_ask_for_json(server: Server) -> None:
    path = await server.make_session(await server.make_agent())
    async with server.connect(path + "?audio=json") as client:
        await client.next()
        await client.connection.send(np.zeros(480, np.int16).tobytes())
        await client.send("reply.create")
        await client.until("reply.done")
        assert client.audio == []
        assert client.spoken()


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
async def test_pcm_travels_at_the_rate_that_was_asked_for(server: Server, rate: int) -> None:
    path = await server.make_session(await server.make_agent(first_message="Hello Ada."))
    async with server.connect(f"{path}?audio=binary&encoding=pcm16&sample_rate={rate}") as client:
        ready = await client.next()
        assert ready["config"]["output"]["format"]["sample_rate"] == rate
        await client.until("reply.done")
        seconds = sum(map(len, client.audio)) / 2 / rate
        assert seconds == pytest.approx(len("Hello Ada.") * 0.015, abs=0.045)
        await client.connection.send(tone(0.5, rate).tobytes())
        await client.until("input.speech.started")


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
async def test_telephone_audio_travels_both_ways(server: Server, law: g711.Law) -> None:
    path = await server.make_session(await server.make_agent(first_message="Hello Ada."))
    async with server.connect(f"{path}?audio=binary&encoding={law}") as client:
        await client.until("reply.done")
        heard = g711.decode(b"".join(client.audio), law)
        assert len(heard) / 8_000 == pytest.approx(len("Hello Ada.") * 0.015, abs=0.045)
        assert np.abs(heard).max() > 5_000
        await client.connection.send(g711.encode(tone(0.5, 8_000), law))
        await client.until("input.speech.started")


async def test_max_turns_ends_the_session_after_the_reply(serve: Serve) -> None:
    async with serve(replies=lambda _: [Say("Goodbye.")]) as server:
        path = await server.make_session(await server.make_agent(max_turns=1))
        async with server.connect(path) as client:
            await client.next()
            await client.speak()
            assert await client.closed() == 1000
            assert client.connection.close_reason == "max_turns"
            assert client.types()[-3:] == ["transcript.agent", "reply.done", "session.ended"]
            assert client.seen[-1]["reason"] == "max_turns"
