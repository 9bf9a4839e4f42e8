"""Databases with every table, made once and copied: making one takes longer than most tests."""

import shutil
from pathlib import Path

from nur_server.clock import SystemClock
from nur_server.store import outbox
from nur_server.store.engine import Database


async def make_tables(url: str) -> None:
    """Of the server and of its queue, as its first start makes them."""
    database = await Database.open(url, clock=SystemClock())
    try:
        await database.migrate()
        await outbox.prepare(database)
    finally:
        await database.close()


def lay(prepared_file: Path, data_dir: Path) -> None:
    """Have a server that starts in `data_dir` find its tables there; one that is there stays."""
    if not data_dir.exists():
        data_dir.mkdir(parents=True)
        shutil.copyfile(prepared_file, data_dir / "nur.db")
