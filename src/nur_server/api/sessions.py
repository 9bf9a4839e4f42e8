"""Making a session, and what its client is given to come to it with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import HTTPConnection

from nur_server.agents.stored import shown_fields
from nur_server.api import agents
from nur_server.api.auth import Principal
from nur_server.api.bodies import SessionBody
from nur_server.api.public_url import websocket_base
from nur_server.api.services import Services
from nur_server.errors import Conflict
from nur_server.opening.plan import language_tag
from nur_server.store.records import AgentStatus, SessionFields, SessionKind, SessionRecord
from nur_server.store.secrets import SESSION_PREFIX, hash_of, new_secret


@dataclass(frozen=True, slots=True)
class MadeSession:
    """A session that nobody has begun, and the secret that opens it: it is shown once."""

    record: SessionRecord
    secret: str


@dataclass(frozen=True, slots=True)
class SessionAccess:
    """Where a client comes to its session."""

    websocket_url: str
    token: str | None
    """Of clients of LiveKit. None: the session is for a WebSocket."""
    livekit_url: str | None
    room_name: str | None


async def make_session(
    server: Services,
    principal: Principal,
    agent_id: str,
    body: SessionBody,
    overrides: Mapping[str, str] | None = None,
    warnings: tuple[str, ...] = (),
) -> MadeSession:
    """Raises `NotFound`, `Conflict` for a paused agent, `InvalidRequest` for overrides that this
    server does not have, and `Unavailable` while the server stops."""
    server.live.require_open()
    agent = await server.agents(principal.account_id).get(agent_id)
    if agent.status is AgentStatus.PAUSED:
        raise Conflict(
            f"expected an active agent, but {agent_id} is paused; "
            "set its status to active to open sessions with it",
            code="agent_paused",
            param="agent_id",
        )
    _check_overrides(server, overrides or {})
    warnings = (*agents.session_warnings(server, agent, body), *warnings)
    secret = new_secret(SESSION_PREFIX)
    life = timedelta(seconds=server.settings.session_ttl_seconds)
    config = {
        "agent": shown_fields(agent),
        "warnings": list(warnings),
        "recording": body.recording,
    }
    if overrides:
        config["overrides"] = dict(overrides)
    record = await server.sessions(principal.account_id).create(
        SessionFields(
            agent_id=agent_id,
            kind=SessionKind(body.transport),
            expires_at=server.clock.now() + life,
            key_id=principal.key_id,
            secret_hash=hash_of(secret),
            metadata=body.metadata or {},
            context=body.context or {},
            initial_message=body.initial_message,
            config=config,
        )
    )
    return MadeSession(record, secret)


def _check_overrides(server: Services, overrides: Mapping[str, str]) -> None:
    """Raises `InvalidRequest`."""
    if "voice_id" in overrides:
        server.catalogue.voice(overrides["voice_id"])
    if "language" in overrides:
        language_tag(overrides["language"], "language")


def access_of(connection: HTTPConnection, server: Services, made: MadeSession) -> SessionAccess:
    """The addresses, as the client reached this server."""
    base, record = websocket_base(connection, server.settings), made.record
    url = f"{base}/v1/sessions/{record.id}/{made.secret}"
    if record.kind is not SessionKind.WEBRTC:
        return SessionAccess(url, None, None, None)
    token = server.media_tokens.make(record.id, made.secret, record.expires_at)
    return SessionAccess(url, token, base, record.id)
