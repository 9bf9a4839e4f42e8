from datetime import timedelta

import pytest
from sqlalchemy import select

from nur_server.clock import ManualClock
from nur_server.errors import NotFound
from nur_server.store.accounts import DEFAULT_ACCOUNT, Accounts
from nur_server.store.engine import Database
from nur_server.store.keys import Keys, authenticate, ensure_first_key
from nur_server.store.schema import KeyRow

from .samples import ACCOUNT, OTHER_ACCOUNT


async def test_a_key_opens_its_account_with_its_scopes(database: Database) -> None:
    made = await Keys(database, ACCOUNT).create("ci", ["agents:read", "agents:write"])
    found = await authenticate(database, made.secret)
    assert found is not None
    assert (found.id, found.account_id) == (made.record.id, ACCOUNT)
    assert found.scopes == {"agents:read", "agents:write"}


async def test_the_secret_is_nowhere_in_the_database_or_in_a_representation(
    database: Database,
) -> None:
    made = await Keys(database, ACCOUNT).create("ci", ["*"])
    async with database.read() as session:
        row = (await session.scalars(select(KeyRow))).one()
    stored = {column.name: str(getattr(row, column.name)) for column in KeyRow.__table__.columns}
    assert made.secret.startswith(stored["prefix"])
    assert len(stored["prefix"]) < 12
    assert not any(made.secret in value for value in stored.values())
    assert made.secret not in repr(made)


@pytest.mark.parametrize("raw", ["", "nur_", "nur_" + "0" * 64, "x" * 68, "nur_" + "é" * 64])
async def test_a_secret_nobody_was_given_opens_nothing(database: Database, raw: str) -> None:
    await Keys(database, ACCOUNT).create("ci", ["*"])
    assert await authenticate(database, raw) is None


async def test_a_revoked_key_opens_nothing_and_stays_listed(
    database: Database, clock: ManualClock
) -> None:
    keys = Keys(database, ACCOUNT)
    made = await keys.create("ci", ["*"])
    first = await keys.revoke(made.record.id)
    clock.advance(5)
    second = await keys.revoke(made.record.id)
    assert await authenticate(database, made.secret) is None
    assert first.revoked_at is not None
    assert second.revoked_at == first.revoked_at
    assert [key.id for key in (await keys.list()).items] == [made.record.id]


async def test_a_key_opens_until_it_expires(database: Database, clock: ManualClock) -> None:
    expires_at = clock.now() + timedelta(hours=1)
    made = await Keys(database, ACCOUNT).create("ci", ["*"], expires_at=expires_at)
    clock.advance(3599)
    assert await authenticate(database, made.secret) is not None
    clock.advance(1)
    assert await authenticate(database, made.secret) is None


async def test_use_is_noted_once_a_minute(database: Database, clock: ManualClock) -> None:
    keys = Keys(database, ACCOUNT)
    made = await keys.create("ci", ["*"])
    first = clock.now()
    await authenticate(database, made.secret)
    clock.advance(59)
    await authenticate(database, made.secret)
    assert (await keys.get(made.record.id)).last_used_at == first
    clock.advance(1)
    await authenticate(database, made.secret)
    assert (await keys.get(made.record.id)).last_used_at == clock.now()


async def test_a_key_of_another_account_does_not_exist(database: Database) -> None:
    made = await Keys(database, OTHER_ACCOUNT).create("theirs", ["*"])
    ours = Keys(database, ACCOUNT)
    with pytest.raises(NotFound):
        await ours.get(made.record.id)
    with pytest.raises(NotFound):
        await ours.revoke(made.record.id)
    assert (await ours.list()).total == 0
    assert await authenticate(database, made.secret) is not None


async def test_the_first_key_is_made_once(database: Database) -> None:
    first = await ensure_first_key(database)
    assert first is not None
    assert first.record.scopes == {"*"}
    assert (await Accounts(database).get(DEFAULT_ACCOUNT)).name == "default"
    assert (await authenticate(database, first.secret)) is not None
    assert await ensure_first_key(database) is None
    await Keys(database, DEFAULT_ACCOUNT).revoke(first.record.id)
    assert await ensure_first_key(database) is None
