import pytest

from nur_server.errors import NotFound
from nur_server.store.engine import Database
from nur_server.store.journals import Journals
from nur_server.store.sink import StoreSink

from .samples import ACCOUNT, NODE, OTHER_ACCOUNT, live_session


async def read(database: Database, session_id: str, account: str = ACCOUNT) -> list[bytes]:
    return [chunk async for chunk in Journals(database, account).read(session_id)]


async def test_a_journal_is_read_in_order_whatever_order_it_came_in(database: Database) -> None:
    live, other = await live_session(database), await live_session(database)
    sink = StoreSink(database, NODE)
    for chunk in (10, 0, 2):
        await sink.journal_written(live.id, chunk, bytes([chunk, 0, 255]))
    await sink.journal_written(other.id, 1, b"other")
    assert await read(database, live.id) == [bytes([chunk, 0, 255]) for chunk in (0, 2, 10)]


async def test_a_chunk_written_again_is_replaced(database: Database) -> None:
    live = await live_session(database)
    sink = StoreSink(database, NODE)
    await sink.journal_written(live.id, 0, b"first")
    await sink.journal_written(live.id, 0, b"second")
    assert await read(database, live.id) == [b"second"]


async def test_a_journal_of_another_account_does_not_exist(database: Database) -> None:
    live = await live_session(database)
    await StoreSink(database, NODE).journal_written(live.id, 0, b"ours")
    with pytest.raises(NotFound):
        await read(database, live.id, OTHER_ACCOUNT)
    assert await read(database, (await live_session(database)).id) == []
