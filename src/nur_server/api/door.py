"""What stands between a client and its session, whatever carries the conversation.

A door knows who is there, what they may do, and which session they come to. What a client says is
read, and answered, by the routes.
"""

from starlette.requests import HTTPConnection

from nur_server.api.entry import (
    Caller,
    Entrance,
    identify_guest,
    require_origin,
)
from nur_server.api.services import Services
from nur_server.audio.formats import AudioFormat
from nur_server.clock import iso
from nur_server.commands import Command, UpdateSession
from nur_server.conversation.events import EndedReason
from nur_server.errors import Conflict, InvalidRequest, NotFound, NurError
from nur_server.opening.plan import SessionPlan, connection_formats, plan_for_agent
from nur_server.opening.prepare import Identity
from nur_server.opening.rights import Rights
from nur_server.options import UNSET, SessionOptions, given
from nur_server.ports import SessionAbout, Transport
from nur_server.session.runner import Session
from nur_server.session.setup import SessionAccess
from nur_server.store.records import (
    AgentRecord,
    SessionKind,
    SessionRecord,
    SessionState,
    SessionStatus,
)
from nur_server.store.sessions import find_session

CALLS = (SessionKind.OUTBOUND, SessionKind.INBOUND)


class SessionDoor:
    """For one connection of one client."""

    def __init__(
        self, connection: HTTPConnection, server: Services, kind: SessionKind | None = None
    ) -> None:
        """`kind`: of the sessions that are begun here. None: what they were made for."""
        self._kind = kind
        self._connection = connection
        self._server = server
        self.clock = server.clock
        self._rights = Rights(has_key=False)
        """Of the client, once it is known."""

    async def guest(self, secret: str | None = None) -> Caller:
        """Who is at the address of one session."""
        headers, query = self._connection.headers, self._connection.query_params
        return await identify_guest(self._server, headers, query, secret)

    async def enter_as(
        self,
        caller: Caller,
        session_id: str,
        audio: AudioFormat | None,
        transport: Transport,
    ) -> None:
        """The stored session with this id, begun unless it is live.

        Raises `NotFound` (`session_not_found`, `agent_not_found`), `Conflict` (`session_expired`),
        `InvalidRequest`, `Unauthorized`, `Forbidden`, and `Unavailable` (`at_capacity`).
        """
        session = self._server.live.get(session_id)
        if session is not None:
            self._require_live(session, caller)
            come_back(session, audio, transport)
            return
        record, plan = await self._waiting(session_id, caller, audio)
        await self._start(record, plan, transport)

    async def check(self, caller: Caller, session_id: str) -> SessionAbout:
        """What the session would be that `enter_as` enters; nothing is begun. Raises as that."""
        session = self._server.live.get(session_id)
        if session is not None:
            self._require_live(session, caller)
            return session.about
        record, plan = await self._waiting(session_id, caller, None)
        self._server.live.require_room(record.account_id, record.key_id)
        return self._server.opener.prepare(plan, _identity(record)).setup.about

    def _require_live(self, session: Session, caller: Caller) -> None:
        no_call(session.setup.session_id, session.is_call)
        self._admit(Entrance.of_live(session), caller)
        self._require_origin(session.about.options)

    async def _waiting(
        self, session_id: str, caller: Caller, audio: AudioFormat | None
    ) -> tuple[SessionRecord, SessionPlan]:
        """The session that nobody has begun, and its plan."""
        record = await self._stored(session_id, caller)
        if record is None or record.state is not SessionState.CREATED or record.agent_id is None:
            raise not_live(record, session_id)
        agent = await self._agent(record.agent_id, record.account_id)
        asked = connection_formats(audio) if audio else None
        plan = plan_for_agent(agent, record, asked)
        self._require_origin(plan.options)
        return record, plan

    def resume_token(self, session_id: str) -> str:
        """What the client comes back with, to the rights it has now."""
        has_key = self._rights.has_key
        return self._server.resume_tokens.make(session_id, has_key=has_key)

    def sees_prompt(self, about: SessionAbout) -> bool:
        return self._rights.sees_prompt(about)

    def sees_faults(self) -> bool:
        return self._rights.has_key

    async def vet(self, command: Command, about: SessionAbout) -> None:
        """Raises `InvalidRequest`, and `Unavailable` (`at_capacity`)."""
        self._rights.require(command, about)
        if isinstance(command, UpdateSession):
            await self._vet_tools(command)

    async def _vet_tools(self, update: UpdateSession) -> None:
        """Raises `InvalidRequest`, and `Unavailable` (`at_capacity`)."""
        if update.options.tools is not UNSET:
            await self._server.toolbox.checks.vet(given(update.options.tools, ()))

    async def _stored(self, session_id: str, caller: Caller) -> SessionRecord | None:
        """The stored session, for who may enter it. Raises `Unauthorized` and `Forbidden`."""
        record = await find_session(self._server.database, session_id)
        if record is not None:
            no_call(session_id, record.kind in CALLS)
            self._admit(Entrance.of_stored(record), caller)
        return record

    def _admit(self, entrance: Entrance, caller: Caller) -> None:
        """Raises `Unauthorized` and `Forbidden`."""
        self._rights = entrance.require(caller, self._server.resume_tokens)

    async def _agent(self, agent_id: str, account_id: str) -> AgentRecord:
        try:
            return await self._server.agents(account_id).get(agent_id)
        except NotFound:
            raise NotFound("Agent not found", code="agent_not_found", param="agent_id") from None

    def _require_origin(self, options: SessionOptions) -> None:
        """An agent may name the pages it talks on. Raises `Forbidden`."""
        if not self._rights.has_key:
            require_origin(self._connection.headers, given(options.allowed_origins, None))

    async def _start(
        self,
        record: SessionRecord,
        plan: SessionPlan,
        transport: Transport,
        *,
        most_of_token: int | None = None,
    ) -> None:
        server = self._server
        server.live.require_room(record.account_id, record.key_id)
        sessions = server.sessions(record.account_id)
        await sessions.begin(
            record.id, server.node_id, most_of_token=most_of_token, kind=self._kind
        )
        running = server.live.get(record.id)
        if running is not None:
            come_back(running, None, transport)
            return
        try:
            await server.opener.open(plan, _identity(record), transport)
        except NurError as error:
            await sessions.end(record.id, EndedReason.INTERNAL_ERROR, error_code=error.code)
            raise


def _identity(record: SessionRecord) -> Identity:
    access = SessionAccess(record.key_id, record.token_id, record.secret_hash)
    return Identity(record.account_id, record.id, record.expires_at, access=access)


def no_call(session_id: str, is_call: bool) -> None:
    """Raises `NotFound`."""
    if is_call:
        raise NotFound(
            f"session {session_id} is a phone call, which no socket can join",
            code="session_not_found",
        )


def come_back(session: Session, audio: AudioFormat | None, transport: Transport) -> None:
    """Serve a live session whose client connects again. Raises `InvalidRequest`."""
    running = session.about.options.output_format
    if audio is not None and audio != running:
        raise InvalidRequest(
            f"the session is running with {running.encoding} at {running.sample_rate} Hz; come "
            "back with the same audio format",
            code="invalid_value",
            param="encoding",
        )
    session.attach(transport)


def not_live(record: SessionRecord | None, session_id: str) -> NurError:
    if record is None:
        return NotFound(f"no session {session_id[:64]!r}", code="session_not_found")
    if record.status is SessionStatus.EXPIRED:
        found = f"expired at {iso(record.expires_at)}"
    elif record.status is SessionStatus.ENDED:
        found = f"has ended: {record.ended_reason}"
    elif record.state is SessionState.CREATED:
        return NotFound(
            f"session {session_id} has not begun: connect to its websocket_url",
            code="session_not_found",
        )
    else:
        found = "is ending, or runs on another server"
    return Conflict(f"session {session_id} {found}; open a new one", code="session_expired")
