"""Fetching addresses that users have named, without letting them reach into private networks.

The name is resolved here, every address it has is judged, and the connection goes to the very
address that was judged: a name that resolves differently a moment later gains nothing. Redirects
are not followed. Proxies named in the environment are not used: they would connect for us.
"""

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from nur_server import tls
from nur_server.errors import InvalidRequest, PayloadTooLarge
from nur_server.providers.names import UserNames

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
MAX_ADDRESSES = 4
"""Addresses of one name that are tried, in turn."""

MAX_PORT = 65_535
MAX_NAME_CHARACTERS = 253
MAX_LABEL_CHARACTERS = 63
"""Of a host's name and of each part between its dots (RFC 1035, section 2.3.4, without the bytes
that hold lengths)."""
_LABEL = re.compile(r"[a-z0-9_-]+")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""What makes a last label an IPv4 address in one notation or another to browsers and resolvers
(https://url.spec.whatwg.org/#ends-in-a-number-checker)."""

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Awaitable[tuple[str, ...]]]
"""Host and port to numeric addresses. Raises `OSError` when there are none."""

_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
"""Public by number, but the cloud's own service for the machine that asks (Azure)."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")
_IPV4_TRANSLATED = ipaddress.ip_network("::ffff:0:0:0/96")
"""RFC 2765, section 2.1: what hosts behind a stateless translator call an IPv4 address."""
_RESERVED = tuple(
    ipaddress.ip_network(text)
    for text in ("64:ff9b:1::/48", "3fff::/20", "5f00::/16", "192.0.0.0/24", "192.88.99.0/24")
)
"""Of IANA's special-purpose registries, what `is_global` lets through in one Python or another."""


def check_url(url: str, *, allow_private: bool, param: str | None = None) -> None:
    """Raise `InvalidRequest` for an address that can never be fetched, without resolving it.

    For the moment a user names an address; its name is judged when it is fetched.
    """
    try:
        parts = httpx2.URL(url)
        user = urlsplit(url).username
    except (httpx2.InvalidURL, ValueError) as error:
        raise _refused(f"expected a URL, got {url[:200]!r} ({error})", param) from None
    if parts.scheme not in ("http", "https"):
        raise _refused(f"expected an http or https URL, got scheme {parts.scheme!r}", param)
    host = parts.raw_host.decode("ascii", "replace").lower().removesuffix(".")
    if not host:
        raise _refused(f"expected a URL with a host, got {url[:200]!r}", param)
    if parts.userinfo or user is not None:
        raise _refused("expected a URL without a user name; send it in a header", param)
    if parts.port is not None and not 0 < parts.port <= MAX_PORT:
        raise _refused(f"expected a port from 1 to {MAX_PORT}, got {parts.port}", param)
    address = _numeric(host)
    if address is None and (problem := _wrong_name(host)) is not None:
        raise _refused(f"expected a host that can be asked, but {problem}", param)
    if allow_private:
        return
    if host == "localhost" or host.endswith(".localhost"):
        raise _private(host, "it names this machine", param)
    if address is not None and (why := why_private(address)) is not None:
        raise _private(host, why, param)


def _wrong_name(host: str) -> str | None:
    """Why no name server has a host's name, in its ASCII form (RFC 1035, section 2.3.4), or None.

    Underscores are taken: names inside networks have them.
    """
    if len(host) > MAX_NAME_CHARACTERS:
        return f"its name has {len(host)} characters, and at most {MAX_NAME_CHARACTERS} are allowed"
    labels = host.split(".")
    for label in labels:
        if not label:
            return "its name has two dots in a row, or begins with one"
        if len(label) > MAX_LABEL_CHARACTERS:
            return f"a part of its name is longer than {MAX_LABEL_CHARACTERS} characters"
        if _LABEL.fullmatch(label) is None:
            return f"its name has characters that no name has: {label!r}"
    if _NUMBER.fullmatch(labels[-1]) is not None:
        return f"{host!r} ends in a number and is no IPv4 address of four numbers"
    return None


def why_private(address: IPAddress) -> str | None:
    """Why an address must not be reached on a user's behalf; None where it may be."""
    for judged in (address, *_embedded(address)):
        if judged in _METADATA or judged.is_link_local:
            return f"{address} is link-local or a cloud's metadata service"
        if judged.is_loopback or judged.is_unspecified:
            return f"{address} is this machine"
        if judged.is_multicast:
            return f"{address} is multicast"
        if not judged.is_global or _is_reserved(judged):
            return f"{address} is private or reserved"
    return None


def _embedded(address: IPAddress) -> Iterable[IPAddress]:
    """The IPv4 addresses an IPv6 one leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in place for place in (_NAT64, _IPV4_COMPATIBLE, _IPV4_TRANSLATED)):
        yield ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)


def _is_reserved(address: IPAddress) -> bool:
    is_site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return is_site_local or any(address in place for place in _RESERVED)


def _numeric(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _refused(message: str, param: str | None) -> InvalidRequest:
    return InvalidRequest(f"Address refused: {message}.", code="invalid_url", param=param)


def _private(host: str, why: str, param: str | None = None) -> InvalidRequest:
    return InvalidRequest(
        f"Address refused: expected a public host, but {host!r} is none: {why}. "
        "Set NUR_ALLOW_PRIVATE_URLS=1 to reach private addresses.",
        code="private_address",
        param=param,
    )


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections to judged addresses alone."""

    def __init__(self, *, allow_private: bool, resolver: Resolver | None = None) -> None:
        """`resolver` None: `UserNames`, closed by `aclose`."""
        self._allow_private = allow_private
        self._names = UserNames()
        self._resolver: Resolver = resolver or self._names
        self._dialler = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to `host`. Raises `InvalidRequest` when any address of it is private."""
        budget = CONNECT_SECONDS if timeout is None else timeout
        try:
            async with asyncio.timeout(budget):
                return await self._dial(host, port, budget, local_address, socket_options)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"no connection to {host} in {budget} s") from error

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.UnsupportedProtocol("expected a host, got a Unix socket")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def aclose(self) -> None:
        """Give up the look-ups that are under way."""
        await self._names.close()

    async def _dial(
        self,
        host: str,
        port: int,
        budget: float,
        local_address: str | None,
        socket_options: Iterable[Any] | None,
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in (await self._addresses(host, port))[:MAX_ADDRESSES]:
            try:
                return await self._dialler.connect_tcp(
                    address, port, budget, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _resolve(self, host: str, port: int) -> tuple[str, ...]:
        return (host,) if _numeric(host) is not None else await self._resolver(host, port)

    async def _addresses(self, host: str, port: int) -> tuple[str, ...]:
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} cannot be resolved: {error}") from error
        if not self._allow_private:
            for text in addresses:
                address = _numeric(text)
                why = "its address cannot be read" if address is None else why_private(address)
                if why is not None:
                    raise _private(host, why)
        return addresses


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Carries requests over a `GuardedBackend`. One connection per request: a kept-alive one that
    the far side has just dropped cannot be told from a request that arrived."""

    def __init__(self, backend: GuardedBackend) -> None:
        self._backend = backend
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls.trusted(),
            max_connections=256,
            max_keepalive_connections=0,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        with _as_httpx2():
            response = await self._pool.handle_async_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(
                        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx2.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._backend.aclose()
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx2():
            async for piece in self._response.aiter_stream():
                yield piece

    async def aclose(self) -> None:
        await self._response.aclose()


@contextmanager
def _as_httpx2() -> Iterator[None]:
    """Turn httpcore2's errors into httpx2's of the same name."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "httpcore2":
            raise
        raise getattr(httpx2, type(error).__name__, httpx2.TransportError)(str(error)) from error


def guarded_client(*, allow_private: bool, resolver: Resolver | None = None) -> httpx2.AsyncClient:
    """A client for addresses users have named; to be closed by who made it."""
    return httpx2.AsyncClient(
        transport=GuardedTransport(GuardedBackend(allow_private=allow_private, resolver=resolver)),
        timeout=httpx2.Timeout(
            connect=CONNECT_SECONDS, read=READ_SECONDS, write=READ_SECONDS, pool=CONNECT_SECONDS
        ),
        follow_redirects=False,
        trust_env=False,
    )


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole response."""

    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


async def fetch(
    client: httpx2.AsyncClient, request: httpx2.Request, *, max_bytes: int, total_seconds: float
) -> Fetched:
    """Send a request and read its response whole.

    Raises `PayloadTooLarge` beyond `max_bytes`, `TimeoutError` beyond `total_seconds`,
    `InvalidRequest` for a refused address, `httpx2.HTTPError` for what the network does.
    """
    async with asyncio.timeout(total_seconds):
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            async with aclosing(response.aiter_bytes(4096)) as pieces:
                async for piece in pieces:
                    body += piece
                    if len(body) > max_bytes:
                        raise PayloadTooLarge(
                            f"Expected a response of at most {max_bytes} bytes; it is larger."
                        )
            return Fetched(response.status_code, response.headers, bytes(body))
        finally:
            await response.aclose()
