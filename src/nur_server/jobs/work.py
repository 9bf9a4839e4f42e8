"""All of a node's durable work, put together."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from nur_server.clock import Clock
from nur_server.cluster.presence import BEAT_SECONDS, Presence
from nur_server.jobs.janitor import ROUND_SECONDS, Janitor, OnLost
from nur_server.jobs.post_call import PostCall
from nur_server.jobs.scheduled_calls import ScheduledCalls
from nur_server.jobs.webhooks import BACK_OFF_SECONDS, Deliverer
from nur_server.jobs.worker import Pace, Worker
from nur_server.providers.net import guarded_client
from nur_server.store.analyses import POST_CALL, request_lost_analyses
from nur_server.store.announcing import PLACE, announce_lost_sessions
from nur_server.store.deliveries import (
    DELIVER,
)
from nur_server.store.engine import Database

FINISH_SECONDS = 3.0
"""Longest wait, as the node stops, for what its last sessions have left to do."""


@dataclass(frozen=True, slots=True)
class Times:
    """How patient the work is. Seconds."""

    pace: Pace = field(default_factory=Pace)
    back_off: Sequence[float] = BACK_OFF_SECONDS
    beat: float = BEAT_SECONDS
    round: float = ROUND_SECONDS
    """Of the janitor."""


class Work:
    """Delivers webhooks, places scheduled calls, works on calls that are over, and sees to what
    dead nodes left behind. For one event loop; `start`, then `stop`."""

    def __init__(
        self,
        database: Database,
        node_id: str,
        clock: Clock,
        *,
        allow_private: bool,
        runs_jobs: bool = True,
        scheduled_calls: ScheduledCalls | None = None,
        post_call: PostCall | None = None,
        on_lost: Sequence[OnLost] = (),
        times: Times | None = None,
    ) -> None:
        """`allow_private`: webhooks may reach private addresses. `runs_jobs` False: jobs, and what
        dead nodes left, are left to other nodes."""
        times = times or Times()
        self._database = database
        self._node_id = node_id
        self._runs_jobs = runs_jobs
        self._client = guarded_client(allow_private=allow_private)
        self.worker = Worker(database, node_id, times.pace)
        deliverer = Deliverer(
            database,
            self._client,
            clock,
            allow_private=allow_private,
            back_off_seconds=times.back_off,
        )
        self.worker.register(DELIVER, deliverer.deliver)
        if scheduled_calls is not None:
            self.worker.register(PLACE, scheduled_calls.place)
        if post_call is not None:
            self.worker.register(POST_CALL, post_call.work)
        self.presence = Presence(database, node_id, beat_seconds=times.beat)
        self._janitor = Janitor(
            database, self.presence, self.worker, on_lost, round_seconds=times.round
        )
        self._stopping = asyncio.Event()
        self._cleaning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """After this node's own lost sessions were ended, and `outbox.prepare`."""
        await announce_lost_sessions(self._database, self._node_id)
        await request_lost_analyses(self._database, self._node_id)
        await self.presence.start()
        if self._runs_jobs:
            await self.worker.start()
            self._cleaning = asyncio.create_task(self._janitor.run(self._stopping), name="janitor")

    async def stop(self) -> None:
        """Bounded. What is due is done if it can be at once; the rest is left to the next start, or
        to another node."""
        if self._runs_jobs:
            await self.worker.finish(FINISH_SECONDS)
        self._stopping.set()
        if self._cleaning is not None:
            with suppress(asyncio.CancelledError):
                await self._cleaning
        await self.worker.stop()
        await self.presence.stop()
        await self._client.aclose()
