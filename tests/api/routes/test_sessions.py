import re
from datetime import datetime, timedelta

import pytest

from nur_server.clock import ManualClock
from nur_server.conversation.record import Speaker, ToolRecord, ToolStatus, Turn
from nur_server.opening.plan import plan_for_agent
from nur_server.opening.prepare import Identity, prepare
from nur_server.store.accounts import DEFAULT_ACCOUNT
from nur_server.store.sink import StoreSink
from tests.api.conftest import Server, Start


async def test_a_session_is_opened(server: Server) -> None:
    agent = await server.make_agent()
    session = await server.make_session(
        agent["id"],
        metadata={"user_id": "usr_456", "channel": "web"},
        context={"name": "Ada"},
        initial_message="Hello! How can I help you today?",
    )
    assert session["session_id"] == session["id"]
    assert session["id"].startswith("ses_")
    assert session["object"] == "session"
    assert session["agent_id"] == agent["id"]
    assert session["kind"] == "websocket"
    assert session["status"] == "active"
    address, _, secret = session["websocket_url"].rpartition("/")
    assert address == f"ws://nur.test/v1/sessions/{session['id']}"
    assert re.fullmatch("ssk_[0-9a-f]{64}", secret)
    assert session["metadata"] == {"user_id": "usr_456", "channel": "web"}
    assert session["context"] == {"name": "Ada"}
    assert session["initial_message"] == "Hello! How can I help you today?"
    assert session["warnings"] == []
    created, expires = (
        datetime.fromisoformat(session[name]) for name in ("created_at", "expires_at")
    )
    assert abs(expires - created - timedelta(hours=1)) < timedelta(seconds=1)
    read = await server.call("GET", f"/v1/sessions/{session['id']}")
    assert read == {**session, "websocket_url": None}


async def test_a_session_needs_no_body(server: Server) -> None:
    agent = await server.make_agent()
    session = await server.call("POST", f"/v1/agents/{agent['id']}/sessions", 201)
    assert session["metadata"] == {}


async def test_the_address_is_the_one_the_client_used(start: Start) -> None:
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "voice.example"}
    async with start() as server:
        agent = await server.make_agent()
        path = f"/v1/agents/{agent['id']}/sessions"
        session = await server.call("POST", path, 201, headers=proxied)
        assert session["websocket_url"].startswith("wss://voice.example/v1/sessions/ses_")


async def test_the_public_address_of_the_settings(start: Start) -> None:
    async with start(public_url="https://nur.example/base") as server:
        agent = await server.make_agent()
        session = await server.make_session(agent["id"])
        assert session["websocket_url"].startswith("wss://nur.example/base/v1/sessions/ses_")


async def test_missing_variables_are_named(server: Server) -> None:
    agent = await server.make_agent(
        system_prompt="You help {{name}} in {{city|Ulm}}.", first_message="Hello {{title}}!"
    )
    session = await server.make_session(agent["id"], metadata={"name": "Ada"})
    (warning,) = session["warnings"]
    assert warning.startswith("{{title}}")
    path = f"/v1/sessions/{session['id']}"
    assert (await server.call("GET", path))["warnings"] == [warning]


async def test_a_paused_agent_refuses_sessions(server: Server) -> None:
    agent = await server.make_agent(status="paused")
    error = await server.refuse("POST", f"/v1/agents/{agent['id']}/sessions", 409, json={})
    assert error["code"] == "agent_paused"
    await server.call("PATCH", f"/v1/agents/{agent['id']}", json={"status": "active"})
    await server.make_session(agent["id"])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"metadata": {str(i): i for i in range(21)}}, "metadata"),
        ({"metadata": "x"}, "metadata"),
        ({"initial_message": 5}, "initial_message"),
        ({"context": []}, "context"),
        ({"agent_id": "agt_other"}, "agent_id"),
        ({"initial_mesage": "Hi"}, "initial_mesage"),
    ],
)
async def test_a_bad_field_is_named(server: Server, body: dict[str, object], param: str) -> None:
    agent = await server.make_agent()
    error = await server.refuse("POST", f"/v1/agents/{agent['id']}/sessions", 422, json=body)
    assert error["param"] == param


async def test_an_unknown_session(server: Server) -> None:
    for method, path in [
        ("GET", "/v1/sessions/ses_unknown"),
        ("GET", "/v1/sessions/ses_unknown/transcript"),
        ("POST", "/v1/sessions/ses_unknown/end"),
        ("DELETE", "/v1/sessions/ses_unknown"),
    ]:
        error = await server.refuse(method, path, 404)
        assert error["code"] == "session_not_found"
    await server.refuse("GET", "/v1/agents/agt_unknown/sessions", 404)
    await server.refuse("POST", "/v1/agents/agt_unknown/sessions", 404)


async def test_a_session_expires(start: Start) -> None:
    clock = ManualClock()
    async with start(clock=clock) as server:
        agent = await server.make_agent()
        session = await server.make_session(agent["id"])
        clock.advance(3600)
        path = f"/v1/sessions/{session['id']}"
        expired = await server.call("GET", path)
        assert (expired["status"], expired["ended_reason"]) == ("expired", "expired")
        assert (await server.call("POST", f"{path}/end"))["status"] == "expired"


@pytest.mark.parametrize(("method", "tail"), [("POST", "/end"), ("DELETE", "")])
async def test_a_session_is_ended(server: Server, method: str, tail: str) -> None:
    agent = await server.make_agent()
    session = await server.make_session(agent["id"])
    path = f"/v1/sessions/{session['id']}{tail}"
    ended = await server.call(method, path)
    assert (ended["status"], ended["ended_reason"]) == ("ended", "client_ended")
    assert ended["ended_at"] is not None
    assert await server.call(method, path) == ended


async def test_a_live_session_is_ended(server: Server) -> None:
    agent = await server.make_agent()
    session = await server.make_session(agent["id"])
    stored = await server.services.agents(DEFAULT_ACCOUNT).get(agent["id"])
    identity = Identity(DEFAULT_ACCOUNT, session["id"])
    live = server.services.live
    live.start(prepare(plan_for_agent(stored), identity, server.services.catalogue))
    ended = await server.call("POST", f"/v1/sessions/{session['id']}/end")
    assert (ended["status"], ended["ended_reason"]) == ("ended", "client_ended")
    assert live.get(session["id"]) is None


# Lists


async def test_sessions_are_listed_newest_first(server: Server) -> None:
    agent, other = await server.make_agent(), await server.make_agent()
    first = await server.make_session(agent["id"])
    second = await server.make_session(agent["id"])
    third = await server.make_session(other["id"])
    await server.call("POST", f"/v1/sessions/{second['id']}/end")

    async def ids(path: str) -> list[str]:
        return [session["id"] for session in (await server.call("GET", path))["data"]]

    assert await ids("/v1/sessions") == [third["id"], second["id"], first["id"]]
    assert await ids(f"/v1/agents/{agent['id']}/sessions") == [second["id"], first["id"]]
    assert await ids(f"/v1/sessions?agent_id={other['id']}") == [third["id"]]
    assert await ids("/v1/sessions?status=ended") == [second["id"]]
    assert await ids(f"/v1/agents/{agent['id']}/sessions?status=active") == [first["id"]]
    assert await ids("/v1/sessions?kind=inbound") == []
    assert await ids("/v1/sessions?created_after=2000-01-01") == await ids("/v1/sessions")
    assert await ids("/v1/sessions?created_before=946684800") == []
    page = await server.call("GET", "/v1/sessions?limit=2")
    assert page["sessions"] == page["data"]
    assert await ids(f"/v1/sessions?limit=2&cursor={page['next_cursor']}") == [first["id"]]


@pytest.mark.parametrize(
    ("query", "param"),
    [("status=live", "status"), ("kind=carrier", "kind"), ("created_after=soon", "created_after"),
     ("created_before=99999999999999999999", "created_before")],
)  # fmt: skip
async def test_a_bad_filter_is_named(server: Server, query: str, param: str) -> None:
    assert (await server.refuse("GET", f"/v1/sessions?{query}", 422))["param"] == param


# Transcripts


@pytest.mark.parametrize(
    "arguments", [r'{"a": "\ud800"}', r'{"\udfff": 1}', r'["\u0000"]', r'{"a": \ud83d', "\\ud800"]
)
async def test_a_transcript_shows_arguments_that_cannot_be_encoded(
    server: Server, arguments: str
) -> None:
    session = await server.make_session((await server.make_agent())["id"])
    call = ToolRecord("call_1", "look_up", arguments, ToolStatus.REFUSED, "No.", 1, 1)
    sink = StoreSink(server.services.database, server.services.node_id)
    turn = Turn(0, "i0", Speaker.AGENT, "Hm.", 0, 1, "greeting", tool_calls=(call,))
    await sink.turn_finished(session["id"], turn)
    transcript = await server.call("GET", f"/v1/sessions/{session['id']}/transcript")
    (shown,) = transcript["turns"][0]["tool_calls"]
    str(shown["arguments"]).encode()


async def test_a_transcript_is_what_was_heard(server: Server) -> None:
    agent = await server.make_agent()
    session = await server.make_session(agent["id"])
    call = ToolRecord(
        "call_1", "lookup_order", '{"order_id": "7"}', ToolStatus.SUCCEEDED, "shipped", 4000, 4200
    )
    sink = StoreSink(server.services.database, server.services.node_id)
    turns = [
        Turn(0, "i0", Speaker.USER, "Where is my order?", 100, 1500, "speech", confidence=0.9),
        Turn(
            1, "i1", Speaker.AGENT, "It was", 2000, 4500, "user_speech",
            interrupted_at_ms=4500, unheard=" shipped.", end_reason="user_speech",
            evidence={"words": 2}, latency_ms=500, tool_calls=(call,),
        ),
    ]  # fmt: skip
    for turn in turns:
        await sink.turn_finished(session["id"], turn)

    transcript = await server.call("GET", f"/v1/sessions/{session['id']}/transcript")
    assert transcript["object"] == "transcript"
    assert transcript["session_id"] == session["id"]
    assert transcript["agent_id"] == agent["id"]
    assert transcript["text"] == "user: Where is my order?\nagent: It was"
    user, spoken = transcript["turns"]
    assert (user["speaker"], user["started_ms"], user["confidence"]) == ("user", 100, 0.9)
    assert user["interrupted"] is False
    assert spoken["interrupted"] is True
    assert spoken["unheard"] == " shipped."
    assert spoken["latency_ms"] == 500
    assert spoken["tool_calls"] == [
        {
            "call_id": "call_1",
            "name": "lookup_order",
            "arguments": {"order_id": "7"},
            "status": "succeeded",
            "result": "shipped",
            "is_error": False,
            "called_ms": 4000,
            "answered_ms": 4200,
            "duration_ms": 200,
        }
    ]


async def test_a_new_session_has_an_empty_transcript(server: Server) -> None:
    agent = await server.make_agent()
    session = await server.make_session(agent["id"])
    transcript = await server.call("GET", f"/v1/sessions/{session['id']}/transcript")
    assert (transcript["turns"], transcript["text"]) == ([], "")
