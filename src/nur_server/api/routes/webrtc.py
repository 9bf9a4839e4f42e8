"""`/v1/sessions/{id}/sdp`: a conversation over a plain peer connection.

The client posts its offer and is given the answer, as in WHIP (RFC 9725). Its audio and the agent's
are media; all else are the messages of the WebSocket, over the first data channel that it opens.
"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from nur_server.api.door import SessionDoor
from nur_server.api.errors import declared
from nur_server.api.services import Services, services_of
from nur_server.api.wire.realtime.codec import AudioFrames, RealtimeDialect
from nur_server.conversation.events import EndedReason
from nur_server.errors import BadRequest
from nur_server.store.records import SessionKind
from nur_server.transports.client import ClientLimits
from nur_server.transports.webrtc.connection import MediaConnection
from nur_server.transports.webrtc.sdp import check_offer, sections, with_candidates

router = APIRouter(tags=["Sessions"])

Server = Annotated[Services, Depends(services_of)]
SessionId = Annotated[str, Path(max_length=200)]
_SDP = {"type": "string", "description": "An SDP offer of a peer connection."}
SECURITY: dict[str, Any] = {"security": [{"ApiKey": []}]}
OFFER: dict[str, Any] = {
    **SECURITY,
    "requestBody": {
        "required": True,
        "content": {
            "application/sdp": {"schema": _SDP},
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["sdp"],
                    "properties": {
                        "type": {"type": "string", "enum": ["offer"]},
                        "sdp": _SDP,
                    },
                }
            },
        },
    },
}


@router.post(
    "/sessions/{session_id}/sdp",
    status_code=201,
    name="offer_media",
    response_model=None,
    responses={
        **declared(404, 409, 501),
        201: {
            "description": "The answer, in the form of the offer.",
            "content": {"application/sdp": {"schema": {"type": "string"}}},
        },
    },
    openapi_extra=OFFER,
)
async def offer(session_id: SessionId, request: Request, server: Server) -> Response:
    """Talk to a session over WebRTC: the answer to the SDP offer in the body.

    `Authorization` carries the secret of the session's `websocket_url`, its `resume_token`, or a
    key. The session begins once the media is connected. An offer for a session that is live takes
    it over, which is how a page that was loaded again comes back.
    """
    server.media.require()
    body = await request.body()
    is_json = body.lstrip()[:1] == b"{"
    door = SessionDoor(request, server, SessionKind.WEBRTC)
    caller = await door.guest()
    await door.check(caller, session_id)
    sdp = _read_offer(body) if is_json else body.decode("utf-8", "replace")
    check_offer(sdp)
    dialect = RealtimeDialect(server.clock, AudioFrames.JSON, takes_binary_audio=False, viewer=door)
    limits = ClientLimits(max_frame_bytes=server.settings.max_frame_bytes)
    connection = MediaConnection(dialect, limits, server.clock, vet=door.vet)
    with server.media.answering(session_id) as engine:
        try:
            peer = await connection.open(engine)
            answer = with_candidates(await peer.answer(sdp), await peer.candidates())
        except BaseException:
            await connection.shut()
            raise

    async def enter() -> None:
        await door.enter_as(caller, session_id, None, connection)

    has_channel = any(section.kind == "application" for section in sections(sdp))
    server.media.begin(session_id, connection, enter, has_channel=has_channel)
    headers = {"Location": request.url.path}
    if is_json:
        content = {"type": "answer", "sdp": answer, "session_id": session_id}
        return JSONResponse(content, 201, headers)
    return PlainTextResponse(answer, 201, headers, "application/sdp")


@router.delete(
    "/sessions/{session_id}/sdp",
    name="end_media",
    response_model=None,
    responses={**declared(404, 409, 501), 200: {"description": "It has ended."}},
    openapi_extra=SECURITY,
)
async def end(session_id: SessionId, request: Request, server: Server) -> Response:
    """Hang up: end the session, as WHIP has it. `Authorization` as for the offer."""
    door = SessionDoor(request, server)
    await door.check(await door.guest(), session_id)
    await server.live.end(session_id, EndedReason.CLIENT_ENDED)
    return JSONResponse({"session_id": session_id, "status": "ended"})


def _read_offer(body: bytes) -> str:
    """Raises `BadRequest`."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"expected an SDP offer, or JSON with one: {error}") from None
    sdp = read.get("sdp") if isinstance(read, dict) else None
    if not isinstance(sdp, str) or read.get("type", "offer") != "offer":
        raise BadRequest(
            'expected {"type": "offer", "sdp": "v=0…"}, got JSON without such an offer',
            param="sdp",
        )
    return sdp
