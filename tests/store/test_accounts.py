import pytest

from nur_server.errors import NotFound
from nur_server.store.accounts import Accounts
from nur_server.store.engine import Database


async def test_an_account_is_made_once(database: Database) -> None:
    accounts = Accounts(database)
    assert await accounts.create("acc_1", "First")
    assert not await accounts.create("acc_1", "Second")
    assert (await accounts.get("acc_1")).name == "First"


async def test_an_unknown_account_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        await Accounts(database).get("acc_unknown")
