"""The tables. One definition for SQLite and PostgreSQL; `migrations/` leads up to it.

Text holds no NUL and no lone surrogate: PostgreSQL can store neither, so both are replaced by
U+FFFD on the way in, on every database alike. JSON is kept as text in the order it came, with its
text made harmless in the same way, on the way in and, for what is stored already, out.
"""

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

REVISION = "0001"
"""The migration that leads to these tables."""
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Words(TypeDecorator[str]):
    """Text of any length."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value if value is None else UNSTORABLE.sub("\ufffd", value)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, to the microsecond; comes back in UTC. A naive one is a `ValueError`."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"expected a datetime with a time zone, got {value.isoformat()}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - read once by SQLAlchemy, never changed
        str: Words,
        datetime: Moment,
        int: BigInteger,
        float: Float(53),
        bytes: LargeBinary,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
    }


class AccountRow(Table):
    __tablename__ = "accounts"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime]
    max_live_sessions: Mapped[int | None] = mapped_column(Integer)
    """None: as many as the server takes."""
    max_agents: Mapped[int | None] = mapped_column(Integer)
    suspended_at: Mapped[datetime | None]
    """Since when its keys open nothing. None: they do."""


class KeyRow(Table):
    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("secret_hash"),
        Index(None, "account_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str]
    prefix: Mapped[str]
    secret_hash: Mapped[str]
    """SHA-256 of the secret, in hex."""
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class SignInRow(Table):
    """What lets a browser act for an API key: a link that is followed once, or a cookie."""

    __tablename__ = "sign_ins"
    __table_args__ = (UniqueConstraint("secret_hash"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    secret_hash: Mapped[str]
    """SHA-256 of the secret, in hex."""
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class AgentRow(Table):
    __tablename__ = "agents"
    __table_args__ = (Index(None, "account_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str]
    voice_id: Mapped[str]
    system_prompt: Mapped[str]
    language: Mapped[str]
    tools: Mapped[list[Any]]
    max_turns: Mapped[int | None]
    llm_model: Mapped[str | None]
    stt_model: Mapped[str | None]
    tts_model: Mapped[str | None]
    first_message: Mapped[str | None]
    interruption_threshold: Mapped[float]
    context_window: Mapped[int]
    tool_url: Mapped[str | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    status: Mapped[str]
    settings: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    numbers: Mapped[list["NumberRow"]] = relationship(
        order_by="NumberRow.position",
        cascade="all, delete-orphan",
        passive_deletes=True,
        lazy="selectin",
    )


class NumberRow(Table):
    """A phone number and the agent that answers it."""

    __tablename__ = "agent_numbers"
    __table_args__ = (Index(None, "agent_id"),)

    account_id: Mapped[str] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    """Its place in the agent's list."""


class SessionRow(Table):
    __tablename__ = "sessions"
    __table_args__ = (
        Index(None, "account_id", "created_at", "id"),
        Index(None, "account_id", "agent_id", "created_at", "id"),
        Index(None, "account_id", "key_id", "state"),
        Index(None, "state", "expires_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    agent_id: Mapped[str | None]
    """No foreign key: a session outlives its agent."""
    key_id: Mapped[str | None]
    """The key that the session was made with, itself or through a token."""
    token_id: Mapped[str | None]
    """The browser token that opened it."""
    secret_hash: Mapped[str | None]
    """SHA-256 of the secret in its `websocket_url`, in hex. None: it has no such address."""
    kind: Mapped[str]
    state: Mapped[str]
    node_id: Mapped[str | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    context: Mapped[dict[str, Any]]
    initial_message: Mapped[str | None]
    config: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None]
    error_code: Mapped[str | None]
    duration_seconds: Mapped[float | None]
    user_turns: Mapped[int] = mapped_column(Integer)
    agent_turns: Mapped[int] = mapped_column(Integer)
    interruptions: Mapped[int] = mapped_column(Integer)
    metrics: Mapped[dict[str, Any]]


class TurnRow(Table):
    __tablename__ = "turns"

    session_id: Mapped[str] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True
    )
    index: Mapped[int] = mapped_column(Integer, primary_key=True)
    item_id: Mapped[str]
    speaker: Mapped[str]
    text: Mapped[str]
    started_ms: Mapped[int]
    ended_ms: Mapped[int]
    trigger: Mapped[str]
    interrupted_at_ms: Mapped[int | None]
    unheard: Mapped[str]
    end_reason: Mapped[str]
    evidence: Mapped[dict[str, Any]]
    latency_ms: Mapped[int | None]
    confidence: Mapped[float | None]
    call_ids: Mapped[list[Any]]
    """The turn's tool calls, in order; the calls themselves are rows of `tool_calls`."""
    error_code: Mapped[str | None]


class ToolCallRow(Table):
    __tablename__ = "tool_calls"

    session_id: Mapped[str] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True
    )
    call_id: Mapped[str] = mapped_column(primary_key=True)
    response_id: Mapped[str | None]
    """None where the call is known from its turn alone."""
    name: Mapped[str]
    arguments: Mapped[str]
    status: Mapped[str]
    result: Mapped[str | None]
    called_ms: Mapped[int]
    answered_ms: Mapped[int | None]


class JournalRow(Table):
    """A piece of a session's event journal."""

    __tablename__ = "journal_chunks"

    session_id: Mapped[str] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True
    )
    chunk: Mapped[int] = mapped_column(Integer, primary_key=True)
    data: Mapped[bytes]


class AnalysisRow(Table):
    """What came of a session, as its agent's model says."""

    __tablename__ = "analyses"

    session_id: Mapped[str] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True
    )
    status: Mapped[str]
    summary: Mapped[str | None]
    fields: Mapped[dict[str, Any]]
    model: Mapped[str | None]
    error_code: Mapped[str | None]
    created_at: Mapped[datetime]


class IdempotencyRow(Table):
    """A request that named an idempotency key, and its answer once there is one."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "created_at"),)

    account_id: Mapped[str] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    token: Mapped[str]
    """Who carries it out."""
    created_at: Mapped[datetime]
    claimed_until: Mapped[datetime]
    """From then on, a request without an answer may be carried out by another."""
    status: Mapped[int | None] = mapped_column(Integer)
    """HTTP status. None: still being carried out."""
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None]


class SigningSecretRow(Table):
    """What this server signs with, the same on every node."""

    __tablename__ = "signing_secrets"

    purpose: Mapped[str] = mapped_column(primary_key=True)
    secret: Mapped[bytes]
    created_at: Mapped[datetime]


class CallRow(Table):
    """What a session over telephony has besides its session."""

    __tablename__ = "calls"
    __table_args__ = (
        UniqueConstraint("session_id"),
        UniqueConstraint("engine", "carrier_call_id"),
        Index(None, "account_id", "created_at", "id"),
        Index(None, "account_id", "agent_id", "created_at", "id"),
        Index(None, "account_id", "status", "claimed_at"),
        Index(None, "status", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    agent_id: Mapped[str | None]
    direction: Mapped[str]
    purpose: Mapped[str]
    status: Mapped[str]
    to_number: Mapped[str]
    from_number: Mapped[str]
    engine: Mapped[str]
    carrier_call_id: Mapped[str | None]
    node_id: Mapped[str | None]
    """The server process that follows it. None: none has claimed it yet."""
    max_duration_seconds: Mapped[int]
    ring_seconds: Mapped[int]
    recording: Mapped[bool]
    webhook_url: Mapped[str | None]
    scheduled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    claimed_at: Mapped[datetime | None]
    ringing_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None]
    error_code: Mapped[str | None]
    answered_by: Mapped[str | None]
    error_message: Mapped[str | None]
    started_minutes: Mapped[int]
    """Minutes begun between answer and end: what carriers charge for."""

    session: Mapped[SessionRow] = relationship(lazy="joined", innerjoin=True)


class PhoneNumberRow(Table):
    """A phone number an account has brought along. A number belongs to one account."""

    __tablename__ = "phone_numbers"
    __table_args__ = (Index(None, "account_id", "created_at"),)

    number: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    label: Mapped[str | None]
    termination_uri: Mapped[str | None]
    created_at: Mapped[datetime]


class CallerIdRow(Table):
    """A number an account wants to show as its own when it calls."""

    __tablename__ = "caller_ids"

    account_id: Mapped[str] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    verified_at: Mapped[datetime | None]
    verified_over: Mapped[str | None]
    """The telephony engine whose call proved it."""
    code_hash: Mapped[str | None]
    code_engine: Mapped[str | None]
    code_expires_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer)
    call_id: Mapped[str | None]
    """The latest call that spoke a code."""


class NodeRow(Table):
    """A server process that is running, or was until its beats stopped."""

    __tablename__ = "nodes"

    id: Mapped[str] = mapped_column(primary_key=True)
    beats: Mapped[int]
    """Grows for as long as the node lives."""
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    """By the node's own clock: for people to read, not to judge by."""


class LeaseRow(Table):
    """A duty of one node at a time."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    node_id: Mapped[str]
    until: Mapped[datetime]


class WishRow(Table):
    """A live session that its node is asked to end."""

    __tablename__ = "session_wishes"
    __table_args__ = (Index(None, "node_id"),)

    session_id: Mapped[str] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True
    )
    node_id: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime]


class LibraryRow(Table):
    """A library that keeps tables of its own in this database."""

    __tablename__ = "libraries"

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str]
    """The last that brought its tables to what it needs."""


class RateLimitRow(Table):
    """How often a key was used in the window that is open."""

    __tablename__ = "rate_limits"
    __table_args__ = (Index(None, "expires_at"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    hits: Mapped[int]
    expires_at: Mapped[float]
    """Seconds since the epoch, by the database's clock."""


class WebhookRow(Table):
    """Who is told of what, and where."""

    __tablename__ = "webhooks"
    __table_args__ = (
        Index(None, "account_id", "created_at", "id"),
        UniqueConstraint("subject_id", "url"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    agent_id: Mapped[str | None]
    """None: every agent."""
    subject_id: Mapped[str | None]
    """The one session it was made for. None: a subscription of the account."""
    url: Mapped[str]
    events: Mapped[list[Any]]
    description: Mapped[str]
    secret: Mapped[str | None]
    """None: the account's own."""
    secret_version: Mapped[int] = mapped_column(Integer)
    previous_secret: Mapped[str | None]
    previous_until: Mapped[datetime | None]
    """Until then the previous secret signs too."""
    enabled: Mapped[bool]
    disabled_reason: Mapped[str | None]
    failing_since: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class WebhookSecretRow(Table):
    """What signs the webhooks of an account that have no secret of their own."""

    __tablename__ = "webhook_secrets"

    account_id: Mapped[str] = mapped_column(
        ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    secret: Mapped[str]
    previous_secret: Mapped[str | None]
    previous_until: Mapped[datetime | None]


class WebhookEventRow(Table):
    """Something that happened and that somebody is to be told of."""

    __tablename__ = "webhook_events"
    __table_args__ = (UniqueConstraint("account_id", "key"), Index(None, "created_at"))

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    key: Mapped[str]
    """Names the occurrence, so that it is recorded once."""
    type: Mapped[str]
    subject_id: Mapped[str]
    agent_id: Mapped[str | None]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class WebhookDeliveryRow(Table):
    """One event on its way to one subscriber."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("id"),
        Index(None, "webhook_id", "subject_id", "position"),
        Index(None, "account_id", "subject_id"),
    )

    position: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    """The order of the deliveries of one subject."""
    id: Mapped[str]
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event_id: Mapped[str] = mapped_column(ForeignKey("webhook_events.id", ondelete="CASCADE"))
    subject_id: Mapped[str]
    type: Mapped[str]
    """The event's type in the subscriber's words."""
    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer)
    """Attempts that were brought to an end."""
    claimed_by: Mapped[str | None]
    """The job whose attempt is under way."""
    history: Mapped[list[Any]]
    """The last attempts, oldest first."""
    http_status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str | None]
    give_up_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class RecordingRow(Table):
    """A session's recording; its audio is a blob."""

    __tablename__ = "recordings"
    __table_args__ = (
        UniqueConstraint("session_id"),
        Index(None, "account_id", "created_at", "id"),
        Index(None, "status"),
        Index(None, "expires_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    session_id: Mapped[str] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    agent_id: Mapped[str | None]
    node_id: Mapped[str]
    """The server process that makes it."""
    status: Mapped[str]
    duration_seconds: Mapped[float | None]
    lost_seconds: Mapped[float]
    """Left silent because the server was overloaded."""
    size_bytes: Mapped[int | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    """When it is deleted. None: never."""
    deleted_at: Mapped[datetime | None]
