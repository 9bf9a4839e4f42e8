"""Which pages of other origins may call this server.

Two kinds of addresses: those of the API, which `NUR_CORS_ORIGINS` opens to pages that hold a key,
and those that pages come to with the secret of one session, which any page may ask: the agent's
`allowed_origins` are judged when it does, and its answer says what was wrong.
"""

import re

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

OF_PAGES = re.compile(r"(?:/api)?/v1/sessions/[^/]+/sdp\Z")
"""Addresses that a session's own secret opens, which its page holds."""
MOST_TOLD = 100
"""Origins that are remembered, so that each is logged once."""
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}


class PageOrigins:
    """Answers pages at the addresses of sessions, and logs preflights that the rest refuses."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        """`origins`: those that may call the API."""
        self._app = app
        self._origins = origins
        self._told: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None:
            await self._app(scope, receive, send)
        elif OF_PAGES.match(scope["path"]):
            await self._serve_page(origin, scope, receive, send)
        else:
            if _is_preflight(scope):
                self._look(origin, scope["path"])
            await self._app(scope, receive, send)

    async def _serve_page(self, origin: str, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = origin
                headers["Access-Control-Expose-Headers"] = "Location, X-Request-ID"
                headers.add_vary_header("Origin")
            await send(message)

        if _is_preflight(scope):
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, answer)
        else:
            await self._app(scope, receive, answer)

    def _look(self, origin: str, path: str) -> None:
        """Say which setting would let this page in."""
        if "*" in self._origins or origin in self._origins or origin in self._told:
            return
        if len(self._told) < MOST_TOLD:
            self._told.add(origin)
            log.warning(
                "a page of another origin was refused: list it in NUR_CORS_ORIGINS to let it call "
                "the API",
                origin=origin[:200],
                path=path[:200],
                setting="NUR_CORS_ORIGINS",
            )


def _is_preflight(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers
