import pytest

from nur_server.api.auth import Principal, identify
from nur_server.api.scopes import CONNECT, SCOPES
from nur_server.clock import ManualClock
from nur_server.errors import Forbidden, Unauthorized
from tests.api.conftest import AGENT, Server, Start

BAD_KEYS = [
    "nur_" + "0" * 64,
    "nur_",
    "wc_live_123",
    "Bearer",
    "Bearer ",
    "Bearer nur_short",
    "Basic bnVyOm51cg==",
    "Bearer a.b.c",
    "Bearer nur_" + "\u00e9" * 64,
]


async def test_the_key_with_or_without_bearer(server: Server) -> None:
    for value in (f"Bearer {server.key}", f"bearer  {server.key}", server.key):
        await server.call("GET", "/v1/agents", headers={"Authorization": value})


async def test_no_key(server: Server) -> None:
    del server.client.headers["authorization"]
    answer = await server.client.get("/v1/agents")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["error"]["code"] == "missing_api_key"
    assert answer.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("value", BAD_KEYS)
async def test_a_bad_key(server: Server, value: str) -> None:
    answer = await server.client.get(
        "/v1/agents", headers={"Authorization": value.encode("latin-1")}
    )
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


KEYS_IN_ADDRESSES = ["token={}", "api_key={}", "limit=1&key=Bearer%20{}", "x={}&limit=1", "{}"]


@pytest.mark.parametrize("query", KEYS_IN_ADDRESSES)
async def test_a_key_in_the_address_is_refused(server: Server, query: str) -> None:
    path = f"/v1/agents?{query.format(server.key)}"
    for headers in ({}, {"Authorization": f"Bearer {server.key}"}):
        error = await server.refuse("GET", path, 401, headers=headers)
        assert error["code"] == "key_in_address"
        assert "Authorization: Bearer" in error["message"]


async def test_other_words_in_the_address_are_no_keys(server: Server) -> None:
    for word in ("nur_", "nur_short", "nurse_" + "0" * 64):
        await server.call("GET", f"/v1/agents?search={word}")


async def test_the_caller_is_known_before_the_body_is_read(server: Server) -> None:
    headers = {"Authorization": "nur_no"}
    await server.refuse("POST", "/v1/agents", 401, headers=headers, content=b"{")


async def test_a_revoked_key(server: Server) -> None:
    made = await server.call("POST", "/v1/api-keys", 201, json={"name": "kiosk"})
    headers = {"Authorization": f"Bearer {made['key']}"}
    await server.call("GET", "/v1/agents", headers=headers)
    await server.call("DELETE", f"/v1/api-keys/{made['id']}")
    error = await server.refuse("GET", "/v1/agents", 401, headers=headers)
    assert error["code"] == "invalid_api_key"


async def test_an_expired_key(start: Start) -> None:
    clock = ManualClock()
    async with start(clock=clock) as server:
        body = {"name": "kiosk", "expires_at": "2026-01-01T01:00:00Z"}
        made = await server.call("POST", "/v1/api-keys", 201, json=body)
        headers = {"Authorization": f"Bearer {made['key']}"}
        await server.call("GET", "/v1/agents", headers=headers)
        clock.advance(3600)
        await server.refuse("GET", "/v1/agents", 401, headers=headers)


@pytest.mark.parametrize(
    ("scope", "allowed", "refused"),
    [
        ("agents:read", ("GET", "/v1/agents"), ("POST", "/v1/agents")),
        ("agents:write", ("POST", "/v1/agents"), ("GET", "/v1/agents")),
        ("sessions:read", ("GET", "/v1/sessions"), ("GET", "/v1/token?expires_in_seconds=60")),
        ("sessions:write", ("GET", "/v1/token?expires_in_seconds=60"), ("GET", "/v1/sessions")),
        ("voices:read", ("GET", "/v1/voices"), ("GET", "/v1/models")),
        ("models:read", ("GET", "/v1/models"), ("GET", "/v1/voices")),
        ("keys:read", ("GET", "/v1/api-keys"), ("POST", "/v1/api-keys")),
    ],
)
async def test_a_key_does_what_its_scope_says(
    server: Server, scope: str, allowed: tuple[str, str], refused: tuple[str, str]
) -> None:
    headers = await server.make_key(scope)
    answer = await server.client.request(*allowed, headers=headers, json=AGENT)
    assert answer.status_code in (200, 201)
    error = await server.refuse(*refused, 403, headers=headers, json=AGENT)
    assert error["code"] == "insufficient_scope"
    assert error["type"] == "permission_error"
    assert error["details"]["scopes"] == [scope]


def test_writing_sessions_includes_connecting() -> None:
    def principal(*scopes: str) -> Principal:
        return Principal("acc_1", "key_1", frozenset(scopes))

    for scopes in ({"*"}, {"sessions:write"}, {CONNECT}):
        principal(*scopes).require(CONNECT)
    with pytest.raises(Forbidden):
        principal("sessions:read").require(CONNECT)
    with pytest.raises(Forbidden):
        principal(CONNECT).require("sessions:write")
    assert all(principal("*").may(scope) for scope in SCOPES)


# Tokens


async def test_a_token_opens_sessions_and_nothing_else(server: Server) -> None:
    made = await server.call("GET", "/v1/token?expires_in_seconds=60")
    principal = await identify(server.services, None, token=made["token"])
    assert principal.scopes == {CONNECT}
    assert principal.token is not None
    assert principal.token.max_session_seconds == 10_800
    by_header = await identify(server.services, f"Bearer {made['token']}")
    assert by_header == principal
    headers = {"Authorization": f"Bearer {made['token']}"}
    for path in ("/v1/agents", "/v1/sessions", "/v1/token?expires_in_seconds=60"):
        await server.refuse("GET", path, 403, headers=headers)


async def test_revoking_a_key_ends_its_tokens(server: Server) -> None:
    made = await server.call("POST", "/v1/api-keys", 201, json={"name": "kiosk"})
    token = await server.call(
        "POST", "/v1/tokens", 201, headers={"Authorization": made["key"]}, json={}
    )
    await identify(server.services, None, token=token["token"])
    await server.call("DELETE", f"/v1/api-keys/{made['id']}")
    with pytest.raises(Unauthorized):
        await identify(server.services, None, token=token["token"])


async def test_a_single_use_token(start: Start) -> None:
    async with start(single_use_tokens=True) as server:
        token = (await server.call("POST", "/v1/tokens", 201))["token"]
        await identify(server.services, None, token=token)
        await identify(server.services, None, token=token, redeem=True)
        with pytest.raises(Unauthorized) as caught:
            await identify(server.services, None, token=token, redeem=True)
        assert caught.value.code == "token_used"
