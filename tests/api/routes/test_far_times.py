"""Times at the ends of the calendar are refused, not failed on."""

import pytest

from tests.api.conftest import Server

FAR = [
    "9999-12-31T23:59:59-23:59",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+23:59",
    "0001-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "9001-01-01T00:00:00Z",
]


@pytest.mark.parametrize("time", FAR)
async def test_a_body_s_time_that_no_clock_reaches_is_a_422(server: Server, time: str) -> None:
    agent = await server.make_agent()
    call = {"phone_number": "+15550102", "scheduled_at": time}
    for path, body in (
        ("/v1/api-keys", {"name": "far", "expires_at": time}),
        (f"/v1/agents/{agent['id']}/calls", call),
    ):
        answer = await server.client.post(path, json=body)
        assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("time", FAR)
async def test_a_query_s_time_is_never_a_500(server: Server, time: str) -> None:
    for name in ("created_after", "created_before"):
        answer = await server.client.get("/v1/sessions", params={name: time})
        assert answer.status_code in (200, 422), answer.text
