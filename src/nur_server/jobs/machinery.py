"""DBOS, which carries out jobs in threads of its own.

It exists once in a process: one `Machinery` runs at a time. Importing this module takes 0.1 s and
13 MB, so `queue.py` does so where there is something to do. Every function here blocks.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any

from dbos import DBOS, DBOSClient, WorkflowStatus

from nur_server.clock import iso
from nur_server.store import outbox
from nur_server.store.outbox import URL, Engine, Job, QueueName, open_engine

CONNECTIONS = 8
"""Of its own, to the database."""
RUNNING_AT_ONCE = {QueueName.JOBS: 32, QueueName.WEBHOOKS: 64}
PER_RECEIVER = 8
"""Deliveries to one receiver at a time, per node."""
BATCH = 500
THREADS = "dbos-executor-"
"""What the names of its threads begin with."""

Perform = Callable[[str, Job], None]
"""Carries out the job that was put down under a key; returns once it is done or put down again."""


class Machinery:
    """DBOS at work on a database. `shut_down` ends it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def launch(
        cls, url: URL, node_id: str, perform: Perform, *, poll_seconds: float, idle_seconds: float
    ) -> "Machinery":
        """Begin. Nothing is left running where it fails."""
        engine = open_engine(url, CONNECTIONS)
        try:
            DBOS(
                config={
                    "name": outbox.APPLICATION,
                    "system_database_engine": engine,
                    "dbos_system_schema": outbox.SCHEMA,
                    "application_version": outbox.VERSION,
                    "executor_id": node_id,
                    "log_level": "WARNING",
                    "enable_otlp": False,
                    "max_executor_threads": sum(RUNNING_AT_ONCE.values()) + 8,
                    "use_listen_notify": False,
                    "notification_listener_polling_interval_sec": idle_seconds,
                }
            )
            _set_up_queues(engine, poll_seconds)
            _performer.perform = perform
            DBOS.launch()
        except BaseException:
            DBOS.destroy()
            engine.dispose()
            raise
        return cls(engine)

    def shut_down(self, seconds: float) -> None:
        """Within a second or so; its threads have `seconds` each to end. An outcome that cannot
        be noted any more is found out again."""
        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        DBOS.destroy()
        for thread in threading.enumerate():
            if thread.name.startswith(THREADS):
                thread.join(seconds)
        self._engine.dispose()

    def adopt(self, present: frozenset[str]) -> int:
        """Carry out again what nodes that are not `present` had begun. How many jobs that is."""
        orphans: dict[str | None, list[str]] = defaultdict(list)
        for job in _jobs(status="PENDING"):
            if job.executor_id not in present:
                orphans[job.queue_name].append(job.workflow_id)
        for queue_name, keys in orphans.items():
            DBOS.resume_workflows(keys, queue_name=queue_name)
        return sum(len(keys) for keys in orphans.values())

    def forget(self, before: datetime) -> int:
        """Remove jobs that were done `before`. How many, of a batch."""
        done = _jobs(status=["SUCCESS", "ERROR", "CANCELLED"], completed_before=iso(before))
        keys = [job.workflow_id for job in done]
        if keys:
            DBOS.delete_workflows(keys)
        return len(keys)


class _Performer:
    """Whom the workflow, which DBOS knows by name, calls."""

    perform: Perform | None = None


_performer = _Performer()


@DBOS.workflow(name=outbox.WORKFLOW)
def _carry_out(written: dict[str, Any]) -> None:
    """What DBOS runs: any job. DBOS's own record of it says whether it was carried out."""
    key = DBOS.workflow_id
    assert _performer.perform is not None
    assert key is not None
    _performer.perform(key, outbox.read(written))


def _set_up_queues(engine: Engine, poll_seconds: float) -> None:
    """Before the start, which looks for queues at once and then every second."""
    client = DBOSClient(
        system_database_engine=engine,
        dbos_system_schema=outbox.SCHEMA,
        application_name=outbox.APPLICATION,
    )
    for name, at_once in RUNNING_AT_ONCE.items():
        per_receiver = PER_RECEIVER if name is QueueName.WEBHOOKS else None
        client.register_queue(
            name.value,
            worker_concurrency=at_once,
            partition_worker_concurrency=per_receiver,
            polling_interval_sec=poll_seconds,
        )


def _jobs(**filters: Any) -> list[WorkflowStatus]:
    return DBOS.list_workflows(
        name=outbox.WORKFLOW, limit=BATCH, load_input=False, load_output=False, **filters
    )
