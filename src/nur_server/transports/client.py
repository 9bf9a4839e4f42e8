"""A client's connection, whatever protocol it speaks and whatever carries its frames.

A `Dialect` decodes each frame into a `Command` and writes what the client is sent. This module has
the rest: limits on frames, messages and audio, errors, taking over from an earlier connection, and
the ends that time brings.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from nur_server.audio.rates import LISTEN_RATE
from nur_server.clock import Clock
from nur_server.commands import AppendInput, Command, EndSession, UpdateSession
from nur_server.conversation.events import EndedReason
from nur_server.errors import BadRequest, InternalError, NurError, PayloadTooLarge
from nur_server.meter import Admission, Allowance, AudioMeter, FrameMeter
from nur_server.options import SessionOptions
from nur_server.ports import (
    Samples,
    SessionAbout,
    SessionInput,
    SessionNotice,
    SessionUpdated,
    Transport,
    TransportCapabilities,
)
from nur_server.transports.websocket import Encoder, Limits, Send, WebSocketTransport, WireMessage

log = structlog.get_logger(__name__)

Receive = Callable[[], Awaitable[Any]]
"""An ASGI connection's `receive`."""
Vet = Callable[[Command, SessionAbout], Awaitable[None]]
"""Checks an update where that takes longer than the event loop may be held. Raises `NurError`."""
IDLE_SECONDS = 600.0
"""Longest silence of a client that is connected, messages and audio alike."""
LOOK_EVERY_SECONDS = 1.0
"""Between two looks at the wall clock, which is set and stands still while a laptop sleeps."""
TOO_BIG = 1009
"""Close code for a frame above the limit (RFC 6455, section 7.4.1)."""
REPLACED = 1008
"""Close code of a connection that a newer one has replaced: its client must not come back."""

LEFT_CODES = (1000, 1001, 1005)
"""Close codes of a client that has left on purpose: closed, gone elsewhere, or without a code."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a dialect answers by itself, without the session."""

    messages: tuple[WireMessage, ...]


Decoded = Command | Answer


class Dialect(Encoder, Protocol):
    """One protocol, for one connection."""

    def configure(self, options: SessionOptions) -> None:
        """Read and write audio as these options have it."""
        ...

    def decode(self, frame: str | bytes) -> Decoded | Sequence[Decoded] | None:
        """What a frame asks for, in order; None: nothing. Raises `NurError`."""
        ...

    def hello(self, about: SessionAbout) -> Sequence[WireMessage]:
        """What a client is sent first when it comes to a session, or comes back to it."""
        ...

    def error(self, error: NurError, session_id: str | None = None) -> WireMessage:
        """An error in the words of the protocol."""
        ...


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What a client may do on one connection."""

    max_frame_bytes: int
    idle_seconds: float = IDLE_SECONDS
    allowance: Allowance = field(default_factory=Allowance)
    """Of audio."""
    can_resume: bool = True
    """False: the protocol has no way back. The session ends with its connection."""


class ClientConnection:
    """Implements `ports.Transport`. `serve` must be running once it is attached to a session."""

    def __init__(
        self,
        send: Send,
        dialect: Dialect,
        limits: ClientLimits,
        clock: Clock,
        greeting: Callable[[SessionAbout], Sequence[WireMessage]] | None = None,
        vet: Vet | None = None,
        front: Transport | None = None,
    ) -> None:
        """`greeting` makes what is sent before the dialect's `hello`. `vet` is awaited for each
        command but audio before it is carried out; the client's next message waits behind it.
        `front`: the transport that the session knows, where this connection is a part of it."""
        self._front = front or self
        self._dialect = dialect
        self._limits = limits
        self._clock = clock
        self._greeting = greeting
        self._vet = vet
        self._outbox = WebSocketTransport(send, dialect, LISTEN_RATE, Limits())
        self._session: SessionInput | None = None
        self._audio = AudioMeter(limits.allowance, clock.monotonic())
        self._frames = FrameMeter(clock.monotonic())
        self._heard_from_at = clock.monotonic()

    # The session's side

    @property
    def capabilities(self) -> TransportCapabilities:
        return TransportCapabilities(can_resume=self._limits.can_resume)

    @property
    def call_control(self) -> None:
        """A socket carries no phone call."""

    def connect(self, listener: SessionInput) -> None:
        about = listener.about
        self._session = listener
        self._dialect.configure(about.options)
        self._outbox.expect_rate(about.options.output_format.sample_rate)
        if listener.is_over:
            return  # What it said last, and its end, are all that follows.
        greeting = self._greeting(about) if self._greeting is not None else ()
        for message in (*greeting, *self._dialect.hello(about)):
            self._outbox.post(message)

    def replaced(self) -> None:
        self._outbox.shut(REPLACED, "replaced by a newer connection")

    def play(self, response_id: str, samples: Samples) -> None:
        self._outbox.play(response_id, samples)

    def clear(self, response_id: str) -> None:
        self._outbox.clear(response_id)

    def notify(self, notice: SessionNotice) -> None:
        if isinstance(notice, SessionUpdated):
            self._dialect.configure(notice.about.options)
            self._outbox.expect_rate(notice.about.options.output_format.sample_rate)
        self._outbox.notify(notice)

    def close(self, reason: EndedReason) -> None:
        self._outbox.close(reason)

    # The client's side

    def touch(self) -> None:
        """The client is there, as something other than a message shows."""
        self._heard_from_at = self._clock.monotonic()

    def complain(self, error: NurError) -> None:
        """Tell the client of an error."""
        if self._session is not None:
            self._complain(error, self._session)

    async def serve(self, receive: Receive) -> None:
        """Until the session ends or the client leaves; it may come back. Safe to cancel."""
        session = self._session
        assert session is not None, "a connection is served once its session is open"
        try:
            async with asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(self._read(receive, session)),
                    group.create_task(self._watch(session)),
                ]
                await self._outbox.write()
                for helper in helpers:
                    helper.cancel()
        finally:
            session.detach(self._front)

    async def _read(self, receive: Receive, session: SessionInput) -> None:
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    if not self._limits.can_resume and message.get("code") in LEFT_CODES:
                        session.end(EndedReason.CLIENT_ENDED)
                    self._outbox.drop("client_left")
                    return
                self._heard_from_at = self._clock.monotonic()
                text = message.get("text")
                frame = text if text is not None else message.get("bytes") or b""
                await asyncio.sleep(self._frames.admit(len(frame), self._heard_from_at))
                await self._accept(frame, session)
        except Exception:
            log.exception("connection.crashed", session_id=session.about.session_id)
            self._complain(InternalError("The connection failed."), session)
            self._outbox.shut(1011, "internal_error")

    async def _accept(self, frame: str | bytes, session: SessionInput) -> None:
        limit = self._limits.max_frame_bytes
        try:
            if len(frame) > limit:
                raise PayloadTooLarge(
                    f"expected frames of at most {limit} bytes, got {len(frame)}; send audio in "
                    "pieces of 20 to 100 ms"
                )
            for command in _each(self._dialect.decode(frame)):
                if not self._may_pass(command, len(frame), session):
                    break
                if isinstance(command, Answer):
                    for message in command.messages:
                        self._outbox.post(message)
                    continue
                if self._vet is not None and not isinstance(command, AppendInput):
                    await self._vet(command, session.about)
                self._perform(command, session)
        except PayloadTooLarge as error:
            self._complain(error, session)
            self._outbox.shut(TOO_BIG, "frame too large")
        except NurError as error:
            self._complain(error, session)

    def _may_pass(self, command: Decoded, size: int, session: SessionInput) -> bool:
        """Raises `BadRequest` for the first message of a row that may not."""
        now = self._clock.monotonic()
        match command:
            case EndSession():
                return True
            case AppendInput(samples):
                if not session.about.options.hears_audio:
                    return False
                admission = self._audio.admit(len(samples) / LISTEN_RATE, now)
                complaint = BadRequest(
                    "expected audio no faster than real time, got more for too long; what exceeds "
                    "it is dropped",
                    code="audio_rate_violation",
                )
            case _:
                is_update = isinstance(command, UpdateSession)
                admission = session.message_meter.admit(size, is_update=is_update, now=now)
                complaint = BadRequest(
                    "expected fewer messages, or smaller ones, got more for too long; what "
                    "exceeds it is dropped",
                    code="message_rate_violation",
                )
        if admission is Admission.REFUSED:
            raise complaint
        return admission is Admission.ADMITTED

    def _perform(self, command: Command, session: SessionInput) -> None:
        session.command(command)
        if isinstance(command, AppendInput) and command.is_torn:
            raise BadRequest(
                "expected whole 16-bit samples, got an odd number of bytes: the last one is kept "
                "for the next message",
                code="invalid_audio",
            )

    def _complain(self, error: NurError, session: SessionInput) -> None:
        self._outbox.post(self._dialect.error(error, session.about.session_id))

    # What time does

    async def _watch(self, session: SessionInput) -> None:
        """End the session when its time is up, or its client silent for too long."""
        expires_at = session.about.expires_at
        while True:
            wait = quiet = self._heard_from_at + self._limits.idle_seconds - self._clock.monotonic()
            if expires_at is not None:
                wait = min(quiet, (expires_at - self._clock.now()).total_seconds())
            if wait <= 0:
                session.end(EndedReason.SILENCE if quiet <= 0 else EndedReason.EXPIRED)
                return
            await asyncio.sleep(min(wait, LOOK_EVERY_SECONDS))


def _each(decoded: Decoded | Sequence[Decoded] | None) -> Sequence[Decoded]:
    if decoded is None:
        return ()
    return decoded if isinstance(decoded, Sequence) else (decoded,)
