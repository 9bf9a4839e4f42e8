"""The one funnel: every error becomes a response here, and a close code where it ends a socket."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil
from typing import Any, get_args

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from nur_server.api.spelling import hint
from nur_server.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InternalError,
    InvalidRequest,
    NotFound,
    NurError,
    PayloadTooLarge,
    ProviderError,
    RateLimited,
    Unauthorized,
    Unavailable,
)

log = structlog.get_logger(__name__)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
MAX_PROBLEMS = 20
"""How many wrong values one answer looks at and lists."""


class ErrorDetail(BaseModel):
    """What went wrong."""

    type: str = Field(examples=["invalid_request_error"])
    code: str = Field(examples=["invalid_parameter"])
    message: str = Field(description="What was expected, what came, and what to do.")
    param: str | None = Field(
        description="The field that is wrong, such as `tools[0].parameters`.",
    )
    details: dict[str, Any] = Field(description="Facts for machines.")
    request_id: str


class ErrorBody(BaseModel):
    """The body of every error."""

    error: ErrorDetail
    detail: str = Field(description="The same as `error.message`.")


def error_body(error: NurError, request_id: str) -> dict[str, Any]:
    """`{"error": {…}, "detail": …}`."""
    return {
        "error": {
            "type": error.kind,
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "details": error.details,
            "request_id": request_id,
        },
        "detail": error.message,
    }


def error_response(error: NurError, request_id: str) -> JSONResponse:
    """The answer to a request that failed."""
    return JSONResponse(error_body(error, request_id), error.status, _headers_of(error))


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation: these statuses and those every operation may answer.

    They name the schema of `ErrorBody`, which `/readyz` declares as its model: FastAPI would build
    a model anew for each of some 600 of them, a twentieth of the server's start.
    """
    schema = {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"schema": schema}},
        }
        for status in sorted({*statuses, 400, 401, 403, 413, 422, 429, 500, 503})
    }


def install(app: FastAPI) -> None:
    """Answer every error the application raises on purpose."""
    app.add_exception_handler(NurError, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(HTTPException, _answer)
    app.router.default = _nothing_here


async def _answer(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, HTTPException) and error.status_code == 405:
        error = _MethodNotAllowed.at(request)
    if isinstance(error, HTTPException) and error.status_code == 404:
        error = _nothing_at(request)
    if isinstance(error, RequestValidationError):
        error = _from_validation(error.errors(), skip=1, body=_body_of(request))
    return error_response(as_nur_error(error), request.scope["nur.request_id"])


def _nothing_at(request: Request) -> NotFound:
    """Says which address was probably meant: the most frequent slip is to leave the version out."""
    path = request.url.path
    routes = request.app.router.routes
    for likely in (f"/v1{path}", path.rstrip("/"), path.lower(), f"{path.rstrip('/')}s"):
        scope = {**request.scope, "path": likely, "raw_path": likely.encode()}
        if likely != path and any(route.matches(scope)[0] is not Match.NONE for route in routes):
            return NotFound(f"there is nothing at {path}; did you mean {likely}?")
    return NotFound("there is nothing at this address; see /openapi.json for what there is")


def _body_of(request: Request) -> Any:
    """The type of the body that the request should have had. None: it has none."""
    field_ = getattr(request.scope.get("route"), "body_field", None)
    return None if field_ is None else field_.field_info.annotation


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    """Where no route is. A client's socket is refused with the body of every error."""
    if scope["type"] != "websocket":
        raise HTTPException(404)
    refusal = error_response(as_nur_error(HTTPException(404)), scope["nur.request_id"])
    await WebSocket(scope, receive, send).send_denial_response(refusal)


def as_nur_error(error: Exception) -> NurError:
    """What an exception means to the client. Anything unforeseen tells nothing of the inside."""
    match error:
        case Unavailable(code="database_unavailable"):
            log.error("the database cannot be used", reason=error.message)
            return Unavailable(
                "the server cannot use its database; its log says why", code=error.code
            )
        case NurError():
            return error
        case RequestValidationError():
            return _from_validation(error.errors(), skip=1)
        case ValidationError():
            return _from_validation(error.errors(include_url=False), skip=0)
        case HTTPException():
            return _from_http(error)
        case _:
            return InternalError(
                "the server failed unexpectedly; look the request id up in its log"
            )


def _headers_of(error: NurError) -> dict[str, str]:
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": 'Bearer realm="nur"'}
    if isinstance(error, RateLimited | Unavailable) and error.retry_after_seconds is not None:
        return {"Retry-After": str(max(1, ceil(error.retry_after_seconds)))}
    if isinstance(error, _MethodNotAllowed):
        return {"Allow": error.details["allow"]}
    return {}


# What FastAPI and Starlette raise


class _MethodNotAllowed(NurError):
    status = 405
    kind = "invalid_request_error"
    default_code = "method_not_allowed"

    @classmethod
    def at(cls, request: Request) -> "_MethodNotAllowed":
        """For the address of a request: each of several routes of it knows its own methods only."""
        routes = request.app.router.routes
        allowed = ", ".join(
            method
            for method in METHODS
            if any(r.matches({**request.scope, "method": method})[0] is Match.FULL for r in routes)
        )
        return cls(
            f"expected one of the methods {allowed or '(none)'} at this address, "
            f"got {request.method}",
            details={"allow": allowed},
        )


def _from_http(error: HTTPException) -> NurError:
    if error.status_code == 404:
        return NotFound("there is nothing at this address; see /openapi.json for what there is")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return _MethodNotAllowed(
            f"expected one of the methods {allowed}", details={"allow": allowed}
        )
    if error.status_code == 413:
        return PayloadTooLarge(str(error.detail))
    return BadRequest(str(error.detail))


def _from_validation(problems: Iterable[Any], *, skip: int, body: Any = None) -> NurError:
    """One error that names the first problem and lists them all.

    `skip`: leading parts of each location that name where it was (`body`, `query`), not the field.
    `body`: the type of what was read, by which the fields it has are known.
    """
    # A misspelt field explains the one that is missing in its place.
    all_of_them = sorted(problems, key=lambda problem: problem["type"] != _UNKNOWN)
    for problem in all_of_them:
        if problem["type"] == "json_invalid":
            message = _problem(problem, skip, body).message
            return BadRequest(f"expected a JSON body: {message}", code="invalid_json")
    # Saying what is wrong takes time, and a body may be wrong in any number of places.
    found = [_problem(problem, skip, body) for problem in all_of_them[:MAX_PROBLEMS]]
    found.sort(key=lambda problem: problem.code != "unknown_parameter")
    first = found[0]
    more = f" ({len(all_of_them) - 1} more in details)" if len(all_of_them) > 1 else ""
    return InvalidRequest(
        f"{first.message}{more}",
        code=first.code,
        param=first.param,
        details={
            **first.details,
            "errors": [{"param": p.param, "code": p.code, "message": p.message} for p in found],
        },
    )


@dataclass(frozen=True, slots=True)
class _Problem:
    kind: str
    param: str | None
    code: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)


_UNKNOWN = "extra_forbidden"
_CODES = {"missing": "missing_parameter", _UNKNOWN: "unknown_parameter"}


def _problem(problem: Mapping[str, Any], skip: int, body: Any) -> _Problem:
    kind = problem["type"]
    if kind == "json_invalid":
        return _Problem(kind, None, "invalid_json", str(problem.get("ctx", {}).get("error", "")))
    param = dotted(problem["loc"][skip:]) or None
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, NurError):
        return _Problem(kind, cause.param or param, cause.code, cause.message, cause.details)
    return _Problem(
        kind,
        param,
        _CODES.get(kind, "invalid_parameter"),
        _say(kind, param, str(problem["msg"]), problem.get("input"))
        if kind != _UNKNOWN
        else f"{param}: there is no such field; {_hint(problem['loc'][skip:], body)}",
    )


def _hint(location: Sequence[int | str], body: Any) -> str:
    *outer, name = location
    return hint(str(name), _fields_at(body, outer))


def _fields_at(body: Any, location: Sequence[int | str]) -> Collection[str]:
    """The names of the fields of the object at a place of a body."""
    models = _models_in(body)
    for part in location:
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        if isinstance(part, str) and fields:
            models = [inner for each in fields for inner in _models_in(each.annotation)]
    return {name for model in models for name in model.model_fields}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation names: itself, or those within a union, a list and so on."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _say(kind: str, param: str | None, told: str, given: object) -> str:
    name = param or "the body"
    if kind == "missing":
        if param is None:
            return "expected a JSON object as the body, got none"
        return f"{name}: expected a value, got none"
    if kind in ("model_attributes_type", "model_type", "dict_type"):
        told = "expected an object"
    told = told.removeprefix("Value error, ").replace("Input should be", "expected")
    return f"{name}: {told[:1].lower()}{told[1:]}; got {_brief(given)}"


def _brief(value: object) -> str:
    if isinstance(value, Mapping | list | tuple):
        return "an object" if isinstance(value, Mapping) else "a list"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def dotted(location: Iterable[int | str]) -> str:
    """`("tools", 0, "name")` as `tools[0].name`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


# Sockets

SOCKET_CODES = frozenset(
    {
        "unauthorized",
        "session_not_found",
        "session_forbidden",
        "session_expired",
        "agent_not_found",
        "agent_id_not_first",
        "invalid_value",
        "invalid_format",
        "invalid_audio",
        "immutable_field",
        "field_not_allowed",
        "invalid_config",
        "invalid_webhook",
        "audio_rate_violation",
        "message_rate_violation",
        "at_capacity",
        "concurrency_exceeded",
        "agent_init_failed",
        "agent_timeout",
        "internal_error",
        "server_error",
    }
)
"""The codes a `session.error` may carry. An error with one of them keeps it."""

POLICY, TOO_BIG, INTERNAL, TRY_LATER = 1008, 1009, 1011, 1013
_CLOSE_CODES = {
    "at_capacity": TRY_LATER,
    "concurrency_exceeded": TRY_LATER,
    "agent_timeout": INTERNAL,
    "internal_error": INTERNAL,
    "server_error": INTERNAL,
}


def ws_error(error: Exception) -> tuple[str, int]:
    """The code of the `session.error` to send, and the code to close with where it is fatal."""
    known = as_nur_error(error)
    code = known.code if known.code in SOCKET_CODES else _socket_code(known)
    if isinstance(known, PayloadTooLarge):
        return code, TOO_BIG
    return code, _CLOSE_CODES.get(code, POLICY)


def _socket_code(error: NurError) -> str:
    match error:
        case Unauthorized():
            return "unauthorized"
        case Forbidden():
            return "session_forbidden"
        case NotFound():
            return "agent_not_found" if error.param == "agent_id" else "session_not_found"
        case Conflict():
            return "invalid_config"
        case PayloadTooLarge() | BadRequest():
            return "invalid_format"
        case InvalidRequest():
            return "invalid_value"
        case RateLimited():
            return "concurrency_exceeded"
        case Unavailable():
            return "server_error"
        case ProviderError():
            return "agent_init_failed"
        case _:
            return "internal_error"
