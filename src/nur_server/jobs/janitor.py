"""Seeing to what dead nodes left behind, and to what has been kept long enough."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from nur_server.cluster.presence import Presence
from nur_server.errors import NurError
from nur_server.jobs.retention import clean
from nur_server.jobs.worker import Worker
from nur_server.store.analyses import request_lost_analyses
from nur_server.store.announcing import announce_lost_sessions
from nur_server.store.engine import Database
from nur_server.store.nodes import hold_lease
from nur_server.store.sessions import end_lost_sessions

DUTY = "janitor"
ROUND_SECONDS = 3.0
LEASE_SECONDS = 10.0
"""A janitor that dies is replaced after so long."""
CLEAN_EVERY = 100
"""Rounds."""
CLEAN_AT_ONCE = 20
"""Batches, at most."""

OnLost = Callable[[str], Awaitable[object]]
"""Sees to what a dead node left behind. May be called again, and then changes nothing."""

log = structlog.get_logger(__name__)


class Janitor:
    """One node of all does the work; which one is settled by a lease."""

    def __init__(
        self,
        database: Database,
        presence: Presence,
        worker: Worker,
        on_lost: Sequence[OnLost] = (),
        *,
        round_seconds: float = ROUND_SECONDS,
    ) -> None:
        self._database = database
        self._presence = presence
        self._worker = worker
        self._on_lost = on_lost
        self._round_seconds = round_seconds
        self._rounds = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`. What fails is tried again the next time."""
        while not stopping.is_set():
            try:
                await self._round()
            except NurError as error:
                log.warning("janitor.failed", code=error.code)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._round_seconds):
                    await stopping.wait()

    async def _round(self) -> None:
        node_id = self._presence.node_id
        if not await hold_lease(self._database, DUTY, node_id, LEASE_SECONDS):
            return
        for lost in await self._presence.lost():
            await self._see_to(lost)
        if adopted := await self._worker.adopt(self._presence.present()):
            log.warning("janitor.adopted", jobs=adopted)
        if self._rounds % CLEAN_EVERY == 0:
            await self._clean()
        self._rounds += 1

    async def _see_to(self, node_id: str) -> None:
        sessions = await end_lost_sessions(self._database, node_id)
        await announce_lost_sessions(self._database, node_id)
        await request_lost_analyses(self._database, node_id)
        for see_to in self._on_lost:
            await see_to(node_id)
        await self._presence.forget(node_id)
        log.warning("janitor.node_lost", node_id=node_id, sessions=sessions)

    async def _clean(self) -> None:
        for _ in range(CLEAN_AT_ONCE):
            if not await clean(self._database, self._worker):
                return
