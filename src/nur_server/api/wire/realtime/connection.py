"""A client's connection to a running session: its messages obeyed, its audio handed on."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, assert_never

import msgspec
import structlog

from nur_server.api.errors import TOO_BIG, as_nur_error, ws_error
from nur_server.api.services import Services
from nur_server.api.wire.realtime import schemas as wire
from nur_server.api.wire.realtime.codec import AudioFrames, RealtimeDialect, decode
from nur_server.api.wire.realtime.meter import Admission, Allowance, AudioMeter, MessageMeter
from nur_server.api.wire.realtime.options import echo, in_words_of_the_wire, options_of, warnings_of
from nur_server.audio.formats import Inlet
from nur_server.conversation.events import EndedReason, Role
from nur_server.errors import BadRequest, NurError, PayloadTooLarge
from nur_server.opening.plan import SessionPlan, tool_endpoints, updated
from nur_server.opening.prepare import Identity, prepare
from nur_server.session.runner import Session
from nur_server.transports.websocket import WebSocketTransport

log = structlog.get_logger(__name__)

Receive = Callable[[], Awaitable[Any]]
"""An ASGI connection's `receive`."""
IDLE_SECONDS = 600.0
"""Longest silence of a client that is connected, messages and audio alike."""
LOOK_EVERY_SECONDS = 1.0
"""At the wall clock, which is set and stands still while a laptop sleeps."""


@dataclass(slots=True)
class Held:
    """What is known of a live session between its connections."""

    plan: SessionPlan
    expires_at: float
    """Seconds since 1970."""
    transport: WebSocketTransport | None = None
    """Of the newest connection."""
    messages: MessageMeter | None = None
    """Of all its connections. None: it has had none."""


@dataclass(frozen=True, slots=True)
class Manners:
    """What this connection's client may do."""

    max_frame_bytes: int
    takes_binary_audio: bool
    """A binary frame is audio. False: it is JSON."""
    answers_binary_with_binary: bool = True
    """Agent audio becomes binary with the first binary frame."""
    idle_seconds: float = IDLE_SECONDS
    allowance: Allowance = field(default_factory=Allowance)


class Connection:
    """Serves one client of a session until either of them leaves."""

    def __init__(
        self,
        session: Session,
        held: Held,
        transport: WebSocketTransport,
        dialect: RealtimeDialect,
        manners: Manners,
        server: Services,
    ) -> None:
        self._session = session
        self._held = held
        self._transport = transport
        self._dialect = dialect
        self._manners = manners
        self._server = server
        self._clock = server.clock
        self._inlet = Inlet(held.plan.input_format)
        self._meter = AudioMeter(manners.allowance, self._clock.monotonic())
        self._messages = held.messages or MessageMeter(self._clock.monotonic())
        held.messages = self._messages
        self._heard_from_at = self._clock.monotonic()

    async def serve(self, receive: Receive) -> None:
        """Until the session ends or the client leaves; it may come back. Safe to cancel."""
        self._take_over()
        try:
            async with asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(self._read(receive)),
                    group.create_task(self._watch()),
                ]
                await self._transport.write()
                for helper in helpers:
                    helper.cancel()
        finally:
            self._session.detach(self._transport)

    def _take_over(self) -> None:
        """The newest connection wins: the one before is closed, and its clients do not fight."""
        earlier, self._held.transport = self._held.transport, self._transport
        if earlier is not None:
            earlier.shut(1008, "replaced by a newer connection")
        if self._session.is_over:
            self._transport.shut(1000, "session_ended")
        self._session.attach(self._transport)

    # What the client sends

    async def _read(self, receive: Receive) -> None:
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    self._transport.drop("client_left")
                    return
                self._heard_from_at = self._clock.monotonic()
                self._accept(message.get("text"), message.get("bytes"))
        except Exception:
            log.exception("connection.crashed", session_id=self._session.setup.session_id)
            self._transport.post(self._dialect.error("internal_error", "The connection failed."))
            self._transport.shut(1011, "internal_error")

    def _accept(self, text: str | None, data: bytes | None) -> None:
        frame = text if text is not None else data or b""
        try:
            if len(frame) > self._manners.max_frame_bytes:
                raise PayloadTooLarge(
                    f"expected frames of at most {self._manners.max_frame_bytes} bytes, got "
                    f"{len(frame)}; send audio in pieces of 20 to 100 ms"
                )
            if data is not None and text is None and self._manners.takes_binary_audio:
                self._accept_binary(data)
            else:
                message = decode(frame)
                if self._may_pass(message, len(frame)):
                    self._obey(message)
        except PayloadTooLarge as error:
            self._complain(error)
            self._transport.shut(TOO_BIG, "frame too large")
        except NurError as error:
            self._complain(error)

    def _may_pass(self, message: wire.ClientMessage, size: int) -> bool:
        """Raises `BadRequest` for the first message of a row that may not."""
        if isinstance(message, wire.InputAudio | wire.SessionEnd):
            return True
        is_update = isinstance(message, wire.SessionUpdate)
        now = self._clock.monotonic()
        match self._messages.admit(size, is_update=is_update, now=now):
            case Admission.REFUSED:
                raise BadRequest(
                    "expected fewer messages, or smaller ones, got more for too long; "
                    "what exceeds it is dropped",
                    code="message_rate_violation",
                )
            case Admission.REFUSED_AGAIN:
                return False
            case Admission.ADMITTED:
                return True

    def _accept_binary(self, data: bytes) -> None:
        if self._manners.answers_binary_with_binary:
            self._dialect.frames = AudioFrames.BINARY
        self._hear(data)

    def _obey(self, message: wire.ClientMessage) -> None:
        session = self._session
        match message:
            case wire.InputAudio(audio):
                self._hear(audio)
            case wire.SessionUpdate(part):
                self._update(part)
            case wire.SessionResume():
                raise BadRequest(
                    "session.resume can only be the first message", code="invalid_format"
                )
            case wire.SessionEnd():
                session.end(EndedReason.CLIENT_ENDED)
            case wire.ToolResultGiven(call_id, result, is_error):
                session.answer_tool(call_id, _as_text(result), is_error)
            case wire.ReplyCreate(instructions):
                session.request_reply(instructions)
            case wire.ReplyPlayed(reply_id, played_ms):
                self._session.played(reply_id, played_ms)
            case wire.ReplyCancel(reply_id):
                session.cancel_reply(reply_id)
            case wire.ConversationMessage(role, content):
                session.add_message(Role(role), content)
            case _:
                assert_never(message)

    def _hear(self, data: bytes) -> None:
        if not self._held.plan.hears_audio:
            return
        now = self._clock.monotonic()
        match self._meter.admit(self._inlet.seconds(data), now):
            case Admission.REFUSED_AGAIN:
                return
            case Admission.REFUSED:
                raise BadRequest(
                    "expected audio no faster than real time, got more for too long; "
                    "what exceeds it is dropped",
                    code="audio_rate_violation",
                )
            case Admission.ADMITTED:
                self._session.hear(self._inlet.accept(data))
        if not self._inlet.is_between_samples:
            raise BadRequest(
                f"expected whole 16-bit samples, got {len(data)} bytes: the last one is kept for "
                "the next message",
                code="invalid_audio",
            )

    def _update(self, part: wire.SessionPart) -> None:
        before = self._held.plan
        changed = updated(before, options_of(part), warnings_of(part))
        own = self._session.setup
        identity = Identity(own.account_id, own.session_id)
        prepared = prepare(changed, identity, self._server.catalogue)
        if part.tools is not msgspec.UNSET:
            allow_private = self._server.settings.allow_private_urls
            addresses = tool_endpoints(changed, allow_private=allow_private)
            self._server.toolbox.open(own.session_id, addresses)
        self._held.plan = changed
        if changed.input_format != before.input_format:
            self._inlet = Inlet(changed.input_format)
        self._session.reconfigure(prepared.setup)
        config = echo(changed, own.session_id)
        self._transport.post(self._dialect.updated(config, prepared.warnings))

    def _complain(self, error: NurError) -> None:
        known = in_words_of_the_wire(as_nur_error(error))
        code, _ = ws_error(known)
        self._transport.post(
            self._dialect.error(code, known.message, known.param, self._session.setup.session_id)
        )

    # What time does

    async def _watch(self) -> None:
        """End the session when its time is up, or its client silent for too long."""
        while True:
            quiet = self._heard_from_at + self._manners.idle_seconds - self._clock.monotonic()
            left = self._held.expires_at - self._clock.now().timestamp()
            if left <= 0:
                self._session.end(EndedReason.EXPIRED)
                return
            if quiet <= 0:
                self._session.end(EndedReason.SILENCE)
                return
            await asyncio.sleep(min(quiet, left, LOOK_EVERY_SECONDS))


def _as_text(result: Any) -> str:
    """A tool's result for the model: text as it is, anything else as JSON."""
    return result if isinstance(result, str) else msgspec.json.encode(result).decode()
