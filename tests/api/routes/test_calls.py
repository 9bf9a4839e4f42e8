import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from nur_server.api.app import Telephony
from nur_server.calls.policy import CallPolicy
from nur_server.ports import HangupCause, ReplyRequest
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.scripted import Call, Reply, ScriptedLanguageModel
from nur_server.store.records import AgentStatus
from nur_server.store.schema import WebhookEventRow
from nur_server.transports.loopback import Answer, HangUp, HearOut, Pause, Refuse, Ring, Script
from tests.api.conftest import AGENT, Server, Start
from tests.calls.exchange import GENEROUS, QUICK, voice

TO = "+15550100"
RINGS: Script = (Ring(60),)
TALKS: Script = (Ring(0.05), Answer(), HearOut(0.2), voice(), HearOut(0.2), HangUp())


def telephony(script: Script = RINGS, policy: CallPolicy = GENEROUS) -> Telephony:
    return Telephony(policy=policy, times=QUICK, callee=lambda request: script)


async def over(server: Server, call_id: str) -> dict[str, Any]:
    """The call, once it has ended."""
    async with asyncio.timeout(20):
        while True:
            call = await server.call("GET", f"/v1/calls/{call_id}")
            if call["ended_at"] is not None:
                return call
            await asyncio.sleep(0.05)


async def reached(server: Server, call_id: str, status: str) -> None:
    """Return once the call is so far."""
    async with asyncio.timeout(20):
        while True:
            call = await server.call("GET", f"/v1/calls/{call_id}")
            if call["status"] == status:
                return
            await asyncio.sleep(0.05)


def later(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


async def test_an_agent_calls(start: Start) -> None:
    async with start(telephony=telephony(TALKS)) as server:
        agent = await server.make_agent(first_message="Hello {{name}}!")
        body = {
            "phone_number": TO,
            "context": {"name": "Ada"},
            "metadata": {"order": 7},
            "max_duration": 60,
            "record": False,
            "caller_id": "+15550199",
        }
        made = await server.call("POST", f"/v1/agents/{agent['id']}/calls", 201, json=body)
        assert made["id"] == made["call_id"]
        assert made["object"] == "call"
        assert (made["status"], made["direction"]) == ("initiating", "outbound")
        assert (made["phone_number"], made["caller_id"]) == (TO, "+15550199")
        assert (made["context"], made["metadata"]) == ({"name": "Ada"}, {"order": 7})
        assert (made["max_duration"], made["record"], made["error"]) == (60, False, None)
        assert isinstance(made["created"], int)
        call = await over(server, made["id"])
        assert (call["status"], call["ended_reason"]) == ("completed", "caller_hung_up")
        assert call["started_at"] <= call["ended_at"]
        assert call["duration"] == round(call["duration_seconds"])
        path = f"/v1/sessions/{call['session_id']}/transcript"
        transcript = await server.call("GET", path)
        assert transcript["turns"][0]["text"] == "Hello Ada!"
        assert call["transcript_id"] == transcript["session_id"]


async def test_a_failed_call_says_why(start: Start) -> None:
    script = (Refuse(HangupCause.BUSY),)
    async with start(telephony=telephony(script)) as server:
        agent = await server.make_agent()
        made = await server.call(
            "POST", "/v1/calls", 201, json={"agent_id": agent["id"], "to_number": TO}
        )
        call = await over(server, made["id"])
        assert (call["status"], call["ended_reason"]) == ("failed", "busy")
        assert call["error"] == call["error_code"] == "busy"
        assert call["transcript_id"] is None


async def test_who_has_answered_is_on_record(start: Start) -> None:
    script = (Answer(), Pause(0.2), voice(), HearOut(0.2), HangUp())
    async with start(telephony=telephony(script)) as server:
        agent = await server.make_agent(first_message="Hello!", voicemail={})
        path = f"/v1/agents/{agent['id']}/calls"
        made = await server.call("POST", path, 201, json={"phone_number": TO})
        assert made["answered_by"] is None
        assert (await over(server, made["id"]))["answered_by"] == "human"


async def test_defaults(start: Start) -> None:
    async with start(telephony=telephony()) as server:
        agent = await server.make_agent()
        made = await server.call(
            "POST", f"/v1/agents/{agent['id']}/calls", 201, json={"phone_number": TO}
        )
        assert (made["max_duration"], made["ring_seconds"], made["record"]) == (1800, 45, False)
        assert made["from_number"] == "+15550199"


async def test_both_ids_find_a_call(start: Start) -> None:
    async with start(telephony=telephony()) as server:
        agent = await server.make_agent()
        made = await server.call(
            "POST", f"/v1/agents/{agent['id']}/calls", 201, json={"phone_number": TO}
        )
        for id in (made["id"], made["session_id"]):
            assert (await server.call("GET", f"/v1/calls/{id}"))["id"] == made["id"]
        session = await server.call("GET", f"/v1/sessions/{made['session_id']}")
        assert session["kind"] == "outbound"
        ended = await server.call("POST", f"/v1/calls/{made['session_id']}/end")
        assert ended["status"] == "canceled"
        again = await server.call("DELETE", f"/v1/calls/{made['id']}")
        assert again == ended


async def test_a_call_is_scheduled_moved_and_canceled(start: Start) -> None:
    async with start(telephony=telephony()) as server:
        agent = await server.make_agent()
        made = await server.call(
            "POST",
            f"/v1/agents/{agent['id']}/calls",
            201,
            json={"phone_number": TO, "scheduled_at": later(hours=2)},
        )
        assert made["status"] == "scheduled"
        path = f"/v1/calls/{made['id']}"
        zone = timedelta(hours=5, minutes=30)
        moment = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
        local = (moment + zone).replace(tzinfo=None).isoformat() + "+05:30"
        moved = await server.call("PATCH", path, json={"scheduled_at": local})
        assert datetime.fromisoformat(moved["scheduled_at"]) == moment
        error = await server.refuse("PATCH", path, 422, json={"scheduled_at": later(hours=-1)})
        assert (error["code"], error["param"]) == ("schedule_in_past", "scheduled_at")
        assert (await server.call("POST", f"{path}/end"))["status"] == "canceled"
        error = await server.refuse("PATCH", path, 409, json={"scheduled_at": later(hours=1)})
        assert error["code"] == "call_not_scheduled"


async def test_calls_are_listed(start: Start) -> None:
    async with start(telephony=telephony((Refuse(HangupCause.BUSY),))) as server:
        agent, other = await server.make_agent(), await server.make_agent()
        ids = []
        for number in range(3):
            owner = other if number == 1 else agent
            path = f"/v1/agents/{owner['id']}/calls"
            made = await server.call("POST", path, 201, json={"phone_number": TO})
            ids.append((await over(server, made["id"]))["id"])
        everything = await server.call("GET", "/v1/calls")
        assert [call["id"] for call in everything["calls"]] == list(reversed(ids))
        assert everything["data"] == everything["calls"]
        path = f"/v1/agents/{agent['id']}/calls"
        assert (await server.call("GET", path))["total"] == 2
        first = await server.call("GET", path, params={"limit": 1})
        rest = await server.call("GET", path, params={"cursor": first["next_cursor"]})
        assert [call["id"] for call in (*first["data"], *rest["data"])] == [ids[2], ids[0]]
        for query, total in (
            ({"status": "failed"}, 2),
            ({"status": "completed"}, 0),
            ({"created_after": later(hours=-1)}, 2),
            ({"created_before": later(hours=-1)}, 0),
        ):
            assert (await server.call("GET", path, params=query))["total"] == total
        await server.refuse("GET", "/v1/agents/agt_none/calls", 404)
        await server.refuse("GET", path, 422, params={"status": "busy"})


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"phone_number": None}, 422, "invalid_parameter", None),
        ({"phone_number": "12345"}, 422, "invalid_phone_number", "phone_number"),
        ({"phone_number": "+1 415 555 2671"}, 422, "invalid_phone_number", "phone_number"),
        ({"phone_number": "+999123456789"}, 422, "invalid_phone_number", "phone_number"),
        ({"phone_number": "+19005551234"}, 403, "destination_blocked", "phone_number"),
        ({"phone_number": "+881612345678"}, 403, "destination_blocked", "phone_number"),
        ({"phone_number": "+5355555555"}, 403, "destination_blocked", "phone_number"),
        ({"to_number": "+15550101"}, 422, "invalid_parameter", None),
        ({"caller_id": "+14155552671"}, 422, "caller_id_not_verified", "caller_id"),
        ({"phone_number": None, "to_number": "1"}, 422, "invalid_phone_number", "to_number"),
        ({"from_number": "+14155552671"}, 422, "caller_id_not_verified", "from_number"),
        ({"caller_id": "anonymous"}, 422, "invalid_phone_number", "caller_id"),
        ({"scheduled_at": "2020-01-01T00:00:00Z"}, 422, "schedule_in_past", "scheduled_at"),
        ({"scheduled_at": "2030-01-01T00:00:00"}, 422, "invalid_parameter", "scheduled_at"),
        ({"scheduled_at": "tomorrow"}, 422, "invalid_parameter", "scheduled_at"),
        ({"scheduled_at": 1893456000}, 422, "invalid_parameter", "scheduled_at"),
        ({"webhook_url": "http://example.com"}, 422, None, "webhook_url"),
        ({"webhook_url": "https://127.0.0.1/hook"}, 422, None, "webhook_url"),
        ({"webhook_url": "example.com"}, 422, None, "webhook_url"),
        ({"max_duration": 0}, 422, "invalid_parameter", "max_duration"),
        ({"max_duration": 100_000}, 422, "invalid_parameter", "max_duration"),
        ({"max_duration": "60"}, 422, "invalid_parameter", "max_duration"),
        ({"ring_seconds": 1}, 422, "invalid_parameter", "ring_seconds"),
        ({"record": True, "recording": False}, 422, "invalid_parameter", None),
        ({"metadata": {str(n): n for n in range(21)}}, 422, "invalid_parameter", "metadata"),
        ({"context": []}, 422, "invalid_parameter", "context"),
        ({"colour": "red"}, 422, "unknown_parameter", "colour"),
    ],
)
async def test_calls_that_are_refused(
    start: Start, fields: dict[str, Any], status: int, code: str | None, param: str | None
) -> None:
    async with start(telephony=telephony()) as server:
        agent = await server.make_agent()
        body = {"phone_number": TO, **fields}
        error = await server.refuse("POST", f"/v1/agents/{agent['id']}/calls", status, json=body)
        assert error["param"] == param
        assert code is None or error["code"] == code
        assert (await server.call("GET", "/v1/calls"))["total"] == 0


async def test_agents_that_make_no_calls(start: Start) -> None:
    async with start(telephony=telephony()) as server:
        agent = await server.make_agent(status=AgentStatus.PAUSED)
        path = f"/v1/agents/{agent['id']}/calls"
        error = await server.refuse("POST", path, 409, json={"phone_number": TO})
        assert error["code"] == "agent_paused"
        await server.call("DELETE", f"/v1/agents/{agent['id']}")
        await server.refuse("POST", path, 404, json={"phone_number": TO})


async def test_caps_of_an_account(start: Start) -> None:
    async with start(telephony=telephony(policy=CallPolicy(concurrent_calls=1))) as server:
        agent = await server.make_agent()
        path = f"/v1/agents/{agent['id']}/calls"
        await server.call("POST", path, 201, json={"phone_number": TO})
        answer = await server.client.post(path, json={"phone_number": TO})
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "too_many_calls"
        assert int(answer.headers["Retry-After"]) > 0


async def test_a_request_that_is_repeated_calls_once(start: Start) -> None:
    async with start(telephony=telephony()) as server:
        agent = await server.make_agent()
        path, headers = f"/v1/agents/{agent['id']}/calls", {"Idempotency-Key": "k-1"}
        body = {"phone_number": TO}
        first, again = [
            await server.call("POST", path, 201, json=body, headers=headers) for _ in range(2)
        ]
        assert again == first
        assert (await server.call("GET", "/v1/calls"))["total"] == 1
        other = {"phone_number": "+15550101"}
        error = await server.refuse("POST", path, 422, json=other, headers=headers)
        assert error["code"] == "idempotency_key_reused"


async def test_scopes(start: Start) -> None:
    async with start(telephony=telephony()) as server:
        agent = await server.make_agent()
        path = f"/v1/agents/{agent['id']}/calls"
        reader = await server.make_key("calls:read")
        await server.refuse("POST", path, 403, json={"phone_number": TO}, headers=reader)
        await server.call("GET", path, headers=reader)
        stranger = await server.make_key("agents:read")
        await server.refuse("GET", path, 403, headers=stranger)


async def test_missing_variables_are_named(start: Start) -> None:
    async with start(telephony=telephony()) as server:
        agent = await server.make_agent(first_message="Hello {{title}}!")
        path = f"/v1/agents/{agent['id']}/calls"
        made = await server.call("POST", path, 201, json={"phone_number": TO})
        assert made["warnings"][0].startswith("{{title}}")


async def test_a_webhook_is_told_of_every_status(start: Start) -> None:
    script = (Ring(0.05), Answer(), Pause(0.2), HangUp())
    async with start(telephony=telephony(script), allow_private_urls=True) as server:
        agent = await server.make_agent()
        path = f"/v1/agents/{agent['id']}/calls"
        body = {"phone_number": TO, "webhook_url": "http://127.0.0.1:9/hook"}
        made = await server.call("POST", path, 201, json=body)
        assert made["webhook_url"] == body["webhook_url"]
        await over(server, made["id"])
        assert await recorded_events(server, made["session_id"]) == [
            "call.initiating",
            "call.ringing",
            "call.in_progress",
            "call.completed",
        ]


async def test_a_webhook_that_cannot_be_reached_keeps_no_call_from_going_on(start: Start) -> None:
    script = (Answer(), Pause(0.2), HangUp())
    async with start(telephony=telephony(script), allow_private_urls=True) as server:
        agent = await server.make_agent()
        path = f"/v1/agents/{agent['id']}/calls"
        body = {"phone_number": TO, "webhook_url": "http://127.0.0.1:9/hook"}
        made = await server.call("POST", path, 201, json=body)
        assert (await over(server, made["id"]))["status"] == "completed"
        async with asyncio.timeout(20):
            while True:
                log = await server.call("GET", f"/v1/sessions/{made['id']}/webhook-deliveries")
                first = log["deliveries"][-1]
                if first["attempts"]:
                    break
                await asyncio.sleep(0.05)
        assert (first["event"], first["status"]) == ("call.initiating", "pending")
        assert "ConnectError" in first["attempts"][0]["error"]


async def recorded_events(server: Server, session_id: str) -> list[str]:
    async with server.services.database.read() as session:
        rows = await session.scalars(
            select(WebhookEventRow)
            .where(WebhookEventRow.subject_id == session_id, WebhookEventRow.type.like("call.%"))
            .order_by(WebhookEventRow.created_at)
        )
        return [row.type for row in rows]


async def test_the_sessions_of_calls_are_found_and_ended_by_either_id(start: Start) -> None:
    async with start(telephony=telephony((Answer(), Pause(60)))) as server:
        agent = await server.make_agent()
        path = f"/v1/agents/{agent['id']}/calls"
        for name in ("id", "session_id"):
            made = await server.call("POST", path, 201, json={"phone_number": TO})
            await reached(server, made["id"], "in_progress")
            session = await server.call("GET", f"/v1/sessions/{made[name]}")
            assert (session["id"], session["status"]) == (made["session_id"], "active")
            ended = await server.call("POST", f"/v1/sessions/{made[name]}/end")
            assert (ended["status"], ended["ended_reason"]) == ("ended", "client_ended")
            call = await server.call("GET", f"/v1/calls/{made['id']}")
            assert (call["status"], call["ended_reason"]) == ("completed", "client_ended")


async def test_ending_the_session_of_a_call_that_rings_cancels_it(start: Start) -> None:
    async with start(telephony=telephony(RINGS)) as server:
        agent = await server.make_agent()
        path = f"/v1/agents/{agent['id']}/calls"
        made = await server.call("POST", path, 201, json={"phone_number": TO})
        ended = await server.call("DELETE", f"/v1/sessions/{made['session_id']}")
        assert (ended["status"], ended["ended_reason"]) == ("ended", "canceled")
        call = await server.call("GET", f"/v1/calls/{made['id']}")
        assert call["status"] == "canceled"


async def test_calls_in_progress_outlive_their_agent(start: Start) -> None:
    script = (Answer(), HearOut(0.2), Pause(0.5), voice(), HearOut(0.2), HangUp())
    async with start(telephony=telephony(script)) as server:
        agent = await server.make_agent(first_message="Hello!")
        path = f"/v1/agents/{agent['id']}/calls"
        made = await server.call("POST", path, 201, json={"phone_number": TO})
        await reached(server, made["id"], "in_progress")
        await server.call("DELETE", f"/v1/agents/{agent['id']}")
        call = await over(server, made["id"])
        assert (call["status"], call["ended_reason"]) == ("completed", "caller_hung_up")
        transcript = await server.call("GET", f"/v1/sessions/{made['id']}/transcript")
        assert [turn["speaker"] for turn in transcript["turns"]] == ["agent", "user", "agent"]


async def test_a_recorded_call_can_be_heard(start: Start) -> None:
    script = (Answer(), HearOut(0.2), HangUp())
    async with start(telephony=telephony(script)) as server:
        agent = await server.make_agent(first_message="Hello!")
        path = f"/v1/agents/{agent['id']}/calls"
        made = await server.call("POST", path, 201, json={"phone_number": TO, "record": True})
        assert made["record"]
        await over(server, made["id"])
        async with asyncio.timeout(10):
            while True:
                call = await server.call("GET", f"/v1/calls/{made['id']}")
                if call["recording_url"] is not None:
                    break
                await asyncio.sleep(0.05)
        recording = await server.call("GET", f"/voice/recording/{call['recording_id']}")
        assert recording["session_id"] == made["session_id"]
        assert (await server.client.get(call["recording_url"])).status_code == 200


async def test_a_call_is_summed_up_by_its_agent_s_model(start: Start) -> None:
    noted = {"summary": "Nothing much.", "mood": "calm"}

    def answer(request: ReplyRequest) -> Reply:
        is_note = any(tool.name == "note" for tool in request.tools)
        return [Call("note", noted)] if is_note else "Hello."

    catalogue = Catalogue.scripted(llm=ScriptedLanguageModel(answer))
    async with start(telephony=telephony(TALKS), catalogue=catalogue) as server:
        wanted = {"fields": {"mood": {"enum": ["calm", "angry"]}}}
        agent = await server.make_agent(first_message="Hello!", analysis=wanted)
        assert agent["analysis"]["summary"] is True
        path = f"/v1/agents/{agent['id']}/calls"
        made = await server.call("POST", path, 201, json={"phone_number": TO})
        await over(server, made["id"])
        async with asyncio.timeout(20):
            while True:
                found = await server.client.get(f"/v1/sessions/{made['id']}/analysis")
                if found.status_code == 200:
                    break
                assert found.json()["error"]["code"] == "analysis_not_found"
                await asyncio.sleep(0.05)
        analysis = found.json()
        assert (analysis["status"], analysis["summary"]) == ("ready", "Nothing much.")
        assert analysis["fields"] == {"mood": "calm"}


@pytest.mark.parametrize(
    "wanted",
    [
        {"summary": False},
        {"fields": {"summary": {}}},
        {"fields": {"Order number": {}}},
        {"fields": {"n": {"type": "object"}}},
        {"fields": {"n": {"type": "integer", "enum": ["1"]}}},
    ],
)
async def test_an_analysis_that_cannot_be_made(start: Start, wanted: dict[str, Any]) -> None:
    async with start() as server:
        await server.refuse("POST", "/v1/agents", 422, json={**AGENT, "analysis": wanted})
