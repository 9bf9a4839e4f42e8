"""`/v1/sessions`: conversations to be held, running or over, and their transcripts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AfterValidator

from nur_server.api.auth import Principal, require
from nur_server.api.bodies import SessionBody
from nur_server.api.errors import declared
from nur_server.api.idempotency import ApiRoute
from nur_server.api.objects import (
    AnalysisObject,
    SessionList,
    SessionObject,
    TranscriptObject,
    analysis_object,
    session_object,
    transcript_object,
)
from nur_server.api.paging import WindowOf, envelope, read_moment
from nur_server.api.services import Services, services_of
from nur_server.api.sessions import SessionAccess, access_of, make_session
from nur_server.conversation.events import EndedReason
from nur_server.errors import InvalidRequest
from nur_server.store.calls import (
    session_id_of,
)
from nur_server.store.records import (
    SessionKind,
    SessionRecord,
    SessionStatus,
)

router = APIRouter(tags=["Sessions"], route_class=ApiRoute)

Server = Annotated[Services, Depends(services_of)]
Reader = Annotated[Principal, require("sessions:read")]
Writer = Annotated[Principal, require("sessions:write")]
AgentId = Annotated[str, Path(max_length=200)]
SessionId = Annotated[
    str,
    Path(max_length=200, description="Of the session, or of its call."),
    AfterValidator(session_id_of),
]
CALLS = (SessionKind.OUTBOUND, SessionKind.INBOUND)
Time = Annotated[
    str | None,
    Query(max_length=64, description="ISO 8601, or seconds since the epoch; exclusive."),
]


@router.post(
    "/agents/{agent_id}/sessions",
    status_code=201,
    name="create_session",
    responses=declared(404, 409),
)
async def create(
    agent_id: AgentId,
    request: Request,
    server: Server,
    principal: Writer,
    body: SessionBody | None = None,
) -> SessionObject:
    """Open a session with an agent. Talk to it at `websocket_url`, until `expires_at`."""
    body = body or SessionBody()
    if body.agent_id not in (None, agent_id):
        raise InvalidRequest(
            f"expected the agent of the address, {agent_id}, or none; got {body.agent_id!r}",
            param="agent_id",
        )
    if body.transport == "webrtc":
        server.media.require()
    made = await make_session(server, principal, agent_id, body)
    access = access_of(request, server, made)
    return _shown(made.record, access.websocket_url, access)


@router.get("/agents/{agent_id}/sessions", name="list_agent_sessions", responses=declared(404))
async def list_of_agent(
    agent_id: AgentId,
    window: WindowOf,
    server: Server,
    principal: Reader,
    status: SessionStatus | None = None,
) -> SessionList:
    """An agent's sessions, newest first. Those of a deleted agent are in `GET /v1/sessions`."""
    await server.agents(principal.account_id).get(agent_id)
    page = await server.sessions(principal.account_id).list(
        agent_id=agent_id,
        status=status,
        limit=window.limit,
        offset=window.offset,
        cursor=window.cursor,
    )
    fields = envelope(page, window, _shown)
    return SessionList(**fields, sessions=fields["data"])


@router.get("/sessions", name="list_sessions", responses=declared())
async def list_all(
    window: WindowOf,
    server: Server,
    principal: Reader,
    agent_id: Annotated[str | None, Query(max_length=200)] = None,
    status: SessionStatus | None = None,
    kind: SessionKind | None = None,
    created_after: Time = None,
    created_before: Time = None,
) -> SessionList:
    """The account's sessions, newest first."""
    page = await server.sessions(principal.account_id).list(
        agent_id=agent_id,
        status=status,
        kind=kind,
        created_after=read_moment(created_after, "created_after"),
        created_before=read_moment(created_before, "created_before"),
        limit=window.limit,
        offset=window.offset,
        cursor=window.cursor,
    )
    fields = envelope(page, window, _shown)
    return SessionList(**fields, sessions=fields["data"])


@router.get("/sessions/{session_id}", name="get_session", responses=declared(404))
async def read(session_id: SessionId, server: Server, principal: Reader) -> SessionObject:
    """One session."""
    session = await server.sessions(principal.account_id).get(session_id)
    return _shown(session)


@router.get("/sessions/{session_id}/transcript", name="get_transcript", responses=declared(404))
async def transcript(session_id: SessionId, server: Server, principal: Reader) -> TranscriptObject:
    """What was said and heard so far: every finished turn, also while the session is live."""
    session = await server.sessions(principal.account_id).get(session_id)
    return transcript_object(session, await server.turns(principal.account_id).list(session_id))


@router.get("/sessions/{session_id}/analysis", name="get_analysis", responses=declared(404))
async def analysis(session_id: SessionId, server: Server, principal: Reader) -> AnalysisObject:
    """What came of a conversation that is over, where its agent has `analysis`."""
    return analysis_object(await server.analyses(principal.account_id).get(session_id))


@router.post("/sessions/{session_id}/end", name="end_session", responses=declared(404))
@router.delete("/sessions/{session_id}", name="end_session_by_delete", responses=declared(404))
async def end(session_id: SessionId, server: Server, principal: Writer) -> SessionObject:
    """End a session. One that is over stays as it is. Its record is kept."""
    stored = server.sessions(principal.account_id)
    session = await stored.get(session_id)
    if session.kind in CALLS:
        await server.calls.end(principal.account_id, session_id)
        return _shown(await stored.get(session_id))
    await server.live.end(session_id, EndedReason.CLIENT_ENDED)
    return _shown(await stored.end(session_id, EndedReason.CLIENT_ENDED))


def _shown(
    session: SessionRecord, websocket_url: str | None = None, access: SessionAccess | None = None
) -> SessionObject:
    shown = session_object(session, session.config.get("warnings", ()), websocket_url)
    if access is not None and access.token is not None:
        shown.token = access.token
        shown.livekit_url = access.livekit_url
        shown.room_name = access.room_name
    return shown
