import pytest

from tests.api.conftest import Server


async def test_a_token_for_a_browser(server: Server) -> None:
    path = "/v1/token?expires_in_seconds=60&max_session_duration_seconds=600&product=voice"
    token = await server.call("GET", path)
    assert token["expires_in_seconds"] == 60
    assert token["max_session_duration_seconds"] == 600
    assert token["expires_at"].endswith("Z")
    claims = server.services.tokens.verify(token["token"])
    assert claims.max_session_seconds == 600


async def test_a_token_by_post(server: Server) -> None:
    token = await server.call("POST", "/v1/tokens", 201)
    assert (token["expires_in_seconds"], token["max_session_duration_seconds"]) == (60, 10_800)
    token = await server.call("POST", "/v1/tokens", 201, json={"expires_in_seconds": 600})
    assert token["expires_in_seconds"] == 600


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("", "expires_in_seconds"),
        ("?expires_in_seconds=0", "expires_in_seconds"),
        ("?expires_in_seconds=601", "expires_in_seconds"),
        ("?expires_in_seconds=60&max_session_duration_seconds=59", "max_session_duration_seconds"),
        (
            "?expires_in_seconds=60&max_session_duration_seconds=10801",
            "max_session_duration_seconds",
        ),
    ],
)
async def test_a_bad_life_is_named(server: Server, query: str, param: str) -> None:
    assert (await server.refuse("GET", f"/v1/token{query}", 422))["param"] == param
