"""Tools run over HTTP: at a tool's own address, or at the agent's `tool_url`.

A call reaches the far side at most once: only a connection that never came about is tried again.
`Idempotency-Key` and `webhook-id` name the call among those of all sessions, so that the far side
can tell one from another: models number theirs anew in each conversation. Requests are signed after
Standard Webhooks where the agent has a secret.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx2
import orjson
import structlog
from standardwebhooks.webhooks import Webhook

from nur_server.clock import Clock, SystemClock
from nur_server.errors import InvalidRequest, PayloadTooLarge
from nur_server.ids import EVENT, new_id
from nur_server.ports import ToolRequest, ToolResult
from nur_server.providers.names import on_behalf_of
from nur_server.providers.net import Fetched, fetch, guarded_client

log = structlog.get_logger()

MAX_RESULT_BYTES = 65_536
MAX_REASON_CHARACTERS = 300
"""How much of a failure's own words the model is told."""
CONNECT_RETRIES = 1
EMPTY_RESULT = "The tool succeeded and returned nothing."
_IN_QUERY = frozenset({"GET", "DELETE", "HEAD"})
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "idempotency-key"}
    | {"webhook-id", "webhook-timestamp", "webhook-signature"}
)
"""Headers a tool's configuration cannot set."""


class ToolPayload(StrEnum):
    """What is sent."""

    ARGUMENTS = "arguments"
    """The arguments alone: a tool's own `http` block."""
    WEBHOOK = "webhook"
    """A `tool.call` event around them: the agent's `tool_url`, which serves all its tools."""


@dataclass(frozen=True, slots=True)
class ToolEndpoint:
    """Where a tool runs."""

    url: str
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    signing_secret: str | None = field(default=None, repr=False)
    """`whsec_` and base64, or base64 alone. None: not signed."""
    payload: ToolPayload = ToolPayload.ARGUMENTS
    context: Mapping[str, Any] = field(default_factory=dict)
    """The session's, for the event."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The session's, for the event."""
    is_trusted: bool = False
    """A stored agent's: it may reach private addresses where the server allows them."""


EndpointLookup = Callable[[str, str], Awaitable[ToolEndpoint | None]]
"""Session id and tool name to where the tool runs; None when it has no address."""


class HttpTools:
    """`ToolServer` over HTTP. Private addresses are refused unless `allow_private`, and always at
    an endpoint that is not trusted."""

    def __init__(
        self,
        endpoint_for: EndpointLookup,
        *,
        allow_private: bool = False,
        clock: Clock | None = None,
        client: httpx2.AsyncClient | None = None,
    ) -> None:
        """`client` is for other ways through the network; the default one judges addresses and is
        closed by `close`."""
        self._endpoint_for = endpoint_for
        self._clock = clock or SystemClock()
        self._client = client or guarded_client(allow_private=allow_private)
        self._strict_client = client or guarded_client(allow_private=False)

    async def close(self) -> None:
        await self._client.aclose()
        await self._strict_client.aclose()

    async def call(self, request: ToolRequest) -> ToolResult:
        """The tool's result within its `timeout_seconds`. A failure is a result too: a sentence
        for the model, with `is_error`."""
        name = request.tool.name
        try:
            async with asyncio.timeout(request.tool.timeout_seconds):
                endpoint = await self._endpoint_for(request.session_id, name)
                if endpoint is None:
                    return _failure(f"The tool {name} has no address to run at.")
                with on_behalf_of(request.account_id or request.session_id):
                    return read_result(await self._send(request, endpoint))
        except TimeoutError:
            return _failure(f"The tool did not answer within {request.tool.timeout_seconds:g} s.")
        except PayloadTooLarge:
            return _failure(f"The tool's answer was larger than {MAX_RESULT_BYTES // 1024} KiB.")
        except InvalidRequest as error:
            return _failure(f"The tool's address cannot be used. {error.message}")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return _failure(f"The tool could not be reached ({type(error).__name__}).")
        except Exception as error:
            # The port promises a result for every failure, those of the lookup and of a signing
            # secret included. No traceback: it may be rendered with the values in it.
            log.error("tool call failed", tool=name, error=type(error).__name__)
            return _failure("The tool could not be called: the server could not prepare the call.")

    async def _send(self, request: ToolRequest, endpoint: ToolEndpoint) -> Fetched:
        client = self._client if endpoint.is_trusted else self._strict_client
        built = self._build(request, endpoint)
        for attempt in range(CONNECT_RETRIES + 1):
            try:
                return await fetch(
                    client,
                    built,
                    max_bytes=MAX_RESULT_BYTES,
                    total_seconds=request.tool.timeout_seconds,
                )
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if attempt == CONNECT_RETRIES:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _build(self, request: ToolRequest, endpoint: ToolEndpoint) -> httpx2.Request:
        method = endpoint.method.upper()
        url, body = httpx2.URL(endpoint.url), b""
        if endpoint.payload is ToolPayload.WEBHOOK:
            body = orjson.dumps(self._event(request, endpoint))
        elif method in _IN_QUERY:
            url = with_query(url, request.arguments)
        else:
            body = orjson.dumps(dict(request.arguments))
        headers = _headers(endpoint, has_body=bool(body))
        headers.update(self._signature(request, endpoint, body))
        # The read time-out is the tool's own; connecting has its own, shorter one.
        seconds = request.tool.timeout_seconds
        return self._client.build_request(
            method,
            url,
            content=body or None,
            headers=headers,
            timeout=httpx2.Timeout(seconds, connect=min(5.0, seconds)),
        )

    def _event(self, request: ToolRequest, endpoint: ToolEndpoint) -> dict[str, Any]:
        """The call in both forms handlers are written for: OpenAI's, with the arguments as text,
        and the plain one."""
        arguments = dict(request.arguments)
        function = {"name": request.tool.name, "arguments": json.dumps(arguments)}
        return {
            "id": new_id(EVENT),
            "type": "tool.call",
            "created": int(self._clock.now().timestamp()),
            "call_id": request.session_id,
            "session_id": request.session_id,
            "agent_id": request.agent_id,
            "tool_call": {"id": request.call_id, "type": "function", "function": function},
            "name": request.tool.name,
            "arguments": arguments,
            "context": dict(endpoint.context),
            "metadata": dict(endpoint.metadata),
        }

    def _signature(
        self, request: ToolRequest, endpoint: ToolEndpoint, body: bytes
    ) -> dict[str, str]:
        now = self._clock.now()
        name = f"{request.session_id}_{request.call_id}"
        headers = {
            "Idempotency-Key": name,
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        if endpoint.signing_secret:
            signer = Webhook(endpoint.signing_secret)
            headers["webhook-signature"] = signer.sign(name, now, body.decode())
        return headers


def _headers(endpoint: ToolEndpoint, *, has_body: bool) -> httpx2.Headers:
    headers = httpx2.Headers({"Accept": "application/json, text/plain;q=0.9, */*;q=0.5"})
    if has_body:
        headers["Content-Type"] = "application/json"
    for name, value in endpoint.headers:
        if name.lower() not in _OURS:
            headers[name] = value
    return headers


def with_query(url: httpx2.URL, arguments: Mapping[str, Any]) -> httpx2.URL:
    """The address with the arguments as query parameters.

    What the address itself carries stays as it is: no argument of a model overrides it.
    """
    given = [
        (name, text)
        for name, value in arguments.items()
        if name not in url.params
        for text in _texts(value)
    ]
    return url.copy_with(params=[*url.params.multi_items(), *given])


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, list):
        return [_text(item) for item in value]
    return [] if value is None else [_text(value)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def read_result(response: Fetched) -> ToolResult:
    """What a tool answered, for the model: `{"result": …}` unwrapped, `{"error": …}` a failure."""
    value = _parsed(response)
    if not 200 <= response.status < 300:
        return _failure(f"The tool answered with status {response.status}.", _reason(value))
    if isinstance(value, dict) and value.get("error"):
        return _failure("The tool reported an error.", _reason(value))
    if isinstance(value, dict) and "result" in value:
        value = value["result"]
    if isinstance(value, str):
        return ToolResult(value.strip() or EMPTY_RESULT)
    return ToolResult(orjson.dumps(value).decode())


def _parsed(response: Fetched) -> Any:
    """The body as JSON, or else as text. JSON is believed without its content type."""
    try:
        return orjson.loads(response.body)
    except ValueError:
        kind = response.headers.get("content-type", "")
        return "" if "html" in kind and response.status >= 300 else response.text


def _reason(value: Any) -> str:
    """A failure's own words, where it has some."""
    if isinstance(value, dict):
        error = value.get("error", value.get("detail", value.get("message", "")))
        value = error.get("message", error) if isinstance(error, dict) else error
    text = value if isinstance(value, str) else orjson.dumps(value).decode() if value else ""
    return " ".join(text.split())[:MAX_REASON_CHARACTERS]


def _failure(message: str, reason: str = "") -> ToolResult:
    return ToolResult(f"{message} It said: {reason}" if reason else message, is_error=True)
