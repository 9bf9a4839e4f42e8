"""A client's first `session.update` may bring a webhook for its own session."""

from typing import Any

import pytest

from tests.api_realtime.conftest import Serve, Server
from tests.jobs.receiver import receiving

SECRET = "whsec_" + "QUJD" * 8


async def test_it_is_told_how_the_session_went(serve: Serve) -> None:
    async with receiving() as receiver, serve(allow_private_urls=True) as server:
        hook = {"url": receiver.url("/mine"), "events": ["session.completed"], "secret": SECRET}
        async with server.ready(webhook=hook) as client:
            await client.send("session.end")
            ended = await client.until("session.ended")
            assert await client.closed() == 1000
        (told,) = await receiver.accepted_count(1)
        session_id = client.seen[0]["config"]["id"]
        assert told.verify(SECRET)["data"]["session_id"] == session_id
        assert (told.type, told.json["ended_reason"]) == ("session.completed", ended["reason"])
        subscriptions = await server.get("/v1/webhooks")
        assert subscriptions["total"] == 0, "it is the session's own"


async def test_without_events_it_is_told_of_all(serve: Serve) -> None:
    async with receiving() as receiver, serve(allow_private_urls=True) as server:
        hook = {"url": receiver.url("/mine"), "events": []}
        async with server.ready(webhook=hook) as client:
            await client.send("session.end")
            await client.closed()
        told = await receiver.accepted_count(2)
        assert [each.type for each in told] == ["session.started", "session.ended"]


@pytest.mark.parametrize(
    ("hook", "param"),
    [
        ({"url": "http://example.com/hooks", "events": ["*"]}, "webhook.url"),
        ({"url": "https://127.0.0.1/hooks", "events": ["*"]}, "webhook.url"),
        ({"url": "nonsense", "events": ["*"]}, "webhook.url"),
        ({"url": "https://example.com", "events": ["session.began"]}, "webhook.events"),
        ({"url": "https://example.com", "events": [], "secret": "guess"}, "webhook.secret"),
        ({"url": "https://example.com", "events": [], "secret": "[hidden]"}, "webhook.secret"),
    ],
)
async def test_one_that_cannot_be_used_is_refused(
    server: Server, hook: dict[str, Any], param: str
) -> None:
    async with server.connect() as client:
        await client.update(webhook=hook)
        error = await client.next()
        assert (error["type"], error["code"]) == ("session.error", "invalid_webhook")
        assert error["param"] == param
        assert "expected" in error["message"]
        assert await client.closed() == 1008
    assert (await server.get("/v1/sessions"))["total"] == 0
