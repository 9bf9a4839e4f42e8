"""`/v1/ws` and `/v1/sessions/{id}`: the doors to a conversation over a WebSocket.

Both speak the same JSON. `/v1/sessions/{id}/{secret}` starts on connect, with the agent the
session was made for; without the secret it asks for a key. `/v1/ws` is opened with a key or a
token, and waits for `session.update` or `session.resume`.
"""

import asyncio
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from nur_server.api import session_webhooks
from nur_server.api.auth import Principal, credential_of
from nur_server.api.door import SessionDoor, come_back, not_live
from nur_server.api.entry import (
    Caller,
    identify_opener,
)
from nur_server.api.errors import as_nur_error, ws_error
from nur_server.api.services import services_of
from nur_server.api.tokens import MAX_SESSION_SECONDS
from nur_server.api.webhook_bodies import WebhookBody
from nur_server.api.wire.realtime import schemas as wire
from nur_server.api.wire.realtime.codec import AudioFrames, RealtimeDialect, decode
from nur_server.api.wire.realtime.options import (
    agent_id_of,
    echo,
    options_of,
    warnings_of,
)
from nur_server.api.wire.realtime.query import read_query
from nur_server.audio.formats import AudioFormat, Encoding
from nur_server.commands import UpdateSession
from nur_server.conversation.events import EndedReason
from nur_server.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NurError,
    PayloadTooLarge,
    Unavailable,
)
from nur_server.opening.plan import (
    SessionPlan,
    plan_for_agent,
    plan_for_client,
    tool_endpoints,
)
from nur_server.opening.prepare import Identity, prepare
from nur_server.options import given
from nur_server.ports import SessionAbout
from nur_server.store.records import (
    AgentStatus,
    SessionFields,
)
from nur_server.transports.client import ClientConnection, ClientLimits

router = APIRouter()
log = structlog.get_logger(__name__)

FIRST_MESSAGE_SECONDS = 10.0
"""Longest wait for `session.update` or `session.resume` on `/v1/ws`."""
REFUSAL_SECONDS = 2.0
"""Longest wait for a client to take the error that its connection is closed with."""
UNKNOWN, EXPIRED = 4404, 4410
"""Close codes of `/v1/sessions/{id}` for an id that is unknown, or not valid any more."""
_ENCODINGS = {"pcm16": Encoding.PCM16, "mulaw": Encoding.MULAW, "alaw": Encoding.ALAW}
_SESSION_CLOSE_CODES = {"session_not_found": UNKNOWN, "session_expired": EXPIRED}


@router.websocket("/sessions/{session_id}")
@router.websocket("/sessions/{session_id}/{secret}")
async def converse(socket: WebSocket, session_id: str, secret: str | None = None) -> None:
    """The conversation of a stored session: begins, or goes on, at once."""
    door = Door(socket)
    await socket.accept()
    try:
        wanted = read_query(socket.query_params, _ENCODINGS)
        dialect = RealtimeDialect(door.clock, wanted.frames, viewer=door)
        connection = door.connection(dialect)
        await door.enter(session_id, secret, wanted.audio, connection)
    except Exception as error:
        await door.refuse(error, _SESSION_CLOSE_CODES)
    else:
        await connection.serve(socket.receive)


@router.websocket("/ws")
async def connect(socket: WebSocket) -> None:
    """A conversation set up by its client's first message."""
    door = Door(socket)
    await socket.accept()
    dialect = RealtimeDialect(
        door.clock, AudioFrames.JSON, takes_binary_audio=False, plain_statuses=True, viewer=door
    )
    try:
        caller = await door.identify()
        first = await door.first_message()
        match first:
            case wire.SessionResume(session_id, resume_token):
                connection = door.connection(dialect)
                await door.resume(session_id, caller.with_proof(resume_token), connection)
            case wire.SessionUpdate(part):
                connection = door.connection(
                    dialect, greeting=lambda about: [dialect.updated(about)]
                )
                await door.open(part, caller, connection)
    except WebSocketDisconnect:
        return
    except Exception as error:
        await door.refuse(error)
    else:
        await connection.serve(socket.receive)


class Door(SessionDoor):
    """What stands between a socket and its session."""

    def __init__(self, socket: WebSocket) -> None:
        super().__init__(socket, services_of(socket))
        self._socket = socket
        self._dialect = RealtimeDialect(self.clock)
        """For what is said before there is a session."""

    def connection(
        self,
        dialect: RealtimeDialect,
        greeting: Callable[[SessionAbout], Sequence[str]] | None = None,
    ) -> ClientConnection:
        limits = ClientLimits(max_frame_bytes=self._server.settings.max_frame_bytes)
        return ClientConnection(self._send, dialect, limits, self.clock, greeting, self.vet)

    # Who is there, and what they want

    async def identify(self) -> Caller:
        """Whose connection it is. Raises `Unauthorized` and `Forbidden`."""
        return await identify_opener(self._server, self._socket.headers, self._socket.query_params)

    async def first_message(self) -> wire.SessionUpdate | wire.SessionResume:
        """The message that says which session it is to be.

        Audio before it is dropped. Raises `Unavailable` (`agent_timeout`) after
        `FIRST_MESSAGE_SECONDS`, `InvalidRequest` for a plan that is refused,
        `PayloadTooLarge`, and `WebSocketDisconnect`.
        """
        try:
            async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
                while True:
                    try:
                        message = decode(await self._receive())
                        if isinstance(message, wire.SessionUpdate | wire.SessionResume):
                            return message
                        if not isinstance(message, wire.InputAudio):
                            raise BadRequest(
                                "expected session.update or session.resume as the first message",
                                code="invalid_format",
                            )
                    except BadRequest as error:
                        await self._socket.send_text(self._told(error))
        except TimeoutError:
            raise Unavailable(
                f"expected session.update within {FIRST_MESSAGE_SECONDS:g} s, got none",
                code="agent_timeout",
            ) from None

    async def _receive(self) -> str | bytes:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        frame: str | bytes = message.get("text") or message.get("bytes") or b""
        if len(frame) > self._server.settings.max_frame_bytes:
            raise PayloadTooLarge(
                f"expected frames of at most {self._server.settings.max_frame_bytes} bytes, got "
                f"{len(frame)}"
            )
        return frame

    # Which session it is

    async def open(
        self, part: wire.SessionPart, caller: Caller, connection: ClientConnection
    ) -> None:
        """A new session, as its client configures it.

        Raises `InvalidRequest`, `NotFound` (`agent_not_found`), `Conflict` for a paused agent,
        `Unavailable` (`at_capacity`), `Unauthorized`.
        """
        server, principal = self._server, caller.account
        self._rights = caller.rights
        self._require_opens(part, principal)
        plan = await self._plan(part, principal.account_id)
        self._require_origin(plan.options)
        prepared = prepare(plan, Identity(principal.account_id, ""), server.catalogue)
        webhook = self._webhook(plan)
        if plan.client_tools:
            tool_endpoints(plan)
        server.live.require_room(principal.account_id, principal.key_id)
        seconds = MAX_SESSION_SECONDS
        most = None
        if principal.token is not None:
            seconds, most = principal.token.max_session_seconds, principal.token.max_live_sessions
            self._redeem()
        record = await server.sessions(principal.account_id).create(
            SessionFields(
                agent_id=prepared.agent_id,
                key_id=principal.key_id,
                token_id=principal.token.token_id if principal.token else None,
                expires_at=server.clock.now() + timedelta(seconds=seconds),
                config={"session": echo(prepared.about), "warnings": list(prepared.warnings)},
            )
        )
        if webhook is not None:
            await session_webhooks.tell(server, record, webhook)
        try:
            await self._start(record, plan, connection, most_of_token=most)
        except Unavailable as error:
            stored = server.sessions(principal.account_id)
            await stored.end(record.id, EndedReason.INTERNAL_ERROR, error_code=error.code)
            raise

    async def resume(self, session_id: str, caller: Caller, connection: ClientConnection) -> None:
        """A live session whose client comes back.

        Raises `NotFound`, `Unauthorized`, `Forbidden`, and `Conflict` (`session_expired`) for one
        that is over.
        """
        session = self._server.live.get(session_id)
        if session is None:
            raise not_live(await self._stored(session_id, caller), session_id)
        self._require_live(session, caller)
        come_back(session, None, connection)

    async def enter(
        self,
        session_id: str,
        secret: str | None,
        audio: AudioFormat | None,
        connection: ClientConnection,
    ) -> None:
        """The stored session with this id, begun unless it is live.

        Raises `NotFound` (`session_not_found`, `agent_not_found`), `Conflict` (`session_expired`),
        `InvalidRequest`, `Unauthorized`, `Forbidden`, and `Unavailable` (`at_capacity`).
        """
        caller = await self.guest(secret)
        await self.enter_as(caller, session_id, audio, connection)

    async def _plan(self, part: wire.SessionPart, account_id: str) -> SessionPlan:
        agent_id = agent_id_of(part)
        if agent_id is None:
            update = UpdateSession(options_of(part), warnings_of(part))
            self._rights.require_configuration(update.options)
            await self._vet_tools(update)
            return plan_for_client(update.options, update.warnings)
        agent = await self._agent(agent_id, account_id)
        if agent.status is AgentStatus.PAUSED:
            raise Conflict(f"expected an active agent, but {agent_id} is paused", param="agent_id")
        return plan_for_agent(agent)

    def _require_opens(self, part: wire.SessionPart, principal: Principal) -> None:
        """A token may name the agents that it opens. Raises `Forbidden`."""
        agent_ids = None if principal.token is None else principal.token.agent_ids
        if agent_ids is not None and agent_id_of(part) not in agent_ids:
            raise Forbidden(
                f"expected one of the agents that this token opens, {', '.join(agent_ids)}, as "
                "the agent_id of the first session.update",
                param="agent_id",
            )

    def _webhook(self, plan: SessionPlan) -> WebhookBody | None:
        """Raises `InvalidRequest`."""
        webhook = given(plan.options.webhook, None)
        if webhook is None:
            return None
        allow_private = self._server.settings.allow_private_urls
        return session_webhooks.read_webhook(webhook, allow_private=allow_private)

    def _redeem(self) -> None:
        """Use up the token where tokens are single-use."""
        header = self._socket.headers.get("authorization")
        self._server.tokens.redeem(self._socket.query_params.get("token") or credential_of(header))

    # Turned away

    async def refuse(self, error: Exception, close_codes: Mapping[str, int] | None = None) -> None:
        """Say why, and close. `close_codes` differ from the usual ones, by the error's code."""
        known = as_nur_error(error)
        if not isinstance(error, NurError):
            log.exception("connection.crashed", exc_info=error)
        code, close_code = ws_error(known)
        close_code = (close_codes or {}).get(code, close_code)
        log.info("connection.refused", code=code, close_code=close_code)
        try:
            async with asyncio.timeout(REFUSAL_SECONDS):
                await self._socket.send_text(self._told(known))
                await self._socket.close(close_code, code)
        except (TimeoutError, WebSocketDisconnect):
            return

    def _told(self, error: NurError) -> str:
        return self._dialect.error(error)

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        try:
            await self._socket.send(message)
        except WebSocketDisconnect as error:
            raise ConnectionError("the client is gone") from error
