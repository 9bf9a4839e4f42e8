"""Every error the server raises on purpose.

    NurError
    ├── BadRequest            400  the request cannot be read
    ├── Unauthorized          401  no key, or a key that is not valid
    ├── Forbidden             403  a valid key that may not do this
    ├── NotFound              404
    ├── Conflict              409  not possible in the resource's present state
    ├── PayloadTooLarge       413
    ├── InvalidRequest        422  readable, but a value is wrong
    ├── RateLimited           429  carries `retry_after_seconds`
    ├── InternalError         500
    ├── NotInstalled          501  needs a package that this server was installed without
    ├── Unavailable           503
    └── ProviderError              a speech or language engine failed
        ├── ProviderTimeout        no answer in time
        ├── ProviderUnreachable    no connection, or it broke
        ├── ProviderRejected       the engine refused the request
        └── ProviderGarbled        the answer could not be understood

Each has a stable `code`, a message that says what was expected, what came and what to do, and
`retryable`: whether the same request may succeed later. `api/errors.py` is the only place that
turns them into responses and close codes.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class NurError(Exception):
    """Root of the tree. `param` names the offending field, `details` adds facts for machines."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "api_error"
    """The `type` in an error body."""
    default_code: ClassVar[str] = "internal_error"
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.param = param
        self.details = dict(details or {})


class BadRequest(NurError):
    status = 400
    kind = "invalid_request_error"
    default_code = "invalid_request"


class Unauthorized(NurError):
    status = 401
    kind = "authentication_error"
    default_code = "invalid_api_key"


class Forbidden(NurError):
    status = 403
    kind = "permission_error"
    default_code = "insufficient_scope"


class NotFound(NurError):
    status = 404
    kind = "not_found_error"
    default_code = "not_found"


class Conflict(NurError):
    status = 409
    kind = "conflict_error"
    default_code = "conflict"


class PayloadTooLarge(NurError):
    status = 413
    kind = "invalid_request_error"
    default_code = "payload_too_large"


class InvalidRequest(NurError):
    status = 422
    kind = "invalid_request_error"
    default_code = "invalid_parameter"


class RateLimited(NurError):
    status = 429
    kind = "rate_limit_error"
    default_code = "rate_limit_exceeded"
    retryable = True

    def __init__(self, message: str, *, retry_after_seconds: float, **more: Any) -> None:
        super().__init__(message, **more)
        self.retry_after_seconds = retry_after_seconds


class InternalError(NurError):
    pass


class NotInstalled(NurError):
    status = 501
    default_code = "not_installed"


class Unavailable(NurError):
    """`retry_after_seconds` is when to ask again, where that is known."""

    status = 503
    default_code = "service_unavailable"
    retryable = True

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, **more: Any
    ) -> None:
        super().__init__(message, **more)
        self.retry_after_seconds = retry_after_seconds


class ProviderError(NurError):
    """A speech or language engine failed. `provider` is its name in the model catalogue.

    `said` holds the engine's own words: they are for the log and for its adapter, never for a
    caller or a page. `retry_after_seconds` is when to ask again, where the engine says so.
    """

    status = 503
    kind = "model_error"
    default_code = "provider_error"

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        retryable: bool | None = None,
        provider_status: int | None = None,
        retry_after_seconds: float | None = None,
        said: str = "",
        **more: Any,
    ) -> None:
        super().__init__(message, **more)
        self.provider = provider
        self.provider_status = provider_status
        self.retry_after_seconds = retry_after_seconds
        self.said = said
        if retryable is not None:
            self.retryable = retryable


class ProviderTimeout(ProviderError):
    default_code = "provider_timeout"
    retryable = True


class ProviderUnreachable(ProviderError):
    default_code = "provider_unreachable"
    retryable = True


class ProviderRejected(ProviderError):
    default_code = "provider_rejected"


class ProviderGarbled(ProviderError):
    default_code = "provider_garbled"
    retryable = True
