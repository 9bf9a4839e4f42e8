"""Bad input gets a clear error, the right close code, and loses nothing."""

import asyncio
import base64
import json
from typing import Any

import httpx2
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from nur_server.api.routes import realtime
from tests.api_realtime.conftest import RATE, Client, Serve, Server, eventually, id_of, tone


async def error_of(client: Client) -> dict[str, Any]:
    return await client.until("session.error")


async def still_talks(client: Client) -> None:
    await client.send("reply.create")
    await client.until("reply.done", status="completed")


# Who may come in


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer nur_wrong"}, {"Authorization": "x"}, {"Authorization": ""}],
)
async def test_without_a_valid_key_the_socket_says_so_and_closes(
    server: Server, headers: dict[str, str]
) -> None:
    async with server.connect(headers=headers) as client:
        error = await client.next()
        assert (error["type"], error["code"]) == ("session.error", "unauthorized")
        assert error["message"].startswith("Authentication failed")
        assert (error["session_id"], error["param"]) == (None, None)
        assert await client.closed() == 1008


@pytest.mark.parametrize("path", ["/v1/nothing", "/nothing", "/v1/agents", "/v1/agents/x/talk"])
async def test_a_socket_that_is_not_there_is_a_404_with_the_body_of_errors(
    server: Server, path: str
) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        async with server.connect(path):
            pass
    answer = refusal.value.response
    assert answer.status_code == 404
    assert json.loads(answer.body or b"")["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("session", "told"),
    [
        ({"sytem_prompt": "x"}, "did you mean 'system_prompt'?"),
        ({"prompt": "x"}, "did you mean 'system_prompt'?"),
        ({"output": {"voice_id": "wren"}}, "did you mean 'voice'?"),
        ({"input": {"turn_detection": {"min_silense": 300}}}, "did you mean 'min_silence'?"),
        ({"input": {"format": {"encoding": "audio/mp3"}}}, "'audio/pcm', 'audio/pcmu'"),
        ({"output": {"type": "video"}}, "'audio', 'text'"),
    ],
)
async def test_a_wrong_configuration_is_told_what_is_right(
    server: Server, session: dict[str, Any], told: str
) -> None:
    async with server.connect() as client:
        await client.send("session.update", session=session)
        assert told in (await error_of(client))["message"]


async def test_an_unknown_message_is_told_what_there_is(server: Server) -> None:
    async with server.connect() as client:
        await client.send("session.updat", session={})
        assert "did you mean 'session.update'?" in (await error_of(client))["message"]


async def test_a_key_is_accepted_with_and_without_bearer(server: Server) -> None:
    for value in (f"Bearer {server.key}", server.key):
        async with server.connect(headers={"Authorization": value}) as client:
            await client.update()
            await client.until("session.ready")


async def test_a_token_opens_a_session_in_the_query_and_in_the_header(server: Server) -> None:
    token = (await server.get("/v1/token?expires_in_seconds=60"))["token"]
    async with server.connect(f"/v1/ws?token={token}", headers={}) as client:
        await client.update()
        await client.until("session.ready")
    async with server.connect(headers={"Authorization": f"Bearer {token}"}) as client:
        await client.update()
        await client.until("session.ready")


async def test_a_token_s_cap_is_the_session_s(server: Server) -> None:
    path = "/v1/token?expires_in_seconds=60&max_session_duration_seconds=60"
    token = (await server.get(path))["token"]
    async with server.connect(f"/v1/ws?token={token}", headers={}) as client:
        await client.update()
        ready = await client.until("session.ready")
        assert 55 <= ready["expires_at"] - ready["timestamp"] <= 60


async def test_a_single_use_token_opens_one_session(serve: Serve) -> None:
    async with serve(single_use_tokens=True) as server:
        token = (await server.get("/v1/token?expires_in_seconds=60"))["token"]
        async with server.connect(f"/v1/ws?token={token}", headers={}) as client:
            await client.update()
            session_id = (await client.until("session.ready"))["session_id"]
            async with server.connect(f"/v1/ws?token={token}", headers={}) as second:
                await second.update()
                assert (await error_of(second))["code"] == "unauthorized"
                assert await second.closed() == 1008
            async with server.connect(f"/v1/ws?token={token}", headers={}) as again:
                await again.send("session.resume", session_id=session_id)
                assert (await again.next())["type"] == "session.ready"


async def test_a_key_without_the_scope_is_forbidden(server: Server) -> None:
    key = await server.post("/v1/api-keys", name="reader", scopes=["agents:read"])
    async with server.connect(headers={"Authorization": key["key"]}) as client:
        assert (await error_of(client))["code"] == "session_forbidden"
        assert await client.closed() == 1008


async def test_a_session_s_own_address_is_authority_enough(server: Server) -> None:
    path = await server.make_session(await server.make_agent())
    async with server.connect(path, headers={}) as client:
        assert (await client.next())["type"] == "session.ready"


async def test_a_key_on_the_session_s_own_address_does_no_harm(server: Server) -> None:
    path = await server.make_session(await server.make_agent())
    async with server.connect(path, headers={"Authorization": f"Bearer {server.key}"}) as client:
        assert (await client.next())["type"] == "session.ready"


@pytest.mark.parametrize("session_id", ["ses_0123", "agt_0123", "x" * 1_000, "%00"])
async def test_an_unknown_session_is_4404(server: Server, session_id: str) -> None:
    async with server.connect(f"/v1/sessions/{session_id}") as client:
        assert (await error_of(client))["code"] == "session_not_found"
        assert await client.closed() == 4404


async def test_a_phone_call_cannot_be_joined(server: Server) -> None:
    path = f"/v1/agents/{await server.make_agent()}/calls"
    call = {"phone_number": "+15550102", "scheduled_at": "2027-01-01T09:30:00Z"}
    made = await server.post(path, **call)
    async with server.connect(f"/v1/sessions/{made['session_id']}") as client:
        assert (await error_of(client))["code"] == "session_not_found"
        assert await client.closed() == 4404
    assert (await server.get(f"/v1/calls/{made['id']}"))["status"] == "scheduled"


async def test_a_session_of_a_deleted_agent_does_not_start(server: Server) -> None:
    agent_id = await server.make_agent()
    path = await server.make_session(agent_id)
    assert (await server.http.delete(f"/v1/agents/{agent_id}")).status_code == 200
    async with server.connect(path) as client:
        assert (await error_of(client))["code"] == "session_expired"
        assert await client.closed() == 4410


async def test_deleting_the_agent_ends_its_live_session(server: Server) -> None:
    agent_id = await server.make_agent()
    async with server.connect(await server.make_session(agent_id)) as client:
        await client.next()
        await server.http.delete(f"/v1/agents/{agent_id}")
        await client.until("session.ended", reason="agent_deleted")
        assert await client.closed() == 1000


async def test_ending_it_over_http_ends_the_conversation(server: Server) -> None:
    path = await server.make_session(await server.make_agent())
    async with server.connect(path) as client:
        await client.next()
        await server.post(f"/v1/sessions/{id_of(path)}/end")
        await client.until("session.ended", reason="client_ended")
        assert await client.closed() == 1000


async def test_a_full_server_says_try_again_and_the_session_waits(serve: Serve) -> None:
    async with serve(max_sessions=1) as server:
        path = await server.make_session(await server.make_agent())
        async with server.ready() as first:
            async with server.connect(path) as client:
                assert (await error_of(client))["code"] == "at_capacity"
                assert await client.closed() == 1013
            async with server.connect() as client:
                await client.update()
                assert (await error_of(client))["code"] == "at_capacity"
                assert await client.closed() == 1013
            await first.send("session.end")
            await first.closed()
        async with server.connect(path) as client:
            assert (await client.next())["type"] == "session.ready"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("encoding=opus", "encoding"),
        ("sample_rate=44100", "sample_rate"),
        ("sample_rate=many", "sample_rate"),
        ("encoding=mulaw&sample_rate=16000", "sample_rate"),
        ("audio=loud", "audio"),
    ],
)
async def test_a_wrong_query_is_refused_and_the_session_waits(
    server: Server, query: str, param: str
) -> None:
    path = await server.make_session(await server.make_agent())
    async with server.connect(f"{path}?{query}") as client:
        error = await error_of(client)
        assert (error["code"], error["param"]) == ("invalid_value", param)
        assert await client.closed() == 1008
    async with server.connect(path) as client:
        assert (await client.next())["type"] == "session.ready"


# The first message


async def test_a_client_that_says_nothing_is_sent_away(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime, "FIRST_MESSAGE_SECONDS", 0.1)
    async with server.connect() as client:
        assert (await client.next())["code"] == "agent_timeout"
        assert await client.closed() == 1011


async def test_audio_before_the_session_is_ready_is_dropped_without_a_word(server: Server) -> None:
    async with server.connect() as client:
        await client.send_audio(tone(0.1))
        await client.update()
        assert [(await client.next())["type"] for _ in range(2)] == [
            "session.updated",
            "session.ready",
        ]


@pytest.mark.parametrize(
    "first", ["{", '{"type": "hello"}', '{"type": "session.end"}', '{"type": "reply.create"}', "[]"]
)
async def test_a_wrong_first_message_is_an_error_and_the_next_may_be_right(
    server: Server, first: str
) -> None:
    async with server.connect() as client:
        await client.connection.send(first)
        assert (await client.next())["code"] == "invalid_format"
        await client.update()
        await client.until("session.ready")


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"system_promt": "x"}, "invalid_value", "system_promt"),
        ({"output": {"voice": "nobody"}}, "invalid_value", "output.voice"),
        ({"tools": [{"name": "bad name"}]}, "invalid_value", "tools[0].name"),
        ({"agent_id": "agt_0123"}, "agent_not_found", "agent_id"),
        ({"agent_id": "agt_0123", "greeting": "Hi"}, "invalid_value", "agent_id"),
        (
            {"tools": [{"name": "x", "http": {"url": "http://169.254.169.254/"}}]},
            "invalid_value",
            "tools[0].http.url",
        ),
    ],
)
async def test_a_first_configuration_that_is_refused_closes(
    server: Server, session: dict[str, Any], code: str, param: str
) -> None:
    async with server.connect() as client:
        await client.update(**session)
        error = await client.next()
        assert (error["code"], error["param"]) == (code, param)
        assert await client.closed() == 1008
    assert (await server.get("/v1/sessions"))["total"] == 0


async def test_a_paused_agent_refuses_new_sessions(server: Server) -> None:
    agent_id = await server.make_agent(status="paused")
    async with server.connect() as client:
        await client.update(agent_id=agent_id)
        error = await client.next()
        assert "paused" in error["message"]
        assert await client.closed() == 1008


# During the conversation


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("{", "invalid_format", None),
        ('{"type": "hello"}', "invalid_format", None),
        ('{"type": "input.audio"}', "invalid_format", None),
        ('{"type": "input.audio", "audio": "AAA"}', "invalid_audio", None),
        ('{"type": "session.resume", "session_id": "ses_1"}', "invalid_format", None),
        ('{"type": "session.update", "session": {"typo": 1}}', "invalid_value", "typo"),
        (
            '{"type": "session.update", "session": {"greeting": "Hello."}}',
            "immutable_field",
            "greeting",
        ),
        (
            '{"type": "session.update", "session": {"agent_id": "agt_1"}}',
            "agent_id_not_first",
            "agent_id",
        ),
        (
            '{"type": "session.update", "session": {"tools": [{"name": "x"}, {"name": "x"}]}}',
            "invalid_value",
            "tools[1].name",
        ),
    ],
)
async def test_a_bad_message_is_an_error_and_the_conversation_goes_on(
    server: Server, message: str, code: str, param: str | None
) -> None:
    async with server.ready() as client:
        session_id = client.seen[-1]["session_id"]
        await client.connection.send(message)
        error = await client.next()
        assert (error["type"], error["code"]) == ("session.error", code)
        assert (error["param"], error["session_id"]) == (param, session_id)
        await still_talks(client)


async def test_an_odd_number_of_bytes_is_an_error_and_no_sample_is_lost(server: Server) -> None:
    async with server.ready() as client:
        speech = tone(0.5).tobytes()
        for piece in (speech[:4_801], speech[4_801:]):
            await client.send("input.audio", audio=base64.b64encode(piece).decode())
        assert (await client.next())["code"] == "invalid_audio"
        assert (await client.next())["type"] == "input.speech.started"


async def test_an_odd_number_of_bytes_in_a_binary_frame_is_an_error(server: Server) -> None:
    async with server.connect(await server.make_session(await server.make_agent())) as client:
        await client.next()
        await client.connection.send(b"\x00\x01\x02")
        assert (await client.next())["code"] == "invalid_audio"
        await still_talks(client)


async def test_audio_far_ahead_of_real_time_is_dropped_with_one_error(server: Server) -> None:
    async with server.ready() as client:
        silence = np.zeros(RATE, np.int16)
        for _ in range(20):
            await client.send_audio(silence)
        assert (await client.next())["code"] == "audio_rate_violation"
        await still_talks(client)
        assert client.types().count("session.error") == 1


async def test_messages_without_end_are_dropped_with_one_error(server: Server) -> None:
    async with server.ready() as client:
        for _ in range(30):
            await client.send("conversation.message", role="system", content="x" * 99_000)
        assert (await client.next())["code"] == "message_rate_violation"
        await client.send("session.end")
        assert (await client.until("session.ended"))["reason"] == "client_ended"
        assert client.types().count("session.error") == 1


async def test_a_burst_of_audio_is_no_violation(server: Server) -> None:
    async with server.ready() as client:
        for _ in range(5):
            await client.send_audio(np.zeros(RATE, np.int16))
        await still_talks(client)
        assert "session.error" not in client.types()


async def test_a_frame_too_large_is_an_error_and_closes_with_1009(serve: Serve) -> None:
    async with serve(max_frame_bytes=2_000) as server:
        async with server.ready() as client:
            session_id = client.seen[-1]["session_id"]
            await client.send("conversation.message", role="user", content="x" * 2_000)
            error = await client.next()
            assert "at most 2000 bytes" in error["message"]
            assert await client.closed() == 1009
        async with server.connect() as client:
            await client.send("session.resume", session_id=session_id)
            assert (await client.next())["type"] == "session.ready"
        async with server.connect() as client:
            await client.update(system_prompt="x" * 2_000)
            assert "at most 2000 bytes" in (await client.next())["message"]
            assert await client.closed() == 1009


async def test_the_server_stops_with_a_word_to_its_clients(serve: Serve) -> None:
    async with serve() as server, server.ready() as client:
        closing = asyncio.create_task(server.services.live.close())
        await client.until("session.ended", reason="server_shutdown")
        assert await client.closed() == 1012
        await closing


async def test_nothing_of_a_session_is_left_when_it_is_over(server: Server) -> None:
    async with server.ready() as client:
        await client.send("session.end")
        await client.closed()
    await eventually(lambda: not len(server.services.live))
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not any(name.startswith(("ses_", "resp_", "utt_")) for name in names)


async def test_plain_http_on_the_socket_s_address_is_no_crash(server: Server) -> None:
    response: httpx2.Response = await server.http.get("/v1/ws")
    assert response.status_code == 404
