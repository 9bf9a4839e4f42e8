import asyncio
import socket
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.errors import InternalError, Unavailable
from nur_server.store import sqlite
from nur_server.store.addresses import parse_url
from nur_server.store.agents import Agents
from nur_server.store.engine import Database
from nur_server.store.schema import AccountRow

from .samples import ACCOUNT, agent


async def accounts(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(AccountRow)) or 0


def account(database: Database, account_id: str) -> AccountRow:
    return AccountRow(id=account_id, name=account_id, created_at=database.clock.now())


# Addresses


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("sqlite:///nur.db", "sqlite+aiosqlite:///nur.db"),
        ("sqlite:////var/nur.db", "sqlite+aiosqlite:////var/nur.db"),
        ("sqlite+aiosqlite:///nur.db", "sqlite+aiosqlite:///nur.db"),
        ("postgresql://u:p@h:5433/d", "postgresql+asyncpg://u:p@h:5433/d"),
        ("postgres://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql+psycopg://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql://h/d?sslmode=require", "postgresql+asyncpg://h/d?ssl=require"),
        ("postgresql:///d?host=/run/pg", "postgresql+asyncpg:///d?host=%2Frun%2Fpg"),
    ],
)
def test_addresses_are_understood(given: str, understood: str) -> None:
    assert parse_url(given).render_as_string(hide_password=False) == understood


@pytest.mark.parametrize(
    "given",
    [
        "",
        "nur.db",
        "mysql://h/d",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://host/nur.db",
        "sqlite:///nur.db?mode=ro",
        "postgresql://h/d?secret_option=hunter2",
        "postgresql://u:hunter2@h:port/d",
    ],
)
def test_other_addresses_are_refused_without_repeating_them(given: str) -> None:
    with pytest.raises(InternalError) as refused:
        parse_url(given)
    assert refused.value.code == "database_url_invalid"
    assert "NUR_DATABASE_URL" in refused.value.message
    assert "hunter2" not in refused.value.message


async def test_the_folder_of_a_database_is_made(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "nur.db"
    await (await Database.open(f"sqlite:///{file}")).close()
    assert file.exists()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("These are my notes, and they are long enough to be read. " * 40)
    before = file.read_bytes()
    with pytest.raises(Unavailable) as refused:
        await Database.open(f"sqlite:///{file}")
    assert refused.value.code == "database_unavailable"
    assert str(file) in refused.value.message
    assert file.read_bytes() == before


@pytest.mark.parametrize("place", ["folder", "file/nur.db", "file/deeper/nur.db"])
async def test_a_place_that_cannot_hold_a_database_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable) as refused:
        await Database.open(f"sqlite:///{tmp_path / place}")
    assert str(tmp_path / place) in refused.value.message


async def test_a_server_that_does_not_answer_is_named_without_the_password() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(Unavailable) as refused:
            await Database.open(f"postgresql://nur:hunter2@127.0.0.1:{port}/nur")
    assert refused.value.code == "database_unavailable"
    assert f"127.0.0.1:{port}" in refused.value.message
    assert "hunter2" not in refused.value.message


# Transactions


async def test_what_was_written_stays(database: Database) -> None:
    async with database.write() as session:
        session.add(account(database, "acc_new"))
    async with database.read() as session:
        assert await session.get(AccountRow, "acc_new") is not None


async def test_an_error_does_not_tell_what_was_to_be_stored(database: Database) -> None:
    with pytest.raises(IntegrityError) as refused:
        async with database.write() as session:
            for _ in range(2):
                values = {"name": "what was said", "created_at": database.clock.now()}
                await session.execute(insert(AccountRow).values(id="twice", **values))
    assert "what was said" not in str(refused.value)


async def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.write() as session:
            session.add(account(database, "acc_new"))
            await session.flush()
            _ = 1 / 0
    async with database.read() as session:
        assert await session.get(AccountRow, "acc_new") is None


async def test_reading_cannot_write(database: Database) -> None:
    with pytest.raises((DBAPIError, Unavailable)):
        async with database.read() as session:
            session.add(account(database, "acc_new"))
            await session.commit()
    async with database.read() as session:
        assert await session.get(AccountRow, "acc_new") is None


async def test_reading_goes_on_while_something_is_written(database: Database) -> None:
    async with database.write() as writing:
        writing.add(account(database, "acc_new"))
        await writing.flush()
        async with database.read() as reading:
            assert await accounts(reading) == 2
    async with database.read() as reading:
        assert await accounts(reading) == 3


async def test_cancelled_writes_leave_nothing_and_block_nobody(database: Database) -> None:
    agents = Agents(database, ACCOUNT)
    made = await agents.create(agent(context_window=0))
    async with asyncio.timeout(sqlite.BUSY_SECONDS * 0.8):
        for attempt in range(80):
            task = asyncio.create_task(agents.update(made.id, {"context_window": attempt + 1}))
            await asyncio.sleep(attempt % 40 * 0.0002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        changed = await agents.update(made.id, {"context_window": 99})
    assert changed.context_window == 99
    assert await agents.get(made.id) == changed


async def test_more_at_once_than_there_are_connections_all_get_their_turn(
    database: Database,
) -> None:
    agents = Agents(database, ACCOUNT)
    made = await agents.create(agent(context_window=0))

    async def change(place: int) -> None:
        await agents.update(made.id, {"settings": {str(place): place}})
        await agents.get(made.id)

    await asyncio.gather(*(change(place) for place in range(40)))
    assert len((await agents.get(made.id)).settings) == 40


async def test_a_database_that_stays_locked_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    file = tmp_path / "nur.db"
    database = await Database.open(f"sqlite:///{file}")
    other = sqlite3.connect(file, isolation_level=None)
    try:
        await database.migrate()
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as refused:
            async with database.write():
                pass
        assert refused.value.retryable
        other.execute("ROLLBACK")
        async with database.write() as session:
            assert await accounts(session) == 0
    finally:
        other.close()
        await database.close()


def is_postgresql(database: Database) -> bool:
    return database.url.get_backend_name() == "postgresql"


@pytest.mark.parametrize(
    "sqlstate", ["53100", "53300", "57014", "57P01", "57P03", "58030", "25006"]
)
async def test_a_postgresql_in_trouble_is_unavailable(database: Database, sqlstate: str) -> None:
    if not is_postgresql(database):
        pytest.skip("SQLSTATEs are PostgreSQL's")
    statement = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$"
    with pytest.raises(Unavailable) as refused:
        async with database.write() as session:
            await session.execute(text(statement))
    assert refused.value.retryable
    async with database.write() as session:
        assert await session.scalar(text("SELECT 1")) == 1


@pytest.mark.parametrize("sqlstate", ["22021", "22P05", "54000", "42601"])
async def test_a_statement_that_postgresql_refuses_says_so(
    database: Database, sqlstate: str
) -> None:
    if not is_postgresql(database):
        pytest.skip("SQLSTATEs are PostgreSQL's")
    statement = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$"
    with pytest.raises(DBAPIError):
        async with database.write() as session:
            await session.execute(text(statement))


async def test_a_connection_that_postgresql_ends_is_replaced(database: Database) -> None:
    if not is_postgresql(database):
        pytest.skip("SQLite has no connections to end")
    with pytest.raises(Unavailable):
        async with database.write() as session:
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    async with database.write() as session:
        assert await session.scalar(text("SELECT 1")) == 1


async def test_sqlite_is_set_up_to_survive_the_death_of_the_process(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path / 'nur.db'}")
    try:
        async with database.write() as session:
            found = {
                name: (await session.execute(text(f"PRAGMA {name}"))).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
    finally:
        await database.close()
    assert found == {
        "journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 10_000
    }  # fmt: skip


async def test_a_database_may_be_closed_twice(empty_url: str) -> None:
    database = await Database.open(empty_url)
    await database.close()
    await database.close()
