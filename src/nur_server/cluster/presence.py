"""Who is there: every node counts up in its row, and is judged by whoever watches.

A node is present while its count grows from one look to the next. The watcher counts its own looks,
so neither clocks that disagree nor a database that was away for a while mislead it.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import structlog

from nur_server.errors import NurError
from nur_server.store.engine import Database
from nur_server.store.nodes import beat, nodes_with_live_sessions, read_beats, remove_node

BEAT_SECONDS = 2.0
LOST_LOOKS = 5
"""After so many looks without a beat, a node counts as dead."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Seen:
    beats: int
    looks: int = 0
    """Since it grew."""


class Presence:
    """This node's row, and its view of the others. For one event loop."""

    def __init__(
        self,
        database: Database,
        node_id: str,
        *,
        beat_seconds: float = BEAT_SECONDS,
        lost_looks: int = LOST_LOOKS,
    ) -> None:
        self.node_id = node_id
        self._database = database
        self._beat_seconds = beat_seconds
        self._lost_looks = lost_looks
        self._seen: dict[str, _Seen] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Be seen from now on."""
        await self._look()
        self._task = asyncio.create_task(self._go_on(), name="presence")

    async def stop(self) -> None:
        """Leave: what this node has begun is anybody's."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        with suppress(NurError):
            await remove_node(self._database, self.node_id)

    def present(self) -> frozenset[str]:
        """The nodes that live, this one always among them."""
        alive = {i for i, seen in self._seen.items() if seen.looks < self._lost_looks}
        return frozenset({self.node_id, *alive})

    async def lost(self) -> frozenset[str]:
        """Nodes that left something behind when they died."""
        known = frozenset(self._seen) | await nodes_with_live_sessions(self._database)
        return known - self.present()

    async def forget(self, node_id: str) -> None:
        """What it left has been seen to."""
        await remove_node(self._database, node_id)
        self._seen.pop(node_id, None)

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._beat_seconds)
            try:
                await self._look()
            except NurError as error:
                log.warning("presence.unknown", code=error.code)

    async def _look(self) -> None:
        await beat(self._database, self.node_id)
        found = await read_beats(self._database)
        self._seen = {node_id: self._judged(node_id, beats) for node_id, beats in found.items()}

    def _judged(self, node_id: str, beats: int) -> _Seen:
        before = self._seen.get(node_id)
        if before is None or before.beats != beats:
            return _Seen(beats)
        return _Seen(beats, before.looks + 1)
