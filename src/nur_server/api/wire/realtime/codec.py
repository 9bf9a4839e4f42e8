"""JSON on the socket to and from what the server works with."""

import re
from enum import Enum
from typing import Any, assert_never

import msgspec

from nur_server.api.nesting import MAX_NESTING, is_too_deep, may_be_too_deep
from nur_server.api.wire.realtime import schemas as wire
from nur_server.audio.formats import AudioFormat
from nur_server.clock import Clock
from nur_server.conversation import notices
from nur_server.conversation.events import EndedReason
from nur_server.conversation.notices import Notice
from nur_server.errors import BadRequest, InvalidRequest, NurError
from nur_server.ports import Samples

_decoder: msgspec.json.Decoder[wire.ClientMessage] = msgspec.json.Decoder(wire.ClientMessage)
_encoder = msgspec.json.Encoder()
_NO_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)


# Client to server


def decode(raw: str | bytes) -> wire.ClientMessage:
    """One message of a client.

    Raises `BadRequest` (`invalid_format`, `invalid_audio`) or `InvalidRequest` (`invalid_value`,
    with the path of the wrong value inside `session` as its `param`).
    """
    if may_be_too_deep(raw):
        _refuse_deep(raw)
    try:
        return _decoder.decode(raw)
    except msgspec.ValidationError as error:
        problem = str(error)
    except _NO_JSON:
        raise _no_json() from None
    raise _refusal(raw, problem)


def _refusal(raw: str | bytes, problem: str) -> NurError:
    kind = _kind(raw)
    if kind is None:
        return BadRequest(
            "Invalid message format: expected a JSON object with a 'type'.", code="invalid_format"
        )
    if kind not in KINDS:
        return BadRequest(f"Unknown message type: {kind[:64]}", code="invalid_format")
    told, path = _split(problem)
    if kind == "input.audio" and path == "audio" and "base64" in told:
        return BadRequest("Invalid audio data: expected base64.", code="invalid_audio")
    if path.startswith("session"):
        return _wrong_value(told, path.removeprefix("session").lstrip(".") or None)
    at = f" at {path!r}" if path else ""
    return BadRequest(
        f"Invalid message format for type '{kind}'{at}: {told}",
        code="invalid_format",
        param=path or None,
    )


def _wrong_value(told: str, param: str | None) -> InvalidRequest:
    """A refused value of the session's configuration; `told` says what was expected."""
    if unknown := re.match(r"Object contains unknown field `(.*)`", told):
        param = f"{param}.{unknown[1]}" if param else unknown[1]
        told = "there is no such field; check its spelling"
    where = f"{param}: " if param else ""
    return InvalidRequest(f"{where}{told}", code="invalid_value", param=param)


def _kind(raw: str | bytes) -> str | None:
    """The message's `type` where it has one. Raises `BadRequest` for what is no JSON further on."""
    try:
        message = msgspec.json.decode(raw)
    except _NO_JSON:
        raise _no_json() from None
    kind = message.get("type") if isinstance(message, dict) else None
    return kind if isinstance(kind, str) else None


def _refuse_deep(raw: str | bytes) -> None:
    try:
        is_deep = is_too_deep(msgspec.json.decode(raw))
    except _NO_JSON:
        raise _no_json() from None
    if is_deep:
        raise BadRequest(
            f"Invalid message format: expected JSON nested at most {MAX_NESTING} deep.",
            code="invalid_format",
        )


def _no_json() -> BadRequest:
    return BadRequest("Invalid JSON format.", code="invalid_format")


def _split(problem: str) -> tuple[str, str]:
    """`Expected `int` - at `$.a.b`` as what was expected and `a.b`."""
    told, _, path = problem.partition(" - at `$")
    return told, path.rstrip("`").lstrip(".")


KINDS = frozenset(str(kind.__struct_config__.tag) for kind in wire.ClientMessage.__args__)
"""The `type` of every message a client may send."""


# Server to client


class AudioFrames(Enum):
    """How agent audio travels."""

    JSON = "json"
    """`reply.audio` with base64."""
    BINARY = "binary"
    """Binary frames of nothing but audio."""


class RealtimeDialect:
    """Implements `transports.websocket.Dialect`. `frames` may change while it is in use."""

    def __init__(self, clock: Clock, output: AudioFormat, frames: AudioFrames) -> None:
        self._clock = clock
        self._output = output
        self.frames = frames

    def audio(self, response_id: str, samples: Samples) -> str | bytes:
        data = self._output.encode(samples)
        if self.frames is AudioFrames.BINARY:
            return data
        return self.write(wire.ReplyAudio(timestamp=self._now(), reply_id=response_id, data=data))

    def notice(self, notice: Notice) -> str:
        return self.write(_message(notice, self._now()))

    def ready(self, session_id: str, config: dict[str, Any], expires_at: int) -> str:
        return self.write(
            wire.SessionReady(
                timestamp=self._now(), session_id=session_id, config=config, expires_at=expires_at
            )
        )

    def updated(self, config: dict[str, Any], warnings: tuple[str, ...]) -> str:
        return self.write(
            wire.SessionUpdated(timestamp=self._now(), config=config, warnings=warnings)
        )

    def error(
        self, code: str, message: str, param: str | None = None, session_id: str | None = None
    ) -> str:
        return self.write(
            wire.SessionError(
                timestamp=self._now(),
                code=code,
                message=message,
                param=param,
                session_id=session_id,
            )
        )

    def farewell(self, reason: EndedReason) -> tuple[int, str]:
        return _FAREWELLS.get(reason, 1000), reason.value

    def write(self, message: wire.ServerMessage) -> str:
        return _encoder.encode(message).decode()

    def _now(self) -> float:
        return self._clock.now().timestamp()


_FAREWELLS = {
    EndedReason.EXPIRED: 4410,
    EndedReason.SERVER_SHUTDOWN: 1012,
    EndedReason.INTERNAL_ERROR: 1011,
}


def _message(notice: Notice, at: float) -> wire.ServerMessage:
    match notice:
        case notices.UserSpeechStarted():
            return wire.SpeechStarted(timestamp=at)
        case notices.UserSpeechStopped(reason, evidence):
            return wire.SpeechStopped(timestamp=at, reason=reason, evidence=evidence)
        case notices.UserTranscript(item_id, text, True):
            return wire.UserTranscriptFinal(timestamp=at, item_id=item_id, text=text)
        case notices.UserTranscript(item_id, text):
            return wire.UserTranscriptDelta(timestamp=at, item_id=item_id, text=text)
        case notices.ReplyStarted(reply_id, item_id):
            return wire.ReplyStartedMessage(timestamp=at, reply_id=reply_id, item_id=item_id)
        case notices.AgentTranscriptDelta(reply_id, item_id, delta, start_ms, end_ms):
            return wire.AgentDelta(
                timestamp=at,
                reply_id=reply_id,
                item_id=item_id,
                delta=delta,
                start_ms=start_ms,
                end_ms=end_ms,
            )
        case notices.AgentTranscript(reply_id, item_id, text, interrupted):
            return wire.AgentFinal(
                timestamp=at,
                reply_id=reply_id,
                item_id=item_id,
                text=text,
                interrupted=interrupted,
            )
        case notices.ReplyDone(reply_id, status, reason, evidence):
            return wire.ReplyDoneMessage(
                timestamp=at, reply_id=reply_id, status=status, reason=reason, evidence=evidence
            )
        case notices.ReplyError(reply_id, code, message, retryable):
            return wire.ReplyErrorMessage(
                timestamp=at, reply_id=reply_id, code=code, message=message, retryable=retryable
            )
        case notices.ToolCallRequested(call_id, name, arguments, runner):
            return wire.ToolCallMessage(
                timestamp=at,
                call_id=call_id,
                name=name,
                arguments=arguments,
                args=arguments,
                runner=runner,
            )
        case notices.CallAnswered(answerer, reason):
            return wire.CallAnsweredMessage(timestamp=at, answerer=answerer, reason=reason)
        case notices.SessionEnded(reason, duration_seconds):
            return wire.SessionEndedMessage(
                timestamp=at, session_duration_seconds=duration_seconds, reason=reason
            )
        case _:
            assert_never(notice)
