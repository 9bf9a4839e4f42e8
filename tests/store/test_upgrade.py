"""The schema's history, on both databases."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from nur_server.errors import InternalError
from nur_server.store import schema, upgrade
from nur_server.store.accounts import Accounts
from nur_server.store.engine import Database
from nur_server.store.schema import Table

from .samples import ACCOUNT


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    """One of the test's own, to spoil."""
    opened = await Database.open(empty_url)
    await opened.migrate()
    yield opened
    await opened.close()


async def change(database: Database, statement: str) -> None:
    async with database.write() as session:
        await session.execute(text(statement))


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def found_tables(database: Database) -> set[str]:
    async with database.read() as session:
        connection: AsyncConnection = await session.connection()
        return await connection.run_sync(tables)


async def test_migrations_lead_to_what_the_code_says(database: Database) -> None:
    assert await database.differences() == []
    assert await found_tables(database) == {*Table.metadata.tables, "alembic_version"}


def test_the_code_names_the_last_migration() -> None:
    """A server at this revision starts without loading Alembic."""
    assert upgrade.head_revision() == schema.REVISION


async def test_a_difference_is_seen(database: Database) -> None:
    await change(database, "ALTER TABLE accounts ADD COLUMN nickname VARCHAR")
    assert [difference[0] for difference in await database.differences()] == ["remove_column"]


async def test_migrating_again_changes_nothing(database: Database) -> None:
    await database.migrate()
    await database.migrate(by_command=True)
    assert await database.differences() == []


async def test_the_way_back_leaves_nothing_behind(database: Database) -> None:
    async with database._migrating() as connection:
        await connection.run_sync(upgrade.downgrade, "base")
    assert await found_tables(database) == {"alembic_version"}


async def test_a_schema_newer_than_the_code_is_refused(database: Database) -> None:
    await change(database, "UPDATE alembic_version SET version_num = '9999'")
    for by_command in (False, True):
        with pytest.raises(InternalError) as refused:
            await database.migrate(by_command=by_command)
        assert refused.value.code == "schema_too_new"
        assert "9999" in refused.value.message


async def test_failed_migrations_change_nothing(empty_url: str) -> None:
    database = await Database.open(empty_url)
    try:
        await change(database, "CREATE TABLE turns (mine INTEGER)")
        with pytest.raises(InternalError, match="turns") as failed:
            await database.migrate()
        assert failed.value.code == "migration_failed"
        assert await found_tables(database) == {"turns"}
    finally:
        await database.close()


async def test_a_schema_that_was_left_half_done_is_refused(database: Database) -> None:
    await change(database, "DROP TABLE turns")
    with pytest.raises(InternalError, match=r"turns is missing") as refused:
        await database.migrate()
    assert refused.value.code == "schema_incomplete"


async def test_rows_survive_a_rebuilt_table(database: Database, kind: str) -> None:
    """A migration that copies a table must not cascade into those that refer to it."""
    if kind != "sqlite":
        pytest.skip("only SQLite rebuilds tables by copying them")
    await Accounts(database).create(ACCOUNT, ACCOUNT)
    await change(
        database,
        "INSERT INTO api_keys (id, account_id, name, prefix, secret_hash, scopes, created_at) "
        f"VALUES ('key_1', '{ACCOUNT}', 'ci', 'nur_', 'hash', '[]', '2026-01-01 00:00:00.000000')",
    )
    async with database._migrating() as connection:
        await connection.run_sync(rebuild_accounts)
    async with database.read() as session:
        assert (await session.execute(text("SELECT count(*) FROM api_keys"))).scalar() == 1


def rebuild_accounts(connection: Connection) -> None:
    operations = Operations(MigrationContext.configure(connection, opts={"render_as_batch": True}))
    with operations.batch_alter_table("accounts", recreate="always") as batch:
        batch.alter_column("name", nullable=True)


NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("accounts") as batch:
        batch.add_column(sa.Column("nickname", sa.String(), nullable=False, server_default="none"))
        batch.alter_column("name", nullable=True)


def downgrade() -> None:
    with op.batch_alter_table("accounts") as batch:
        batch.drop_column("nickname")
        batch.alter_column("name", nullable=False)
"""
"""A migration of the tests' own, which stands for the next release's."""


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of a release with one migration more."""
    history = tmp_path / "migrations"
    shutil.copytree(upgrade.MIGRATIONS, history, ignore=shutil.ignore_patterns("__pycache__"))
    (history / "versions" / "0002_next.py").write_text(NEXT)
    monkeypatch.setattr(upgrade, "MIGRATIONS", history)
    monkeypatch.setattr(schema, "REVISION", "0002")


async def nicknames(database: Database) -> list[str]:
    async with database.read() as session:
        return list((await session.scalars(text("SELECT nickname FROM accounts"))).all())


async def test_an_older_schema_is_brought_up_by_itself_only_where_nobody_else_can_be_using_it(
    database: Database, kind: str, next_release: None
) -> None:
    await Accounts(database).create(ACCOUNT, ACCOUNT)
    if kind == "sqlite":
        await database.migrate()
    else:
        with pytest.raises(InternalError) as refused:
            await database.migrate()
        assert refused.value.code == "schema_outdated"
        assert "0001" in refused.value.message
        assert [change[0] for change in await database.differences()] == []
    await database.migrate(by_command=True)
    assert await nicknames(database) == ["none"]


async def test_rows_survive_the_next_migration_and_the_way_back(
    database: Database, next_release: None
) -> None:
    await Accounts(database).create(ACCOUNT, ACCOUNT)
    await change(
        database,
        "INSERT INTO api_keys (id, account_id, name, prefix, secret_hash, scopes, created_at) "
        f"VALUES ('key_1', '{ACCOUNT}', 'ci', 'nur_', 'hash', '[]', '2026-01-01 00:00:00.000000')",
    )
    await database.migrate(by_command=True)
    async with database._migrating() as connection:
        await connection.run_sync(upgrade.downgrade, "0001")
    assert await database.differences() == []
    assert (await Accounts(database).get(ACCOUNT)).name == ACCOUNT
    async with database.read() as session:
        assert (await session.execute(text("SELECT count(*) FROM api_keys"))).scalar() == 1


async def test_a_failed_migration_leaves_the_older_schema(
    database: Database, next_release: None
) -> None:
    await Accounts(database).create(ACCOUNT, ACCOUNT)
    broken = upgrade.MIGRATIONS / "versions" / "0002_next.py"
    broken.write_text(NEXT.replace('alter_column("name"', 'alter_column("no_such_column"'))
    with pytest.raises((InternalError, KeyError)):
        await database.migrate(by_command=True)
    assert await database.differences() == []
