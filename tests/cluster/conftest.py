"""A new database of each kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nur_server.clock import SystemClock
from nur_server.store.engine import Database
from tests.store.conftest import kind, postgresql

__all__ = ["kind", "postgresql"]


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'cluster.db'}"
    server = request.getfixturevalue("postgresql")
    return str(server.url(server.new_database()))


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = await Database.open(url, clock=SystemClock())
    await opened.migrate()
    yield opened
    await opened.close()
