"""Offers that are turned away: a clear error each, and no peer connection left."""

from typing import Any

import pytest

from nur_server.transports.webrtc import hub
from tests.api_realtime.conftest import Serve, Server
from tests.webrtc.browser import browser

SDP = "application/sdp"


async def offered(
    server: Server, path: str, body: Any, secret: str | None = None
) -> dict[str, Any]:
    """The error, with its status. `secret` None: that of the path."""
    _, _, _, session_id, own = path.split("/")
    answer = await server.http.post(
        f"/v1/sessions/{session_id}/sdp",
        content=body,
        headers={"Authorization": f"Bearer {own if secret is None else secret}"},
    )
    assert len(server.services.media) == 0
    error: dict[str, Any] = answer.json()["error"]
    return {**error, "status": answer.status_code}


async def test_what_is_no_offer_is_refused(serve: Serve) -> None:
    async with serve() as server:
        path = await server.make_session(await server.make_agent())
        for body, status, code in [
            ("", 422, "invalid_sdp"),
            ("hello", 422, "invalid_sdp"),
            ("{", 400, "invalid_request"),
            ('{"sdp":' * 5_000, 400, "invalid_request"),
            ('{"sdp":' + "[" * 10_000 + "]" * 10_000 + "}", 400, "invalid_request"),
            ('{"type": "answer", "sdp": "v=0"}', 400, "invalid_request"),
            ('{"type": "offer"}', 400, "invalid_request"),
            ("v=0\r\n" + "a=x\r\n" * 100_000, 413, "payload_too_large"),
        ]:
            error = await offered(server, path, body)
            assert (error["status"], error["code"]) == (status, code), body[:40]


async def test_who_may_not_enter_is_refused(serve: Serve) -> None:
    async with serve() as server:
        agent = await server.make_agent()
        path, other = await server.make_session(agent), await server.make_session(agent)
        for secret in ("x", "ssk_wrong", other.split("/")[4]):
            assert (await offered(server, path, "v=0", secret))["status"] == 401
        missing = await offered(server, "/v1/sessions/ses_none/ssk_x", "v=0")
        assert (missing["status"], missing["code"]) == (404, "session_not_found")
        await server.http.post(f"/v1/sessions/{path.split('/')[3]}/end")
        over = await offered(server, path, "v=0")
        assert (over["status"], over["code"]) == (409, "session_expired")


async def test_an_offer_that_the_library_refuses_leaves_nothing(serve: Serve) -> None:
    async with serve() as server, browser() as far:
        path = await server.make_session(await server.make_agent())
        offer = await far.offer()
        for broken in (
            offer.replace("a=setup:actpass", "a=setup:nonsense"),
            offer.replace("a=ice-pwd:", "a=ice-pwd:x\r\na=y:"),
            offer.replace("sha-256", "sha-999"),
        ):
            error = await offered(server, path, broken)
            assert (error["status"], error["code"]) == (422, "invalid_sdp")


async def test_without_the_package_the_command_is_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "PACKAGES", ("reactor_webrtc_that_is_not_there", "no.such.package"))
    async with serve() as server:
        path = await server.make_session(await server.make_agent())
        error = await offered(server, path, "v=0")
        assert (error["status"], error["code"]) == (501, "not_installed")
        assert hub.INSTALL in error["message"]


async def test_a_client_whose_media_never_comes_is_given_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nur_server.transports.webrtc.connection.CONNECT_SECONDS", 0.2)
    async with serve() as server, browser() as far:
        path = await server.make_session(await server.make_agent())
        _, _, _, session_id, secret = path.split("/")
        headers = {"Authorization": f"Bearer {secret}"}
        address = f"/v1/sessions/{session_id}/sdp"
        answer = await server.http.post(address, content=await far.offer(), headers=headers)
        assert answer.status_code == 201
        tasks = tuple(server.services.media._tasks)
        for task in tasks:
            await task
        assert len(server.services.media) == 0
        session = await server.get(f"/v1/sessions/{session_id}")
        assert (session["status"], session["started_at"]) == ("active", None)
