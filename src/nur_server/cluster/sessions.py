"""The sessions of this process, and a way to end those of other nodes.

Who wants a session ended that lives elsewhere writes it down and nudges; its node ends it, at the
nudge or when it looks the next time.
"""

import asyncio
from contextlib import suppress
from typing import Any

import structlog

from nur_server.cluster.bus import Bus
from nur_server.conversation.events import EndedReason
from nur_server.errors import NurError
from nur_server.session.live import LiveSessions
from nur_server.store.engine import Database
from nur_server.store.nodes import (
    Wish,
    forget_wishes,
    is_live,
    wish_agent_ended,
    wish_key_ended,
    wish_session_ended,
    wishes_of,
)
from nur_server.store.records import SessionKind
from nur_server.store.sessions import end_waiting_of_key

LOOK_SECONDS = 2.0
"""Between two looks for what others want, without a nudge."""
ANSWER_SECONDS = 4.0
"""Longest wait for another node to end a session."""
ASK_SECONDS = 0.1
AT_ONCE = (SessionKind.WEBSOCKET, SessionKind.WEBRTC)
"""What ends with its agent; phone calls in progress finish."""
WISH = "wish"

log = structlog.get_logger(__name__)


class FleetSessions(LiveSessions):
    """`LiveSessions` whose `end` and `end_agent` reach every node. `start_watching` first."""

    def __init__(self, *, database: Database, node_id: str, bus: Bus, **local: Any) -> None:
        """`local`: what `LiveSessions` takes."""
        super().__init__(**local)
        self._database = database
        self._node_id = node_id
        self._bus = bus
        self._nudged = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def end(self, session_id: str, reason: EndedReason) -> bool:
        """End a session wherever it is live, and wait until it is stored. False: nowhere.

        A node that is dead does not answer; the wait is bounded.
        """
        if await super().end(session_id, reason):
            return True
        node_id = await wish_session_ended(self._database, session_id, reason)
        if node_id is None or node_id == self._node_id:
            return False
        await self._bus.publish(WISH)
        await self._until_over(session_id)
        return True

    async def end_agent(self, agent_id: str, reason: EndedReason) -> int:
        """End all sessions of an agent here, and ask the other nodes to. How many there were."""
        here = await super().end_agent(agent_id, reason)
        elsewhere = await wish_agent_ended(
            self._database, agent_id, reason, AT_ONCE, but_on=self._node_id
        )
        if elsewhere:
            await self._bus.publish(WISH)
        return here + elsewhere

    async def end_key(self, account_id: str, key_id: str, reason: EndedReason) -> int:
        """End all sessions that a key made, here and on other nodes, those that wait for their
        start too. How many were live.
        """
        await end_waiting_of_key(self._database, account_id, key_id, reason)
        places = await wish_key_ended(self._database, account_id, key_id, reason)
        if set(places.values()) - {self._node_id}:
            await self._bus.publish(WISH)
        await super().end_key(account_id, key_id, reason)
        here = [session_id for session_id, node in places.items() if node == self._node_id]
        await forget_wishes(self._database, here)
        return len(places)

    async def start_watching(self) -> None:
        """Fulfil the wishes of other nodes from now on."""
        await self._bus.start(self._hear)
        self._watching = asyncio.create_task(self._watch(), name="wishes")

    async def stop_watching(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait((self._watching,))
        await self._bus.stop()

    async def _watch(self) -> None:
        while True:
            await self._fulfil()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._nudged.wait()
            self._nudged.clear()

    def _hear(self, message: str) -> None:
        if message == WISH:
            self._nudged.set()

    async def _fulfil(self) -> None:
        try:
            wishes = await wishes_of(self._database, self._node_id)
            if wishes:
                await asyncio.gather(*[self._end_here(wish) for wish in wishes])
                await forget_wishes(self._database, [wish.session_id for wish in wishes])
        except NurError as error:
            log.warning("session.wishes_unread", code=error.code)

    async def _end_here(self, wish: Wish) -> None:
        ended = await super().end(wish.session_id, wish.reason)
        log.info("session.wish", session_id=wish.session_id, reason=wish.reason, ended=ended)

    async def _until_over(self, session_id: str) -> None:
        for _ in range(round(ANSWER_SECONDS / ASK_SECONDS)):
            if not await is_live(self._database, session_id):
                return
            await asyncio.sleep(ASK_SECONDS)
