"""What a client of OpenAI's protocol does wrong, and what becomes of it: an error, no more."""

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from nur_server.api.wire.openai.items import MOST_ITEMS
from tests.api_realtime.conftest import Server
from tests.openai.conftest import Peer, connected, openai_client

LONG = "We have boots in brown, in black and in green. " * 6


def message(text: str = "Hello.", **more: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **more}


async def works(peer: Peer) -> None:
    """The conversation goes on."""
    assert (await peer.respond())["status"] == "completed"


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "no.such.event"}, "invalid_value", "type"),
        ({"type": 7}, "invalid_event", "type"),
        ({"type": "input_audio_buffer.append", "audio": "!!!"}, "invalid_audio", "audio"),
        ({"type": "input_audio_buffer.append", "audio": 7}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append"}, "invalid_value", None),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
        ({"type": "session.update"}, "invalid_value", None),
        (
            {"type": "session.update", "session": {"instructions": 7}},
            "invalid_value",
            "session.instructions",
        ),
        (
            {"type": "session.update", "session": {"audio": {"input": {"format": "mp3"}}}},
            "invalid_value",
            "session.audio",
        ),
        (
            {"type": "session.update", "session": {"tools": [{"type": "function"}]}},
            "invalid_parameter",
            "tools[0].name",
        ),
        ({"type": "conversation.item.create", "item": {"type": "x"}}, "invalid_value", "item.type"),
        (
            {"type": "conversation.item.create", "item": message(role="x")},
            "invalid_value",
            "item.role",
        ),
        (
            {"type": "conversation.item.create", "item": message(id="x" * 200)},
            "invalid_value",
            "item.id",
        ),
        (
            {"type": "conversation.item.create", "item": message(), "previous_item_id": "gone"},
            "item_not_found",
            "previous_item_id",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "function_call_output", "call_id": "gone", "output": ""},
            },
            "invalid_tool_call_id",
            "item.call_id",
        ),
        (
            {"type": "conversation.item.create", "item": {"type": "function_call"}},
            "missing_value",
            "item.call_id",
        ),
        ({"type": "conversation.item.retrieve", "item_id": "gone"}, "item_not_found", "item_id"),
        ({"type": "conversation.item.delete", "item_id": "gone"}, "item_not_found", "item_id"),
        (
            {
                "type": "conversation.item.truncate",
                "item_id": "gone",
                "content_index": 0,
                "audio_end_ms": 0,
            },
            "item_not_found",
            "item_id",
        ),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
        (
            {"type": "response.cancel", "response_id": "gone"},
            "response_cancel_not_active",
            "response_id",
        ),
        (
            {"type": "response.create", "response": {"metadata": {str(n): "" for n in range(20)}}},
            "invalid_value",
            "response.metadata",
        ),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) else None,
)
async def test_an_event_that_cannot_be_used(
    server: Server, event: dict[str, Any], code: str, param: str | None
) -> None:
    async with connected(server) as peer:
        await peer.connection.send({**event, "event_id": "mine"})
        error = (await peer.until("error"))["error"]
        assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
        await works(peer)


@pytest.mark.parametrize("frame", ["", "{", "[]", "null", '"text"', "[" * 300, "\x00"])
async def test_a_frame_that_is_no_event(server: Server, frame: str) -> None:
    async with connected(server) as peer:
        await peer.connection._connection.send(frame)
        assert (await peer.until("error"))["error"]["type"] == "invalid_request_error"
        await works(peer)


@pytest.mark.parametrize(
    "session",
    [
        {"tracing": "auto", "truncation": "disabled", "reasoning": {"effort": "low"}},
        {"prompt": {"id": "pmpt_1"}, "include": ["item.input_audio_transcription.logprobs"]},
        {"audio": {"input": {"noise_reduction": {"type": "near_field"}}}},
        {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}},
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}}},
        {"audio": {"output": {"voice": "no such voice", "speed": 9}}},
        {"audio": {"output": {"voice": {"id": "voice_1"}}}},
        {"audio": {"input": {"transcription": {"model": "whisper-1", "language": "xx-none"}}}},
        {"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x.example"}]},
        {"tool_choice": {"type": "function", "name": "x"}, "max_output_tokens": "inf"},
        {"model": "another", "no_such_field": 1, "temperature": 0.8},
    ],
    ids=lambda session: ",".join(session),
)
async def test_settings_that_this_server_lacks_are_no_error(
    server: Server, session: dict[str, Any]
) -> None:
    async with connected(server) as peer:
        before = peer.seen[0]["session"]
        after = await peer.update(**session)
        assert after["audio"]["output"]["voice"] == before["audio"]["output"]["voice"]
        await works(peer)
        assert peer.of("error") == []


async def test_ids_are_used_once_until_they_are_deleted(server: Server) -> None:
    async with connected(server) as peer:
        for code in (None, "item_id_exists", None):
            await peer.send("conversation.item.create", item=message(id="a"))
            told = await peer.until("conversation.item.done" if code is None else "error")
            assert code is None or told["error"]["code"] == code
            if code:
                await peer.send("conversation.item.delete", item_id="a")
        await works(peer)


@pytest.mark.parametrize("kind", ["retrieve", "delete", "truncate"])
async def test_a_deleted_item_is_not_there(server: Server, kind: str) -> None:
    async with connected(server) as peer:
        item_id = await peer.type("Hello.")
        await peer.send("conversation.item.delete", item_id=item_id)
        more = {"content_index": 0, "audio_end_ms": 0} if kind == "truncate" else {}
        await peer.send(f"conversation.item.{kind}", item_id=item_id, **more)
        assert (await peer.until("error"))["error"]["code"] == "item_not_found"
        await works(peer)


async def test_a_reply_that_is_deleted_while_it_is_spoken_is_forgotten(serve: Any) -> None:
    async with serve(replies=[LONG, "Yes."]) as server, connected(server) as peer:
        await peer.send("response.create")
        item_id = (await peer.until("response.output_audio_transcript.delta"))["item_id"]
        await peer.send("conversation.item.delete", item_id=item_id)
        await peer.until("conversation.item.deleted")
        await peer.send("response.cancel")
        await peer.until("response.done")
        await peer.respond()
        assert [m.content for m in server.llm.requests[-1].messages] == []


async def test_one_response_at_a_time(serve: Any) -> None:
    async with serve(replies=[LONG, "Yes."]) as server, connected(server) as peer:
        await peer.send("response.create")
        await peer.send("response.create", event_id="second")
        error = (await peer.until("error"))["error"]
        assert error["code"] == "conversation_already_has_active_response"
        assert error["event_id"] == "second"
        await peer.send("response.cancel")
        await peer.until("response.done")
        await works(peer)
        assert len(server.llm.requests) == 2


async def test_floods_of_items_are_bounded(server: Server) -> None:
    """By their number and their size, and by how fast they come."""
    async with connected(server) as peer:
        codes: list[str] = []
        for number in range(MOST_ITEMS * 2):
            await peer.connection._connection.send(
                json.dumps({"type": "conversation.item.create", "item": message(f"{number}")})
            )
        async with connected(server) as other:
            await works(other)
        while "message_rate_violation" not in codes and "too_many_items" not in codes:
            codes += [e["error"]["code"] for e in [await peer.next()] if e["type"] == "error"]


async def test_a_giant_frame_ends_the_connection(serve: Any) -> None:
    async with serve(max_frame_bytes=10_000) as server, connected(server) as peer:
        await peer.send("input_audio_buffer.append", audio="A" * 20_000)
        assert (await peer.until("error"))["error"]["code"] == "payload_too_large"
        with pytest.raises(ConnectionClosed):
            await peer.next()
        assert peer.connection._connection.close_code == 1009


# Who may connect


async def test_a_bad_key_is_refused_before_the_connection(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connected(server, key="nur_wrong"):
            pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("key", ["nur_wrong", "ek_wrong", ""])
async def test_a_page_with_a_bad_key_is_told_so(server: Server, key: str) -> None:
    """A page cannot read the answer to a request that is refused."""
    offered: Any = ["realtime", f"openai-insecure-api-key.{key or 'x'}"]
    url = f"ws://{server.address}/v1/realtime?model=m"
    async with connect(url, subprotocols=offered) as socket:
        assert socket.subprotocol == "realtime"
        error = json.loads(await socket.recv())["error"]
        assert error["type"] == "authentication_error"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1008


async def test_a_key_in_the_subprotocol(server: Server) -> None:
    offered: Any = ["realtime", f"openai-insecure-api-key.{server.key}", "openai-agents-sdk.0.20"]
    url = f"ws://{server.address}/v1/realtime?model=m"
    async with connect(url, subprotocols=offered) as socket:
        assert socket.subprotocol == "realtime"
        assert json.loads(await socket.recv())["type"] == "session.created"


async def test_a_paused_agent_is_refused(server: Server) -> None:
    agent_id = await server.make_agent()
    await server.http.patch(f"/v1/agents/{agent_id}", json={"status": "paused"})
    async with openai_client(server) as client, client.realtime.connect(model=agent_id) as there:
        event = (await there.recv()).to_dict()
    assert event["error"]["code"] == "agent_paused"


@pytest.mark.parametrize("named", [True, False])
async def test_other_models_are_the_agent_of_the_setting(serve: Any, named: bool) -> None:
    async with serve(realtime_agent="Desk") as server:
        if named:
            await server.make_agent(name="Desk", system_prompt="You are the desk.")
        async with connected(server, "gpt-realtime") as peer:
            instructions = peer.seen[0]["session"]["instructions"]
        assert instructions == ("You are the desk." if named else "")


async def test_an_agent_of_another_account_is_not_found_by_its_name(server: Server) -> None:
    """Its name is any other name."""
    await server.make_agent(name="Desk", system_prompt="Secret.")
    other = await server.services.agents("acc_other").named("Desk")
    assert other is None
