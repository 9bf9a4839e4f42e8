"""Who is asking, and what they may do.

A key comes as `Authorization: Bearer nur_…` or as the raw key; a short-lived token the same way, or
as `?token=` where a socket is opened. A key in an address is refused. A browser that is signed in
has a cookie instead, and acts for the key it was signed in with. 401: no credential, or one that is
not valid. 403: a valid one without the scope.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from nur_server.api.browser_sessions import cookie_of, require_sign_in
from nur_server.api.scopes import CONNECT, SCOPES
from nur_server.api.services import Services, services_of
from nur_server.api.tokens import TokenClaims
from nur_server.errors import Forbidden, NotFound, Unauthorized
from nur_server.store.accounts import Accounts
from nur_server.store.keys import EVERY_SCOPE, Keys, authenticate
from nur_server.store.secrets import KEY_PREFIX, SECRET_BYTES

_KEY = re.compile(rf"{KEY_PREFIX}[0-9a-f]{{{2 * SECRET_BYTES}}}")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking."""

    account_id: str
    key_id: str
    scopes: frozenset[str]
    expires_at: datetime | None = None
    """Of the key."""
    token: TokenClaims | None = None
    """Set where a short-lived token stands for the key."""

    def may(self, scope: str) -> bool:
        wider = {"sessions:write"} if scope == CONNECT else set()
        return not self.scopes.isdisjoint({EVERY_SCOPE, scope, *wider})

    def require(self, scope: str) -> None:
        """Raises `Forbidden`."""
        if not self.may(scope):
            held = ", ".join(sorted(self.scopes)) or "none"
            raise Forbidden(
                f"expected a key with the scope {scope}, got one with {held}; use another key",
                details={"required_scope": scope, "scopes": sorted(self.scopes)},
            )


async def identify(
    services: Services, authorization: str | None, *, token: str | None = None, redeem: bool = False
) -> Principal:
    """Whose credential this is. `redeem`: a token is used up by it where tokens are single-use.

    `authorization` is the header, `token` the query's. Raises `Unauthorized`.
    """
    credential = token or credential_of(authorization)
    if not credential:
        raise Unauthorized(
            "expected an API key in the header 'Authorization: Bearer nur_…', got none",
            code="missing_api_key",
        )
    if credential.startswith(KEY_PREFIX):
        return await _by_key(services, credential)
    if credential.count(".") == 2:
        tokens = services.tokens
        claims = tokens.redeem(credential) if redeem else tokens.verify(credential)
        return await _by_token(services, claims)
    raise _invalid()


def refuse_keys_in(query: Mapping[str, str]) -> None:
    """Raises `Unauthorized` for a key in an address, whatever else was shown: proxies log it."""
    if _KEY.search(str(query)):
        raise Unauthorized(
            "expected no API key in the address, where proxies log it; send it in the header "
            "'Authorization: Bearer nur_…' (browsers: a token of /v1/token), and make a new key "
            "for the one that was shown",
            code="key_in_address",
        )


def credential_of(authorization: str | None) -> str:
    """The key or token of an `Authorization` header, with or without `Bearer`."""
    scheme, _, rest = (authorization or "").strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else (authorization or "").strip()


async def _by_key(services: Services, raw: str) -> Principal:
    record = await authenticate(services.database, raw)
    if record is None:
        raise _invalid()
    return Principal(record.account_id, record.id, record.scopes, record.expires_at)


async def _by_token(services: Services, claims: TokenClaims) -> Principal:
    try:
        key = await Keys(services.database, claims.account_id).get(claims.key_id)
    except NotFound:
        raise _invalid() from None
    now = services.clock.now()
    account = await Accounts(services.database).get(claims.account_id)
    if account.suspended_at is not None:
        raise _invalid()
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise _invalid()
    return Principal(claims.account_id, claims.key_id, frozenset({CONNECT}), token=claims)


def _invalid() -> Unauthorized:
    return Unauthorized(
        "expected an API key of this server, got one that is unknown, revoked or expired; "
        "`nur keys create` makes one"
    )


# Requests

_bearer = HTTPBearer(
    scheme_name="ApiKey",
    description="An API key of this server. The key alone, without `Bearer`, is accepted too.",
    auto_error=False,
)


async def admit(request: Request, group: str) -> Principal:
    """Identify the caller of a request and count the request, both once per request.

    Raises `Unauthorized` and `RateLimited`.
    """
    known: Principal | None = request.scope.get("nur.principal")
    if known is not None:
        return known
    services = services_of(request)
    refuse_keys_in(request.query_params)
    principal = await _identify_request(request, services)
    allowance, allowed = await services.rate_limits.count(group, principal.key_id)
    request.scope["nur.allowance"] = allowance
    if not allowed:
        raise services.rate_limits.refusal(allowance, group)
    request.scope["nur.principal"] = principal
    return principal


async def _identify_request(request: Request, services: Services) -> Principal:
    """By its header, or else by the cookie of a browser. Raises `Unauthorized`, `Forbidden`."""
    authorization, secret = request.headers.get("authorization"), cookie_of(request)
    if authorization or secret is None:
        return await identify(services, authorization)
    key = (await require_sign_in(request, services, secret)).key
    return Principal(key.account_id, key.id, key.scopes, key.expires_at)


class Require:
    """A dependency that admits callers with `scope` only. None: whoever has a valid key."""

    def __init__(self, scope: str | None, group: str | None = None) -> None:
        self.scope = scope
        self.group = group or (scope or "").partition(":")[0]
        """Of the rate limits."""

    async def __call__(
        self, request: Request, _documented: Annotated[Any, Security(_bearer)]
    ) -> Principal:
        principal = await admit(request, self.group)
        if self.scope is not None:
            principal.require(self.scope)
        return principal


def require(scope: str, *, group: str | None = None) -> Any:
    """`principal: Annotated[Principal, require("agents:write")]`."""
    assert scope in SCOPES
    return Depends(Require(scope, group))


def require_any(group: str) -> Any:
    """Whoever has a valid key, whatever it may do."""
    return Depends(Require(None, group))
