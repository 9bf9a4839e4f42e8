"""The dashboard, the widget and the page to talk on: files that Node has built, served as they are.

They hold nothing of any account. What they show they ask of the API, as whoever is signed in.
"""

import mimetypes
from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from nur_server.api.public_url import public_base
from nur_server.api.services import services_of
from nur_server.errors import NotFound

router = APIRouter(include_in_schema=False)

BUILT = Path(__file__).parents[2] / "web"
"""Where the build puts its output. It is in the wheel, and in no repository."""
PLACES = ("/", "/sign-in", "/agents", "/calls", "/tests", "/settings", "/widget")
"""Addresses of the dashboard; what stands below them is its own, too."""
FILES = (
    "favicon.svg",
    "nur.global.js",
    "nur.js",
    "nur-worklets.js",
    "try.css",
    "try.js",
    "widget.js",
)
"""Files that keep their names. Pages of other sites may load them, too."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "manifest-src 'self'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
ASSET_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable"}
"""The names of assets change with what is in them."""
FILE_HEADERS = {
    "Cache-Control": "public, max-age=600",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
MISSING = """\
The pages of this server are not built. With Node 20 or newer:

    npm ci --prefix web && npm run build --prefix web

scripts/start does so by itself where it finds Node. The API works without them: see /docs.
"""


def has_pages() -> bool:
    """Whether the dashboard can be served."""
    return (BUILT / "index.html").is_file()


def install(app: FastAPI) -> None:
    """Show the dashboard to browsers that are sent to one of its places.

    They are no routes: whoever asks for `/agents` as a client of the API is told what was meant.
    """
    otherwise = app.router.default

    async def default(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _is_visit(Request(scope)):
            await _page(Request(scope), "index.html")(scope, receive, send)
        else:
            await otherwise(scope, receive, send)

    app.router.default = default


def _is_visit(request: Request) -> bool:
    place = "/" + request.url.path.split("/")[1]
    wants_page = "text/html" in request.headers.get("accept", "")
    return request.method in ("GET", "HEAD") and place in PLACES and wants_page


@router.api_route("/try/{agent_id}", methods=["GET", "HEAD"])
async def talk(request: Request, agent_id: str) -> Response:
    """Thirty lines to talk to an agent in the browser."""
    return _page(request, "try.html")


@router.api_route("/assets/{name:path}", methods=["GET", "HEAD"])
async def asset(name: str) -> Response:
    path = _files().get(f"assets/{name}")
    if path is None:
        raise NotFound("there is no such file; load the page again")
    return FileResponse(path, headers=ASSET_HEADERS, media_type=_kind(path))


def _serve(name: str) -> None:
    async def file() -> Response:
        path = _files().get(name)
        if path is None:
            return PlainTextResponse(MISSING, 501)
        return FileResponse(path, headers=FILE_HEADERS, media_type=_kind(path))

    router.add_api_route(f"/{name}", file, methods=["GET", "HEAD"], name=name)


for file_name in FILES:
    _serve(file_name)


def _page(request: Request, name: str) -> Response:
    if not has_pages():
        return PlainTextResponse(MISSING, 501)
    base = urlsplit(public_base(request, services_of(request).settings)).path + "/"
    page = _text(BUILT / name).replace('<base href="/"', f'<base href="{escape(base)}"', 1)
    return HTMLResponse(page, headers=PAGE_HEADERS)


@cache
def _text(path: Path) -> str:
    return path.read_text()


@cache
def _files() -> dict[str, Path]:
    """Everything that was built, by its path below the folder."""
    return {path.relative_to(BUILT).as_posix(): path for path in BUILT.rglob("*") if path.is_file()}


def _kind(path: Path) -> str:
    if path.suffix in (".js", ".mjs"):
        return "text/javascript"
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"
