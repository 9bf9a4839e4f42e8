"""Every message of the realtime protocol. A field left out is `UNSET`; `null` is the default."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

# Session configuration

Fraction = Annotated[float, Meta(ge=0, le=1)]
ShortSilence = Annotated[int, Meta(ge=50, le=10_000)]
LongSilence = Annotated[int, Meta(ge=50, le=30_000)]
Encoding = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]


class Part(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A piece of configuration: a field there is no such thing as is refused."""


class AudioFormatPart(Part, frozen=True):
    encoding: Encoding = "audio/pcm"
    sample_rate: Literal[8_000, 16_000, 24_000, 48_000] | None = None
    """Hz. None: 24 000 for PCM, 8 000 for the telephone codecs."""


class TurnDetectionPart(Part, frozen=True):
    type: Literal["server_vad", "semantic_vad"] | UnsetType | None = UNSET
    vad_threshold: Fraction | UnsetType | None = UNSET
    min_silence: ShortSilence | UnsetType | None = UNSET
    """Milliseconds."""
    max_silence: LongSilence | UnsetType | None = UNSET
    """Milliseconds."""
    interrupt_response: bool | UnsetType | None = UNSET
    interruption_delay: Annotated[int, Meta(ge=0, le=1_000)] | UnsetType | None = UNSET
    """Milliseconds."""
    uninterruptible_turns: Annotated[tuple[str, ...], Meta(max_length=20)] | UnsetType | None = (
        UNSET
    )


class FirstGenerationTurnDetection(Part, frozen=True):
    """`session.turn_detection` as the first generation of clients sends it."""

    type: str | UnsetType | None = UNSET
    speech_detection_threshold: Fraction | UnsetType | None = UNSET
    vad_threshold: Fraction | UnsetType | None = UNSET
    min_end_of_turn_silence_ms: ShortSilence | UnsetType | None = UNSET
    max_turn_silence_ms: LongSilence | UnsetType | None = UNSET
    min_interrupt_duration_ms: Annotated[int, Meta(ge=0, le=1_000)] | UnsetType | None = UNSET
    interrupt_response: bool | UnsetType | None = UNSET
    min_interrupt_words: int | UnsetType | None = UNSET
    """Nothing follows from it: what the words are decides, not how many."""


class InputPart(Part, frozen=True):
    type: Literal["audio", "text"] | UnsetType | None = UNSET
    format: AudioFormatPart | UnsetType | None = UNSET
    turn_detection: TurnDetectionPart | UnsetType | None = UNSET
    keyterms: (
        Annotated[tuple[Annotated[str, Meta(max_length=200)], ...], Meta(max_length=100)]
        | UnsetType
        | None
    ) = UNSET
    transcription_mode: Literal["min_latency", "balanced", "max_accuracy"] | UnsetType | None = (
        UNSET
    )
    continuous_partials: bool | UnsetType | None = UNSET
    transcription_prompt: Annotated[str, Meta(max_length=1_750)] | UnsetType | None = UNSET
    language_codes: Annotated[tuple[str, ...], Meta(max_length=20)] | UnsetType | None = UNSET
    voice_focus: Literal["near-field", "far-field"] | UnsetType | None = UNSET
    voice_focus_threshold: Fraction | UnsetType | None = UNSET


class OutputPart(Part, frozen=True):
    type: Literal["audio", "text"] | UnsetType | None = UNSET
    voice: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType | None = UNSET
    format: AudioFormatPart | UnsetType | None = UNSET
    volume: Annotated[float, Meta(ge=0, le=100)] | UnsetType | None = UNSET


class WebhookPart(Part, frozen=True):
    url: Annotated[str, Meta(max_length=2_048)]
    events: Annotated[tuple[str, ...], Meta(max_length=20)]
    secret: str | None = None


class SessionPart(Part, frozen=True):
    agent_id: str | UnsetType = UNSET
    system_prompt: Annotated[str, Meta(max_length=100_000)] | UnsetType | None = UNSET
    greeting: Annotated[str, Meta(max_length=10_000)] | UnsetType | None = UNSET
    tools: tuple[dict[str, Any], ...] | UnsetType | None = UNSET
    input: InputPart | UnsetType | None = UNSET
    output: OutputPart | UnsetType | None = UNSET
    llm: tuple[dict[str, Any], ...] | UnsetType | None = UNSET
    pre_connect_requests: tuple[dict[str, Any], ...] | UnsetType | None = UNSET
    webhook: WebhookPart | UnsetType | None = UNSET
    turn_detection: FirstGenerationTurnDetection | UnsetType | None = UNSET
    tool_choice: Any = UNSET
    """Sent by some clients; nothing follows from it."""


# Client to server


class InputAudio(Struct, tag_field="type", tag="input.audio"):
    audio: bytes
    """Base64 on the wire."""


class SessionUpdate(Struct, tag_field="type", tag="session.update"):
    session: SessionPart


class SessionResume(Struct, tag_field="type", tag="session.resume"):
    session_id: str
    resume_token: str | None = None
    """Of `session.ready`, where the connection itself has shown no credential for the session."""


class SessionEnd(Struct, tag_field="type", tag="session.end"):
    pass


class ToolResultGiven(Struct, tag_field="type", tag="tool.result"):
    call_id: str
    result: Any = None
    """Text, or any JSON."""
    is_error: bool = False


class ReplyCreate(Struct, tag_field="type", tag="reply.create"):
    instructions: Annotated[str, Meta(max_length=100_000)] | None = None


class ReplyPlayed(Struct, tag_field="type", tag="reply.audio.played"):
    """The client has played so much of a reply by now: what was heard is counted by it."""

    reply_id: str
    played_ms: Annotated[int, Meta(ge=0)]


class ReplyCancel(Struct, tag_field="type", tag="reply.cancel"):
    reply_id: str | None = None


class ConversationMessage(Struct, tag_field="type", tag="conversation.message"):
    role: Literal["user", "system"]
    content: Annotated[str, Meta(max_length=100_000)]


ClientMessage = (
    InputAudio
    | SessionUpdate
    | SessionResume
    | SessionEnd
    | ToolResultGiven
    | ReplyCreate
    | ReplyCancel
    | ReplyPlayed
    | ConversationMessage
)


# Server to client


class ServerMessage(Struct, tag_field="type", kw_only=True):
    timestamp: float
    """Seconds since 1970."""


class SessionReady(ServerMessage, tag="session.ready", kw_only=True):
    session_id: str
    config: dict[str, Any]
    expires_at: int
    """Seconds since 1970."""
    resume_token: str | UnsetType = UNSET
    """Good for coming back to this session, and for nothing else."""


class SessionUpdated(ServerMessage, tag="session.updated", kw_only=True):
    config: dict[str, Any]
    warnings: tuple[str, ...] = ()


class SessionError(ServerMessage, tag="session.error", kw_only=True):
    code: str
    message: str
    param: str | None = None
    session_id: str | None = None


class SessionEndedMessage(ServerMessage, tag="session.ended", kw_only=True):
    session_duration_seconds: float
    audio_duration_seconds: float | None = None
    reason: str


class SpeechStarted(ServerMessage, tag="input.speech.started", kw_only=True):
    pass


class SpeechStopped(ServerMessage, tag="input.speech.stopped", kw_only=True):
    reason: str
    evidence: dict[str, Any]


class UserTranscriptDelta(ServerMessage, tag="transcript.user.delta", kw_only=True):
    item_id: str
    text: str
    """The whole text so far."""


class UserTranscriptFinal(ServerMessage, tag="transcript.user", kw_only=True):
    item_id: str
    text: str
    is_final: bool = True


class ReplyStartedMessage(ServerMessage, tag="reply.started", kw_only=True):
    reply_id: str
    item_id: str


class ReplyAudio(ServerMessage, tag="reply.audio", kw_only=True):
    reply_id: str
    data: bytes
    """Base64 on the wire."""


class AgentDelta(ServerMessage, tag="transcript.agent.delta", kw_only=True):
    reply_id: str
    item_id: str
    delta: str
    start_ms: int | None
    end_ms: int | None


class AgentFinal(ServerMessage, tag="transcript.agent", kw_only=True):
    reply_id: str
    item_id: str
    text: str
    interrupted: bool


class ReplyDoneMessage(ServerMessage, tag="reply.done", kw_only=True):
    reply_id: str
    status: str
    reason: str | None
    evidence: dict[str, Any]


class CallAnsweredMessage(ServerMessage, tag="call.answered", kw_only=True):
    answerer: str
    reason: str


class ReplyErrorMessage(ServerMessage, tag="reply.error", kw_only=True):
    reply_id: str
    code: str
    message: str
    retryable: bool


class ToolCallMessage(ServerMessage, tag="tool.call", kw_only=True):
    call_id: str
    name: str
    arguments: dict[str, Any]
    args: dict[str, Any]
    """The same, under the name first-generation clients read."""
    runner: str
    """`client`: a `tool.result` is expected. `server`: for information only."""
