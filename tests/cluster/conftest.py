"""A new database of each kind."""

from collections.abc import AsyncIterator

import pytest

from nur_server.clock import SystemClock
from nur_server.store.engine import Database
from tests.store.conftest import empty_url, kind, postgresql

__all__ = ["empty_url", "kind", "postgresql"]


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(empty_url, clock=SystemClock())
    await opened.migrate()
    yield opened
    await opened.close()
