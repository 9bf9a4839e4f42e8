"""What a live session tells: one frozen dataclass per event, all in the union `Event`.

    for event in live:
        match event:
            case UserTranscript(text=text):
                print("you:", text)
            case AgentTranscript(text=text, interrupted=interrupted):
                print("agent:", text, "(cut off)" if interrupted else "")
            case ReplyAudio(audio=pcm):
                speaker.write(pcm)

`timestamp` is the server's clock in seconds since the epoch. An event this SDK does not know, or
cannot read, is an `UnknownEvent`, so that a newer server breaks nothing.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReady:
    """Audio may be sent. Comes again after a reconnection."""

    session_id: str
    config: dict[str, Any] = field(default_factory=dict)
    """The settings in force."""
    expires_at: float | str | None = None
    """Seconds since the epoch."""
    resume_token: str | None = field(default=None, repr=False)
    """Secret: good for coming back to this session."""
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUpdated:
    """The settings have been changed."""

    config: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    """What the server did differently from what was asked."""
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionError:
    """The server did not take something. The session goes on unless its connection ends."""

    code: str
    message: str
    param: str | None = None
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """The session is over. The last event."""

    session_duration_seconds: float | None = None
    reason: str | None = None
    """Machine-readable, e.g. `client_ended`, `max_turns`."""
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpeechStarted:
    """The user has begun to speak; while the agent speaks: it has decided to yield."""

    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpeechStopped:
    """The user's turn is over."""

    reason: str | None = None
    """Why it was judged so, machine-readable."""
    evidence: dict[str, Any] = field(default_factory=dict)
    """The figures behind `reason`."""
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTranscriptDelta:
    """What the user is saying: the whole text so far, not an increment."""

    item_id: str
    text: str
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTranscript:
    """What the user said in a turn."""

    item_id: str
    text: str
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyStarted:
    """The agent begins a reply."""

    reply_id: str
    item_id: str | None = None
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyAudio:
    """A piece of a reply's audio, at the pace of speech. Play it at once."""

    reply_id: str
    audio: bytes = field(repr=False)
    """In the session's output format: PCM16 little-endian mono at 24 kHz by default."""
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTranscriptDelta:
    """Words of a reply as they are played. Times count from the start of its audio."""

    reply_id: str
    delta: str
    item_id: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTranscript:
    """What was heard of a reply, once it is over."""

    reply_id: str
    text: str
    item_id: str | None = None
    interrupted: bool = False
    """Cut off by the user: `text` ends with the last word played."""
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyDone:
    """A reply is over: `completed`, `interrupted`, `cancelled` or `failed`."""

    reply_id: str
    status: str
    reason: str | None = None
    """Why it was cut off, machine-readable. None: it was not."""
    evidence: dict[str, Any] = field(default_factory=dict)
    """The figures behind `reason`."""
    timestamp: float = 0.0

    @property
    def was_cut_off(self) -> bool:
        """What has not been played yet should not be."""
        return self.status in ("interrupted", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyError:
    """A model failed during a reply; the session goes on."""

    reply_id: str
    code: str
    message: str
    retryable: bool = False
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """The agent calls a tool. A function given as `tools={name: function}` answers by itself;
    any other call is answered with `send_tool_result`."""

    call_id: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    runner: str | None = None
    """`server`: for information only, the server runs it. Else this client does."""
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionDropped:
    """The connection broke; it is being made again. Made by the SDK, not by the server.

    The session goes on: the next event is `SessionReady`, or the loop raises a `LiveError`.
    """

    code: int | None = None
    """WebSocket close code, where there was one."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent:
    """An event this version of the SDK does not know."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    """The message as it came."""
    timestamp: float = 0.0


ServerEvent = (
    SessionReady
    | SessionUpdated
    | SessionError
    | SessionEnded
    | UserSpeechStarted
    | UserSpeechStopped
    | UserTranscriptDelta
    | UserTranscript
    | ReplyStarted
    | ReplyAudio
    | AgentTranscriptDelta
    | AgentTranscript
    | ReplyDone
    | ReplyError
    | ToolCall
    | UnknownEvent
)
Event = ServerEvent | ConnectionDropped

_KINDS: Mapping[str, type[Any]] = {
    "session.ready": SessionReady,
    "session.updated": SessionUpdated,
    "session.error": SessionError,
    "session.ended": SessionEnded,
    "input.speech.started": UserSpeechStarted,
    "input.speech.stopped": UserSpeechStopped,
    "transcript.user.delta": UserTranscriptDelta,
    "transcript.user": UserTranscript,
    "reply.started": ReplyStarted,
    "transcript.agent.delta": AgentTranscriptDelta,
    "transcript.agent": AgentTranscript,
    "reply.done": ReplyDone,
    "reply.error": ReplyError,
    "tool.call": ToolCall,
}
_FIELDS: Mapping[str, frozenset[str]] = {
    name: frozenset(each.name for each in fields(kind)) for name, kind in _KINDS.items()
}


def read_event(message: Mapping[str, Any]) -> ServerEvent:
    """The event of a decoded message. Fields it does not know are left out."""
    name = message.get("type")
    if name == "reply.audio":
        return _read_audio(message)
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        return _unknown(message)
    known = _FIELDS[str(name)]
    try:
        event: ServerEvent = kind(**{key: value for key, value in message.items() if key in known})
    except TypeError:
        return _unknown(message)
    return event


def _read_audio(message: Mapping[str, Any]) -> ServerEvent:
    try:
        return ReplyAudio(
            reply_id=message["reply_id"],
            audio=base64.b64decode(message["data"], validate=True),
            timestamp=message.get("timestamp", 0.0),
        )
    except (KeyError, TypeError, binascii.Error):
        return _unknown(message)


def _unknown(message: Mapping[str, Any]) -> UnknownEvent:
    timestamp = message.get("timestamp")
    return UnknownEvent(
        type=str(message.get("type", "")),
        data=dict(message),
        timestamp=timestamp if isinstance(timestamp, float) else 0.0,
    )
