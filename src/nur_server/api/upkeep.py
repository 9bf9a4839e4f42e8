"""What a server does about itself from time to time, and the figures it borrows for metrics."""

import asyncio
from contextlib import suppress
from functools import partial

import structlog

from nur_server.api.services import Services
from nur_server.cluster.orphans import Orphans
from nur_server.errors import NurError
from nur_server.session.live import LiveSessions
from nur_server.session.metrics import Metrics
from nur_server.session.recorder import Recorders
from nur_server.store.call_records import CallRecord
from nur_server.store.idempotency import forget_old_keys
from nur_server.store.sessions import expire_sessions
from nur_server.store.sign_ins import forget_expired

SWEEP_SECONDS = 60.0
"""Between two looks for sessions that expired or that no part of this node has any more, and for
idempotency keys that are past their day."""

log = structlog.get_logger(__name__)


async def sweep(services: Services, stopping: asyncio.Event) -> None:
    """Until `stopping`, and never cut off within a transaction. What fails is tried again."""
    database = services.database
    orphans = Orphans(database, services.node_id, partial(_held, services))
    while not stopping.is_set():
        try:
            await expire_sessions(database)
            await forget_old_keys(database)
            await forget_expired(database)
            await orphans.look()
        except NurError as error:
            log.warning("sweep failed", code=error.code)
        with suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_SECONDS):
                await stopping.wait()


def _held(services: Services) -> frozenset[str]:
    """The sessions that some part of this node has."""
    live = services.live
    return live.ids | live.writer.sessions | services.calls.session_ids


def count_call(counted: Metrics, call: CallRecord) -> None:
    counted.calls.labels(call.status.value).inc()


def count(counted: Metrics, live: LiveSessions, recorders: Recorders) -> None:
    """Show what others count."""
    writer = live.writer
    counted.sessions_live.set_function(lambda: len(live))
    counted.writes_waiting.set_function(lambda: writer.waiting)
    for name, help, read in (
        (
            "nur_recording_lost_seconds",
            "Seconds of recordings left silent by overload.",
            lambda: recorders.lost_seconds,
        ),
        ("nur_recordings_failed", "Recordings that broke off.", lambda: recorders.failed),
        (
            "nur_writes_lost",
            "What sessions left behind and could not be kept.",
            lambda: writer.lost,
        ),
        (
            "nur_writes_refused",
            "What sessions left behind and the database refused.",
            lambda: writer.refused,
        ),
    ):
        counted.count_with(name, help, read)
