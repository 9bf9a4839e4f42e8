"""JSON on the socket to and from what the server works with."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, Literal, Protocol, assert_never, get_args, get_origin, get_type_hints

import msgspec

from nur_server.api.errors import ws_error
from nur_server.api.nesting import MAX_NESTING, MAX_VALUES, is_too_deep, is_too_wide
from nur_server.api.spelling import hint
from nur_server.api.wire.realtime import schemas as wire
from nur_server.api.wire.realtime.options import (
    echo,
    in_words_of_the_wire,
    options_of,
    warnings_of,
    without_prompt,
)
from nur_server.audio.formats import AudioFormat, Inlet
from nur_server.clock import Clock
from nur_server.commands import (
    AddMessage,
    AnswerTool,
    AppendInput,
    CancelReply,
    Command,
    CreateReply,
    EndSession,
    ReportPlayed,
    UpdateSession,
)
from nur_server.conversation import notices
from nur_server.conversation.events import EndedReason, Role
from nur_server.conversation.notices import Notice, ReplyStatus
from nur_server.errors import BadRequest, InvalidRequest, NurError
from nur_server.options import SessionOptions
from nur_server.ports import Samples, SessionAbout, SessionNotice, SessionUpdated

_decoder: msgspec.json.Decoder[wire.ClientMessage] = msgspec.json.Decoder(wire.ClientMessage)
_encoder = msgspec.json.Encoder()
_NO_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)


# Client to server


def decode(raw: str | bytes) -> wire.ClientMessage:
    """One message of a client.

    Raises `BadRequest` (`invalid_format`, `invalid_audio`) or `InvalidRequest` (`invalid_value`,
    with the path of the wrong value inside `session` as its `param`).
    """
    _check_shape(raw)
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
        return BadRequest(
            f"Unknown message type: {kind[:64]}; {hint(kind[:64], KINDS)}", code="invalid_format"
        )
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
        names = _fields_at(param)
        param = f"{param}.{unknown[1]}" if param else unknown[1]
        told = f"there is no such field; {hint(unknown[1], names)}"
    elif re.match(r"Invalid enum value", told) and param:
        *outer, name = param.split(".")
        valid = _literals(_hints(_part_at(outer)).get(name))
        told = f"{told}; expected one of {', '.join(map(repr, valid))}" if valid else told
    where = f"{param}: " if param else ""
    return InvalidRequest(f"{where}{told}", code="invalid_value", param=param)


def _fields_at(path: str | None) -> Collection[str]:
    """The fields of the part of the configuration at a path such as `input.format`."""
    return _hints(_part_at(path.split(".") if path else [])).keys()


def _part_at(path: Iterable[str]) -> type[Any] | None:
    part: type[Any] | None = wire.SessionPart
    for name in path:
        parts = _parts_in(_hints(part).get(name))
        part = parts[0] if parts else None
    return part


def _hints(part: type[Any] | None) -> Mapping[str, Any]:
    return {} if part is None else get_type_hints(part)


def _parts_in(annotation: Any) -> list[type[Any]]:
    if isinstance(annotation, type) and issubclass(annotation, wire.Part):
        return [annotation]
    return [part for inner in get_args(annotation) for part in _parts_in(inner)]


def _literals(annotation: Any) -> list[Any]:
    """The values of a `Literal` within an annotation."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for inner in get_args(annotation) for value in _literals(inner)]


def _kind(raw: str | bytes) -> str | None:
    """The message's `type` where it has one. Raises `BadRequest` for what is no JSON further on."""
    try:
        message = msgspec.json.decode(raw)
    except _NO_JSON:
        raise _no_json() from None
    kind = message.get("type") if isinstance(message, dict) else None
    return kind if isinstance(kind, str) else None


def _check_shape(raw: str | bytes) -> None:
    """Before it is decoded. Raises `BadRequest`."""
    if is_too_deep(raw):
        raise BadRequest(
            f"Invalid message format: expected JSON nested at most {MAX_NESTING} deep.",
            code="invalid_format",
        )
    if is_too_wide(raw):
        raise BadRequest(
            f"Invalid message format: expected JSON of at most {MAX_VALUES} values, got more.",
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


class Viewer(Protocol):
    """Who a connection's messages are written for."""

    def sees_prompt(self, about: SessionAbout) -> bool: ...

    def sees_faults(self) -> bool:
        """Whether it is told what the operator would mend."""
        ...

    def resume_token(self, session_id: str) -> str:
        """What it comes back to its session with."""
        ...


class RealtimeDialect:
    """Implements `transports.client.Dialect` for one connection."""

    def __init__(
        self,
        clock: Clock,
        frames: AudioFrames | None = None,
        *,
        takes_binary_audio: bool = True,
        plain_statuses: bool = False,
        viewer: Viewer | None = None,
    ) -> None:
        """`frames` None: agent audio is JSON until the client sends a binary frame. Without
        `takes_binary_audio` a binary frame is JSON. With `plain_statuses` a reply is `completed` or
        `interrupted`, and its `reason` says more: generated clients of the other system do not
        hear of an event with a status outside their list. `viewer`: who it is written for; None:
        somebody who may see everything."""
        self._clock = clock
        self._viewer = viewer
        self._frames = frames or AudioFrames.JSON
        self._answers_alike = frames is None
        self._takes_binary_audio = takes_binary_audio
        self._plain_statuses = plain_statuses
        self._inlet = Inlet(AudioFormat())
        self._output = AudioFormat()

    # From the client

    def configure(self, options: SessionOptions) -> None:
        """Read and write audio as these options have it."""
        if options.input_format != self._inlet.format:
            self._inlet = Inlet(options.input_format)
        self._output = options.output_format

    def decode(self, frame: str | bytes) -> Command | None:
        """What a frame asks for. Raises `BadRequest` and `InvalidRequest`."""
        if isinstance(frame, bytes) and self._takes_binary_audio:
            if self._answers_alike:
                self._frames = AudioFrames.BINARY
            return self._append(frame)
        return self._command(decode(frame))

    def _command(self, message: wire.ClientMessage) -> Command:
        match message:
            case wire.InputAudio(audio):
                return self._append(audio)
            case wire.SessionUpdate(part):
                return UpdateSession(options_of(part), warnings_of(part))
            case wire.SessionResume():
                raise BadRequest(
                    "session.resume can only be the first message", code="invalid_format"
                )
            case wire.SessionEnd():
                return EndSession()
            case wire.ToolResultGiven(call_id, result, is_error):
                return AnswerTool(call_id, _as_text(result), is_error)
            case wire.ReplyCreate(instructions):
                return CreateReply(instructions)
            case wire.ReplyPlayed(reply_id, played_ms):
                return ReportPlayed(reply_id, played_ms)
            case wire.ReplyCancel(reply_id):
                return CancelReply(reply_id)
            case wire.ConversationMessage(role, content):
                return AddMessage(Role(role), content)
            case _:
                assert_never(message)

    def _append(self, data: bytes) -> AppendInput:
        samples = self._inlet.accept(data)
        return AppendInput(samples, is_torn=not self._inlet.is_between_samples)

    # To the client

    def hello(self, about: SessionAbout) -> Sequence[str]:
        """What a client is told first when it comes to a session, or comes back to it."""
        expires_at, viewer = about.expires_at, self._viewer
        ready = wire.SessionReady(
            timestamp=self._now(),
            session_id=about.session_id,
            config=self._config(about),
            expires_at=int(expires_at.timestamp()) if expires_at else 0,
            resume_token=viewer.resume_token(about.session_id) if viewer else msgspec.UNSET,
        )
        return [_write(ready)]

    def audio(self, response_id: str, samples: Samples) -> str | bytes:
        data = self._output.encode(samples)
        if self._frames is AudioFrames.BINARY:
            return data
        return _write(wire.ReplyAudio(timestamp=self._now(), reply_id=response_id, data=data))

    def encode(self, notice: SessionNotice) -> Sequence[str]:
        if isinstance(notice, SessionUpdated):
            return [self.updated(notice.about)]
        if isinstance(notice, notices.ReplyDone) and self._plain_statuses:
            notice = _plainly(notice)
        if isinstance(notice, notices.ReplyError) and not self._sees_faults:
            notice = replace(notice, message=_FAULTS.get(notice.code, _FAULT))
        message = _message(notice, self._now())
        return [] if message is None else [_write(message)]

    def updated(self, about: SessionAbout) -> str:
        """The answer to a `session.update`."""
        return _write(
            wire.SessionUpdated(
                timestamp=self._now(), config=self._config(about), warnings=about.warnings
            )
        )

    def _config(self, about: SessionAbout) -> dict[str, Any]:
        sees_prompt = self._viewer is None or self._viewer.sees_prompt(about)
        return echo(about) if sees_prompt else without_prompt(echo(about))

    def error(self, error: NurError, session_id: str | None = None) -> str:
        """An error in the words of this protocol."""
        told = in_words_of_the_wire(error)
        code, _ = ws_error(told)
        return _write(
            wire.SessionError(
                timestamp=self._now(),
                code=code,
                message=told.message,
                param=told.param,
                session_id=session_id,
            )
        )

    @property
    def _sees_faults(self) -> bool:
        return self._viewer is None or self._viewer.sees_faults()

    def farewell(self, reason: EndedReason) -> tuple[int, str]:
        return _FAREWELLS.get(reason, 1000), reason.value

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _plainly(done: notices.ReplyDone) -> notices.ReplyDone:
    if done.status is ReplyStatus.COMPLETED:
        return done
    return replace(
        done, status=ReplyStatus.INTERRUPTED, reason=done.reason or str(done.status.value)
    )


def _write(message: wire.ServerMessage) -> str:
    return _encoder.encode(message).decode()


def _as_text(result: Any) -> str:
    """A tool's result for the model: text as it is, anything else as JSON."""
    return result if isinstance(result, str) else _encoder.encode(result).decode()


_FAULT = "The agent could not answer; the server's log says why."
_FAULTS = {
    "provider_timeout": "The agent took too long to answer.",
    "transcript_timeout": "What was said was not understood in time.",
    "too_many_tool_calls": "The agent called too many tools in one reply.",
    "playout_stalled": "The agent's speech was not played in time.",
    "overloaded": "The server has too much to do.",
}
"""What a client without a key is told of a fault. Addresses, names of settings and what to mend
are the operator's."""

_FAREWELLS = {
    EndedReason.EXPIRED: 4410,
    EndedReason.SERVER_SHUTDOWN: 1012,
    EndedReason.INTERNAL_ERROR: 1011,
}


def _message(notice: Notice, at: float) -> wire.ServerMessage | None:
    """None: its clients have no message that asks for it."""
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
        case notices.ReplyCorrected(reply_id, item_id, text):
            return wire.AgentFinal(
                timestamp=at, reply_id=reply_id, item_id=item_id, text=text, interrupted=True
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
        case notices.InputTaken() | notices.AsideDone():
            return None
        case notices.CallAnswered(answerer, reason):
            return wire.CallAnsweredMessage(timestamp=at, answerer=answerer, reason=reason)
        case notices.SessionEnded(reason, duration_seconds):
            return wire.SessionEndedMessage(
                timestamp=at, session_duration_seconds=duration_seconds, reason=reason
            )
        case _:
            assert_never(notice)
