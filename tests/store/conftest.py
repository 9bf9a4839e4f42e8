"""A migrated database of each kind.

PostgreSQL is started here, from the `initdb` and `postgres` found on this machine, on a socket in a
temporary folder; without them its half of the tests is skipped and says so.
"""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from nur_server.clock import ManualClock
from nur_server.store import outbox
from nur_server.store.accounts import Accounts
from nur_server.store.engine import Database
from tests.databases import make_tables

from .samples import ACCOUNT, OTHER_ACCOUNT

USER = "postgres"
START_SECONDS = 30
EMPTY = f"""
DELETE FROM signing_secrets;
DELETE FROM accounts;
INSERT INTO accounts (id, name, created_at)
VALUES ('{ACCOUNT}', '{ACCOUNT}', now()), ('{OTHER_ACCOUNT}', '{OTHER_ACCOUNT}', now());
"""
"""Everything else belongs to an account and goes with it."""


class PostgreSQL:
    """A server of our own. Every database it makes is empty."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._folder = folder
        self._owner = _unprivileged()
        data = folder / "data"
        if self._owner is not None:
            os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)
        self._run(programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "--no-sync")
        self._process = self._spawn(
            programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=",
            "-c", "fsync=off", "-c", "max_connections=100",
        )  # fmt: skip
        asyncio.run(asyncio.wait_for(self._answer(), START_SECONDS))

    def new_database(self, copied: str = "template1") -> str:
        """The name of a fresh one, with what is in `copied`."""
        name = f"nur_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {copied}")
        return name

    def url(self, name: str) -> str:
        return f"postgresql://{USER}@/{name}?host={self._folder}"

    def execute(self, statement: str, name: str = "postgres") -> None:
        asyncio.run(self._execute(statement, name))

    def close(self) -> None:
        """At once: nothing in it is kept."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(START_SECONDS)

    async def _answer(self) -> None:
        while self._process.poll() is None:
            try:
                return await self._execute("SELECT 1", "postgres")
            except (OSError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0.05)
        raise RuntimeError(f"expected PostgreSQL to start, it ended: {self._process.returncode}")

    async def _execute(self, statement: str, name: str) -> None:
        connection = await asyncpg.connect(
            host=str(self._folder), user=USER, database=name, timeout=START_SECONDS
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _run(self, *command: object) -> None:
        process = self._spawn(*command)
        if process.wait(START_SECONDS) != 0:
            raise RuntimeError(f"expected {command[0]} to succeed, got {process.returncode}")

    def _spawn(self, *command: object) -> subprocess.Popen[bytes]:
        log = (self._folder / "server.log").open("ab")
        with log:
            return subprocess.Popen(
                [str(part) for part in command],
                stdout=log,
                stderr=log,
                cwd="/",
                user=None if self._owner is None else self._owner.pw_uid,
                group=None if self._owner is None else self._owner.pw_gid,
                extra_groups=None if self._owner is None else [],
            )


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as: it refuses root. None: whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def programs() -> Path:
    """Where `initdb` and `postgres` are. Skips the test without them."""
    on_path = shutil.which("initdb")
    places = [Path(on_path).parent] if on_path else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    pytest.skip("PostgreSQL is not installed: no initdb on PATH or in /usr/lib/postgresql/*/bin")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    server_programs = programs()
    folder = Path(tempfile.mkdtemp(prefix="nurpg", dir="/tmp"))
    try:
        server = PostgreSQL(server_programs, folder)
        try:
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with nothing in it."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.url(server.new_database())


@pytest.fixture(scope="session")
def prepared_name(postgresql: PostgreSQL) -> str:
    """A PostgreSQL database with every table, to copy."""
    name = postgresql.new_database()
    asyncio.run(make_tables(postgresql.url(name)))
    return name


@pytest.fixture
def prepared_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with every table, and nothing in them."""
    if kind == "sqlite":
        shutil.copyfile(request.getfixturevalue("prepared_file"), tmp_path / "prepared.db")
        return f"sqlite:///{tmp_path / 'prepared.db'}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.url(server.new_database(request.getfixturevalue("prepared_name")))


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database to copy."""
    file = tmp_path_factory.mktemp("migrated") / "nur.db"
    asyncio.run(set_up(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def migrated_name(postgresql: PostgreSQL) -> str:
    """A PostgreSQL database to empty and use again."""
    name = postgresql.new_database()
    asyncio.run(set_up(postgresql.url(name)))
    return name


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a migrated database with two accounts and nothing else."""
    if kind == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "nur.db")
        return f"sqlite:///{tmp_path / 'nur.db'}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    name: str = request.getfixturevalue("migrated_name")
    server.execute(EMPTY, name)
    return server.url(name)


async def set_up(url: str) -> None:
    database = await Database.open(url)
    try:
        await database.migrate()
        await outbox.prepare(database)
        for account in (ACCOUNT, OTHER_ACCOUNT):
            await Accounts(database).create(account, account)
    finally:
        await database.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(url: str, clock: ManualClock) -> AsyncIterator[Database]:
    opened = await Database.open(url, clock=clock)
    yield opened
    await opened.close()
