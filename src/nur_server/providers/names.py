"""Host names that users have named, looked up apart from the operator's own.

The operating system's look-up takes a thread, of which the event loop has four, and goes on in it
after its caller has given up: a few names whose servers do not answer would hold the language
model's own name back. These look-ups take no thread (c-ares, through `aiodns`), read the same
`resolv.conf` and `hosts` files, and end when they are given up. mDNS and other sources of
`nsswitch.conf` are not asked.
"""

import asyncio
import socket
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiodns

from nur_server.clock import Clock, SystemClock

TRY_SECONDS, TRIES = 1.5, 2
"""How long a name server is waited for, and how often it is asked."""
LOOKUP_SECONDS = 4.0
"""Longest look-up, with all name servers and search domains; connecting has 5 s."""
KEPT_SECONDS = 5.0
"""A name's addresses, or its failure, are remembered for so long: within one round of attempts,
and shorter than people wait after they have mended a record."""
KEPT = 1_024
"""Names that are remembered."""
MAX_PER_ACCOUNT = 4
"""Look-ups of one account at once; others of it fail at once."""
MAX_LOOKUPS = 256
"""Look-ups at once. Each takes a few KB and no thread."""

_account: ContextVar[str] = ContextVar("account", default="")

Lookup = Callable[[str, int], Awaitable[tuple[str, ...]]]
"""Host and port to numeric addresses. Raises `OSError`."""


@contextmanager
def on_behalf_of(account_id: str) -> Iterator[None]:
    """Look-ups in here count for this account."""
    token = _account.set(account_id)
    try:
        yield
    finally:
        _account.reset(token)


class CAres:
    """Opened at the first look-up, which knows the event loop."""

    def __init__(self, **options: Any) -> None:
        """`options` are those of `pycares.Channel`, such as other name servers."""
        self._options = {"timeout": TRY_SECONDS, "tries": TRIES, **options}
        self._resolver: aiodns.DNSResolver | None = None
        self._is_closed = False

    async def look_up(self, host: str, port: int) -> tuple[str, ...]:
        """Raises `OSError`."""
        if self._is_closed:
            raise OSError("the server is stopping")
        if self._resolver is None:
            self._resolver = aiodns.DNSResolver(**self._options)
        try:
            found = await self._resolver.getaddrinfo(host, port=port, type=socket.SOCK_STREAM)
        except (aiodns.error.DNSError, ValueError, UnicodeError) as error:
            raise OSError(str(error.args[-1]) if error.args else str(error)) from error
        texts = (node.addr[0] for node in found.nodes)
        return tuple(dict.fromkeys(t.decode() if isinstance(t, bytes) else t for t in texts))

    async def close(self) -> None:
        self._is_closed = True
        resolver, self._resolver = self._resolver, None
        if resolver is not None:
            await resolver.close()


@dataclass(frozen=True, slots=True)
class _Known:
    addresses: tuple[str, ...]
    failure: str | None
    until: float


class UserNames:
    """A `net.Resolver` for users' addresses: bounded for each account, remembered for seconds.

    For one event loop; `close` gives up what is under way.
    """

    def __init__(
        self,
        lookup: Lookup | None = None,
        clock: Clock | None = None,
        cares: CAres | None = None,
    ) -> None:
        """`lookup` is another way to find addresses than c-ares."""
        self._cares = cares or CAres()
        self._lookup = lookup or self._cares.look_up
        self._clock = clock or SystemClock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: Counter[str] = Counter()

    async def __call__(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of `host`. Raises `OSError` where there are none, where they do not come in
        `LOOKUP_SECONDS`, and where the account has too many look-ups under way."""
        known = self._known.get(host)
        if known is None or known.until <= self._clock.monotonic():
            known = await self._ask(host, port)
            self._remember(host, known)
        if known.failure is not None:
            raise OSError(known.failure)
        return known.addresses

    async def close(self) -> None:
        await self._cares.close()

    async def _ask(self, host: str, port: int) -> _Known:
        account = _account.get()
        if self._asking[account] >= MAX_PER_ACCOUNT or self._asking.total() >= MAX_LOOKUPS:
            raise OSError("too many other names are being looked up; try again in a moment")
        self._asking[account] += 1
        addresses: tuple[str, ...] = ()
        failure: str | None = None
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                addresses = await self._lookup(host, port)
        except TimeoutError:
            failure = f"no answer from the name servers in {LOOKUP_SECONDS:g} s"
        except OSError as error:
            failure = str(error)
        finally:
            self._asking[account] -= 1
            if not self._asking[account]:
                del self._asking[account]
        return _Known(addresses, failure, self._clock.monotonic() + KEPT_SECONDS)

    def _remember(self, host: str, known: _Known) -> None:
        self._known[host] = known
        self._known.move_to_end(host)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
