"""What the API returns. Attributes; fields a newer server adds are kept and can be read too.

Moments are ISO 8601 strings in UTC as the server wrote them, unless a field says otherwise.
"""

from typing import Any, Literal

from pydantic import Field

from nur.agent_fields import AgentFields
from nur.object import NurObject


class Agent(AgentFields):
    """A stored agent: persona, voice and tools."""

    id: str
    """`agt_…`."""
    status: str = "active"
    """`active`, `paused` or `deleted`."""
    created: int | None = None
    """Seconds since the epoch."""
    created_at: str | None = None
    updated_at: str | None = None
    warnings: list[Any] = Field(default_factory=list)
    """What the server did differently from what was asked, e.g. a model it has no server for."""


class Deleted(NurObject):
    """What is left of something deleted."""

    id: str
    deleted: bool = True
    status: str = "deleted"


class Session(NurObject):
    """A conversation with an agent, about to be held, running or over."""

    session_id: str
    """`ses_…`."""
    id: str | None = None
    """The same."""
    agent_id: str | None = None
    """None: configured over its socket."""
    kind: str | None = None
    """The door it came through: `websocket`, `webrtc`, `outbound` or `inbound`."""
    websocket_url: str | None = None
    """Where to talk. It carries its own authority until `expires_at`: keep it secret."""
    token: str | None = None
    """Of LiveKit's clients, where the session is for WebRTC. Shown once, when it is made."""
    livekit_url: str | None = None
    """Where such a client connects with it."""
    room_name: str | None = None
    """The room it joins."""
    created_at: str | None = None
    expires_at: str | None = None
    status: str
    """`active`, `ended` or `expired`."""
    started_at: str | None = None
    ended_at: str | None = None
    ended_reason: str | None = None
    """Machine-readable, e.g. `client_ended`, `max_turns`, `client_disconnected`."""
    error_code: str | None = None
    """What failed, where something did."""
    duration_seconds: float | None = None
    user_turns: int = 0
    agent_turns: int = 0
    interruptions: int = 0
    metrics: dict[str, float] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] = Field(default_factory=dict)
    initial_message: str | None = None
    warnings: list[Any] = Field(default_factory=list)


class TranscriptTool(NurObject):
    """A tool call of a turn, and its one result."""

    call_id: str
    name: str
    arguments: Any = None
    result: Any = None
    status: str | None = None
    """`running`, `succeeded`, `failed`, `timed_out`, `refused` or `cancelled`."""
    is_error: bool = False
    called_ms: int | None = None
    answered_ms: int | None = None
    duration_ms: int | None = None


class TranscriptTurn(NurObject):
    """A stretch of one party's talking. Times are milliseconds since the session began."""

    index: int | None = None
    """0, 1, 2 … in the order the turns were finished."""
    item_id: str | None = None
    """As in the events."""
    speaker: str
    """`user` or `agent`."""
    text: str
    """What was heard: for the agent, up to the last word played."""
    started_ms: int | None = None
    ended_ms: int | None = None
    interrupted: bool = False
    interrupted_at_ms: int | None = None
    """When the agent was cut off. None: it was not."""
    unheard: str = ""
    """What the agent had meant to say beyond `text`."""
    latency_ms: int | None = None
    """Agent turns: from the end of the user's speech to the first agent audio."""
    confidence: float | None = None
    """User turns: of the recogniser, 0–1."""
    trigger: str | None = None
    """What brought it about: `greeting`, `user_speech`, `tool_result`, …"""
    end_reason: str | None = None
    """Why it ended, machine-readable."""
    evidence: dict[str, Any] = Field(default_factory=dict)
    """The figures behind `end_reason`."""
    error_code: str | None = None
    """Agent turns: what failed while it was made."""
    tool_calls: list[TranscriptTool] = Field(default_factory=list)


class Transcript(NurObject):
    """Everything that was said and heard in a session."""

    session_id: str
    agent_id: str | None = None
    status: str | None = None
    """`active`, `ended` or `expired`."""
    ended_reason: str | None = None
    text: str = ""
    """The turns as lines, `speaker: text`."""
    turns: list[TranscriptTurn] = Field(default_factory=list)


class Analysis(NurObject):
    """What came of a conversation, as its agent's model says."""

    session_id: str
    status: str
    """`ready`, `failed` or `skipped`: nothing was said, or there is no language model."""
    summary: str | None = None
    fields: dict[str, Any] = Field(default_factory=dict)
    """As the agent asks for them. None: it was not said."""
    model: str | None = None
    error_code: str | None = None
    created_at: str | None = None


class Recording(NurObject):
    """A session's recording: the caller left, the agent right."""

    id: str
    """`rec_…`."""
    session_id: str
    agent_id: str | None = None
    status: str
    """`recording`, `ready`, `failed` (it broke off) or `deleted`."""
    url: str | None = Field(default=None, repr=False)
    """Where it can be heard until `expires_at`, without a key. None: there is nothing to hear."""
    expires_at: str | None = None
    format: str = "flac"
    """Of the audio at `url`."""
    duration_seconds: float | None = None
    size_bytes: int | None = None
    """As FLAC."""
    lost_seconds: float = 0.0
    """Left silent because the server was overloaded."""
    error_code: str | None = None
    error_message: str | None = None
    created_at: str | None = None
    ended_at: str | None = None
    delete_at: str | None = None
    """When the audio will be deleted. None: never."""
    deleted_at: str | None = None


class Voice(NurObject):
    """A voice an agent can have."""

    id: str
    name: str | None = None
    language: str | None = None
    """ISO 639-1."""
    gender: str | None = None
    description: str | None = None
    type: str | None = None
    """`built-in`, `vendor` (of one model server's own) or `cloned`."""
    model: str | None = None
    """The text-to-speech model whose own voice it is. None: each model has its own for it."""
    aliases: list[str] = Field(default_factory=list)
    """Names from elsewhere that mean this voice."""


class Model(NurObject):
    """An entry of the server's model catalogue."""

    id: str
    kind: str | None = None
    """`stt`, `llm` or `tts`."""
    name: str | None = None
    provider: str | None = None
    description: str | None = None
    available: bool | None = None
    """Whether this server can use it now."""
    is_default: bool | None = None


class Account(NurObject):
    """An account, as the server's operator sees it."""

    id: str
    name: str | None = None
    created_at: str | None = None
    max_live_sessions: int | None = None
    """None: no limit of its own."""
    max_agents: int | None = None
    suspended: bool | None = None
    """Its keys open nothing."""


class Key(NurObject):
    """An API key without its secret."""

    id: str
    name: str | None = None
    prefix: str | None = None
    """The first characters of the secret, for display."""
    scopes: list[str] = Field(default_factory=list)
    """Such as `agents:read`; `*` is every scope."""
    created: int | None = None
    """Seconds since the epoch."""
    created_at: str | None = None
    expires_at: str | None = None
    revoked_at: str | None = None
    last_used_at: str | None = None


class NewKey(Key):
    """A key just made: the only time its secret is shown."""

    key: str = Field(repr=False)
    """`nur_…`. Keep it: it cannot be read again."""
    secret: str | None = Field(default=None, repr=False)
    """The same."""


class SignInLink(NurObject):
    """A link that signs one browser in to the dashboard."""

    url: str = Field(repr=False)
    expires_at: str | None = None


class Token(NurObject):
    """A short-lived token for one browser."""

    token: str = Field(repr=False)
    expires_at: str | None = None
    expires_in_seconds: int | None = None
    max_session_duration_seconds: int | None = None
    max_live_sessions: int | None = None
    """How many sessions it may hold at a time."""
    agent_ids: list[str] | None = None
    """The agents that it opens. None: any."""
    allowed_origins: list[str] | None = None
    """The pages it works on. None: anywhere."""


class PhoneCall(NurObject):
    """A phone call: to come, under way or over."""

    id: str
    """`call_…`."""
    call_id: str | None = None
    """The same."""
    session_id: str
    """`ses_…`; both ids are good wherever one is asked for."""
    agent_id: str | None = None
    direction: str | None = None
    """`outbound` or `inbound`."""
    purpose: str | None = None
    """`agent`, or `verification` of a caller id."""
    phone_number: str | None = None
    """The far end's."""
    caller_id: str | None = None
    """The same as `from_number`."""
    to_number: str | None = None
    from_number: str | None = None
    status: str
    """`scheduled`, `initiating`, `ringing`, `in_progress`, `completed`, `failed`, `no_answer` or
    `canceled`."""
    scheduled_at: str | None = None
    started_at: int | None = None
    """When it was answered: seconds since the epoch."""
    ended_at: int | None = None
    """Seconds since the epoch."""
    answered_by: str | None = None
    """`human`, `voicemail`, `ivr`, `mailbox_full`, `screening` or `uncertain`, where the
    agent found out."""
    duration: int = 0
    """Seconds from the answer to the end, or to now."""
    duration_seconds: float = 0.0
    max_duration: int | None = None
    ring_seconds: int | None = None
    record: bool = False
    """Whether it is recorded."""
    recording_id: str | None = None
    recording_url: str | None = None
    """Where to hear it, for an hour. Secret."""
    transcript_id: str | None = None
    webhook_url: str | None = None
    context: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    initial_message: str | None = None
    ended_reason: str | None = None
    """Machine-readable, e.g. `caller_hung_up`, `busy`, `voicemail`."""
    error: str | None = None
    """Why it failed, in words."""
    error_code: str | None = None
    warnings: list[Any] = Field(default_factory=list)
    created: int | None = None
    """Seconds since the epoch."""
    created_at: str | None = None


class VoiceStatus(NurObject):
    """How far a conversation got, whatever its kind."""

    session_id: str
    call_id: str | None = None
    """None where it is no phone call."""
    status: str
    agent_id: str | None = None
    duration: int = 0
    """Seconds from the start to the end, or to now."""
    duration_seconds: float = 0.0
    created_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    ended_reason: str | None = None
    error: str | None = None
    error_code: str | None = None


class VoiceSession(VoiceStatus):
    """A conversation of any kind, in the words of calls."""

    id: str | None = None
    """The same as `session_id`."""
    type: str | None = None
    """`web`, `outbound` or `inbound`."""
    kind: str | None = None
    direction: str | None = None
    to_number: str | None = None
    from_number: str | None = None
    scheduled_at: str | None = None
    max_duration: int | None = None
    recording: bool = False
    recording_id: str | None = None
    recording_url: str | None = None
    webhook_url: str | None = None
    context: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)


class VoiceLine(NurObject):
    """One party's words."""

    role: str
    """`assistant` or `user`."""
    content: str
    timestamp: float | None = None
    """Seconds since the conversation began."""


class VoiceSessionDetails(VoiceSession):
    """A conversation, and what was said."""

    transcript: list[VoiceLine] = Field(default_factory=list)


class VoiceTranscript(NurObject):
    """What was said and heard."""

    session_id: str
    call_id: str | None = None
    agent_id: str | None = None
    status: str | None = None
    transcript: list[VoiceLine] = Field(default_factory=list)
    messages: list[VoiceLine] = Field(default_factory=list)
    """The same."""


class PhoneNumber(NurObject):
    """A number of the account, and who answers it."""

    id: str
    """The number."""
    phone_number: str
    agent_id: str | None = None
    """None: nobody answers it."""
    label: str | None = None
    termination_uri: str | None = None
    imported: bool = True
    """False: only its agent names it."""
    created_at: str | None = None


class CallerId(NurObject):
    """A number the account wants to show when it calls."""

    id: str
    """The number."""
    phone_number: str
    status: str | None = None
    """`verified`, `pending` (a code is waited for) or `unverified`."""
    verified_at: str | None = None
    verified_over: str | None = None
    """The carrier whose call proved it."""
    code_expires_at: str | None = None
    attempts_left: int = 0
    call_id: str | None = None
    """The latest call that spoke a code."""
    code: str | None = Field(default=None, repr=False)
    """Over the simulated carrier alone, which nobody hears."""
    created_at: str | None = None


SessionStatus = Literal["active", "ended", "expired"]


class Webhook(NurObject):
    """An address that is told what happens."""

    id: str
    url: str
    events: list[str]
    agent_id: str | None = None
    """None: events of every agent."""
    description: str = ""
    enabled: bool = True
    disabled_reason: str | None = None
    failing_since: str | None = None
    secret_version: int = 1
    secret: str | None = Field(default=None, repr=False)
    """Given once, when it was made or rotated."""
    created: int | None = None
    created_at: str | None = None
    updated_at: str | None = None


class SigningSecret(NurObject):
    """What the `webhook_url` of single calls is signed with."""

    secret: str = Field(repr=False)


class DeliveryAttempt(NurObject):
    """One try to deliver."""

    attempt: int
    at: str
    http_status: int | None = None
    error: str | None = None
    duration_ms: int = 0


class WebhookDelivery(NurObject):
    """One event for one webhook."""

    id: str
    webhook_id: str
    subscription_id: str | None = None
    event_id: str
    """The `webhook-id` it is sent with."""
    event: str
    session_id: str
    status: str
    """`pending`, `delivered`, `failed` or `canceled`."""
    attempt_count: int = 0
    attempts: list[DeliveryAttempt] = Field(default_factory=list)
    http_status_code: int | None = None
    error: str | None = None
    next_retry_at: str | None = None
    give_up_at: str | None = None
    delivered_at: str | None = None
    created_at: str | None = None
