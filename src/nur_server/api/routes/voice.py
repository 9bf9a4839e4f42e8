"""`/voice`: calls and conversations of every kind, in the words of calls.

The id of a session and that of its call name the same conversation everywhere.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from nur_server.api import calls
from nur_server.api.auth import Principal, require
from nur_server.api.bodies import SessionBody, VoiceStartBody
from nur_server.api.call_bodies import DialBody
from nur_server.api.call_objects import (
    StartedVoice,
    VoiceSession,
    VoiceSessionDetails,
    VoiceSessionList,
    VoiceStatus,
    VoiceTranscript,
    voice_details,
    voice_session,
    voice_status,
    voice_transcript,
)
from nur_server.api.errors import declared
from nur_server.api.idempotency import ApiRoute
from nur_server.api.paging import WindowOf, envelope, read_moment
from nur_server.api.services import Services, services_of
from nur_server.api.sessions import access_of, make_session
from nur_server.clock import iso
from nur_server.conversation.events import EndedReason
from nur_server.store.call_records import (
    CallStatus,
)
from nur_server.store.voice import VoiceRecord, VoiceSessions

router = APIRouter(prefix="/voice", tags=["Voice"], route_class=ApiRoute)
widget = APIRouter(prefix="/widget", tags=["Voice"], route_class=ApiRoute)
"""What stands under `/v1`."""
widget_sessions = APIRouter(prefix="/voice", tags=["Voice"], route_class=ApiRoute)
"""So does this: the address of sessions in browser SDKs."""

Server = Annotated[Services, Depends(services_of)]
Caller = Annotated[Principal, require("calls:write", group="voice-dial")]
Writer = Annotated[Principal, require("calls:write", group="voice-session")]
Watcher = Annotated[Principal, require("calls:read", group="voice-status")]
Lister = Annotated[Principal, require("calls:read", group="voice-list")]
Reader = Annotated[Principal, require("calls:read", group="voice-status")]
SessionId = Annotated[str, Path(max_length=200)]
Time = Annotated[
    str | None,
    Query(
        max_length=64, description="ISO 8601, or seconds since the epoch; inclusive, a day in full."
    ),
]


@router.post("/outbound/dial", status_code=201, name="dial", responses=declared(404, 409))
async def dial(body: DialBody, server: Server, principal: Caller) -> VoiceSession:
    """Have an agent call somebody, now or at `scheduled_at`."""
    call = await calls.dial(server, principal.account_id, body.agent_id, body.numbers, body)
    return voice_session(await _read(server, principal, call.id), server.clock)


@router.post("/start", status_code=201, name="start_voice", responses=declared(404, 409, 501))
async def start(
    body: VoiceStartBody, request: Request, server: Server, principal: Writer
) -> StartedVoice:
    """Begin a conversation in a browser: what its page connects with. Show it to nobody else."""
    return await _start(body, request, server, principal)


@widget_sessions.post(
    "/session", status_code=201, name="create_voice_session", responses=declared(404, 409, 501)
)
async def start_of_page(
    body: VoiceStartBody, request: Request, server: Server, principal: Writer
) -> StartedVoice:
    """The same as `POST /voice/start`, at the address that browser SDKs use."""
    return await _start(body, request, server, principal)


@widget_sessions.post(
    "/session/{session_id}/end", name="end_session_of_page", responses=declared(404)
)
async def end_of_page(session_id: SessionId, server: Server, principal: Writer) -> VoiceStatus:
    """The same as `POST /voice/end/{session_id}`."""
    return await _end(server, principal, session_id)


async def _start(
    body: VoiceStartBody, request: Request, server: Services, principal: Principal
) -> StartedVoice:
    server.media.require()
    asked = SessionBody(
        metadata=body.metadata,
        context=body.context,
        initial_message=body.first_message,
        recording=body.recording,
        transport="webrtc",
    )
    warnings = tuple(
        f"{name} has no effect on this server: the agent's own engines are used"
        for name in ("stt_provider", "tts_provider")
        if getattr(body, name) is not None
    )
    made = await make_session(server, principal, body.agent_id, asked, body.overrides, warnings)
    access, record = access_of(request, server, made), made.record
    return StartedVoice(
        session_id=record.id,
        agent_id=body.agent_id,
        token=access.token or "",
        livekit_url=access.livekit_url or "",
        room_name=record.id,
        websocket_url=access.websocket_url,
        created_at=iso(record.created_at),
        expires_at=iso(record.expires_at),
        expires_in=server.settings.session_ttl_seconds,
        warnings=list(record.config.get("warnings", ())),
    )


@router.get("/status/{session_id}", name="get_voice_status", responses=declared(404))
async def status(session_id: SessionId, server: Server, principal: Watcher) -> VoiceStatus:
    """How far a conversation got."""
    return voice_status(await _read(server, principal, session_id), server.clock)


@router.get("/sessions", name="list_voice_sessions", responses=declared())
async def list_all(
    window: WindowOf,
    request: Request,
    server: Server,
    principal: Lister,
    agent_id: Annotated[str | None, Query(max_length=200)] = None,
    status: CallStatus | None = None,
    start_date: Time = None,
    end_date: Time = None,
) -> VoiceSessionList:
    """Conversations of every kind, newest first."""
    page = await _voice(server, principal).list(
        agent_id=agent_id,
        status=status,
        start=read_moment(start_date, "start_date"),
        end=read_moment(end_date, "end_date", is_end=True),
        limit=window.limit,
        offset=window.offset,
        cursor=window.cursor,
    )
    ids = [record.session_id for record in page.items]
    found = await calls.recordings(request, server, principal.account_id, ids)
    fields = envelope(
        page,
        window,
        lambda record: voice_session(record, server.clock, found.get(record.session_id)),
    )
    return VoiceSessionList(**fields, sessions=fields["data"])


@router.get("/sessions/{session_id}", name="get_voice_session", responses=declared(404))
async def details(
    session_id: SessionId, request: Request, server: Server, principal: Reader
) -> VoiceSessionDetails:
    """One conversation, and what was said in it so far."""
    record = await _read(server, principal, session_id)
    turns = await server.turns(principal.account_id).list(record.session_id)
    ids = [record.session_id]
    found = await calls.recordings(request, server, principal.account_id, ids)
    return voice_details(record, turns, server.clock, found.get(record.session_id))


@router.post("/end/{session_id}", name="end_voice_session", responses=declared(404))
async def end(session_id: SessionId, server: Server, principal: Writer) -> VoiceStatus:
    """Hang up, or cancel what has not begun. A conversation that is over stays as it is."""
    return await _end(server, principal, session_id)


async def _end(server: Services, principal: Principal, session_id: str) -> VoiceStatus:
    record = await _read(server, principal, session_id)
    if record.call is not None:
        await server.calls.end(principal.account_id, record.call.id)
    else:
        await server.live.end(record.session_id, EndedReason.CLIENT_ENDED)
        stored = server.sessions(principal.account_id)
        await stored.end(record.session_id, EndedReason.CLIENT_ENDED)
    return voice_status(await _read(server, principal, session_id), server.clock)


@widget.get("/transcript/{session_id}", name="get_voice_transcript", responses=declared(404))
async def transcript(session_id: SessionId, server: Server, principal: Reader) -> VoiceTranscript:
    """What was said and heard so far."""
    record = await _read(server, principal, session_id)
    turns = await server.turns(principal.account_id).list(record.session_id)
    return voice_transcript(record, turns)


def _voice(server: Services, principal: Principal) -> VoiceSessions:
    return VoiceSessions(server.database, principal.account_id)


async def _read(server: Services, principal: Principal, id: str) -> VoiceRecord:
    return await _voice(server, principal).get(id)
