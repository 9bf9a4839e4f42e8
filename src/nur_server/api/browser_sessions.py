"""The cookie of a signed-in browser, and what keeps other pages from using it.

The cookie is HttpOnly and `SameSite=Strict`: no script reads it, and no browser sends it along
with a request that another site makes. A write must also repeat, in `X-CSRF-Token`, what only the
dashboard's own pages were told.
"""

import hmac
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from nur_server.api.public_url import public_base
from nur_server.api.services import Services
from nur_server.errors import Forbidden, Unauthorized
from nur_server.store.secrets import hash_of
from nur_server.store.sign_ins import COOKIE_PREFIX, NewSignIn, SignIn, find_session

COOKIE = "nur_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = ("same-origin", "none")
"""Values of `Sec-Fetch-Site` that a page of this server, or the address bar, leads to."""


def cookie_of(connection: HTTPConnection) -> str | None:
    """The secret in the cookie. None: there is no such cookie."""
    secret = connection.cookies.get(COOKIE, "")
    return secret if secret.startswith(COOKIE_PREFIX) else None


def csrf_token(secret: str) -> str:
    """What a page repeats with each write; it says nothing of the secret."""
    return hash_of(f"csrf {secret}")


async def require_sign_in(request: Request, services: Services, secret: str) -> SignIn:
    """Who is behind a request that has a cookie. Raises `Unauthorized` and `Forbidden`."""
    require_own_page(request, services)
    if request.method not in SAFE_METHODS:
        given = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(given.encode("utf-8", "replace"), csrf_token(secret).encode()):
            raise Forbidden(
                f"expected the csrf_token of GET /v1/browser-session in the header {CSRF_HEADER}, "
                f"got {'another one' if given else 'none'}; load the page again",
                code="csrf_token_invalid",
            )
    found = await find_session(services.database, secret)
    if found is None:
        raise Unauthorized(
            "expected the cookie of a browser that is signed in, got one that has expired or was "
            "signed out; sign in again",
            code="signed_out",
        )
    return found


def require_own_page(request: Request, services: Services) -> None:
    """Refuse what another site's page asks for. Raises `Forbidden`."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        is_own = site in _OWN_SITES
    else:
        is_own = origin is None or origin == _origin_of(public_base(request, services.settings))
    if not is_own:
        raise Forbidden(
            "expected a page of this server, got a request of another site's page; call the API "
            "from there with a key or a token",
            code="foreign_page",
        )


def keep(response: Response, made: NewSignIn, request: Request, services: Services) -> None:
    """Give the browser its cookie."""
    life = made.expires_at - services.clock.now()
    response.set_cookie(
        COOKIE,
        made.secret,
        max_age=max(0, int(life.total_seconds())),
        path="/",
        secure=public_base(request, services.settings).startswith("https:"),
        httponly=True,
        samesite="strict",
    )


def forget(response: Response) -> None:
    """Take the cookie back."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def _origin_of(base: str) -> str:
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}"
