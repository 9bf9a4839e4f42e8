"""Recordings of sessions: what there is, links to hear it, and the audio behind them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from nur_server.api.auth import Principal, require
from nur_server.api.errors import declared
from nur_server.api.idempotency import ApiRoute
from nur_server.api.public_url import public_base
from nur_server.api.recordings import RecordingObject, as_session_id, recording_object
from nur_server.api.services import Services, services_of
from nur_server.audio.encode import RecordingFormat
from nur_server.errors import NotFound
from nur_server.store.recordings import (
    RecordingRecord,
    Recordings,
    ensure_format,
    find_recording,
)

router = APIRouter(tags=["Recordings"], route_class=ApiRoute)
voice = APIRouter(prefix="/voice", tags=["Voice"], route_class=ApiRoute)
"""What stands beside `/v1`."""
links = APIRouter()
"""Opened with a signed link instead of a key."""

Server = Annotated[Services, Depends(services_of)]
Reader = Annotated[Principal, require("sessions:read")]
Writer = Annotated[Principal, require("sessions:write")]
CallReader = Annotated[Principal, require("calls:read")]
RecordingId = Annotated[str, Path(max_length=200)]
SessionId = Annotated[str, Path(max_length=200)]
Format = Annotated[
    RecordingFormat,
    Query(description="Of the audio at `url`. What is not kept is made when it is first heard."),
]


@router.get(
    "/sessions/{session_id}/recording", name="get_session_recording", responses=declared(404)
)
async def of_session(
    session_id: SessionId,
    request: Request,
    server: Server,
    principal: Reader,
    format: Format = RecordingFormat.FLAC,
) -> RecordingObject:
    """A session's recording, with a link to hear it. A call's id names its session."""
    record = await _stored(server, principal).of_session(as_session_id(session_id))
    return _shown(request, server, record, format)


@router.get("/recordings/{recording_id}", name="get_recording", responses=declared(404))
async def read(
    recording_id: RecordingId,
    request: Request,
    server: Server,
    principal: Reader,
    format: Format = RecordingFormat.FLAC,
) -> RecordingObject:
    """A recording, with a link to hear it."""
    record = await _stored(server, principal).get(recording_id)
    return _shown(request, server, record, format)


@voice.get("/recording/{recording_id}", name="get_voice_recording", responses=declared(404))
async def read_of_call(
    recording_id: RecordingId,
    request: Request,
    server: Server,
    principal: CallReader,
    format: Format = RecordingFormat.FLAC,
) -> RecordingObject:
    """A recording, with a link to hear it."""
    record = await _stored(server, principal).get(recording_id)
    return _shown(request, server, record, format)


@router.delete("/recordings/{recording_id}", name="delete_recording", responses=declared(404, 409))
async def delete(
    recording_id: RecordingId, request: Request, server: Server, principal: Writer
) -> RecordingObject:
    """Delete the audio for good. The record of it stays."""
    record = await _stored(server, principal).delete(recording_id)
    return _shown(request, server, record, RecordingFormat.FLAC)


@links.get("/recordings/{recording_id}/audio", name="recording_audio", include_in_schema=False)
async def audio(
    recording_id: RecordingId,
    server: Server,
    format: RecordingFormat,
    expires: int,
    signature: Annotated[str, Query(max_length=200)],
) -> Response:
    """The audio, whole or the `Range` that is asked for."""
    server.recording_links.check(recording_id, format, expires, signature)
    record = await find_recording(server.database, recording_id)
    if not record.can_be_heard:
        raise NotFound("this recording is not kept any more", code="recording_gone")
    key = await ensure_format(server.blobs, record, format)
    address = server.blobs.address(key, max(1, expires - int(server.clock.now().timestamp())))
    if address is not None:
        return RedirectResponse(address)
    async with server.blobs.local(key) as path:
        return FileResponse(
            path,
            media_type=format.media_type,
            filename=f"{recording_id}.{format.suffix}",
            content_disposition_type="inline",
        )


def _stored(server: Services, principal: Principal) -> Recordings:
    return server.recordings(principal.account_id)


def _shown(
    request: Request, server: Services, record: RecordingRecord, wanted: RecordingFormat
) -> RecordingObject:
    base = public_base(request, server.settings)
    return recording_object(record, wanted, server.recording_links, base)
