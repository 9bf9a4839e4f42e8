"""Whether one more session may begin: places that are free, and a server that keeps up.

A session that is let in while the server is behind makes every call in progress suffer, so that the
next caller is better told to come again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median_low

from nur_server.clock import Clock
from nur_server.errors import RateLimited, Unavailable
from nur_server.session.setup import SessionSetup

LOOK_SECONDS = 0.25
"""Between two looks at the queues."""
LOOKS = 12
"""Looks that count: a server is behind when half of those of the last 3 s say so. A single hiccup,
such as loading a file, refuses nobody."""
MAX_LAG_SECONDS = 0.3
"""How late the event loop may be: audio is sent 0.2 s ahead, and is heard to break beyond it."""
MAX_RECOGNITIONS = 8
"""Pieces of speech that may wait for the recogniser. Each takes some 0.1 to 0.3 s."""
MAX_WRITES = 2_000
"""Writes that may wait for the database."""
RETRY_SECONDS = 5.0
"""When who was refused may come again."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Live sessions at once in this process. None: as many as there are places."""

    all: int = 200
    of_account: int | None = None
    of_key: int | None = None


@dataclass(frozen=True, slots=True)
class Gauge:
    """Something of which there may be too much."""

    what: str
    read: Callable[[], float]
    most: float


class Strain:
    """Looks at gauges in turn, and says which is beyond its bound."""

    def __init__(self, gauges: Sequence[Gauge] = ()) -> None:
        self._lag_seconds = 0.0
        lag = Gauge("the event loop is late", lambda: self._lag_seconds, MAX_LAG_SECONDS)
        self._seen = {gauge: deque[float](maxlen=LOOKS) for gauge in (lag, *gauges)}

    async def watch(self, clock: Clock) -> None:
        """Look, until cancelled. How late each look is says how late the event loop is."""
        while True:
            due = clock.monotonic() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            self.look(clock.monotonic() - due)

    def look(self, lag_seconds: float) -> None:
        """Read every gauge once."""
        self._lag_seconds = lag_seconds
        for gauge, seen in self._seen.items():
            seen.append(gauge.read())

    @property
    def reason(self) -> str | None:
        """What is beyond its bound. None: the server keeps up."""
        for gauge, seen in self._seen.items():
            if len(seen) == LOOKS and median_low(seen) > gauge.most:
                return gauge.what
        return None


class Places:
    """The places of one process."""

    def __init__(self, bounds: Bounds | None = None, strain: Strain | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.strain = strain or Strain()

    def require(
        self, live: Iterable[SessionSetup], account_id: str, key_id: str | None = None
    ) -> None:
        """Raises `Unavailable` (`at_capacity`) where no further session may begin, and
        `RateLimited` (`concurrency_exceeded`) where none of this account or key may."""
        setups = list(live)
        if len(setups) >= self.bounds.all:
            raise Unavailable(
                f"expected fewer than {self.bounds.all} live sessions; all places are taken, try "
                "again later or raise NUR_MAX_SESSIONS",
                code="at_capacity",
                retry_after_seconds=RETRY_SECONDS,
            )
        if (behind := self.strain.reason) is not None:
            raise Unavailable(
                f"the server is busy with the calls in progress ({behind}); try again in a moment",
                code="at_capacity",
                retry_after_seconds=RETRY_SECONDS,
            )
        of_account = [setup for setup in setups if setup.account_id == account_id]
        _require("account", len(of_account), self.bounds.of_account, "NUR_MAX_ACCOUNT_SESSIONS")
        if key_id is not None:
            of_key = sum(setup.access.key_id == key_id for setup in of_account)
            _require("API key", of_key, self.bounds.of_key, "NUR_MAX_KEY_SESSIONS")


def _require(whose: str, found: int, most: int | None, setting: str) -> None:
    if most is not None and found >= most:
        raise RateLimited(
            f"expected fewer than {most} live sessions of one {whose}; end one, or raise {setting}",
            code="concurrency_exceeded",
            retry_after_seconds=RETRY_SECONDS,
        )
