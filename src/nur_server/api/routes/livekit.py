"""`/rtc`: clients of LiveKit talk to an agent as to a participant of their room.

This server speaks the client protocol of LiveKit for rooms of two, the client and the agent. It is
no LiveKit server: there is no room service, no video, no third participant.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import APIRouter, Request, Response, WebSocket
from fastapi.responses import PlainTextResponse
from starlette.websockets import WebSocketDisconnect

from nur_server.api.door import SessionDoor
from nur_server.api.entry import Caller
from nur_server.api.errors import as_nur_error
from nur_server.api.media_tokens import MediaClaims
from nur_server.api.services import Services, services_of
from nur_server.errors import Forbidden, NurError, Unauthorized
from nur_server.store.records import SessionKind
from nur_server.transports.client import ClientLimits
from nur_server.transports.webrtc.connection import MediaConnection
from nur_server.transports.webrtc.split import SplitPeer

if TYPE_CHECKING:
    from livekit.protocol import rtc

    from nur_server.api.wire.livekit.signalling import Signalling

router = APIRouter()
log = structlog.get_logger(__name__)

MAX_FRAME_BYTES = 262_144
"""Of one message of the signalling: an offer is the largest."""
CHANNEL = "_reliable"
LEAVE_SECONDS = 2.0
"""For the last messages of the signalling to leave."""
OPEN_CORS = {"Access-Control-Allow-Origin": "*"}
"""Pages anywhere ask `validate` why their WebSocket was refused."""


@router.get("/rtc/validate", include_in_schema=False)
@router.get("/rtc/v1/validate", include_in_schema=False)
async def validate(request: Request) -> Response:
    """Whether the token would open its room, and why not."""
    server = services_of(request)
    try:
        server.media.require()
        claims = claims_of(server, request.headers, request.query_params)
        door = SessionDoor(request, server, SessionKind.WEBRTC)
        await door.check(Caller(proofs=(claims.secret,)), claims.session_id)
    except Exception as error:
        known = as_nur_error(error)
        return PlainTextResponse(known.message, _status(known), OPEN_CORS)
    return PlainTextResponse("success", headers=OPEN_CORS)


@router.websocket("/rtc")
async def join_split(socket: WebSocket) -> None:
    """Two peer connections: the client's audio on one, the agent's on the other."""
    await _converse(socket, is_single=False)


@router.websocket("/rtc/v1")
async def join_single(socket: WebSocket) -> None:
    """One peer connection; its offer comes with the request to join."""
    await _converse(socket, is_single=True)


def claims_of(
    server: Services, headers: Mapping[str, str], query: Mapping[str, str]
) -> MediaClaims:
    """Of the token in the address or the header. Raises `Unauthorized`, and `Forbidden` for
    another room than the token's."""
    token = query.get("access_token") or headers.get("authorization", "").removeprefix("Bearer ")
    if not token:
        raise Unauthorized(
            "expected the token of POST /voice/start as access_token, got none",
            code="invalid_token",
        )
    claims = server.media_tokens.verify(token)
    room = query.get("room")
    if room and room != claims.session_id:
        raise Forbidden(f"expected the room of the token, {claims.session_id}, got {room[:64]!r}")
    return claims


def _status(error: NurError) -> int:
    """404 would make clients try the older protocol: it is not what is wrong."""
    return 410 if error.status == 404 else error.status


async def _converse(socket: WebSocket, *, is_single: bool) -> None:
    server = services_of(socket)
    try:
        server.media.require()
        from nur_server.api.wire.livekit.join import read_join

        claims = claims_of(server, socket.headers, socket.query_params)
        asked = read_join(socket.query_params.get("join_request", "")) if is_single else None
        door = LiveKitDoor(socket, server, claims)
        await door.check(door.caller, claims.session_id)
    except Exception as error:
        known = as_nur_error(error)
        if not isinstance(error, NurError):
            log.exception("connection.crashed", exc_info=error)
        log.info("connection.refused", code=known.code, message=known.message)
        await socket.send_denial_response(
            PlainTextResponse(known.message, _status(known), OPEN_CORS)
        )
        return
    await socket.accept()
    wants_resume = socket.query_params.get("reconnect") == "1" or bool(asked and asked.reconnect)
    if wants_resume:
        await _send_anew(socket)
    else:
        await door.serve(asked)


async def _send_anew(socket: WebSocket) -> None:
    """A client that would go on with its old peer connection is told to make a new one: the
    conversation is the same."""
    from livekit.protocol import models, rtc

    leave = rtc.LeaveRequest(
        reason=models.DisconnectReason.STATE_MISMATCH, action=rtc.LeaveRequest.RECONNECT
    )
    with suppress(WebSocketDisconnect, OSError, RuntimeError, TimeoutError):
        async with asyncio.timeout(LEAVE_SECONDS):
            await socket.send_bytes(rtc.SignalResponse(leave=leave).SerializeToString())
            await socket.close()


class LiveKitDoor(SessionDoor):
    """Between a client's signalling and its session."""

    def __init__(self, socket: WebSocket, server: Services, claims: MediaClaims) -> None:
        super().__init__(socket, server, SessionKind.WEBRTC)
        self._socket = socket
        self._claims = claims
        self.caller = Caller(proofs=(claims.secret,))

    async def serve(self, asked: "rtc.JoinRequest | None") -> None:
        """Until the client leaves or is told to. `asked` None: it is a client of two
        connections."""
        from nur_server.api.wire.livekit.packets import LiveKitDialect
        from nur_server.api.wire.livekit.room import Room
        from nur_server.api.wire.livekit.signalling import Signalling

        server, claims = self._server, self._claims
        room = Room(claims.session_id, claims.identity, claims.name, self.clock.now().timestamp())
        signalling = Signalling(room, self.clock, is_single=asked is not None)
        dialect = LiveKitDialect(
            room, self.clock, signalling.agent_changed, lambda packet: connection.post(packet)
        )
        limits = ClientLimits(max_frame_bytes=server.settings.max_frame_bytes)
        connection = MediaConnection(
            dialect,
            limits,
            self.clock,
            vet=self.vet,
            channel_label=CHANNEL,
            messages=signalling,
        )
        writing = asyncio.create_task(self._write(signalling), name="signalling")
        try:
            await self._join(signalling, connection, asked)
            await self._read(signalling)
        except (WebSocketDisconnect, OSError):
            pass
        except Exception as error:
            known = as_nur_error(error)
            if not isinstance(error, NurError):
                log.exception("signalling.crashed", exc_info=error)
            self._refuse(signalling, known)
        finally:
            await self._part(signalling, connection, writing)

    async def _join(
        self,
        signalling: "Signalling",
        connection: MediaConnection,
        asked: "rtc.JoinRequest | None",
    ) -> None:
        from livekit.protocol import rtc

        server, session_id = self._server, self._claims.session_id
        with server.media.answering(session_id) as engine:
            if asked is not None:
                peer: Any = await connection.open(engine)
            else:
                peer = await SplitPeer.connect(engine, connection.events)
                connection.use(peer)
        signalling.use(peer)

        async def enter() -> None:
            await self.enter_as(self.caller, session_id, None, connection)
            signalling.subscribed()

        task = server.media.begin(session_id, connection, enter, has_channel=True)
        task.add_done_callback(lambda done: signalling.media_ended(connection.was_connected))
        servers = server.media.settings.ice_servers
        joined = signalling.room.join(servers, is_single=asked is not None)
        signalling.send(rtc.SignalResponse(join=joined))
        if asked is None:
            await signalling.offer_voice()
            return
        for track in asked.add_track_requests:
            signalling.add_track(track)
        if asked.publisher_offer.sdp:
            await signalling.take_offer(asked.publisher_offer)

    async def _read(self, signalling: "Signalling") -> None:
        """Raises `WebSocketDisconnect` once the client is gone."""
        closing = asyncio.create_task(signalling.is_closing.wait())
        try:
            while not signalling.is_closing.is_set():
                taking = asyncio.create_task(self._socket.receive())
                await asyncio.wait({taking, closing}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    taking.cancel()
                    return
                message = taking.result()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message.get("code", 1005))
                frame = message.get("text") or message.get("bytes") or b""
                if len(frame) > MAX_FRAME_BYTES:
                    log.info("signalling.too_large", size=len(frame))
                    return
                try:
                    await signalling.handle(signalling.decode(frame))
                except NurError as error:
                    signalling.refuse(error)
        finally:
            closing.cancel()

    async def _write(self, signalling: "Signalling") -> None:
        try:
            await signalling.write(self._socket.send_bytes)
        except (WebSocketDisconnect, OSError, RuntimeError, TimeoutError):
            signalling.is_closing.set()

    def _refuse(self, signalling: "Signalling", error: NurError) -> None:
        from livekit.protocol import models

        signalling.refuse(error)
        signalling.leave(models.DisconnectReason.JOIN_FAILURE)

    async def _part(
        self,
        signalling: "Signalling",
        connection: MediaConnection,
        writing: "asyncio.Task[None]",
    ) -> None:
        """The signalling is over. Its media goes on where the client did not leave: it may be
        back in a moment, over another connection."""
        if signalling.has_left:
            connection.lose()
        else:
            seconds = self._server.settings.resume_seconds
            asyncio.get_running_loop().call_later(seconds, connection.lose)
        signalling.is_closing.set()
        await asyncio.wait({writing}, timeout=LEAVE_SECONDS)
        writing.cancel()
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._socket.close()
        except (WebSocketDisconnect, OSError, RuntimeError, TimeoutError):
            return
