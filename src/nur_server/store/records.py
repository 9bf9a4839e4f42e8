"""What repositories take and return. Rows of the database never leave the store.

Times are aware datetimes in UTC. Everything is immutable; mappings are copies of what is stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from nur_server.conversation.events import EndedReason
from nur_server.conversation.record import ToolRecord

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some of a list, newest first."""

    items: tuple[Item, ...]
    total: int
    """How many there are on all pages."""
    next_cursor: str | None
    """Where the next page starts. None: this is the last."""

    @property
    def has_more(self) -> bool:
        return self.next_cursor is not None


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """Whom everything else belongs to."""

    id: str
    name: str
    created_at: datetime
    max_live_sessions: int | None = None
    """None: as many as the server takes."""
    max_agents: int | None = None
    """None: any number."""
    suspended_at: datetime | None = None
    """Since when its keys open nothing. None: they do."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key without its secret."""

    id: str
    account_id: str
    name: str
    prefix: str
    """The first characters of the secret, for display."""
    scopes: frozenset[str]
    """Such as `agents:read`; `*` is every scope."""
    created_at: datetime
    expires_at: datetime | None = None
    """None: never."""
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    """To the minute."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: the only time its secret is known."""

    record: KeyRecord
    secret: str = field(repr=False)


class AgentStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    """Refuses new sessions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFields:
    """Everything of an agent that its owner sets. None: the server's default."""

    name: str
    voice_id: str
    system_prompt: str
    language: str = "en"
    """ISO 639-1."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """As they were given, in whichever accepted shape."""
    max_turns: int | None = 50
    llm_model: str | None = None
    stt_model: str | None = None
    tts_model: str | None = None
    first_message: str | None = None
    """None: the caller speaks first."""
    interruption_threshold: float = 0.5
    context_window: int = 10
    tool_url: str | None = None
    phone_numbers: tuple[str, ...] = ()
    """E.164. Each belongs to at most one agent of an account."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    status: AgentStatus = AgentStatus.ACTIVE
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further fields by their public name: `turn_detection`, `silence`, `input`, `output`, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecord(AgentFields):
    """A stored agent."""

    id: str
    account_id: str
    created_at: datetime
    updated_at: datetime


class SessionKind(StrEnum):
    """The door a session came through."""

    WEBSOCKET = "websocket"
    WEBRTC = "webrtc"
    OUTBOUND = "outbound"
    INBOUND = "inbound"


class SessionState(StrEnum):
    """How far a session got. Moves forward only."""

    CREATED = "created"
    """Nobody has connected yet."""
    LIVE = "live"
    ENDED = "ended"
    EXPIRED = "expired"
    """Nobody connected in time, or it ran into its expiry."""


class SessionStatus(StrEnum):
    """A session's state in the words of its public object."""

    ACTIVE = "active"
    ENDED = "ended"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFields:
    """What a session is made with."""

    agent_id: str | None
    """None: configured over its socket. Outlives the agent."""
    expires_at: datetime
    """A session that has not started by then never does."""
    kind: SessionKind = SessionKind.WEBSOCKET
    metadata: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    """Values of `{{variables}}`."""
    initial_message: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """The settings it runs with, as they were when it was made."""
    key_id: str | None = None
    """The key it was made with, itself or through a token. None: not with a key."""
    token_id: str | None = None
    """The browser token that opened it."""
    secret_hash: str | None = field(default=None, repr=False)
    """Of the secret in its `websocket_url`. None: it has no such address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord(SessionFields):
    """A stored session, as it was when it was read."""

    id: str
    account_id: str
    state: SessionState
    status: SessionStatus
    """`state`, with `expires_at` taken into account."""
    created_at: datetime
    node_id: str | None = None
    """The server process it runs or ran on."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: EndedReason | None = None
    error_code: str | None = None
    duration_seconds: float | None = None
    """None until it has ended, and where it never started."""
    user_turns: int = 0
    agent_turns: int = 0
    interruptions: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCallRecord:
    """One line of a session's tool journal."""

    session_id: str
    response_id: str | None
    """None where the call is known from its turn alone."""
    call: ToolRecord


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The answer to a request, kept to be given again."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry out a request with an idempotency key. Ends with its lease."""

    key: str
    route: str
    token: str
