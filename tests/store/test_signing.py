import asyncio

from nur_server.store.engine import Database
from nur_server.store.signing import signing_secret


async def test_a_secret_stays_the_same_and_each_purpose_has_its_own(database: Database) -> None:
    tokens = await signing_secret(database, "tokens")
    assert len(tokens) == 32
    assert await signing_secret(database, "tokens") == tokens
    assert await signing_secret(database, "links") != tokens


async def test_all_who_ask_first_at_once_are_given_the_same(database: Database) -> None:
    given = await asyncio.gather(*(signing_secret(database, "tokens") for _ in range(5)))
    assert len(set(given)) == 1
