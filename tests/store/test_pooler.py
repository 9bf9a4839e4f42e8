"""What opening a PostgreSQL database makes of the poolers that may stand in front of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from nur_server.errors import InternalError, Unavailable
from nur_server.store import postgresql as engine
from nur_server.store.engine import Database

from .conftest import PostgreSQL
from .pooler import Mode, pooling

QUESTIONS = 10
"""More than connections: the same statement meets one that does not know it."""
SOCKET = ".s.PGSQL.5432"
Pooled = Callable[[Mode, int], AbstractAsyncContextManager[str]]


@pytest.fixture
def pooled(postgresql: PostgreSQL) -> Pooled:
    """The address of a pooler in front of an empty database."""
    name = postgresql.new_database()
    (folder,) = parse_qs(urlsplit(postgresql.url(name)).query)["host"]

    @asynccontextmanager
    async def address(mode: Mode, size: int) -> AsyncIterator[str]:
        async with pooling(Path(folder) / SOCKET, name, mode, size) as port:
            yield f"postgresql://postgres@127.0.0.1:{port}/{name}"

    return address


@pytest.mark.parametrize("mode", [Mode.NEWEST_FIRST, Mode.OLDEST_FIRST])
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_a_pooler_that_shares_connections_is_refused_in_one_line(
    pooled: Pooled, mode: Mode, size: int
) -> None:
    async with pooled(mode, size) as url:
        with pytest.raises(InternalError) as refused:
            await Database.open(url)
    assert refused.value.code == "database_pooled"
    assert "direct address" in refused.value.message
    assert "\n" not in refused.value.message


async def test_one_that_escaped_notice_is_named_when_a_statement_is_lost(
    pooled: Pooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def overlook(options: object) -> bool:
        return False

    monkeypatch.setattr(engine, "is_shared", overlook)
    async with pooled(Mode.OLDEST_FIRST, 3) as url:
        database = await Database.open(url)
        with pytest.raises(InternalError) as refused:
            for _ in range(QUESTIONS):
                await database.ping()
        await database.close()
    assert refused.value.code == "database_pooled"


async def test_a_pooler_in_session_mode_will_do(pooled: Pooled) -> None:
    async with pooled(Mode.SESSION, 4) as url:
        database = await Database.open(url)
        await database.migrate()
        await database.ping()
        await database.close()


@pytest.fixture
def direct(postgresql: PostgreSQL) -> str:
    return postgresql.url(postgresql.new_database())


async def test_a_direct_connection_will_do(direct: str) -> None:
    database = await Database.open(direct)
    assert not await engine.is_shared(database.connect_arguments())
    await database.close()


@pytest.mark.parametrize("wrong", ["database", "user", "server"])
async def test_other_mistakes_in_an_address_are_named_in_one_line(
    postgresql: PostgreSQL, wrong: str, tmp_path: Path
) -> None:
    url = {
        "database": postgresql.url("missing"),
        "user": postgresql.url("postgres").replace("postgres@", "nobody@"),
        "server": f"postgresql://postgres@/nur?host={tmp_path}",
    }[wrong]
    with pytest.raises(Unavailable) as refused:
        await Database.open(url)
    assert refused.value.code == "database_unavailable"
    assert "\n" not in refused.value.message
