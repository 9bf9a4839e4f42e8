"""Data packets to and from what the server works with: the dialect of LiveKit's clients.

The agent's and the user's words are text streams on `lk.transcription`, and `Transcription` packets
for clients that know no streams. What is typed comes on `lk.chat`. A tool that the client runs is a
remote procedure call; its answer is the tool's result.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from livekit.protocol import models

from nur_server.api.wire.livekit.room import AGENT, Room, sid
from nur_server.clock import Clock
from nur_server.commands import AddMessage, AnswerTool, CancelReply, Command, CreateReply
from nur_server.conversation import notices
from nur_server.conversation.events import EndedReason, Role
from nur_server.errors import BadRequest, NurError
from nur_server.options import SessionOptions
from nur_server.ports import Samples, SessionAbout, SessionNotice

TRANSCRIPTION, CHAT = "lk.transcription", "lk.chat"
ERRORS = "nur.error"
"""The topic of a packet that says what was refused, as JSON."""
TOOL_RESPONSE_MS = 30_000
UNSUPPORTED_METHOD = 1400
"""LiveKit's code for a remote procedure that nobody here has."""
MOST_STREAMS = 16
"""Text streams of the client that are open at a time."""
MOST_TEXT_BYTES = 20_000
"""Of one typed message: as much as `conversation.message` takes on a WebSocket."""


@dataclass(slots=True)
class _Reading:
    """A text stream of the client that is not whole yet."""

    topic: str
    parts: list[bytes] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class _Speaking:
    """The text stream of a reply that is being spoken."""

    stream: str
    chunks: int = 0
    said: str = ""


class LiveKitDialect:
    """Implements `transports.client.Dialect` for one connection."""

    def __init__(
        self, room: Room, clock: Clock, on_state: Callable[[], None], send: Callable[[bytes], None]
    ) -> None:
        """`on_state` is called when the agent's state has changed in `room`; `send` takes packets
        that answer the client's own."""
        self._room = room
        self._clock = clock
        self._on_state = on_state
        self._send = send
        self._sequence = 0
        self._streams: dict[str, _Reading] = {}
        self._speaking: dict[str, _Speaking] = {}
        """The open text stream of each reply of the agent's."""

    def configure(self, options: SessionOptions) -> None:
        """Nothing of it depends on the options."""

    # From the client

    def decode(self, frame: str | bytes) -> Command | Sequence[Command] | None:
        """What a packet asks for. Raises `BadRequest`."""
        packet = models.DataPacket()
        try:
            packet.ParseFromString(frame if isinstance(frame, bytes) else frame.encode())
        except DecodeError:
            raise BadRequest(
                "expected a DataPacket of LiveKit's protocol, got something else",
                code="invalid_format",
            ) from None
        match packet.WhichOneof("value"):
            case "stream_header":
                self._opened(packet.stream_header)
            case "stream_chunk":
                self._chunk(packet.stream_chunk)
            case "stream_trailer":
                return self._whole(packet.stream_trailer.stream_id)
            case "chat_message":
                return _typed(packet.chat_message.message)
            case "user":
                return _of_user(packet.user)
            case "rpc_response":
                return _result(packet.rpc_response)
            case "rpc_request":
                self._refuse_call(packet.rpc_request)
            case _:
                pass
        return None

    def _opened(self, header: models.DataStream.Header) -> None:
        if header.topic != CHAT or not header.HasField("text_header"):
            return
        if len(self._streams) >= MOST_STREAMS:
            raise BadRequest(
                f"expected at most {MOST_STREAMS} open text streams, got more; close some",
                code="message_rate_violation",
            )
        self._streams[header.stream_id] = _Reading(header.topic)

    def _chunk(self, chunk: models.DataStream.Chunk) -> None:
        reading = self._streams.get(chunk.stream_id)
        if reading is None:
            return
        reading.size += len(chunk.content)
        if reading.size > MOST_TEXT_BYTES:
            del self._streams[chunk.stream_id]
            raise BadRequest(
                f"expected a message of at most {MOST_TEXT_BYTES} bytes, got more",
                code="invalid_format",
            )
        reading.parts.append(chunk.content)

    def _whole(self, stream_id: str) -> Sequence[Command] | None:
        reading = self._streams.pop(stream_id, None)
        if reading is None:
            return None
        return _typed(b"".join(reading.parts).decode("utf-8", "replace"))

    def _refuse_call(self, request: models.RpcRequest) -> None:
        self._send(self._packet(rpc_ack=models.RpcAck(request_id=request.id)))
        error = models.RpcError(
            code=UNSUPPORTED_METHOD,
            message=f"the agent has no procedure {request.method[:64]!r}; it calls those that the "
            "client registers, which are its tools",
        )
        response = models.RpcResponse(request_id=request.id, error=error)
        self._send(self._packet(rpc_response=response))

    # To the client

    def hello(self, about: SessionAbout) -> Sequence[bytes]:
        self._state("listening")
        return []

    def audio(self, response_id: str, samples: Samples) -> bytes:
        """Audio is media."""
        return b""

    def encode(self, notice: SessionNotice) -> Sequence[bytes]:
        match notice:
            case notices.UserSpeechStarted():
                self._state("listening")
            case notices.UserSpeechStopped():
                self._state("thinking")
            case notices.ReplyStarted():
                self._state("thinking")
            case notices.UserTranscript(item_id, text, is_final):
                return self._heard(item_id, text, is_final=is_final)
            case notices.AgentTranscriptDelta(reply_id, item_id, delta):
                self._state("speaking")
                return self._delta(reply_id, item_id, delta)
            case notices.AgentTranscript(reply_id, item_id, text):
                return self._final(reply_id, item_id, text)
            case notices.ReplyCorrected(_, item_id, text):
                voice = self._room.voice.sid
                return [self._legacy(AGENT, voice, item_id, text, is_final=True)]
            case notices.ReplyDone(reply_id):
                self._speaking.pop(reply_id, None)
                self._state("listening")
            case notices.ToolCallRequested(call_id, name, arguments, "client"):
                return [self._call(call_id, name, json.dumps(arguments))]
            case _:
                pass
        return []

    def error(self, error: NurError, session_id: str | None = None) -> bytes:
        told = {"type": "error", "code": error.code, "message": error.message}
        return self._packet(
            user=models.UserPacket(
                payload=json.dumps(told).encode(), topic=ERRORS, participant_identity=AGENT
            )
        )

    def farewell(self, reason: EndedReason) -> tuple[int, str]:
        return 1000, reason.value

    def _state(self, state: str) -> None:
        if self._room.set_state(state):
            self._on_state()

    def _heard(self, item_id: str, text: str, *, is_final: bool) -> list[bytes]:
        """The user's words so far: a stream for each wording, with the same segment."""
        identity, track = self._room.user.identity, self._room.microphone_sid
        stream = sid("TXT")
        attributes = self._attributes(item_id, track, is_final=is_final)
        return [
            self._header(stream, attributes, identity),
            self._text(stream, 0, text, identity),
            self._trailer(stream, {}, identity),
            self._legacy(identity, track, item_id, text, is_final=is_final),
        ]

    def _delta(self, reply_id: str, item_id: str, delta: str) -> list[bytes]:
        packets = []
        speaking = self._speaking.get(reply_id)
        track = self._room.voice.sid
        if speaking is None:
            speaking = self._speaking[reply_id] = _Speaking(sid("TXT"))
            attributes = self._attributes(item_id, track, is_final=False)
            packets.append(self._header(speaking.stream, attributes, AGENT))
        packets.append(self._text(speaking.stream, speaking.chunks, delta, AGENT))
        speaking.chunks += 1
        speaking.said += delta
        said = speaking.said.strip()
        packets.append(self._legacy(AGENT, track, item_id, said, is_final=False))
        return packets

    def _final(self, reply_id: str, item_id: str, text: str) -> list[bytes]:
        """What was heard of a reply. Where its deltas say otherwise, a stream of its own."""
        track, speaking = self._room.voice.sid, self._speaking.pop(reply_id, None)
        final = {"lk.transcription_final": "true"}
        packets = [] if speaking is None else [self._trailer(speaking.stream, final, AGENT)]
        said = speaking.said if speaking is not None else ""
        if text.split() != said.split() and text:
            whole = sid("TXT")
            attributes = self._attributes(item_id, track, is_final=True)
            packets += [
                self._header(whole, attributes, AGENT),
                self._text(whole, 0, text, AGENT),
                self._trailer(whole, final, AGENT),
            ]
        packets.append(self._legacy(AGENT, track, item_id, text, is_final=True))
        return packets

    def _attributes(self, segment: str, track: str, *, is_final: bool) -> dict[str, str]:
        return {
            "lk.segment_id": segment,
            "lk.transcribed_track_id": track,
            "lk.transcription_final": "true" if is_final else "false",
        }

    def _header(self, stream: str, attributes: dict[str, str], identity: str) -> bytes:
        header = models.DataStream.Header(
            stream_id=stream,
            timestamp=int(self._clock.now().timestamp() * 1000),
            topic=TRANSCRIPTION,
            mime_type="text/plain",
            attributes=attributes,
            text_header=models.DataStream.TextHeader(),
        )
        return self._packet(identity, stream_header=header)

    def _text(self, stream: str, index: int, text: str, identity: str) -> bytes:
        chunk = models.DataStream.Chunk(stream_id=stream, chunk_index=index, content=text.encode())
        return self._packet(identity, stream_chunk=chunk)

    def _trailer(self, stream: str, attributes: dict[str, str], identity: str) -> bytes:
        trailer = models.DataStream.Trailer(stream_id=stream, attributes=attributes)
        return self._packet(identity, stream_trailer=trailer)

    def _legacy(
        self, identity: str, track: str, segment: str, text: str, *, is_final: bool
    ) -> bytes:
        transcription = models.Transcription(
            transcribed_participant_identity=identity,
            track_id=track,
            segments=[models.TranscriptionSegment(id=segment, text=text, final=is_final)],
        )
        return self._packet(transcription=transcription)

    def _call(self, call_id: str, name: str, arguments: str) -> bytes:
        request = models.RpcRequest(
            id=call_id,
            method=name,
            payload=arguments,
            response_timeout_ms=TOOL_RESPONSE_MS,
            version=1,
        )
        return self._packet(destination=self._room.user.identity, rpc_request=request)

    def _packet(
        self,
        identity: str = AGENT,
        destination: str | None = None,
        **value: object,
    ) -> bytes:
        self._sequence += 1
        is_agent = identity == AGENT
        packet = models.DataPacket(
            kind=models.DataPacket.RELIABLE,
            participant_identity=identity,
            participant_sid=self._room.agent.sid if is_agent else self._room.user.sid,
            sequence=self._sequence,
            destination_identities=[destination] if destination else [],
            **value,  # type: ignore[arg-type]  # one of the packet's kinds
        )
        return packet.SerializeToString()


def _typed(text: str) -> Sequence[Command] | None:
    """What the user has typed is answered at once: it interrupts."""
    text = text.strip()
    if len(text.encode()) > MOST_TEXT_BYTES:
        raise BadRequest(
            f"expected a message of at most {MOST_TEXT_BYTES} bytes, got more",
            code="invalid_format",
        )
    return (CancelReply(), AddMessage(Role.USER, text), CreateReply()) if text else None


def _of_user(packet: models.UserPacket) -> Sequence[Command] | None:
    """The chat of clients that know no text streams: JSON with a `message`."""
    if packet.topic not in ("lk-chat-topic", CHAT):
        return None
    try:
        message = json.loads(packet.payload)
    except (ValueError, RecursionError):
        raise BadRequest(
            f"expected JSON with a message on the topic {packet.topic}, got something else",
            code="invalid_format",
        ) from None
    text = message.get("message") if isinstance(message, dict) else None
    return _typed(text) if isinstance(text, str) else None


def _result(response: models.RpcResponse) -> Command:
    if response.WhichOneof("value") == "error":
        return AnswerTool(response.request_id, response.error.message, True)
    return AnswerTool(response.request_id, response.payload)
