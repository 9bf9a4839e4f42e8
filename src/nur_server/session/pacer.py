"""One 20 ms clock for the playouts of all sessions."""

import asyncio

from nur_server.audio.playout import FRAME_MS, Playout
from nur_server.clock import Clock


class Pacer:
    """Ticks every running playout. Sleeps while none is running."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: set[Playout] = set()
        self._wanted = asyncio.Event()

    def add(self, playout: Playout) -> None:
        """Tick it until it has nothing more to do. May be called again at any time."""
        if playout.is_running:
            self._running.add(playout)
            self._wanted.set()

    def remove(self, playout: Playout) -> None:
        self._running.discard(playout)

    async def run(self) -> None:
        """Until cancelled."""
        step = FRAME_MS / 1000
        due = self._clock.monotonic()
        while True:
            if not self._running:
                self._wanted.clear()
                await self._wanted.wait()
                due = self._clock.monotonic()
            due += step
            now = self._clock.monotonic()
            if due < now - step:
                due = now
            await asyncio.sleep(max(0.0, due - now))
            self._tick()

    def _tick(self) -> None:
        now = self._clock.monotonic()
        for playout in tuple(self._running):
            playout.tick(now)
            if not playout.is_running:
                self._running.discard(playout)
