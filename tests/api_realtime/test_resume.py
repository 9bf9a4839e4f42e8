"""Connections break; conversations go on."""

import asyncio

import numpy as np
import pytest

from nur_server.providers.scripted import Call
from tests.api_realtime.conftest import RATE, Client, Serve, Server, eventually, id_of

STORY = " ".join(["Once upon a time there was a very long story."] * 20)


async def resumed(server: Server, client: Client, session_id: str) -> dict[str, object]:
    await client.send("session.resume", session_id=session_id)
    return await client.next()


async def detached(server: Server, session_id: str) -> None:
    """Until the server has noticed that the client is gone."""
    session = server.services.live.get(session_id)
    assert session is not None
    await eventually(lambda: not session.is_attached)


async def test_a_client_that_vanished_resumes_without_a_second_greeting(server: Server) -> None:
    async with server.ready(greeting="Hi there!", system_prompt="Be brief.") as client:
        await client.until("reply.done")
        session_id = client.seen[1]["session_id"]
        await server.vanish(client)
    await detached(server, session_id)
    async with server.connect() as client:
        first = await resumed(server, client, session_id)
        assert (first["type"], first["session_id"]) == ("session.ready", session_id)
        assert first["config"]["system_prompt"] == "Be brief."  # type: ignore[index]
        await client.send("reply.create")
        await client.until("reply.done")
        assert [m["text"] for m in client.seen if m["type"] == "transcript.agent"] == ["Hello."]


async def test_what_happened_meanwhile_is_told_after_ready(serve: Serve) -> None:
    async with serve(replies=["It has shipped."]) as server:
        async with server.ready() as client:
            session_id = client.seen[-1]["session_id"]
            await client.send("reply.create")
            await client.until("reply.started")
            await server.vanish(client)
        await detached(server, session_id)
        await asyncio.sleep(0.5)
        async with server.connect() as client:
            assert (await resumed(server, client, session_id))["type"] == "session.ready"
            await client.until("reply.done")


async def test_a_tool_call_may_be_answered_after_a_resume(serve: Serve) -> None:
    tool = {"type": "function", "name": "lookup_order", "parameters": {"type": "object"}}
    async with serve(replies=[[Call("lookup_order")], "It has shipped."]) as server:
        async with server.ready(tools=[tool]) as client:
            session_id = client.seen[-1]["session_id"]
            await client.send("reply.create")
            call = await client.until("tool.call")
            await server.vanish(client)
        await detached(server, session_id)
        async with server.connect() as client:
            await resumed(server, client, session_id)
            await client.send("tool.result", call_id=call["call_id"], result="shipped")
            await client.until("transcript.agent", text="It has shipped.")


async def test_a_stored_session_goes_on_at_the_same_address(server: Server) -> None:
    path = await server.make_session(await server.make_agent(first_message="Hi there!"))
    async with server.connect(path + "?audio=binary") as client:
        await client.until("reply.done")
        await server.vanish(client)
    await detached(server, id_of(path))
    async with server.connect(path + "?audio=binary") as client:
        assert (await client.next())["type"] == "session.ready"
        await client.send("reply.create")
        await client.until("reply.done")
        assert [m["text"] for m in client.seen if m["type"] == "transcript.agent"] == ["Hello."]
        assert client.audio


async def test_the_newest_connection_wins(server: Server) -> None:
    path = await server.make_session(await server.make_agent())
    async with server.connect(path) as first:
        await first.next()
        async with server.connect(path) as second:
            assert (await second.next())["type"] == "session.ready"
            assert await first.closed() == 1008
            assert first.connection.close_reason == "replaced by a newer connection"
            await second.send("reply.create")
            await second.until("reply.done")


async def test_a_session_that_changed_resumes_as_it_is_now(server: Server) -> None:
    async with server.ready(system_prompt="Be brief.", output={"voice": "claire"}) as client:
        session_id = client.seen[-1]["session_id"]
        await client.update(system_prompt="Be kind.", input={"format": {"encoding": "audio/pcmu"}})
        await client.until("session.updated")
        await server.vanish(client)
    await detached(server, session_id)
    async with server.connect() as client:
        config = (await resumed(server, client, session_id))["config"]
        assert config["system_prompt"] == "Be kind."  # type: ignore[index]
        assert config["input"]["format"]["encoding"] == "audio/pcmu"  # type: ignore[index]
        await client.update(output={"voice": "marcus_v2"})
        assert (await client.until("session.error"))["code"] == "immutable_field"


async def test_nobody_comes_back_in_time(serve: Serve) -> None:
    async with serve(resume_seconds=0.1) as server:
        async with server.ready() as client:
            session_id = client.seen[-1]["session_id"]
            session = server.services.live.get(session_id)
            assert session is not None
            await server.vanish(client)
        async with asyncio.timeout(10):
            summary = await session.wait_ended()
        assert summary.reason == "client_disconnected"
        async with server.connect() as client:
            answer = await resumed(server, client, session_id)
            assert (answer["type"], answer["code"]) == ("session.error", "session_expired")
            assert await client.closed() == 1008


async def test_an_ended_session_is_not_resumed(server: Server) -> None:
    path = await server.make_session(await server.make_agent())
    session_id = id_of(path)
    async with server.connect(path) as client:
        await client.next()
        await client.send("session.end")
        await client.closed()
    async with server.connect() as client:
        assert (await resumed(server, client, session_id))["code"] == "session_expired"
        assert await client.closed() == 1008
    async with server.connect(path) as client:
        assert (await client.next())["code"] == "session_expired"
        assert await client.closed() == 4410


@pytest.mark.parametrize("session_id", ["ses_nobody", "", "x" * 5_000])
async def test_an_unknown_session_is_not_resumed(server: Server, session_id: str) -> None:
    async with server.connect() as client:
        assert (await resumed(server, client, session_id))["code"] == "session_not_found"
        assert await client.closed() == 1008


async def test_a_session_nobody_has_begun_is_not_resumed(server: Server) -> None:
    path = await server.make_session(await server.make_agent())
    async with server.connect() as client:
        answer = await resumed(server, client, id_of(path))
        assert answer["code"] == "session_not_found"


async def test_a_session_may_be_resumed_at_the_other_door(server: Server) -> None:
    path = await server.make_session(await server.make_agent())
    async with server.connect(path) as client:
        session_id = (await client.next())["session_id"]
        await server.vanish(client)
    await detached(server, session_id)
    async with server.connect() as client:
        assert (await resumed(server, client, session_id))["type"] == "session.ready"


async def test_a_running_session_keeps_its_audio_format(server: Server) -> None:
    path = await server.make_session(await server.make_agent())
    async with server.connect(path + "?encoding=mulaw") as client:
        await client.next()
        async with server.connect(path + "?encoding=pcm16") as other:
            answer = await other.next()
            assert (answer["code"], answer["param"]) == ("invalid_value", "encoding")
            assert await other.closed() == 1008
        async with server.connect(path + "?encoding=mulaw") as same:
            assert (await same.next())["type"] == "session.ready"


async def test_a_client_that_stops_reading_is_dropped_and_its_session_waits(serve: Serve) -> None:
    async with serve(replies=lambda _: STORY * 20) as server:
        path = await server.make_session(await server.make_agent())
        async with server.connect(
            path + "?sample_rate=48000", max_queue=1, ping_interval=None, close_timeout=0.1
        ) as client:
            session_id = (await client.next())["session_id"]
            session = server.services.live.get(session_id)
            assert session is not None
            client.connection.transport.pause_reading()
            second = np.zeros(RATE * 2, np.int16)
            while session.is_attached:
                # Agent audio comes at the pace of speech: more of it, to fill the system's buffers.
                session._client.play("resp", second, RATE)
                await asyncio.sleep(0)
            client.connection.transport.abort()
        assert not session.is_over
        async with server.connect(path + "?sample_rate=48000") as client:
            assert (await client.next())["type"] == "session.ready"
