"""OpenAI's Realtime protocol, to and from what the server works with.

The protocol knows a conversation as items, and a reply as a response with a life of its own: this
module keeps both for its client, beside the server's conversation, which is told in commands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

import msgspec

from nur_server.api.nesting import MAX_NESTING, MAX_VALUES, is_too_deep, is_too_wide
from nur_server.api.wire.openai import schemas as wire
from nur_server.api.wire.openai.additions import Additions
from nur_server.api.wire.openai.hearing import Hearing
from nur_server.api.wire.openai.items import Items
from nur_server.api.wire.openai.options import Extras, extras_of, options_of, shown_of
from nur_server.api.wire.openai.responses import Responses
from nur_server.audio.formats import AudioFormat, Inlet
from nur_server.commands import AppendInput, ClearInput, CommitInput, UpdateSession
from nur_server.conversation import notices
from nur_server.conversation.events import EndedReason
from nur_server.errors import BadRequest, InvalidRequest, NurError
from nur_server.options import UNSET, SessionOptions, given
from nur_server.ports import Samples, SessionAbout, SessionNotice, SessionUpdated
from nur_server.transports.client import Answer, Decoded

LEAST_COMMIT_MS = 100
"""Of audio that a client commits, as OpenAI has it."""

_decoder: msgspec.json.Decoder[wire.ClientMessage] = msgspec.json.Decoder(wire.ClientMessage)
_encoder = msgspec.json.Encoder()
_NO_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)
KINDS = frozenset(str(kind.__struct_config__.tag) for kind in wire.ClientMessage.__args__)
"""The `type` of every event a client may send."""


class Viewer(Protocol):
    """Who a connection's events are written for."""

    def sees_prompt(self, about: SessionAbout) -> bool: ...

    def permitted(self, options: SessionOptions, about: SessionAbout) -> SessionOptions:
        """What of these options the client may set, and this server has."""
        ...


@dataclass(frozen=True, slots=True)
class _Everything:
    """Of somebody who may see and set everything."""

    def sees_prompt(self, about: SessionAbout) -> bool:
        return True

    def permitted(self, options: SessionOptions, about: SessionAbout) -> SessionOptions:
        return options


class OpenAIDialect:
    """Implements `transports.client.Dialect` for one connection."""

    def __init__(self, extras: Extras | None = None, viewer: Viewer | None = None) -> None:
        """`extras`: what the session begins with. `viewer`: who it is written for; None: somebody
        who may see and set everything."""
        self._extras = extras or Extras()
        self._viewer = viewer or _Everything()
        self._about: SessionAbout | None = None
        self._own_tools: Sequence[Any] = ()
        self._part: wire.SessionPart | None = None
        """An update that is under way."""
        self._inlet = Inlet(AudioFormat())
        self._buffered_seconds = 0.0
        """Audio that belongs to no turn that is over."""
        self._event_id: str | None = None
        """Of the client's event that is being handled."""
        self._events = 0
        self._items = Items()
        self._hearing = Hearing(self._write, self._items)
        self._responses = Responses(self._write, self._items)
        self._additions = Additions(self._write, self._items, self._responses)

    # From the client

    def configure(self, options: SessionOptions) -> None:
        """Read and write audio as these options have it, from the next reply on."""
        if options.input_format != self._inlet.format:
            self._inlet = Inlet(options.input_format)
        self._responses.options = options

    def decode(self, frame: str | bytes) -> Decoded | Sequence[Decoded] | None:
        """What an event asks for. Raises `BadRequest` and `InvalidRequest`."""
        self._event_id = None
        event = self._read(frame)
        self._event_id = event.event_id
        return self._decoded(event)

    def _decoded(self, event: wire.ClientMessage) -> Decoded | Sequence[Decoded] | None:
        match event:
            case wire.AudioAppend(audio=audio):
                return self._append(audio)
            case wire.SessionUpdate(session=part):
                return self._update(part)
            case wire.AudioCommit():
                return self._commit()
            case wire.AudioClear():
                self._buffered_seconds = 0.0
                return [ClearInput(), Answer((self._write("input_audio_buffer.cleared"),))]
            case wire.OutputClear():
                return self._responses.stop_playing()
            case wire.ItemCreate():
                return self._additions.create(event)
            case wire.ItemRetrieve(item_id=item_id):
                item = self._items.get(item_id)
                return Answer((self._write("conversation.item.retrieved", item=item.object_),))
            case wire.ItemTruncate():
                return self._responses.truncate(event)
            case wire.ItemDelete(item_id=item_id):
                return self._additions.delete(item_id)
            case wire.ResponseCreate(response=part):
                offers_tools = self._extras.offers_tools
                return self._responses.create(event, part or wire.ResponsePart(), offers_tools)
            case wire.ResponseCancel(response_id=response_id):
                return self._responses.cancel(response_id)
            case _:
                assert_never(event)

    def _read(self, frame: str | bytes) -> wire.ClientMessage:
        _check_shape(frame)
        try:
            return _decoder.decode(frame)
        except msgspec.ValidationError as error:
            raise self._refusal(frame, str(error)) from None
        except _NO_JSON:
            raise _no_json() from None

    def _refusal(self, frame: str | bytes, problem: str) -> NurError:
        try:
            sent = msgspec.json.decode(frame)
        except _NO_JSON:
            return _no_json()
        sent = sent if isinstance(sent, dict) else {}
        kind, event_id = sent.get("type"), sent.get("event_id")
        self._event_id = event_id[:512] if isinstance(event_id, str) else None
        if not isinstance(kind, str):
            return BadRequest(
                "expected a JSON object with a 'type'", code="invalid_event", param="type"
            )
        if kind not in KINDS:
            return BadRequest(
                f"expected an event of {', '.join(sorted(KINDS))}; got {kind[:64]!r}",
                code="invalid_value",
                param="type",
            )
        told, _, path = problem.partition(" - at `$")
        path = path.rstrip("`").lstrip(".")
        if kind == "input_audio_buffer.append" and "base64" in told:
            return BadRequest(
                "expected base64 in 'audio', got something else", code="invalid_audio", param=path
            )
        return BadRequest(f"{kind}: {told}", code="invalid_value", param=path or None)

    def _append(self, audio: bytes) -> AppendInput:
        self._buffered_seconds += self._inlet.seconds(audio)
        return AppendInput(self._inlet.accept(audio))

    def _update(self, part: wire.SessionPart) -> UpdateSession:
        options = options_of(part, self._own_tools)
        if self._about is not None:
            options = self._viewer.permitted(options, self._about)
            _forget_refused(part, options)
        self._part = part
        return UpdateSession(options)

    def _commit(self) -> CommitInput:
        buffered_ms = round(self._buffered_seconds * 1000)
        if buffered_ms < LEAST_COMMIT_MS:
            raise BadRequest(
                f"expected at least {LEAST_COMMIT_MS} ms of audio to commit, got {buffered_ms} ms",
                code="input_audio_buffer_commit_empty",
            )
        return CommitInput(triggers_reply=False)

    # To the client

    def hello(self, about: SessionAbout) -> Sequence[str]:
        self._about = about
        self._own_tools = given(about.options.tools, ()) if about.agent_id is not None else ()
        self._responses.conversation_id = f"conv_{about.session_id.partition('_')[2]}"
        return [self._write("session.created", session=self._session(about))]

    def audio(self, response_id: str, samples: Samples) -> Sequence[str]:
        return self._responses.audio(response_id, samples)

    def encode(self, notice: SessionNotice) -> Sequence[str]:
        match notice:
            case SessionUpdated(about):
                return [self._updated(about)]
            case notices.UserSpeechStarted():
                return self._hearing.started(notice) if self._extras.detects_turns else []
            case notices.UserSpeechStopped():
                self._buffered_seconds = 0.0
                return self._hearing.stopped(notice) if self._extras.detects_turns else []
            case notices.InputTaken(item_id):
                self._buffered_seconds = 0.0
                return self._hearing.taken(item_id)
            case notices.UserTranscript(is_final=True):
                return self._hearing.final(notice, transcribes=self._extras.transcribes)
            case notices.UserTranscript():
                return self._hearing.partial(notice) if self._extras.transcribes else []
            case notices.SessionEnded(reason):
                return self._end(reason)
            case notices.CallAnswered():
                return []
            case _:
                return self._responses.encode(notice)

    def _updated(self, about: SessionAbout) -> str:
        self._about = about
        if self._part is not None:
            self._extras, self._part = extras_of(self._part, self._extras), None
        return self._write("session.updated", session=self._session(about))

    def _session(self, about: SessionAbout) -> dict[str, Any]:
        return shown_of(about, self._extras, sees_prompt=self._viewer.sees_prompt(about))

    def _end(self, reason: EndedReason) -> Sequence[str]:
        told = _ENDS.get(reason)
        if told is None:
            return []
        error = {"type": "server_error", "code": reason.value, "message": told}
        return [self._write("error", error={**error, "param": None, "event_id": None})]

    def error(self, error: NurError, session_id: str | None = None) -> str:
        self._part = None
        return self._write(
            "error",
            error={
                "type": error.kind,
                "code": error.code,
                "message": error.message,
                "param": error.param,
                "event_id": self._event_id,
            },
        )

    def farewell(self, reason: EndedReason) -> tuple[int, str]:
        return _CLOSE_CODES.get(reason, 1000), reason.value

    def _write(self, type: str, **fields: Any) -> str:
        self._events += 1
        event = {"type": type, "event_id": f"event_{self._events}", **fields}
        return _encoder.encode(event).decode()


def _forget_refused(part: wire.SessionPart, permitted: SessionOptions) -> None:
    """What is shown of turn detection is what is in force."""
    hearing = part.audio and part.audio.input
    if hearing and permitted.input.turn_detection is UNSET:
        hearing.turn_detection = msgspec.UNSET


_ENDS = {
    EndedReason.EXPIRED: "the session has reached its longest duration",
    EndedReason.SERVER_SHUTDOWN: "the server is stopping; connect again in a moment",
    EndedReason.INTERNAL_ERROR: "the server failed unexpectedly",
}
"""Ends that a client could not have foreseen."""
_CLOSE_CODES = {
    EndedReason.SERVER_SHUTDOWN: 1012,
    EndedReason.INTERNAL_ERROR: 1011,
}


def _check_shape(frame: str | bytes) -> None:
    if is_too_deep(frame) or is_too_wide(frame):
        raise InvalidRequest(
            f"expected JSON nested at most {MAX_NESTING} deep, of at most {MAX_VALUES} values",
            code="invalid_value",
        )


def _no_json() -> BadRequest:
    return BadRequest("expected JSON, got something else", code="invalid_json")
