"""`nur accounts`."""

import asyncio
import stat
import zipfile
from pathlib import Path

from nur_server.cli.database import opened
from nur_server.settings import Settings
from nur_server.store.accounts import Accounts
from nur_server.store.keys import authenticate
from nur_server.store.records import AccountRecord

from .conftest import Nur


def account(account_id: str) -> AccountRecord:
    async def look() -> AccountRecord:
        async with opened(Settings()) as database:
            return await Accounts(database).get(account_id)

    return asyncio.run(look())


def holder_of(secret: str) -> str | None:
    async def look() -> str | None:
        async with opened(Settings()) as database:
            key = await authenticate(database, secret)
        return key.account_id if key else None

    return asyncio.run(look())


def test_an_account_is_made_with_a_key_limited_exported_and_erased(
    nur: Nur, tmp_path: Path
) -> None:
    account_id, secret = nur("accounts", "create", "Bakery", "--max-agents", "3").out.split()
    assert holder_of(secret) == account_id
    assert (account(account_id).name, account(account_id).max_agents) == ("Bakery", 3)
    assert account_id in nur("accounts", "list").out
    nur("accounts", "limit", account_id, "--max-live-sessions", "2", "--max-agents", "-1")
    assert (account(account_id).max_live_sessions, account(account_id).max_agents) == (2, None)
    nur("accounts", "limit", account_id, "--suspend")
    assert holder_of(secret) is None
    nur("accounts", "limit", account_id, "--open")
    assert holder_of(secret) == account_id
    nur("accounts", "number", account_id, "+15550144")
    archive = tmp_path / "bakery.zip"
    nur("accounts", "export", account_id, str(archive))
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    with zipfile.ZipFile(archive) as file:
        assert b"+15550144" in file.read("phone_numbers.jsonl")
    assert "--yes" in nur("accounts", "delete", account_id).err
    nur("accounts", "delete", account_id, "--yes")
    assert holder_of(secret) is None
    assert account_id not in nur("accounts", "list").out


def test_the_operator_s_own_account_stays(nur: Nur) -> None:
    nur("keys", "create", "any")
    assert "operator" in nur("accounts", "delete", "acc_default", "--yes").err
