"""Virtual time: an event loop that never waits for the clock.

Inside `virtual_time()` the running loop's time starts at 0 and jumps to the next timer as soon as
nothing is left to do, so that a minute of conversation takes milliseconds and is the same in every
run. What waits for the world outside (sockets, threads) has no place in it: timers would overtake
it.
"""

import asyncio
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DIGITS = 9
"""Of a second, as asyncio tells timers apart: sums of steps do not drift."""


class _Selector:
    """In front of a loop's selector: instead of waiting, it moves the time."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = self._selector.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return self._selector.select(None)
        self.now = round(self.now + timeout, DIGITS)
        return []

    def time(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)


@contextmanager
def virtual_time() -> Iterator[None]:
    """Let the running event loop run in virtual time; within another such block nothing changes.

    Raises `TypeError` for a loop without a selector, such as uvloop's.
    """
    loop: Any = asyncio.get_running_loop()
    selector = getattr(loop, "_selector", None)
    if isinstance(selector, _Selector):
        yield
        return
    if selector is None:
        raise TypeError(
            f"expected asyncio's own selector event loop, got {type(loop).__name__}: "
            "run the test on it, or the conversation in real time with virtual=False"
        )
    loop._selector = virtual = _Selector(selector)
    loop.time = virtual.time
    try:
        yield
    finally:
        loop._selector = selector
        del loop.time
