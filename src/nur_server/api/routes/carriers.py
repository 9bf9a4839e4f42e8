"""Where phone carriers report, and bring the audio of calls. For carriers alone: not documented.

`app.state.carrier_engine` is the engine; without one, or for another carrier, all is 404.
"""

from collections.abc import MutableMapping
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response, WebSocket
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect

from nur_server.errors import NotFound, NurError
from nur_server.transports.carriers.adapter import CarrierEngine
from nur_server.transports.carriers.carrier import Webhook

router = APIRouter(prefix="/carriers/{carrier}", include_in_schema=False)
log = structlog.get_logger(__name__)


def engine_of(connection: HTTPConnection, carrier: str) -> CarrierEngine:
    """Raises `NotFound` unless this server has that carrier."""
    engine = getattr(connection.app.state, "carrier_engine", None)
    if not isinstance(engine, CarrierEngine) or engine.name != carrier:
        raise NotFound("no such carrier is configured here; set NUR_CARRIER")
    return engine


@router.api_route("/inbound", methods=["GET", "POST"], name="carrier_inbound")
async def inbound(carrier: str, request: Request) -> Response:
    """Somebody calls one of our numbers."""
    return await _report(carrier, request, None)


@router.api_route("/calls/{call_id}", methods=["GET", "POST"], name="carrier_report")
async def report(carrier: str, call_id: str, request: Request) -> Response:
    """How a call that was placed goes."""
    return await _report(carrier, request, call_id)


@router.websocket("/media/{token}")
async def media(socket: WebSocket, carrier: str, token: str) -> None:
    """The audio of a call, both ways."""
    try:
        engine = engine_of(socket, carrier)
        url = engine.stream_url(token)
        call_id = engine.admit(token, url, dict(socket.headers))
    except NurError as error:
        log.warning("carrier.stream_refused", carrier=carrier, code=error.code)
        await socket.close()
        return
    await socket.accept()

    async def send(message: MutableMapping[str, Any]) -> None:
        try:
            await socket.send(message)
        except WebSocketDisconnect as error:
            raise ConnectionError("the carrier is gone") from error

    await engine.serve(call_id, socket.receive, send)


async def _report(carrier: str, request: Request, call_id: str | None) -> Response:
    engine = engine_of(request, carrier)
    webhook = Webhook(
        method=request.method,
        url=engine.public_url(request.url.path, request.url.query),
        headers=dict(request.headers),
        body=await request.body(),
    )
    reply = await engine.report(webhook, call_id)
    return Response(reply.body, media_type=reply.media_type)
