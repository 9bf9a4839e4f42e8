"""Time as an argument. The only module that reads the machine's clocks."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where every component that needs the time gets it from."""

    def monotonic(self) -> float:
        """Seconds that never go backwards; the zero point is arbitrary."""
        ...

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_seconds = 0.0

    def monotonic(self) -> float:
        return self._elapsed_seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._start.timestamp() + self._elapsed_seconds, UTC)

    def advance(self, seconds: float) -> None:
        """Move time forward. Raises `ValueError` when `seconds` is negative."""
        if seconds < 0:
            raise ValueError(f"expected a step of 0 s or more, got {seconds} s")
        self._elapsed_seconds += seconds


def iso(moment: datetime) -> str:
    """`2026-11-20T09:30:00.123Z`: ISO 8601 in UTC, milliseconds, a `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LoopClock:
    """The running event loop's time: with a loop in virtual time, so is everything that asks."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._start.timestamp() + self.monotonic(), UTC)
