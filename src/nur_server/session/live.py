"""The sessions that live in this process."""

import asyncio
from contextlib import suppress

import structlog

from nur_server.clock import Clock
from nur_server.conversation.events import EndedReason
from nur_server.errors import Conflict, Unavailable
from nur_server.ports import ToolServer, TurnModel, VoiceActivityDetector
from nur_server.session.metrics import Metrics, Tracer
from nur_server.session.pacer import Pacer
from nur_server.session.places import RETRY_SECONDS, Places
from nur_server.session.recorder import Recorders
from nur_server.session.runner import Configure, Session, SessionServices
from nur_server.session.setup import SessionSetup
from nur_server.session.writer import Writer

log = structlog.get_logger()

END_SECONDS = 5.0
"""Longest wait for sessions to end once they were told to: more than twice
`runner.TEARDOWN_SECONDS`."""
LAST_WRITES_SECONDS = 3.0
"""Longest wait, at the stop, for a slow store to take what sessions have left behind. The rest is
left in files for the next process."""


class LiveSessions:
    """Starts sessions, finds them by id and ends them. For one event loop."""

    def __init__(
        self,
        *,
        vad: VoiceActivityDetector,
        turn_model: TurnModel | None,
        tool_server: ToolServer | None,
        writer: Writer,
        clock: Clock,
        resume_seconds: float = 30.0,
        places: Places | None = None,
        recorders: Recorders | None = None,
        metrics: Metrics | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._pacer = Pacer(clock)
        self._services = SessionServices(
            vad=vad,
            turn_model=turn_model,
            tool_server=tool_server,
            writer=writer,
            clock=clock,
            pacer=self._pacer,
            resume_seconds=resume_seconds,
            recorders=recorders,
            metrics=metrics or Metrics(),
            tracer=tracer,
        )
        self.places = places or Places()
        self._sessions: dict[str, Session] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._pacing: asyncio.Task[None] | None = None
        self.is_draining = False

    def __len__(self) -> int:
        return len(self._sessions)

    def start(
        self,
        setup: SessionSetup,
        configure: Configure | None = None,
        *,
        was_admitted: bool = False,
    ) -> Session:
        """Start a session; it opens when a transport is attached.

        It takes what it is given from here on, and handles it in order once its task has begun.

        `was_admitted`: its call was taken before, and is ringing; a server that stops, or is full,
        does not cut it off. Raises as `require_room` does, and `errors.Conflict` when the session
        is live already.
        """
        if not was_admitted:
            self.require_room(setup.account_id, setup.access.key_id)
        if setup.session_id in self._sessions:
            raise Conflict(f"session {setup.session_id} is live already")
        if self._pacing is None:
            self._pacing = asyncio.create_task(self._pacer.run(), name="pacer")
        session = Session(setup, self._services, configure)
        self._sessions[setup.session_id] = session
        self._tasks[setup.session_id] = asyncio.create_task(
            self._run(session), name=setup.session_id
        )
        return session

    def require_open(self) -> None:
        """Raises `errors.Unavailable` once the process takes no new sessions."""
        if self.is_draining:
            raise Unavailable(
                "the server is stopping; connect again in a moment",
                retry_after_seconds=RETRY_SECONDS,
            )

    def require_room(self, account_id: str, key_id: str | None = None) -> None:
        """Whether a session of this account and key may begin now.

        Raises `errors.Unavailable` when the process is full, behind or stopping, and
        `errors.RateLimited` when the account or the key has all its sessions.
        """
        self.require_open()
        live = (session.setup for session in self._sessions.values())
        self.places.require(live, account_id, key_id)

    @property
    def writer(self) -> Writer:
        """Of what sessions leave behind."""
        return self._services.writer

    @property
    def ids(self) -> frozenset[str]:
        """The sessions that live here."""
        return frozenset(self._sessions)

    def get(self, session_id: str) -> Session | None:
        """The live session, or None."""
        session = self._sessions.get(session_id)
        return None if session is None or session.is_over else session

    async def end(self, session_id: str, reason: EndedReason) -> bool:
        """End a session and wait until it is stored, or waits for a store that is away. False when
        it is not live here."""
        session = self._sessions.get(session_id)
        if session is None:
            return False
        session.end(reason)
        await self._wait([session_id])
        return True

    async def end_agent(self, agent_id: str, reason: EndedReason) -> int:
        """End all sessions of an agent but phone calls. Returns how many there were."""
        of_agent = {i: s for i, s in self._sessions.items() if s.setup.agent_id == agent_id}
        ids = [i for i, session in of_agent.items() if not session.is_call]
        for session_id in ids:
            self._sessions[session_id].end(reason)
        await self._wait(ids)
        return len(ids)

    async def end_key(self, account_id: str, key_id: str, reason: EndedReason) -> int:
        """End all sessions that a key made, itself or through a token. How many were live."""
        ids = [
            session_id
            for session_id, session in self._sessions.items()
            if (session.setup.account_id, session.setup.access.key_id) == (account_id, key_id)
        ]
        for session_id in ids:
            self._sessions[session_id].end(reason)
        await self._wait(ids)
        return len(ids)

    async def drain(self, seconds: float) -> None:
        """Take no new sessions and wait for the live ones, at most so long; then end them."""
        await self.settle(seconds)
        await self.close()

    async def settle(self, seconds: float) -> None:
        """Take no new sessions and wait for the live ones, at most so long."""
        self.is_draining = True
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=seconds)

    async def close(self) -> None:
        """End every session and stop. Bounded."""
        self.is_draining = True
        ids = list(self._sessions)
        for session_id in ids:
            self._sessions[session_id].end(EndedReason.SERVER_SHUTDOWN)
        await self._wait(ids)
        for task in list(self._tasks.values()):
            task.cancel()
        await self._services.writer.close(LAST_WRITES_SECONDS)
        pacing, self._pacing = self._pacing, None
        if pacing is not None:
            pacing.cancel()
            with suppress(asyncio.CancelledError):
                await pacing

    async def _wait(self, ids: list[str]) -> None:
        tasks = [self._tasks[i] for i in ids if i in self._tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=END_SECONDS)

    async def _run(self, session: Session) -> None:
        session_id = session.setup.session_id
        try:
            with structlog.contextvars.bound_contextvars(session_id=session_id):
                summary = await session.run()
            log.info(
                "session.ended",
                session_id=session_id,
                reason=summary.reason.value,
                duration_seconds=summary.duration_seconds,
            )
        except Exception:
            log.exception("session.lost", session_id=session_id)
        finally:
            self._sessions.pop(session_id, None)
            self._tasks.pop(session_id, None)
