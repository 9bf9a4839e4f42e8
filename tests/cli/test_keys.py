import asyncio
from pathlib import Path

from nur_server.cli.database import opened
from nur_server.cli.home import Home
from nur_server.settings import Settings
from nur_server.store.keys import authenticate
from nur_server.store.records import KeyRecord

from .conftest import Nur


def holder_of(secret: str) -> KeyRecord | None:
    async def look() -> KeyRecord | None:
        async with opened(Settings()) as database:
            return await authenticate(database, secret)

    return asyncio.run(look())


def test_a_key_is_shown_alone_so_that_a_script_can_take_it(nur: Nur) -> None:
    secret = nur("keys", "create", "kiosk", "--scope", "sessions:write", "--days", "3").out.strip()
    record = holder_of(secret)
    assert record is not None
    assert record.name == "kiosk"
    assert record.scopes == {"sessions:write"}
    assert record.expires_at is not None


def test_a_key_may_do_everything_unless_told_otherwise(nur: Nur) -> None:
    record = holder_of(nur("keys", "create", "admin").out.strip())
    assert record is not None
    assert record.scopes == {"*"}
    assert record.expires_at is None


def test_the_first_key_of_a_new_database_is_kept(nur: Nur, data_dir: Path) -> None:
    nur("keys", "create", "kiosk")
    kept = Home(data_dir).key()
    assert kept is not None
    first = holder_of(kept)
    assert first is not None and first.name == "first key"


def test_a_revoked_key_is_of_no_use(nur: Nur) -> None:
    secret = nur("keys", "create", "kiosk").out.strip()
    record = holder_of(secret)
    assert record is not None
    assert nur("keys", "revoke", record.id).code == 0
    assert holder_of(secret) is None
    (row,) = [line for line in nur("keys", "list").out.splitlines() if "kiosk" in line]
    assert row.startswith(record.id) and "revoked" in row and secret not in row


def test_a_scope_that_does_not_exist_is_refused_with_those_that_do(nur: Nur) -> None:
    refused = nur("keys", "create", "kiosk", "--scope", "everything")
    assert refused.code == 1
    assert "got everything" in refused.err and "sessions:write" in refused.err


def test_a_key_that_does_not_exist_cannot_be_revoked(nur: Nur) -> None:
    refused = nur("keys", "revoke", "key_nope")
    assert refused.code == 1
    assert "key_nope" in refused.err


def test_a_database_that_cannot_be_opened_is_said_in_one_line(nur: Nur, monkeypatch) -> None:
    monkeypatch.setenv("NUR_DATABASE_URL", "mysql://localhost/nur")
    refused = nur("keys", "list")
    assert refused.code == 1
    assert refused.err.count("\n") == 1 and "NUR_DATABASE_URL" in refused.err
