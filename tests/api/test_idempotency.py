import asyncio

import pytest

from tests.api.conftest import AGENT, Server

ONCE = {"Idempotency-Key": "order-7"}


async def test_a_repeated_write_is_carried_out_once(server: Server) -> None:
    first = await server.client.post("/v1/agents", json=AGENT, headers=ONCE)
    again = await server.client.post("/api/v1/agents", json=AGENT, headers=ONCE)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == "application/json"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert (await server.call("GET", "/v1/agents"))["total"] == 1


async def test_requests_at_the_same_time_are_carried_out_once(server: Server) -> None:
    answers = await asyncio.gather(
        *(server.client.post("/v1/agents", json=AGENT, headers=ONCE) for _ in range(5))
    )
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    waiting = [answer.json()["error"]["code"] for answer in answers if answer.status_code == 409]
    assert len(made) == 1
    assert set(waiting) <= {"idempotency_in_progress"}
    assert (await server.call("GET", "/v1/agents"))["total"] == 1


async def test_a_key_stands_for_one_request(server: Server) -> None:
    await server.call("POST", "/v1/agents", 201, json=AGENT, headers=ONCE)
    error = await server.refuse(
        "POST", "/v1/agents", 422, json={**AGENT, "name": "Other"}, headers=ONCE
    )
    assert error["code"] == "idempotency_key_reused"
    await server.call("GET", "/v1/agents", headers=ONCE)


async def test_a_key_counts_per_route(server: Server) -> None:
    agent = await server.call("POST", "/v1/agents", 201, json=AGENT, headers=ONCE)
    path = f"/v1/agents/{agent['id']}"
    await server.call("POST", f"{path}/sessions", 201, headers=ONCE)
    await server.call("POST", f"{path}/sessions", 201, headers=ONCE)
    assert (await server.call("GET", "/v1/sessions"))["total"] == 1
    await server.call("DELETE", path, headers=ONCE)
    await server.call("DELETE", path, headers=ONCE)


async def test_a_refused_request_may_be_corrected(server: Server) -> None:
    await server.refuse("POST", "/v1/agents", 422, json={}, headers=ONCE)
    await server.refuse("POST", "/v1/agents", 422, json={**AGENT, "voice_id": "x"}, headers=ONCE)
    await server.call("POST", "/v1/agents", 201, json=AGENT, headers=ONCE)


async def test_a_secret_is_not_kept(server: Server) -> None:
    first = await server.call("POST", "/v1/api-keys", 201, json={"name": "k"}, headers=ONCE)
    second = await server.call("POST", "/v1/api-keys", 201, json={"name": "k"}, headers=ONCE)
    assert first["key"] != second["key"]


async def test_keys_of_another_caller_are_not_seen(server: Server) -> None:
    await server.call("POST", "/v1/agents", 201, json=AGENT, headers=ONCE)
    reader = await server.make_key("agents:read")
    error = await server.refuse("POST", "/v1/agents", 422, json=AGENT, headers={**ONCE, **reader})
    assert error["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "a\tb"])
async def test_a_bad_key_is_refused(server: Server, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    error = await server.refuse("POST", "/v1/agents", 422, json=AGENT, headers=headers)
    assert error["code"] == "idempotency_key_invalid"
