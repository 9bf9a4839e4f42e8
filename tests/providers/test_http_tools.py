"""Tools run over HTTP."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from servers import Exchange, Handler, ScriptedServer, running
from standardwebhooks.webhooks import Webhook

from nur_server.clock import ManualClock
from nur_server.conversation.config import ToolSpec
from nur_server.ports import ToolRequest, ToolResult
from nur_server.providers.http_tools import (
    HttpTools,
    ToolEndpoint,
    ToolPayload,
    read_result,
    with_query,
)
from nur_server.providers.net import Fetched

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def request(timeout_seconds: float = 5.0, **arguments: Any) -> ToolRequest:
    schema = {"type": "object", "properties": {}}
    tool = ToolSpec("lookup", "Look up", schema, timeout_seconds=timeout_seconds)
    return ToolRequest("call_1", "ses_1", "agt_1", tool, arguments)


def answers(body: str, status: int = 200, kind: str = "application/json") -> Handler:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(body, status=status, kind=kind)

    return handler


def tools(endpoint: ToolEndpoint | None, session_id: str = "ses_1", **more: Any) -> HttpTools:
    async def endpoint_for(asked_id: str, tool_name: str) -> ToolEndpoint | None:
        assert (asked_id, tool_name) == (session_id, "lookup")
        return endpoint

    return HttpTools(endpoint_for, **{"allow_private": True, **more})


async def call(
    server: ScriptedServer, asked: ToolRequest, path: str = "/tool", **endpoint: Any
) -> ToolResult:
    runner = tools(
        ToolEndpoint(f"{server.url}{path}", **{"is_trusted": True, **endpoint}), asked.session_id
    )
    try:
        return await runner.call(asked)
    finally:
        await runner.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "post"])
async def test_writing_methods_send_the_arguments_as_json(method: str) -> None:
    async with running(answers('{"ok": true}')) as server:
        result = await call(server, request(order_id="7", n=2), method=method)
    (asked,) = server.asked
    assert (asked.method, asked.target) == (method.upper(), "/tool")
    assert asked.json == {"order_id": "7", "n": 2}
    assert asked.headers["content-type"] == "application/json"
    assert result == ToolResult('{"ok":true}')


async def test_without_arguments_an_empty_object_is_sent() -> None:
    async with running(answers("{}")) as server:
        await call(server, request())
    assert server.asked[0].json == {}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_reading_methods_send_the_arguments_in_the_query(method: str) -> None:
    async with running(answers("{}")) as server:
        asked = request(city="São Paulo", days=3, exact=True, tags=["a", "b"], none=None)
        await call(server, asked, path="/tool?key=1", method=method)
    (asked_for,) = server.asked
    assert (asked_for.method, asked_for.path, asked_for.body) == (method, "/tool", b"")
    assert parse_qs(urlsplit(asked_for.target).query) == {
        "key": ["1"],
        "city": ["São Paulo"],
        "days": ["3"],
        "exact": ["true"],
        "tags": ["a", "b"],
    }


def test_no_argument_overrides_what_the_address_carries() -> None:
    url = with_query(httpx2.URL("https://x.example/?account=1"), {"account": "2", "q": {"a": 1}})
    assert url.params.multi_items() == [("account", "1"), ("q", '{"a": 1}')]


async def test_a_tool_url_gets_an_event_with_both_forms_of_the_arguments() -> None:
    clock = ManualClock(datetime(2026, 11, 20, tzinfo=UTC))
    async with running(answers("{}")) as server:
        endpoint = ToolEndpoint(
            f"{server.url}/hook",
            payload=ToolPayload.WEBHOOK,
            context={"plan": "gold"},
            metadata={"user": "1"},
            is_trusted=True,
        )
        runner = tools(endpoint, clock=clock)
        await runner.call(request(order_id="7"))
        await runner.close()
    event = server.asked[0].json
    assert event.pop("id").startswith("evt_")
    assert json.loads(event["tool_call"]["function"].pop("arguments")) == {"order_id": "7"}
    assert event == {
        "type": "tool.call",
        "created": 1_795_132_800,
        "call_id": "ses_1",
        "session_id": "ses_1",
        "agent_id": "agt_1",
        "tool_call": {"id": "call_1", "type": "function", "function": {"name": "lookup"}},
        "name": "lookup",
        "arguments": {"order_id": "7"},
        "context": {"plan": "gold"},
        "metadata": {"user": "1"},
    }


@pytest.mark.parametrize(("method", "secret"), [("POST", SECRET), ("GET", SECRET)])
async def test_a_request_is_signed_and_carries_its_call(method: str, secret: str) -> None:
    async with running(answers("{}")) as server:
        await call(server, request(n=1), method=method, signing_secret=secret)
    (asked,) = server.asked
    assert asked.headers["webhook-id"] == asked.headers["idempotency-key"] == "ses_1_call_1"
    Webhook(secret).verify(asked.body, asked.headers, json_parse=False)


async def test_the_same_call_id_in_another_session_is_another_call() -> None:
    async with running(answers("{}"), answers("{}")) as server:
        await call(server, request())
        await call(server, replace(request(), session_id="ses_2"))
    names = [asked.headers["idempotency-key"] for asked in server.asked]
    assert names == ["ses_1_call_1", "ses_2_call_1"]


async def test_without_a_secret_nothing_is_signed() -> None:
    async with running(answers("{}")) as server:
        await call(server, request())
    assert "webhook-signature" not in server.asked[0].headers
    assert server.asked[0].headers["webhook-id"] == "ses_1_call_1"


async def test_a_tools_own_headers_are_sent_and_ours_stay_ours() -> None:
    own = (("Authorization", "Bearer t"), ("Idempotency-Key", "x"), ("Host", "evil.example"))
    async with running(answers("{}")) as server:
        await call(server, request(), headers=own)
    headers = server.asked[0].headers
    assert headers["authorization"] == "Bearer t"
    assert headers["idempotency-key"] == "ses_1_call_1"
    assert headers["host"] == f"127.0.0.1:{server.port}"


def test_secrets_do_not_show_in_a_representation() -> None:
    endpoint = ToolEndpoint("https://x", headers=(("A", "hidden-1"),), signing_secret="hidden-2")
    assert "hidden" not in repr(endpoint)


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ('{"status": "shipped"}', '{"status":"shipped"}'),
        ('{"result": {"status": "shipped"}}', '{"status":"shipped"}'),
        ('{"result": "It shipped."}', "It shipped."),
        ('{"result": null}', "null"),
        ('{"error": null, "result": 1}', "1"),
        ("[1, 2]", "[1,2]"),
        ('"text"', "text"),
        ("It shipped.", "It shipped."),
        ("", "The tool succeeded and returned nothing."),
    ],
)
def test_a_good_answer_is_for_the_model(body: str, content: str) -> None:
    fetched = Fetched(200, httpx2.Headers(), body.encode())
    assert read_result(fetched) == ToolResult(content)


@pytest.mark.parametrize(
    ("status", "body", "kind", "content"),
    [
        (200, '{"error": "no such order"}', "", "reported an error. It said: no such order"),
        (200, '{"error": {"message": "gone"}}', "", "reported an error. It said: gone"),
        (404, '{"detail": "no such order"}', "", "status 404. It said: no such order"),
        (500, "", "", "status 500."),
        (502, "<html>Bad gateway</html>", "text/html", "status 502."),
        (302, "", "", "status 302."),
    ],
)
def test_a_failure_is_a_sentence_for_the_model(
    status: int, body: str, kind: str, content: str
) -> None:
    result = read_result(Fetched(status, httpx2.Headers({"content-type": kind}), body.encode()))
    assert result.is_error
    assert result.content.endswith(content)


async def test_a_failure_that_reached_the_tool_is_not_tried_again() -> None:
    async def dies(exchange: Exchange) -> None:
        exchange.die()

    for handler in (answers("{}", status=500), answers("{}", status=503), dies):
        async with running(handler) as server:
            result = await call(server, request())
        assert result.is_error
        assert len(server.asked) == 1


async def test_a_tool_that_hangs_is_given_up_at_its_own_time_out() -> None:
    async with running(Exchange.hang) as server:
        result = await call(server, request(timeout_seconds=0.05))
    assert result == ToolResult("The tool did not answer within 0.05 s.", is_error=True)


async def test_an_answer_too_large_is_refused() -> None:
    async with running(answers("x" * 65_537, kind="text/plain")) as server:
        result = await call(server, request())
    assert result == ToolResult("The tool's answer was larger than 64 KiB.", is_error=True)


async def test_a_private_address_is_never_asked() -> None:
    async with running(answers("{}")) as server:
        runner = tools(ToolEndpoint(server.url), allow_private=False)
        result = await runner.call(request())
        await runner.close()
    assert result.is_error
    assert "NUR_ALLOW_PRIVATE_URLS" in result.content
    assert server.asked == []


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        (None, "has no address"),
        (ToolEndpoint("http://127.0.0.1:1/", is_trusted=True), "could not be reached"),
        (ToolEndpoint("gopher://x/"), "could not be reached"),
        (ToolEndpoint("http://[::1"), "could not be reached"),
        (
            ToolEndpoint("http://127.0.0.1:1/", signing_secret="whsec_"),
            "could not prepare the call",
        ),
    ],
)
async def test_whatever_is_wrong_is_a_result(endpoint: ToolEndpoint | None, reason: str) -> None:
    runner = tools(endpoint)
    result = await runner.call(request())
    await runner.close()
    assert result.is_error
    assert reason in result.content


async def test_a_lookup_that_fails_is_a_result_and_its_words_stay_inside() -> None:
    async def broken(session_id: str, tool_name: str) -> ToolEndpoint | None:
        raise RuntimeError("database password is hunter2")

    runner = HttpTools(broken, allow_private=True)
    result = await runner.call(request())
    await runner.close()
    assert result.is_error
    assert "hunter2" not in result.content


class CountingTransport(httpx2.AsyncBaseTransport):
    """Refuses the first connections, then answers."""

    def __init__(self, refusals: int) -> None:
        self._refusals = refusals
        self.attempts = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.attempts += 1
        if self.attempts <= self._refusals:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(200, json={"result": "ok"})


@pytest.mark.parametrize(("refusals", "attempts", "is_error"), [(1, 2, False), (2, 2, True)])
async def test_a_connection_that_never_came_about_is_tried_once_more(
    refusals: int, attempts: int, is_error: bool
) -> None:
    transport = CountingTransport(refusals)
    client = httpx2.AsyncClient(transport=transport)
    runner = tools(ToolEndpoint("https://tools.example/"), client=client)
    result = await runner.call(request())
    await runner.close()
    assert (transport.attempts, result.is_error) == (attempts, is_error)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"])
async def test_a_client_s_tool_reaches_no_private_address_whatever_is_allowed(host: str) -> None:
    async with running(answers("secret of the inside")) as server:
        runner = tools(ToolEndpoint(f"http://{host}:{server.port}/"), allow_private=True)
        result = await runner.call(request())
        await runner.close()
    assert result.is_error
    assert "secret" not in result.content
    assert server.asked == []
