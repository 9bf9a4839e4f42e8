"""What every request passes through: its id, its log line, its bounds, and the last resort."""

import asyncio
import re
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nur_server.api.errors import as_nur_error, error_response
from nur_server.api.nesting import MAX_VALUES, is_too_wide
from nur_server.api.ratelimits import Allowance
from nur_server.clock import Clock
from nur_server.errors import BadRequest, NurError, PayloadTooLarge
from nur_server.ids import REQUEST, new_id

BODY_SECONDS = 30.0
"""Longest wait for a request's whole body."""
REQUEST_ID = "X-Request-ID"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Set on every answer that does not set them itself."""

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}\Z")

log = structlog.get_logger(__name__)


class RequestContext:
    """Gives each request an id, in its answer and in every line logged on its behalf."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _SANE_ID.match(given) else new_id(REQUEST)
        scope["nur.request_id"] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            if scope["type"] == "http":
                await self._serve(scope, receive, send)
            else:
                await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = self._clock.monotonic()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete(message, scope)
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            log.info(
                "request",
                method=scope["method"],
                route=route_template(scope),
                status=status,
                duration_ms=round((self._clock.monotonic() - started) * 1000, 1),
            )


def _complete(message: Message, scope: Scope) -> None:
    headers = MutableHeaders(scope=message)
    headers[REQUEST_ID] = scope["nur.request_id"]
    allowance = scope.get("nur.allowance")
    if isinstance(allowance, Allowance):
        headers.update(allowance.headers())
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)


def route_template(scope: Scope) -> str | None:
    """The address with its parameters unnamed, `/v1/agents/{agent_id}`. None: there is none."""
    if scope.get("route") is None:
        return None
    path: str = scope["path"]
    for name, value in scope.get("path_params", {}).items():
        path = path.replace(f"/{value}", f"/{{{name}}}", 1)
    return path


class LastResort:
    """Answers a request whose handler failed unexpectedly, and logs why."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watch(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            log.exception("request failed unexpectedly")
            if has_begun:
                raise
            answer = error_response(as_nur_error(error), scope["nur.request_id"])
            await answer(scope, receive, send)


class BoundedBody:
    """Reads a request's body whole, up to a size and within a time, before anything looks at it.

    One of many values is refused: to read it, and to say what is wrong with each, would hold
    everybody up. The body is taken for JSON whatever its `Content-Type` says.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(Request(scope, receive))
        except NurError as error:
            response = error_response(error, scope["nur.request_id"])
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        if body is None:
            return
        if body:
            scope["headers"] = _as_json(scope["headers"])
        is_given = False

        async def replay() -> Message:
            nonlocal is_given
            if is_given:
                return await receive()
            is_given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)

    async def _read(self, request: Request) -> bytes | None:
        """None: the client went away."""
        declared = request.headers.get("content-length", "")
        if declared and "transfer-encoding" in request.headers:
            raise BadRequest(
                "expected either Content-Length or Transfer-Encoding, got both: where a proxy and "
                "this server differ over which counts, one request is taken for two",
                code="ambiguous_length",
            )
        if declared.isdecimal() and int(declared) > self._max_bytes:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > self._max_bytes:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise BadRequest(
                f"expected the whole body within {BODY_SECONDS:.0f} s", code="body_timeout"
            ) from None
        if is_too_wide(body):
            raise PayloadTooLarge(
                f"expected a body of at most {MAX_VALUES} values, got more; send less at a time"
            )
        return bytes(body)

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"expected a body of at most {self._max_bytes} bytes, got more")


def _as_json(headers: list[tuple[bytes, bytes]]) -> list[Any]:
    kept = [(name, value) for name, value in headers if name.lower() != b"content-type"]
    return [*kept, (b"content-type", b"application/json")]
