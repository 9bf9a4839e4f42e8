"""The addresses this server is known by outside, from the request's own point of view."""

import re
from ipaddress import ip_address, ip_network

from starlette.requests import HTTPConnection

from nur_server.settings import Settings

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*)|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?\Z")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*\Z")
_SECURE = {"https": "https", "wss": "https", "http": "http", "ws": "http"}


def public_base(connection: HTTPConnection, settings: Settings) -> str:
    """Where the client reached this server: scheme, host and path prefix, no slash at the end.

    `NUR_PUBLIC_URL` wins; then `X-Forwarded-Proto`, `-Host`, `-Port` and `-Prefix` of a trusted
    proxy; then the request's own `Host`. What is no host name is not used.
    """
    if settings.public_url is not None:
        return str(settings.public_url).rstrip("/")
    forwarded = _forwarded(connection) if is_trusted_proxy(connection, settings) else {}
    scheme = _SECURE.get(forwarded.get("proto", "").lower()) or _SECURE[connection.url.scheme]
    host = forwarded.get("host") or connection.headers.get("host") or ""
    if not _HOST.match(host):
        host = _own_host(connection, settings)
    port = forwarded.get("port", "")
    if port.isdecimal() and ":" not in host.rpartition("]")[2]:
        host = host if port == {"http": "80", "https": "443"}[scheme] else f"{host}:{port}"
    prefix = forwarded.get("prefix", "").rstrip("/")
    return f"{scheme}://{host}{prefix if _PREFIX.match(prefix) else ''}"


def websocket_base(connection: HTTPConnection, settings: Settings) -> str:
    """As `public_base`, with `ws` or `wss`."""
    return "ws" + public_base(connection, settings).removeprefix("http")


def is_trusted_proxy(connection: HTTPConnection, settings: Settings) -> bool:
    """Whether the peer's `X-Forwarded-*` headers are believed."""
    trusted = [part.strip() for part in settings.trusted_proxies.split(",") if part.strip()]
    if "*" in trusted:
        return True
    if connection.client is None:
        return False
    try:
        peer = ip_address(connection.client.host)
        return any(peer in ip_network(part, strict=False) for part in trusted)
    except ValueError:
        return connection.client.host in trusted


def _forwarded(connection: HTTPConnection) -> dict[str, str]:
    """The first value of each header: what the outermost proxy was asked for."""
    return {
        name: connection.headers.get(f"x-forwarded-{name}", "").split(",")[0].strip()
        for name in ("proto", "host", "port", "prefix")
    }


def _own_host(connection: HTTPConnection, settings: Settings) -> str:
    server = connection.scope.get("server")
    host, port = server if server and server[1] else (settings.host, settings.port)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
