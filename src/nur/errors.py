"""Every error the SDK raises on purpose.

    NurError
    ├── MissingKey                    no API key was given
    ├── ConnectionFailed              no answer: refused, broken, name not found
    │   └── RequestTimeout            no answer in time
    ├── UnreadableAnswer              an answer, but not one of this API
    ├── StatusError                   the server said no; one class per status:
    │   ├── BadRequest          400   the request cannot be read
    │   ├── Unauthorized        401   no key, or a key that is not valid
    │   ├── Forbidden           403   a valid key that may not do this
    │   ├── NotFound            404
    │   ├── Conflict            409   not possible in the resource's present state
    │   ├── PayloadTooLarge     413
    │   ├── InvalidRequest      422   readable, but a value is wrong: see `param`
    │   ├── RateLimited         429   see `retry_after_seconds`
    │   └── InternalError       500   and any other 5xx
    │       └── Unavailable     503
    └── LiveError                     a live session cannot go on
        ├── SessionRefused            the server will not have it: see `code`
        └── SessionLost               the connection broke and did not come back

Each carries `message` (what was expected, what came, what to do), a stable `code`, and
`retryable`: whether the same request may succeed later. What is retryable has already been
retried when an error reaches the caller.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class NurError(Exception):
    """Root of the tree."""

    default_code: ClassVar[str] = "error"
    retryable: bool = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        """Stable and machine-readable."""


class MissingKey(NurError):
    """No API key was given."""

    default_code = "missing_api_key"


class ConnectionFailed(NurError):
    """The server could not be reached, or the connection broke."""

    default_code = "connection_failed"
    retryable = True


class RequestTimeout(ConnectionFailed):
    """The server did not answer in time."""

    default_code = "timeout"


class UnreadableAnswer(NurError):
    """What came back is not an answer of this API: is `base_url` right?"""

    default_code = "unreadable_answer"


class StatusError(NurError):
    """The server answered with an error status."""

    status: int
    """HTTP status."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        param: str | None = None,
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.param = param
        """The field that is wrong, e.g. `tools[0].parameters`."""
        self.details = dict(details or {})
        """Facts for machines."""
        self.request_id = request_id
        """Names the request in the server's log."""
        self.retry_after_seconds = retry_after_seconds
        """How long the server asks to wait. None: it does not say."""

    def __str__(self) -> str:
        facts = f"{self.status} {self.code}"
        return (
            f"{self.message} ({facts}, {self.request_id})"
            if self.request_id
            else (f"{self.message} ({facts})")
        )


class BadRequest(StatusError):
    """400: the request cannot be read."""

    default_code = "invalid_request"


class Unauthorized(StatusError):
    """401: no key, or a key that is not valid."""

    default_code = "invalid_api_key"


class Forbidden(StatusError):
    """403: the key is valid but lacks the scope."""

    default_code = "insufficient_scope"


class NotFound(StatusError):
    """404: there is no such thing in this account."""

    default_code = "not_found"


class Conflict(StatusError):
    """409: not possible in the resource's present state."""

    default_code = "conflict"


class PayloadTooLarge(StatusError):
    """413: the body is larger than the server takes."""

    default_code = "payload_too_large"


class InvalidRequest(StatusError):
    """422: a value is wrong; `param` names the field."""

    default_code = "invalid_parameter"


class RateLimited(StatusError):
    """429: too many requests; `retry_after_seconds` says when to come back."""

    default_code = "rate_limit_exceeded"
    retryable = True


class InternalError(StatusError):
    """500: the server failed."""

    default_code = "internal_error"
    retryable = True


class Unavailable(InternalError):
    """503: the server cannot serve this right now."""

    default_code = "service_unavailable"


class LiveError(NurError):
    """A live session cannot go on."""

    default_code = "live_error"


class SessionRefused(LiveError):
    """The server will not have this session: unknown, expired, not allowed, badly configured.

    `code` is the server's, e.g. `session_not_found`, `session_expired`, `unauthorized`.
    """

    default_code = "session_refused"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message, code=code)
        self.param = param


class SessionLost(LiveError):
    """The connection broke and could not be made again in time, or the session is over."""

    default_code = "session_lost"


_BY_STATUS: Mapping[int, type[StatusError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: PayloadTooLarge,
    422: InvalidRequest,
    429: RateLimited,
    503: Unavailable,
}


def status_error(
    status: int,
    body: object,
    *,
    request_id: str | None = None,
    retry_after_seconds: float | None = None,
) -> StatusError:
    """The error for an answer. `body` is its decoded JSON, or None where it has none.

    A status without a class of its own gives `InternalError` from 500 on, else `StatusError`.
    """
    said = _error_of(body)
    kind = _BY_STATUS.get(status) or (InternalError if status >= 500 else StatusError)
    return kind(
        _text(said.get("message")) or f"the server answered with status {status} and no message",
        status=status,
        code=_text(said.get("code")),
        param=_text(said.get("param")),
        details=said.get("details") if isinstance(said.get("details"), dict) else None,
        request_id=_text(said.get("request_id")) or request_id,
        retry_after_seconds=retry_after_seconds,
    )


def _error_of(body: object) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        return {}
    error = body.get("error")
    if isinstance(error, dict):
        return error
    return {"message": body.get("detail")}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
