from datetime import UTC, datetime, timedelta

import pytest

from nur_server.conversation.record import Speaker, Turn
from nur_server.store.sink import StoreSink
from nur_server.transports.loopback import Answer, HangUp, Pause
from tests.api.conftest import Server, Start
from tests.api.routes.test_calls import RINGS, TALKS, TO, over, reached, telephony

FROM = "+15550199"


async def dialled(server: Server, **fields: object) -> dict[str, object]:
    agent = await server.make_agent(first_message="Hello {{name|there}}!")
    body = {"agent_id": agent["id"], "to_number": TO, "from_number": FROM, **fields}
    return await server.call("POST", "/voice/outbound/dial", 201, json=body)


async def test_dialling_with_every_field(start: Start) -> None:
    async with start(telephony=telephony(TALKS)) as server:
        made = await dialled(
            server,
            context={"name": "Ada"},
            max_duration=120,
            recording=False,
            scheduled_at=None,
            webhook_url="https://example.com/hook",
        )
        assert str(made["call_id"]).startswith("call_")
        assert (made["status"], made["to_number"], made["from_number"]) == ("initiating", TO, FROM)
        assert (made["type"], made["direction"], made["max_duration"]) == (
            "outbound",
            "outbound",
            120,
        )
        datetime.fromisoformat(str(made["created_at"]))
        await over(server, str(made["call_id"]))
        status = await server.call("GET", f"/voice/status/{made['call_id']}")
        assert (status["status"], status["session_id"]) == ("completed", made["session_id"])
        assert status["duration"] == round(status["duration_seconds"])
        details = await server.call("GET", f"/voice/sessions/{made['session_id']}")
        assert [line["role"] for line in details["transcript"]] == [
            "assistant",
            "user",
            "assistant",
        ]
        assert details["transcript"][0]["content"] == "Hello Ada!"
        assert details["context"] == {"name": "Ada"}
        spoken = await server.call("GET", f"/v1/widget/transcript/{made['call_id']}")
        assert spoken["transcript"] == spoken["messages"] == details["transcript"]


async def test_the_default_duration(start: Start) -> None:
    async with start(telephony=telephony()) as server:
        assert (await dialled(server))["max_duration"] == 600


@pytest.mark.parametrize("missing", ["agent_id", "to_number", "from_number"])
async def test_what_dialling_needs(start: Start, missing: str) -> None:
    async with start(telephony=telephony()) as server:
        body = {"agent_id": "agt_1", "to_number": TO, "from_number": FROM}
        del body[missing]
        error = await server.refuse("POST", "/voice/outbound/dial", 422, json=body)
        assert (error["code"], error["param"]) == ("missing_parameter", missing)


async def test_a_call_is_ended_by_either_id(start: Start) -> None:
    async with start(telephony=telephony((Answer(), Pause(60)))) as server:
        for name in ("session_id", "call_id"):
            made = await dialled(server)
            await reached(server, str(made["call_id"]), "in_progress")
            ended = await server.call("POST", f"/voice/end/{made[name]}")
            assert (ended["status"], ended["ended_reason"]) == ("completed", "client_ended")
            assert ended["ended_at"] is not None
            assert await server.call("POST", f"/voice/end/{made[name]}") == ended


async def test_sessions_of_every_kind_are_listed(start: Start) -> None:
    async with start(telephony=telephony((Answer(), HangUp()))) as server:
        agent = await server.make_agent()
        web = await server.make_session(agent["id"])
        made = await dialled(server)
        await over(server, str(made["call_id"]))
        listed = await server.call("GET", "/voice/sessions")
        assert [s["session_id"] for s in listed["sessions"]] == [made["session_id"], web["id"]]
        assert [s["type"] for s in listed["sessions"]] == ["outbound", "web"]
        assert (listed["total"], listed["limit"], listed["offset"]) == (2, 20, 0)
        now = datetime.now(UTC)
        for query, total in (
            ({"status": "completed"}, 1),
            ({"status": "initiating"}, 1),
            ({"status": "failed"}, 0),
            ({"agent_id": agent["id"]}, 1),
            ({"start_date": (now - timedelta(hours=1)).isoformat()}, 2),
            ({"end_date": (now - timedelta(hours=1)).isoformat()}, 0),
            ({"start_date": now.date().isoformat(), "limit": "1"}, 2),
            ({"end_date": now.date().isoformat()}, 2),
            ({"end_date": (now.date() - timedelta(days=1)).isoformat()}, 0),
            ({"offset": "1"}, 2),
        ):
            assert (await server.call("GET", "/voice/sessions", params=query))["total"] == total
        await server.refuse("GET", "/voice/sessions", 422, params={"start_date": "yesterday"})
        await server.refuse("GET", "/voice/sessions", 422, params={"limit": "101"})


async def test_a_socket_s_session_can_be_watched_and_ended(start: Start) -> None:
    async with start(telephony=telephony()) as server:
        agent = await server.make_agent()
        session = await server.make_session(agent["id"])
        sink = StoreSink(server.services.database, server.services.node_id)
        await sink.session_started(session["id"])
        await sink.turn_finished(
            session["id"], Turn(0, "i", Speaker.USER, "Hi there.", 1500, 2000, "speech")
        )
        status = await server.call("GET", f"/voice/status/{session['id']}")
        assert (status["status"], status["call_id"]) == ("in_progress", None)
        spoken = await server.call("GET", f"/v1/widget/transcript/{session['id']}")
        assert spoken["messages"] == [{"role": "user", "content": "Hi there.", "timestamp": 1.5}]
        assert (await server.call("POST", f"/voice/end/{session['id']}"))["status"] == "completed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/voice/status/ses_none"),
        ("GET", "/voice/sessions/call_none"),
        ("POST", "/voice/end/ses_none"),
        ("GET", "/v1/widget/transcript/ses_none"),
    ],
)
async def test_unknown_sessions(server: Server, method: str, path: str) -> None:
    error = await server.refuse(method, path, 404)
    assert error["code"] == "session_not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/voice/outbound/dial", 10),
        ("POST", "/voice/end/ses_none", 30),
        ("GET", "/voice/status/ses_none", 60),
        ("GET", "/voice/sessions", 30),
    ],
)
async def test_the_table_of_rates(start: Start, method: str, path: str, allowed: int) -> None:
    async with start(telephony=telephony(RINGS)) as server:
        answers = [await server.client.request(method, path) for _ in range(allowed + 1)]
        assert {answer.status_code for answer in answers[:-1]} <= {200, 404, 422}
        assert answers[-1].status_code == 429
        assert answers[0].headers["X-RateLimit-Limit"] == str(allowed)
        assert "Retry-After" in answers[-1].headers
