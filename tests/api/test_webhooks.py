"""`/v1/webhooks` and the log of deliveries."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nur_server.api.app import Telephony
from nur_server.store.accounts import Accounts
from nur_server.store.deliveries import (
    record_event,
)
from nur_server.store.events import (
    EVENT_NAMES,
    EventType,
)
from nur_server.store.records import SessionFields
from nur_server.transports.loopback import Answer, HangUp, HearOut, Ring
from tests.api.conftest import Server, Start
from tests.calls.exchange import GENEROUS, QUICK
from tests.jobs.receiver import receiving

HOOK = {"url": "https://example.com/hooks", "events": ["call.completed", "session.ended"]}
SECRET = "whsec_" + "QUJD" * 8


@pytest.fixture
async def server(start: Start) -> AsyncIterator[Server]:
    """One that delivers nothing, so that what there is to deliver stays."""
    async with start(run_jobs=False) as server:
        yield server


async def make(server: Server, **fields: Any) -> dict[str, Any]:
    return await server.call("POST", "/v1/webhooks", 201, json=HOOK | fields)


async def delivery(server: Server, webhook_id: str) -> dict[str, Any]:
    return await server.call("POST", f"/v1/webhooks/{webhook_id}/test", 201)


async def test_a_secret_is_shown_once(server: Server) -> None:
    made = await make(server, description="CRM", secret=SECRET)
    assert made["secret"] == SECRET
    assert (made["object"], made["events"], made["enabled"]) == ("webhook", HOOK["events"], True)
    read = await server.call("GET", f"/v1/webhooks/{made['id']}")
    assert read == {name: value for name, value in made.items() if name != "secret"}
    assert (await make(server))["secret"].startswith("whsec_")


@pytest.mark.parametrize("secret", ["[hidden]", "whsec_", "whsec_short", "guess"])
async def test_a_secret_that_cannot_sign_is_refused(server: Server, secret: str) -> None:
    error = await server.refuse("POST", "/v1/webhooks", 422, json=HOOK | {"secret": secret})
    assert error["param"] == "secret"


@pytest.mark.parametrize("path", ["/v1/webhooks/create", "/v1/webhook-subscriptions"])
async def test_other_addresses_do_the_same(server: Server, path: str) -> None:
    made = await server.call("POST", path, 201, json=HOOK)
    listed = await server.call("GET", "/v1/webhook-subscriptions")
    assert [each["id"] for each in listed["subscriptions"]] == [made["id"]]
    assert listed["subscriptions"] == listed["data"]
    one = f"/v1/webhook-subscriptions/{made['id']}"
    assert (await server.call("PATCH", one, json={"enabled": False}))["enabled"] is False
    assert (await server.call("GET", one))["enabled"] is False
    assert (await server.call("DELETE", one))["deleted"] is True


async def test_webhooks_are_listed_with_and_without_disabled_ones(server: Server) -> None:
    off = await make(server, enabled=False)
    on = await make(server)
    assert [w["id"] for w in (await server.call("GET", "/v1/webhooks"))["data"]] == [
        on["id"],
        off["id"],
    ]
    shown = await server.call("GET", "/v1/webhooks?include_disabled=false")
    assert [each["id"] for each in shown["data"]] == [on["id"]]


async def test_what_is_not_sent_is_not_changed(server: Server) -> None:
    agent = await server.make_agent()
    made = await make(server, agent_id=agent["id"], description="CRM")
    path = f"/v1/webhooks/{made['id']}"
    changed = await server.call("PATCH", path, json={"events": ["*"]})
    assert (changed["events"], changed["agent_id"]) == (["*"], agent["id"])
    changed = await server.call("PATCH", path, json={"agent_id": None, "enabled": None})
    assert (changed["agent_id"], changed["enabled"], changed["description"]) == (None, True, "CRM")


async def test_a_new_secret_replaces_the_old_one(server: Server) -> None:
    made = await make(server)
    rotated = await server.call("POST", f"/v1/webhooks/{made['id']}/rotate")
    assert rotated["secret"] != made["secret"]
    assert (made["secret_version"], rotated["secret_version"]) == (1, 2)
    given = await server.call("POST", f"/v1/webhooks/{made['id']}/rotate", json={"secret": SECRET})
    assert given["secret"] == SECRET
    account = await server.call("POST", "/v1/webhooks/signing-secret", 201)
    assert account["secret"].startswith("whsec_")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"url": "http://example.com/"}, "url", "invalid_url"),
        ({"url": "https://127.0.0.1/"}, "url", "private_address"),
        ({"url": "https://10.1.2.3/"}, "url", "private_address"),
        ({"url": "https://user@example.com/"}, "url", "invalid_url"),
        ({"url": "https://example.com/#part"}, "url", "invalid_parameter"),
        ({"url": "https://example.com/a b"}, "url", "invalid_parameter"),
        ({"url": None}, "url", "invalid_parameter"),
        ({"events": []}, "events", "invalid_parameter"),
        ({"events": ["call.exploded"]}, "events", "invalid_parameter"),
        ({"secret": "guessable"}, "secret", "invalid_parameter"),
        ({"retries": 3}, "retries", "unknown_parameter"),
    ],
)
async def test_what_cannot_be_is_refused(
    server: Server, fields: dict[str, Any], param: str, code: str
) -> None:
    error = await server.refuse("POST", "/v1/webhooks", 422, json=HOOK | fields)
    assert (error["param"], error["code"]) == (param, code)
    made = await make(server)
    if param in ("url", "events") and fields[param] is not None:
        error = await server.refuse("PATCH", f"/v1/webhooks/{made['id']}", 422, json=fields)
        assert error["code"] == code


async def test_an_unknown_event_is_told_what_there_is(server: Server) -> None:
    error = await server.refuse("POST", "/v1/webhooks", 422, json=HOOK | {"events": ["x"]})
    assert all(name in error["message"] for name in EVENT_NAMES)


async def test_an_agent_that_does_not_exist_is_refused(server: Server) -> None:
    error = await server.refuse("POST", "/v1/webhooks", 404, json=HOOK | {"agent_id": "agt_x"})
    assert error["param"] == "agent_id"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/webhooks/wh_x"),
        ("PATCH", "/v1/webhooks/wh_x"),
        ("DELETE", "/v1/webhooks/wh_x"),
        ("POST", "/v1/webhooks/wh_x/rotate"),
        ("POST", "/v1/webhooks/wh_x/test"),
        ("GET", "/v1/webhooks/wh_x/deliveries"),
        ("GET", "/v1/webhook-deliveries/dlv_x"),
        ("POST", "/v1/webhook-deliveries/dlv_x/replay"),
        ("GET", "/v1/sessions/ses_x/webhook-deliveries"),
    ],
)
async def test_what_does_not_exist_is_not_found(server: Server, method: str, path: str) -> None:
    body = {"json": {}} if method == "PATCH" else {}
    error = await server.refuse(method, path, 404, **body)
    assert error["code"].endswith("_not_found")


async def test_a_key_needs_the_scope(server: Server) -> None:
    reader = await server.make_key("webhooks:read")
    await server.call("GET", "/v1/webhooks", headers=reader)
    await server.refuse("POST", "/v1/webhooks", 403, json=HOOK, headers=reader)


async def test_accounts_do_not_see_each_others(server: Server) -> None:
    """Neither their webhooks nor what is delivered."""
    made = await make(server)
    sent = await delivery(server, made["id"])
    await Accounts(server.services.database).create("acc_other", "other")
    other = await server.services.keys("acc_other").create("other", ["*"])
    headers = {"Authorization": f"Bearer {other.secret}"}
    assert (await server.call("GET", "/v1/webhooks", headers=headers))["data"] == []
    for path in (f"/v1/webhooks/{made['id']}", f"/v1/webhook-deliveries/{sent['id']}"):
        await server.refuse("GET", path, 404, headers=headers)
    await server.refuse("DELETE", f"/v1/webhooks/{made['id']}", 404, headers=headers)


async def test_there_is_an_end_to_webhooks(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nur_server.store.webhooks.MAX_WEBHOOKS", 2)
    await make(server)
    await make(server)
    error = await server.refuse("POST", "/v1/webhooks", 409, json=HOOK)
    assert error["code"] == "too_many_webhooks"


async def test_what_is_still_to_be_delivered_cannot_be_replayed(server: Server) -> None:
    made = await make(server)
    sent = await delivery(server, made["id"])
    assert (sent["event"], sent["status"], sent["attempt_count"]) == ("webhook.test", "pending", 0)
    error = await server.refuse("POST", f"/v1/webhook-deliveries/{sent['id']}/replay", 409)
    assert error["code"] == "delivery_pending"
    await server.call("PATCH", f"/v1/webhooks/{made['id']}", json={"enabled": False})
    error = await server.refuse("POST", f"/v1/webhooks/{made['id']}/test", 409)
    assert error["code"] == "webhook_disabled"


async def test_the_deliveries_about_a_session_are_found_by_it(server: Server) -> None:
    made = await make(server, events=["*"])
    account = (await server.services.keys("acc_default").list()).items[0].account_id
    session = await server.services.sessions(account).create(
        SessionFields(agent_id=None, expires_at=server.services.clock.now())
    )
    async with server.services.database.write() as writing:
        for type in (EventType.CALL_RINGING, EventType.CALL_COMPLETED):
            await record_event(
                writing, account, type, session.id, {}, now=server.services.clock.now()
            )
    for id in (session.id, session.id.replace("ses_", "call_")):
        path = f"/v1/sessions/{id}/webhook-deliveries"
        listed = await server.call("GET", path)
        assert {each["event"] for each in listed["deliveries"]} == {
            "call.ringing",
            "call.completed",
        }
        assert (await server.call("GET", f"{path}/latest"))["webhook_id"] == made["id"]
    await server.call("DELETE", f"/v1/webhooks/{made['id']}")
    assert (await server.call("GET", path))["data"] == []
    error = await server.refuse("GET", f"{path}/latest", 404)
    assert error["code"] == "webhook_deliveries_not_found"


async def test_a_test_event_arrives_and_is_logged(start: Start) -> None:
    async with receiving() as receiver, start(allow_private_urls=True) as server:
        made = await make(server, url=receiver.url())
        sent = await delivery(server, made["id"])
        (told,) = await receiver.accepted_count(1)
        assert told.verify(made["secret"])["id"] == sent["event_id"]
        path = f"/v1/webhook-deliveries/{sent['id']}"
        for _ in range(200):
            logged = await server.call("GET", path)
            if logged["status"] == "delivered":
                break
            await asyncio.sleep(0.05)
        assert (logged["http_status_code"], logged["attempt_count"]) == (204, 1)
        assert [attempt["attempt"] for attempt in logged["attempts"]] == [1]
        replayed = await server.call("POST", f"{path}/replay")
        assert replayed["status"] == "pending"
        first, second = await receiver.accepted_count(2)
        assert first.id == second.id
        listed = await server.call("GET", f"/v1/webhooks/{made['id']}/deliveries")
        assert [each["id"] for each in listed["deliveries"]] == [sent["id"]]


async def test_a_call_tells_its_own_address_all_of_it_in_order(start: Start) -> None:
    script = (Ring(0.05), Answer(), HearOut(0.2), HangUp())
    telephony = Telephony(policy=GENEROUS, times=QUICK, callee=lambda request: script)
    async with (
        receiving() as receiver,
        start(allow_private_urls=True, telephony=telephony) as server,
    ):
        secret = (await server.call("POST", "/v1/webhooks/signing-secret", 201))["secret"]
        agent = await server.make_agent(first_message="Hello!")
        body = {"phone_number": "+15550100", "webhook_url": receiver.url("/call")}
        call = await server.call("POST", f"/v1/agents/{agent['id']}/calls", 201, json=body)
        await receiver.until(lambda: "call.completed" in receiver.types())
        await receiver.until(lambda: "session.ended" in receiver.types())
        told = receiver.accepted("/call")
        assert [each.type for each in told if each.type.startswith("call.")] == [
            "call.initiating",
            "call.ringing",
            "call.in_progress",
            "call.completed",
        ]
        assert set(receiver.accepted_ids().values()) == {1}
        for each in told:
            body = each.verify(secret)
            assert body["session_id"] == call["session_id"]
        assert (await server.call("GET", "/v1/webhooks"))["data"] == []
        log = await server.call("GET", f"/v1/sessions/{call['id']}/webhook-deliveries")
        assert {each["event_id"] for each in log["data"]} == {each.id for each in told}
