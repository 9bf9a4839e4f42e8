"""A migrated database of each kind, with the queue's tables."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from nur_server.clock import SystemClock
from nur_server.jobs.worker import Pace
from nur_server.store.accounts import Accounts
from nur_server.store.engine import Database
from tests.store.conftest import empty_url, kind, postgresql, prepared_name, prepared_url

__all__ = ["empty_url", "kind", "postgresql", "prepared_name", "prepared_url"]

ACCOUNT = "acc_jobs"
QUICK = Pace(look_seconds=0.05, poll_seconds=0.05, idle_seconds=0.1)
WAIT_SECONDS = 20
LOOK_SECONDS = 0.02


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds."""
    for _ in range(round(WAIT_SECONDS / LOOK_SECONDS)):
        if await holds():
            return
        await asyncio.sleep(LOOK_SECONDS)
    raise TimeoutError(f"expected it to hold within {WAIT_SECONDS} s")


@pytest.fixture
async def database(prepared_url: str) -> AsyncIterator[Database]:
    """On the machine's clock: the queue's delays are on it too."""
    opened = await Database.open(prepared_url, clock=SystemClock())
    await Accounts(opened).create(ACCOUNT, ACCOUNT)
    yield opened
    await opened.close()
