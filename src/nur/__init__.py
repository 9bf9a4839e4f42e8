"""Nur's Python SDK: voice agents over REST and live sessions over a WebSocket.

    from nur import NurClient

    client = NurClient()
    agent = client.agents.create(
        name="Support", voice_id="rachel_v2", system_prompt="You are a friendly agent."
    )
    session = client.agents.sessions.create(agent_id=agent.id)
    with client.sessions.connect(session) as live:
        for event in live:
            print(event)

`AsyncNurClient` is the same, awaited. Events are in `nur.events`, errors in `nur.errors`, and
`nur.audio` reads and paces WAV files.
"""

from nur.client import AsyncNurClient, NurClient
from nur.errors import (
    BadRequest,
    Conflict,
    ConnectionFailed,
    Forbidden,
    InternalError,
    InvalidRequest,
    LiveError,
    MissingKey,
    NotFound,
    NurError,
    PayloadTooLarge,
    RateLimited,
    RequestTimeout,
    SessionLost,
    SessionRefused,
    StatusError,
    Unauthorized,
    Unavailable,
    UnreadableAnswer,
)
from nur.live import AsyncLiveSession, LiveState
from nur.live_thread import LiveSession
from nur.objects import (
    Account,
    Agent,
    Analysis,
    CallerId,
    Deleted,
    Key,
    Model,
    NewKey,
    PhoneCall,
    PhoneNumber,
    Recording,
    Session,
    Token,
    Transcript,
    TranscriptTool,
    TranscriptTurn,
    Voice,
    VoiceSession,
    VoiceTranscript,
)
from nur.pages import AsyncPager, Page, Pager

__all__ = [
    "Account",
    "Agent",
    "Analysis",
    "AsyncLiveSession",
    "AsyncNurClient",
    "AsyncPager",
    "BadRequest",
    "CallerId",
    "Conflict",
    "ConnectionFailed",
    "Deleted",
    "Forbidden",
    "InternalError",
    "InvalidRequest",
    "Key",
    "LiveError",
    "LiveSession",
    "LiveState",
    "MissingKey",
    "Model",
    "NewKey",
    "NotFound",
    "NurClient",
    "NurError",
    "Page",
    "Pager",
    "PayloadTooLarge",
    "PhoneCall",
    "PhoneNumber",
    "RateLimited",
    "Recording",
    "RequestTimeout",
    "Session",
    "SessionLost",
    "SessionRefused",
    "StatusError",
    "Token",
    "Transcript",
    "TranscriptTool",
    "TranscriptTurn",
    "Unauthorized",
    "Unavailable",
    "UnreadableAnswer",
    "Voice",
    "VoiceSession",
    "VoiceTranscript",
]
