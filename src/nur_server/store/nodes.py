"""Nodes: who is there, whose duty it is, and what they ask of one another."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import CursorResult, delete, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.conversation.events import EndedReason
from nur_server.store.engine import Database, insert_into
from nur_server.store.records import SessionKind, SessionState
from nur_server.store.schema import LeaseRow, NodeRow, RateLimitRow, SessionRow, WishRow

WISH_KEPT = timedelta(hours=1)
"""After which a wish that nobody could fulfil is forgotten."""


# Presence


async def beat(database: Database, node_id: str) -> None:
    """Say that a node lives. The first beat makes its row."""
    now = database.clock.now()
    async with database.write() as session:
        await session.execute(
            insert_into(session, NodeRow)
            .values(id=node_id, beats=1, started_at=now, beat_at=now)
            .on_conflict_do_update(
                index_elements=["id"], set_={"beats": NodeRow.beats + 1, "beat_at": now}
            )
        )


async def read_beats(database: Database) -> dict[str, int]:
    """The beats of every node that has a row."""
    async with database.read() as session:
        found = await session.execute(select(NodeRow.id, NodeRow.beats))
        return {row.id: row.beats for row in found}


async def remove_node(database: Database, node_id: str) -> None:
    async with database.write() as session:
        await session.execute(delete(NodeRow).where(NodeRow.id == node_id))


async def nodes_with_live_sessions(database: Database) -> frozenset[str]:
    async with database.read() as session:
        found = await session.scalars(
            select(SessionRow.node_id)
            .where(SessionRow.state == SessionState.LIVE.value, SessionRow.node_id.is_not(None))
            .distinct()
        )
        return frozenset(node_id for node_id in found if node_id is not None)


async def live_sessions_of(database: Database, node_id: str) -> frozenset[str]:
    """The ids of the sessions that are live on a node."""
    async with database.read() as session:
        found = await session.scalars(
            select(SessionRow.id).where(
                SessionRow.state == SessionState.LIVE.value, SessionRow.node_id == node_id
            )
        )
        return frozenset(found)


# Duties


async def hold_lease(database: Database, name: str, node_id: str, seconds: float) -> bool:
    """Take a duty, or keep it, for so long. False: it is another node's."""
    now = database.clock.now()
    async with database.write() as session:
        insert = insert_into(session, LeaseRow).values(
            name=name, node_id=node_id, until=now + timedelta(seconds=seconds)
        )
        holder = await session.scalar(
            insert.on_conflict_do_update(
                index_elements=["name"],
                set_={"node_id": insert.excluded.node_id, "until": insert.excluded.until},
                where=or_(LeaseRow.node_id == node_id, LeaseRow.until <= now),
            ).returning(LeaseRow.node_id)
        )
    return holder == node_id


# Wishes


@dataclass(frozen=True, slots=True)
class Wish:
    """A live session that its node is asked to end."""

    session_id: str
    reason: EndedReason


async def wish_session_ended(
    database: Database, session_id: str, reason: EndedReason
) -> str | None:
    """Ask the node a session is live on to end it: which that is. None: it is live on none."""
    live = SessionRow.id == session_id, SessionRow.state == SessionState.LIVE.value
    async with database.write() as session:
        node_id = await session.scalar(select(SessionRow.node_id).where(*live))
        if node_id is not None:
            await _wish(session, database, {session_id: node_id}, reason)
    return node_id


async def wish_agent_ended(
    database: Database,
    agent_id: str,
    reason: EndedReason,
    kinds: Collection[SessionKind],
    *,
    but_on: str,
) -> int:
    """Ask for the end of an agent's live sessions of these kinds, on every node but one.

    How many there are.
    """
    async with database.write() as session:
        found = await session.execute(
            select(SessionRow.id, SessionRow.node_id).where(
                SessionRow.agent_id == agent_id,
                SessionRow.state == SessionState.LIVE.value,
                SessionRow.kind.in_([kind.value for kind in kinds]),
                SessionRow.node_id != but_on,
            )
        )
        places = {session_id: str(node_id) for session_id, node_id in found.all()}
        await _wish(session, database, places, reason)
    return len(places)


async def wish_key_ended(
    database: Database, account_id: str, key_id: str, reason: EndedReason
) -> dict[str, str]:
    """Ask for the end of all live sessions that a key made. Their nodes, by session."""
    async with database.write() as session:
        found = await session.execute(
            select(SessionRow.id, SessionRow.node_id).where(
                SessionRow.account_id == account_id,
                SessionRow.key_id == key_id,
                SessionRow.state == SessionState.LIVE.value,
            )
        )
        places = {session_id: str(node_id) for session_id, node_id in found.all()}
        await _wish(session, database, places, reason)
    return places


async def wish_account_ended(database: Database, account_id: str, reason: EndedReason) -> int:
    """Ask for the end of all live sessions of an account, calls too. How many there are."""
    async with database.write() as session:
        found = await session.execute(
            select(SessionRow.id, SessionRow.node_id).where(
                SessionRow.account_id == account_id,
                SessionRow.state == SessionState.LIVE.value,
            )
        )
        places = {session_id: str(node_id) for session_id, node_id in found.all()}
        await _wish(session, database, places, reason)
    return len(places)


async def is_live(database: Database, session_id: str) -> bool:
    """Whether a session is live on any node."""
    async with database.read() as session:
        state = await session.scalar(select(SessionRow.state).where(SessionRow.id == session_id))
    return state == SessionState.LIVE.value


async def wishes_of(database: Database, node_id: str) -> tuple[Wish, ...]:
    """What a node is asked to end."""
    async with database.read() as session:
        found = await session.scalars(select(WishRow).where(WishRow.node_id == node_id))
        return tuple(Wish(row.session_id, EndedReason(row.reason)) for row in found)


async def forget_wishes(database: Database, session_ids: Collection[str]) -> None:
    if session_ids:
        async with database.write() as session:
            await session.execute(delete(WishRow).where(WishRow.session_id.in_(session_ids)))


async def forget_old(database: Database) -> int:
    """Remove wishes nobody could fulfil and rate-limit windows that are over. How many."""
    now = database.clock.now()
    async with database.write() as session:
        wishes = await session.execute(delete(WishRow).where(WishRow.created_at <= now - WISH_KEPT))
        windows = await session.execute(
            delete(RateLimitRow).where(RateLimitRow.expires_at <= now.timestamp() - 60)
        )
    assert isinstance(wishes, CursorResult)
    assert isinstance(windows, CursorResult)
    return wishes.rowcount + windows.rowcount


async def _wish(
    session: AsyncSession, database: Database, places: dict[str, str], reason: EndedReason
) -> None:
    now = database.clock.now()
    for session_id, node_id in places.items():
        await session.execute(
            insert_into(session, WishRow)
            .values(session_id=session_id, node_id=node_id, reason=reason.value, created_at=now)
            .on_conflict_do_nothing(index_elements=["session_id"])
        )


# Nudges


async def notify(database: Database, channel: str, message: str) -> None:
    """Tell every node that listens on a channel. PostgreSQL only; at most 8,000 bytes."""
    async with database.write() as session:
        await session.execute(
            text("SELECT pg_notify(:channel, :message)"), {"channel": channel, "message": message}
        )
