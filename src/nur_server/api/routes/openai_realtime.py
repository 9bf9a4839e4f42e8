"""`/v1/realtime`: the door for clients of OpenAI's Realtime protocol, over a WebSocket.

A session begins with the connection and ends with it. Its `model` names a stored agent; any other
name is the agent of the setting `realtime_agent`, or a configuration of the client's own.
"""

import asyncio
from collections.abc import MutableMapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from nur_server.agents.stored import shown_fields
from nur_server.api.door import SessionDoor
from nur_server.api.entry import Caller, identify_opener
from nur_server.api.errors import as_nur_error, error_response, ws_error
from nur_server.api.services import services_of
from nur_server.api.tokens import MAX_SESSION_SECONDS
from nur_server.api.wire.openai.codec import OpenAIDialect
from nur_server.api.wire.openai.options import Extras, shown
from nur_server.conversation.events import EndedReason
from nur_server.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    NurError,
    Unavailable,
)
from nur_server.ids import AGENT
from nur_server.opening.plan import SessionPlan, plan_for_agent, plan_for_client
from nur_server.opening.prepare import Identity, prepare
from nur_server.options import UNSET, ModelOptions, SessionOptions, given
from nur_server.ports import SessionAbout
from nur_server.store.records import AgentRecord, AgentStatus, SessionFields, SessionKind
from nur_server.transports.client import ClientConnection, ClientLimits

router = APIRouter()
log = structlog.get_logger(__name__)

SUBPROTOCOL = "realtime"
KEY_IN_SUBPROTOCOL = "openai-insecure-api-key."
"""Browsers send no headers with a socket: the key is in the name of a subprotocol."""
REFUSAL_SECONDS = 2.0
"""Longest wait for a client to take the error that its connection is closed with."""
MAX_NAME = 200
"""Of a model, in characters."""


@router.websocket("/realtime")
async def converse(socket: WebSocket) -> None:
    """A conversation that its client configures as it goes."""
    door = OpenAIDoor(socket)
    try:
        caller = await door.identify()
    except NurError as error:
        await door.turn_away(error)
        return
    await door.accept()
    try:
        connection = await door.open(caller)
    except Exception as error:
        await door.refuse(error)
    else:
        await connection.serve(socket.receive)


class OpenAIDoor(SessionDoor):
    """What stands between a socket of this protocol and its session."""

    def __init__(self, socket: WebSocket) -> None:
        super().__init__(socket, services_of(socket), SessionKind.WEBSOCKET)
        self._socket = socket
        self._offered = [
            name.strip() for name in socket.headers.get("sec-websocket-protocol", "").split(",")
        ]
        self._model = socket.query_params.get("model", "")[:MAX_NAME]

    # Who is there

    async def identify(self) -> Caller:
        """Whose connection it is. Raises `Unauthorized` and `Forbidden`."""
        headers = dict(self._socket.headers)
        key = self._key_in_subprotocol()
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        return await identify_opener(self._server, headers, self._socket.query_params)

    def _key_in_subprotocol(self) -> str | None:
        named = (name for name in self._offered if name.startswith(KEY_IN_SUBPROTOCOL))
        name = next(named, None)
        return None if name is None else name.removeprefix(KEY_IN_SUBPROTOCOL)

    async def accept(self) -> None:
        chosen = SUBPROTOCOL if SUBPROTOCOL in self._offered else None
        await self._socket.accept(subprotocol=chosen)

    # Which session it is

    async def open(self, caller: Caller) -> ClientConnection:
        """A new session, and the connection to serve.

        Raises `InvalidRequest`, `Conflict` for a paused agent, `Forbidden`, `Unauthorized`, and
        `Unavailable` (`at_capacity`).
        """
        server, principal = self._server, caller.account
        self._rights = caller.rights
        extras = Extras(model=self._model)
        plan = await self._plan(principal.account_id)
        self._require_opens(caller, plan)
        self._require_origin(plan.options)
        prepared = prepare(plan, Identity(principal.account_id, ""), server.catalogue)
        server.live.require_room(principal.account_id, principal.key_id)
        seconds, most = MAX_SESSION_SECONDS, None
        if principal.token is not None:
            seconds, most = principal.token.max_session_seconds, principal.token.max_live_sessions
        session = shown(prepared.about.options, extras)
        about_agent = {"agent": shown_fields(plan.agent)} if plan.agent else {"session": session}
        record = await server.sessions(principal.account_id).create(
            SessionFields(
                agent_id=prepared.agent_id,
                key_id=principal.key_id,
                token_id=principal.token.token_id if principal.token else None,
                expires_at=server.clock.now() + timedelta(seconds=seconds),
                config={**about_agent, "warnings": list(prepared.warnings)},
            )
        )
        dialect = OpenAIDialect(extras, viewer=self)
        limits = ClientLimits(server.settings.max_frame_bytes, can_resume=False)
        connection = ClientConnection(self._send, dialect, limits, self.clock, vet=self.vet)
        try:
            await self._start(record, plan, connection, most_of_token=most)
        except Unavailable as error:
            stored = server.sessions(principal.account_id)
            await stored.end(record.id, EndedReason.INTERNAL_ERROR, error_code=error.code)
            raise
        return connection

    async def _plan(self, account_id: str) -> SessionPlan:
        """The agent that the model names, the default one, or a configuration to come."""
        agent = await self._agent_named(self._model, account_id)
        if agent is None and self._server.settings.realtime_agent:
            agent = await self._agent_named(self._server.settings.realtime_agent, account_id)
        if agent is None:
            models = ModelOptions(llm_model=self._known_llm())
            plan = plan_for_client(SessionOptions(tool_filler="", max_turns=None, models=models))
        elif agent.status is AgentStatus.PAUSED:
            raise Conflict(
                f"expected an active agent, but {agent.id} is paused", code="agent_paused"
            )
        else:
            plan = plan_for_agent(agent)
        return replace(plan, is_open=True)

    async def _agent_named(self, name: str, account_id: str) -> AgentRecord | None:
        agents = self._server.agents(account_id)
        if name.startswith(f"{AGENT}_"):
            try:
                return await agents.get(name)
            except NotFound:
                return None
        return await agents.named(name) if name else None

    def _known_llm(self) -> Any:
        """The language model that is meant, where there is one of this name."""
        known = {model.id for model in self._server.catalogue.models() if model.kind == "llm"}
        return self._model if self._model in known else UNSET

    def _require_opens(self, caller: Caller, plan: SessionPlan) -> None:
        """A token may name the agents that it opens. Raises `Forbidden`."""
        token = caller.account.token
        agent_ids = None if token is None else token.agent_ids
        if agent_ids is not None and (plan.agent is None or plan.agent.id not in agent_ids):
            raise Forbidden(
                f"expected one of the agents that this token opens, {', '.join(agent_ids)}, as the "
                "model",
                param="model",
            )

    def permitted(self, options: SessionOptions, about: SessionAbout) -> SessionOptions:
        """What of these options the client may set, and this server has."""
        voice = given(options.output.voice_id, None)
        if voice is not None:
            try:
                self._server.catalogue.voice(voice)
            except InvalidRequest:
                options = replace(options, output=replace(options.output, voice_id=UNSET))
        return self._rights.permitted(options, about)

    # Turned away

    async def turn_away(self, error: NurError) -> None:
        """Before the connection: the answer to its request, which pages cannot read."""
        if self._key_in_subprotocol() is not None:
            await self.accept()
            await self.refuse(error)
            return
        log.info("connection.refused", code=error.code)
        request_id = self._socket.scope["nur.request_id"]
        await self._socket.send_denial_response(error_response(error, request_id))

    async def refuse(self, error: Exception) -> None:
        """Say why, and close."""
        known = as_nur_error(error)
        if not isinstance(error, NurError):
            log.exception("connection.crashed", exc_info=error)
        _, close_code = ws_error(known)
        log.info("connection.refused", code=known.code, close_code=close_code)
        try:
            async with asyncio.timeout(REFUSAL_SECONDS):
                await self._socket.send_text(OpenAIDialect().error(known))
                await self._socket.close(close_code, known.code[:120])
        except (TimeoutError, WebSocketDisconnect):
            return

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        try:
            await self._socket.send(message)
        except WebSocketDisconnect as error:
            raise ConnectionError("the client is gone") from error
