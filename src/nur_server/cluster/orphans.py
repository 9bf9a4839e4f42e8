"""Sessions that are live in the database and that no part of their node has any more.

A session that breaks in an unforeseen way, or whose opening does, leaves such a row.
"""

from collections.abc import Callable

import structlog

from nur_server.store.analyses import request_lost_analyses
from nur_server.store.announcing import announce_lost_sessions
from nur_server.store.engine import Database
from nur_server.store.nodes import live_sessions_of
from nur_server.store.sessions import end_lost_sessions

log = structlog.get_logger(__name__)


class Orphans:
    """Finds this node's and ends them as lost."""

    def __init__(
        self, database: Database, node_id: str, held: Callable[[], frozenset[str]]
    ) -> None:
        """`held`: the sessions that live here, are called, or have an end waiting to be written."""
        self._database = database
        self._node_id = node_id
        self._held = held
        self._seen: frozenset[str] = frozenset()
        """Without a holder at the last look: by the next one, what was only between two hands has
        arrived."""

    async def look(self) -> int:
        """End those that were without a holder at the last look too. How many there were."""
        live = await live_sessions_of(self._database, self._node_id)
        found = live - self._held()
        orphans, self._seen = found & self._seen, found
        if not orphans:
            return 0
        ended = await end_lost_sessions(self._database, self._node_id, only=orphans)
        await announce_lost_sessions(self._database, self._node_id)
        await request_lost_analyses(self._database, self._node_id)
        log.error("session.orphans_ended", sessions=ended)
        return ended
