"""Live rows that no part of their node has."""

from nur_server.cluster.orphans import Orphans
from nur_server.store.engine import Database
from nur_server.store.records import SessionState
from nur_server.store.sessions import LOST, Sessions

from .samples import ACCOUNT, NODE, live_session, waiting_session


async def state_of(database: Database, session_id: str) -> SessionState:
    return (await Sessions(database, ACCOUNT).get(session_id)).state


async def test_what_nobody_has_at_two_looks_is_ended(database: Database) -> None:
    orphan, held = await live_session(database), await live_session(database)
    elsewhere = await live_session(database, node_id="node-b")
    waiting = await waiting_session(database)
    orphans = Orphans(database, NODE, lambda: frozenset({held.id}))
    assert await orphans.look() == 0
    assert await state_of(database, orphan.id) is SessionState.LIVE
    assert await orphans.look() == 1
    ended = await Sessions(database, ACCOUNT).get(orphan.id)
    assert (ended.state, ended.error_code) == (SessionState.ENDED, LOST)
    assert await state_of(database, held.id) is SessionState.LIVE
    assert await state_of(database, elsewhere.id) is SessionState.LIVE
    assert await state_of(database, waiting.id) is SessionState.CREATED
    assert await orphans.look() == 0


async def test_what_is_on_its_way_from_one_holder_to_the_next_is_left_alone(
    database: Database,
) -> None:
    session = await live_session(database)
    held: set[str] = set()
    orphans = Orphans(database, NODE, lambda: frozenset(held))
    await orphans.look()
    held.add(session.id)
    assert await orphans.look() == 0
    held.clear()
    assert await orphans.look() == 0
    assert await state_of(database, session.id) is SessionState.LIVE


async def test_a_session_that_ends_while_it_is_looked_for_keeps_its_end(
    database: Database,
) -> None:
    session = await live_session(database)
    orphans = Orphans(database, NODE, frozenset)
    await orphans.look()
    assert await orphans.look() == 1
    assert await orphans.look() == 0
    assert await state_of(database, session.id) is SessionState.ENDED
