"""A database of each kind, with nothing in it."""

from collections.abc import AsyncIterator

import pytest

from nur_server.clock import SystemClock
from nur_server.store.engine import Database
from tests.store.conftest import empty_url, kind, postgresql, prepared_name, prepared_url

__all__ = ["empty_url", "kind", "postgresql", "prepared_name", "prepared_url"]


@pytest.fixture
async def database(prepared_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(prepared_url, clock=SystemClock())
    yield opened
    await opened.close()
