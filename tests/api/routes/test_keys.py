from typing import Any

import pytest

from tests.api.conftest import Server


async def test_a_key_is_made_and_its_secret_shown_once(server: Server) -> None:
    made = await server.call(
        "POST",
        "/v1/api-keys",
        201,
        json={"name": "kiosk", "scopes": ["agents:read"], "expires_at": "2999-01-01T00:00:00Z"},
    )
    assert made["id"].startswith("key_")
    assert made["key"] == made["secret"]
    assert made["key"].startswith(made["prefix"])
    assert made["scopes"] == ["agents:read"]
    assert made["expires_at"] == "2999-01-01T00:00:00.000Z"
    shown = await server.call("GET", f"/v1/api-keys/{made['id']}")
    assert shown == {name: made[name] for name in set(made) - {"key", "secret"}}
    assert made["key"] not in (await server.client.get("/v1/api-keys")).text


async def test_a_key_has_its_makers_scopes_by_default(server: Server) -> None:
    headers = await server.make_key("keys:write", "agents:read")
    made = await server.call("POST", "/v1/api-keys", 201, json={"name": "k"}, headers=headers)
    assert made["scopes"] == ["agents:read", "keys:write"]


async def test_a_key_makes_none_that_outlives_it(server: Server) -> None:
    ends = "2999-01-01T00:00:00.000Z"
    short = await server.call(
        "POST", "/v1/api-keys", 201, json={"name": "short", "expires_at": ends}
    )
    headers = {"Authorization": f"Bearer {short['key']}"}
    made = await server.call("POST", "/v1/api-keys", 201, json={"name": "k"}, headers=headers)
    assert made["expires_at"] == ends
    longer = {"name": "k", "expires_at": "2999-01-01T00:00:01Z"}
    error = await server.refuse("POST", "/v1/api-keys", 422, json=longer, headers=headers)
    assert error["param"] == "expires_at"


async def test_a_key_makes_no_stronger_one(server: Server) -> None:
    headers = await server.make_key("keys:write")
    for scopes in (["*"], ["agents:read"]):
        body = {"name": "k", "scopes": scopes}
        await server.refuse("POST", "/v1/api-keys", 403, json=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "k", "scopes": []}, "scopes"),
        ({"name": "k", "scopes": ["agents:fly"]}, "scopes"),
        ({"name": "k", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "k", "expires_at": 4102444800}, "expires_at"),
        ({"name": "k", "expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"name": "k", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ],
)
async def test_a_bad_field_is_named(server: Server, body: dict[str, Any], param: str) -> None:
    assert (await server.refuse("POST", "/v1/api-keys", 422, json=body))["param"] == param


async def test_keys_are_listed(server: Server) -> None:
    made = await server.call("POST", "/v1/api-keys", 201, json={"name": "kiosk"})
    await server.call("DELETE", f"/v1/api-keys/{made['id']}")
    page = await server.call("GET", "/v1/api-keys")
    assert [key["name"] for key in page["data"]] == ["kiosk", "first key"]
    assert page["data"][0]["revoked_at"] is not None


async def test_an_unknown_key(server: Server) -> None:
    await server.refuse("GET", "/v1/api-keys/key_unknown", 404)
    await server.refuse("DELETE", "/v1/api-keys/key_unknown", 404)
