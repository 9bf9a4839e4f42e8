"""Routes whose writes are carried out once per `Idempotency-Key`, and that say who may not call
before they look at what was sent."""

import hashlib
import json
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import State

from nur_server.api.auth import Principal, Require, admit, credential_of
from nur_server.api.browser_sessions import cookie_of
from nur_server.api.nesting import MAX_NESTING, is_too_deep
from nur_server.api.sealing import seal, unseal
from nur_server.api.services import services_of
from nur_server.errors import InvalidRequest
from nur_server.store.idempotency import MAX_KEY_LENGTH, Idempotency
from nur_server.store.records import Claim, StoredResponse

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
"""Header of an answer that is given again."""
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class JsonRequest(Request):
    """A request whose JSON is read strictly: no NaN, no deep nesting, no broken text, no NUL."""

    async def json(self) -> Any:
        body = await self.body()
        if is_too_deep(body):
            raise json.JSONDecodeError(f"it may nest {MAX_NESTING} deep, not deeper", "", 0)
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise json.JSONDecodeError(error.msg, error.doc, error.pos) from None
        if rb"\u0000" in body and _holds_nul(value):
            raise json.JSONDecodeError("text may not hold NUL characters", "", 0)
        return value


class ApiRoute(APIRoute):
    """Admits the caller first, then carries the request out, once per idempotency key."""

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()
        group = self._group()

        async def handle(plain: Request) -> Response:
            request = JsonRequest(plain.scope, plain.receive)
            if group is None:
                return await handler(request)
            principal = await admit(request, group)
            _refuse_repeated(request)
            key = request.headers.get(HEADER)
            if key is None or request.method not in WRITES:
                return await handler(request)
            return await _once(request, principal, _checked(key), handler)

        return handle

    def _group(self) -> str | None:
        """The rate-limit group of the operation's `Require`. None: anybody may call it."""
        for dependency in self.dependant.dependencies:
            if isinstance(dependency.call, Require):
                return dependency.call.group
        return None


def _holds_nul(value: object) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(_holds_nul(key) or _holds_nul(inner) for key, inner in value.items())
        case list():
            return any(_holds_nul(inner) for inner in value)
        case _:
            return False


def _refuse_repeated(request: Request) -> None:
    """Which of two values is meant cannot be known."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in set(names):
        if names.count(name) > 1:
            raise InvalidRequest(
                f"{name[:80]}: expected this query parameter once, got it again",
                param=name[:80],
            )


def keep_nothing(request: Request) -> None:
    """The answer holds a secret: it is not stored, and the request's key is free again."""
    state: State = request.state
    state.keeps_answer = False


def _checked(key: str) -> str:
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise InvalidRequest(
            f"expected an {HEADER} of 1 to {MAX_KEY_LENGTH} printable ASCII characters",
            code="idempotency_key_invalid",
            param=HEADER,
        )
    return key


async def _once(request: Request, principal: Principal, key: str, handler: Handler) -> Response:
    store = services_of(request).idempotency(principal.account_id)
    route = f"{request.method} {request.url.path.removeprefix('/api')}"
    begun = await store.begin(key, route, await _fingerprint(request, principal))
    if isinstance(begun, StoredResponse):
        body = unseal(begun.body, _credential(request))
        return Response(body, begun.status, {**begun.headers, REPLAYED: "true"})
    try:
        response = await handler(request)
    except Exception:
        await store.abandon(begun)
        raise
    await _settle(store, begun, request, response)
    return response


async def _settle(store: Idempotency, claim: Claim, request: Request, response: Response) -> None:
    """Keep a success. A failure changed nothing: the key stays free for the corrected request."""
    if response.status_code >= 300 or not getattr(request.state, "keeps_answer", True):
        await store.abandon(claim)
        return
    headers = {"content-type": response.headers.get("content-type", "application/json")}
    body = seal(bytes(response.body), _credential(request))
    await store.finish(claim, StoredResponse(response.status_code, headers, body))


def _credential(request: Request) -> str:
    return credential_of(request.headers.get("authorization")) or cookie_of(request) or ""


async def _fingerprint(request: Request, principal: Principal) -> str:
    """Tells requests apart: body, query and the key that sent it, whose rights may differ."""
    digest = hashlib.sha256(principal.key_id.encode())
    digest.update(b"\0" + request.url.query.encode() + b"\0")
    digest.update(await request.body())
    return digest.hexdigest()
