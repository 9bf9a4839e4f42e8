"""Pages of other origins: at a session's address, and at the rest of the API."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.api.conftest import Start, server, start

__all__ = ["server", "start"]

PAGE = "https://shop.example"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization, content-type"}  # fmt: skip


async def refused(start: Start, path: str, **settings: Any) -> list[str]:
    """The settings that the log names for two preflights."""
    async with start(log_level="info", **settings) as running:
        with capture_logs() as lines:
            for _ in range(2):
                await running.client.options(path, headers=PREFLIGHT)
    return [line["setting"] for line in lines if "setting" in line]


async def test_a_refused_preflight_leaves_one_line_that_names_the_setting(start: Start) -> None:
    assert await refused(start, "/v1/agents") == ["NUR_CORS_ORIGINS"]


@pytest.mark.parametrize("origins", [PAGE, f"https://other.example,{PAGE}", "*"])
async def test_an_allowed_one_leaves_none(start: Start, origins: str) -> None:
    assert await refused(start, "/v1/agents", cors_origins=origins) == []


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
async def test_any_page_may_ask_at_a_session_s_address(start: Start, prefix: str) -> None:
    async with start() as running:
        path = f"{prefix}/sessions/ses_1/sdp"
        with capture_logs() as lines:
            answer = await running.client.options(path, headers=PREFLIGHT)
        assert answer.status_code == 204
        assert not [line for line in lines if "setting" in line]
        assert answer.headers["access-control-allow-origin"] == PAGE
        posted = await running.client.post(path, content="v=0", headers={"Origin": PAGE})
        assert posted.status_code == 404
        assert posted.headers["access-control-allow-origin"] == PAGE


async def test_the_agent_s_origins_are_judged_and_told(start: Start) -> None:
    async with start(log_level="info") as running:
        agent = await running.make_agent(allowed_origins=["https://other.example"])
        session = await running.make_session(agent["id"])
        _, _, path = session["websocket_url"].partition("/v1/sessions/")
        session_id, secret = path.split("/")
        headers = {"Origin": PAGE, "Authorization": f"Bearer {secret}"}
        with capture_logs() as lines:
            error = await running.refuse(
                "POST", f"/v1/sessions/{session_id}/sdp", 403, content="v=0", headers=headers
            )
        assert "expected a page of https://other.example" in error["message"]
        assert [line["setting"] for line in lines if "setting" in line] == ["allowed_origins"]
