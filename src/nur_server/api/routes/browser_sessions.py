"""`/v1/browser-session`: signing a browser in and out, with a key or a link that is used once."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from nur_server.api import browser_sessions as browser
from nur_server.api.auth import Principal, require_any
from nur_server.api.bodies import SignInBody, SignInLinkBody
from nur_server.api.errors import declared
from nur_server.api.idempotency import ApiRoute, keep_nothing
from nur_server.api.objects import BrowserSessionObject, SignedOut, SignInLinkObject
from nur_server.api.public_url import public_base
from nur_server.api.services import Services, services_of
from nur_server.clock import iso
from nur_server.errors import Unauthorized
from nur_server.store.accounts import Accounts
from nur_server.store.keys import authenticate
from nur_server.store.records import KeyRecord
from nur_server.store.sign_ins import (
    end_session,
    find_session,
    follow_link,
    make_link,
    make_session,
)

router = APIRouter(tags=["Browser sessions"], route_class=ApiRoute)

Server = Annotated[Services, Depends(services_of)]
Anybody = Annotated[Principal, require_any("keys")]


@router.post("/browser-session", status_code=201, name="sign_in", responses=declared())
async def sign_in(
    body: SignInBody, request: Request, response: Response, server: Server
) -> BrowserSessionObject:
    """Sign this browser in: the answer sets a cookie, and requests with it act for the key."""
    keep_nothing(request)
    browser.require_own_page(request, server)
    who = request.client.host if request.client else "unknown"
    allowance, allowed = await server.rate_limits.count("sign-in", who)
    if not allowed:
        raise server.rate_limits.refusal(allowance, "sign-in")
    key = await _key(server, body)
    left = browser.cookie_of(request)
    if left is not None:
        await end_session(server.database, left)
    made = await make_session(server.database, key)
    browser.keep(response, made, request, server)
    return await _shown(server, key, iso(made.expires_at), browser.csrf_token(made.secret))


@router.get("/browser-session", name="get_browser_session", responses=declared())
async def read(request: Request, server: Server, principal: Anybody) -> BrowserSessionObject:
    """Who is signed in, and what writes must repeat in `X-CSRF-Token`."""
    key = await server.keys(principal.account_id).get(principal.key_id)
    secret = browser.cookie_of(request)
    if secret is None or request.headers.get("authorization"):
        ends = None if key.expires_at is None else iso(key.expires_at)
        return await _shown(server, key, ends, None)
    found = await find_session(server.database, secret)
    ends = None if found is None else iso(found.expires_at)
    return await _shown(server, key, ends, browser.csrf_token(secret))


@router.delete("/browser-session", name="sign_out", responses=declared())
async def sign_out(
    request: Request, response: Response, server: Server, principal: Anybody
) -> SignedOut:
    """Sign this browser out. The cookie is useless from then on, wherever a copy of it is."""
    secret = browser.cookie_of(request)
    if secret is not None:
        await end_session(server.database, secret)
    browser.forget(response)
    return SignedOut()


@router.post("/sign-in-links", status_code=201, name="create_sign_in_link", responses=declared())
async def create_link(
    request: Request, server: Server, principal: Anybody, body: SignInLinkBody | None = None
) -> SignInLinkObject:
    """A link that signs one browser in as the key that asks, once, within ten minutes.

    The answer is not kept for the `Idempotency-Key`: repeating the request makes another link.
    """
    keep_nothing(request)
    key = await server.keys(principal.account_id).get(principal.key_id)
    made = await make_link(server.database, key)
    place = body.next if body is not None else "/"
    url = link_address(public_base(request, server.settings), made.secret, place)
    return SignInLinkObject(url=url, expires_at=iso(made.expires_at))


def link_address(base: str, secret: str, place: str = "/") -> str:
    """The secret stands behind `#`, which browsers send to no server and name to no page."""
    return f"{base}/sign-in#{secret}" + (f"~{place}" if place != "/" else "")


async def _key(server: Services, body: SignInBody) -> KeyRecord:
    """Raises `Unauthorized`."""
    if body.link is not None:
        found = await follow_link(server.database, body.link)
        if found is None:
            raise Unauthorized(
                "expected a link that was not followed before and is at most ten minutes old; "
                "`nur dashboard` prints another",
                code="link_expired",
                param="link",
            )
        return found.key
    key = await authenticate(server.database, body.key or "")
    if key is None:
        raise Unauthorized(
            "expected an API key of this server, got one that is unknown, revoked or expired; "
            "`nur keys create` makes one",
            param="key",
        )
    return key


async def _shown(
    server: Services, key: KeyRecord, expires_at: str | None, csrf_token: str | None
) -> BrowserSessionObject:
    account = await Accounts(server.database).get(key.account_id)
    return BrowserSessionObject(
        account_id=account.id,
        account_name=account.name,
        key_id=key.id,
        key_name=key.name,
        scopes=sorted(key.scopes),
        expires_at=expires_at,
        csrf_token=csrf_token,
    )
