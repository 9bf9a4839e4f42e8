"""Removing what is past its retention."""

from nur_server.jobs.worker import Worker
from nur_server.store.engine import Database
from nur_server.store.nodes import forget_old
from nur_server.store.retention import forget_events, forget_one_off_webhooks


async def clean(database: Database, worker: Worker) -> int:
    """Remove one batch of what is past its retention. Returns how much it was: where it is not
    zero, there may be more."""
    removed = await forget_old(database)
    removed += await forget_events(database)
    removed += await forget_one_off_webhooks(database)
    return removed + await worker.forget(database.clock.now())
