"""A client that talks over a peer connection: its audio is media, all else is messages.

The messages are those of a dialect, over a data channel, and are handled as on a socket:
`transports.client` meters and bounds them. What this module adds is the audio, how far it has been
played, and the ends that the media brings.
"""

import asyncio
from collections import deque
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import structlog

from nur_server.clock import Clock
from nur_server.commands import AppendInput, ReportPlayed
from nur_server.conversation.events import EndedReason
from nur_server.errors import BadRequest, NurError
from nur_server.options import SessionOptions
from nur_server.ports import (
    Samples,
    SessionAbout,
    SessionInput,
    SessionNotice,
    TransportCapabilities,
)
from nur_server.transports.client import (
    ClientConnection,
    ClientLimits,
    Decoded,
    Dialect,
    Vet,
)
from nur_server.transports.early import EarlyInput
from nur_server.transports.webrtc.media import (
    VOICE_RATE,
    DataChannel,
    MediaEngine,
    MediaPeer,
    PeerEvents,
    PeerState,
    PeerStats,
)

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 20.0
"""Longest wait for a client's media after its offer was answered. ICE and DTLS take 0.1 to 2 s; a
client behind a slow TURN server some 10 s."""
CHANNEL_SECONDS = 3.0
"""Longest wait for the data channel that an offer announced, once the media is connected."""
LOST_SECONDS = 6.0
"""Of a connection that nothing comes over, not even ICE's checks, which come every 2.5 s."""
LOOK_SECONDS = 0.5
"""Between two looks at how far the far end has played."""
STATS_EVERY = 4
"""Looks between two readings of the library's statistics, which cost some 0.5 ms."""
FAR_BUFFER_SECONDS = 0.06
"""Audio that the far end keeps against jitter: 45 to 129 ms were measured in Chromium, 51 ms in
libwebrtc, both on a quiet network. A client that knows better reports what it has played."""
MOST_MESSAGES, MOST_BYTES = 256, 4_194_304
"""Messages of a client that wait to be read, and their bytes; what exceeds it is dropped."""
CHANNEL_BACKLOG = 1_048_576
"""Bytes on a data channel that the client has not taken yet, before the next message waits."""
FAREWELL_SECONDS = 1.5
"""Longest wait for the last audio and the last messages to leave."""
POLL_SECONDS = 0.02
MOST_WAIT_SECONDS = 30.0
"""For a buffer to empty; a write's own time-out comes first."""
CAPABILITIES = TransportCapabilities(output_rate=VOICE_RATE, can_resume=True)


class Messages(Protocol):
    """Where messages go besides the data channel's dialect: a client's signalling."""

    def ended(self, reason: EndedReason) -> None:
        """The session is over."""
        ...

    def replaced(self) -> None:
        """A newer connection of the client has taken over."""
        ...


class MediaDialect:
    """A dialect whose audio is not messages. Implements `transports.client.Dialect`."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.reports_played = False
        """The client has said how far it has played."""

    def configure(self, options: SessionOptions) -> None:
        self._dialect.configure(options)

    def decode(self, frame: str | bytes) -> Sequence[Decoded]:
        decoded = self._dialect.decode(frame)
        if decoded is None:
            return ()
        commands = decoded if isinstance(decoded, Sequence) else (decoded,)
        for command in commands:
            if isinstance(command, AppendInput):
                raise BadRequest(
                    "expected audio as media of the peer connection, got it as a message; send it "
                    "on an audio track",
                    code="invalid_audio",
                )
            if isinstance(command, ReportPlayed):
                self.reports_played = True
        return commands

    def hello(self, about: SessionAbout) -> Any:
        return self._dialect.hello(about)

    def error(self, error: NurError, session_id: str | None = None) -> str | bytes:
        return self._dialect.error(error, session_id)

    def audio(self, response_id: str, samples: Samples) -> Any:
        return self._dialect.audio(response_id, samples)

    def encode(self, notice: SessionNotice) -> Any:
        return self._dialect.encode(notice)

    def farewell(self, reason: EndedReason) -> tuple[int, str]:
        return self._dialect.farewell(reason)


class MediaConnection:
    """Implements `ports.Transport`. Made by `open`; `serve` must be running once it is attached."""

    def __init__(
        self,
        dialect: Dialect,
        limits: ClientLimits,
        clock: Clock,
        *,
        vet: Vet | None = None,
        channel_label: str | None = None,
        messages: Messages | None = None,
    ) -> None:
        """`channel_label`: the one data channel that carries messages; None: the first that
        opens. `messages`: the client's signalling, where it has one."""
        self._dialect = MediaDialect(dialect)
        self._clock = clock
        self._control = ClientConnection(
            self._send, self._dialect, limits, clock, vet=vet, front=self
        )
        self._messages = messages
        self._label = channel_label
        self._peer: MediaPeer | None = None
        self._channel: DataChannel | None = None
        self._early = EarlyInput()
        self._session: SessionInput | None = None
        self._inbox: deque[str | bytes] = deque()
        self._inbox_bytes = 0
        self._woken = asyncio.Event()
        self._connected = asyncio.Event()
        self._channel_open = asyncio.Event()
        self._is_gone = False
        self._was_connected = False
        self._ended: EndedReason | None = None
        self._is_flooding = False
        self._heard_at = clock.monotonic()
        self._far_seconds = FAR_BUFFER_SECONDS
        self.last_stats = PeerStats()
        self.on_packets: Callable[[int, int], None] = lambda received, lost: None
        """Is called with the packets of the client's audio that came, and were lost, since the
        last call."""

    async def open(self, engine: MediaEngine) -> MediaPeer:
        """Make the peer connection."""
        self.use(peer := await engine.connect(self.events))
        return peer

    @property
    def events(self) -> PeerEvents:
        """What a peer connection of this client is made with."""
        return PeerEvents(
            state=self._state_changed,
            heard=self._hear,
            channel=self._channel_opened,
            message=self._message_came,
            candidate=lambda candidate: None,
        )

    def use(self, peer: MediaPeer) -> None:
        """The media goes over this one; it was made with `events`."""
        self._peer = peer

    @property
    def peer(self) -> MediaPeer:
        assert self._peer is not None, "a connection is used once it is open"
        return self._peer

    @property
    def is_gone(self) -> bool:
        """The media is lost, or the connection was closed."""
        return self._is_gone

    @property
    def was_connected(self) -> bool:
        """The client's media came."""
        return self._was_connected

    # The session's side

    @property
    def capabilities(self) -> TransportCapabilities:
        return CAPABILITIES

    @property
    def call_control(self) -> None:
        """A browser carries no phone call."""

    def connect(self, listener: SessionInput) -> None:
        self._session = listener
        self._control.connect(listener)
        self._early.connect(listener)

    def replaced(self) -> None:
        if self._messages is not None:
            self._messages.replaced()
        self._control.replaced()

    def play(self, response_id: str, samples: Samples) -> None:
        self.peer.play(response_id, samples)

    def clear(self, response_id: str) -> None:
        self.peer.clear(response_id)
        self._control.clear(response_id)

    def notify(self, notice: SessionNotice) -> None:
        self._control.notify(notice)

    def close(self, reason: EndedReason) -> None:
        self._ended = reason
        self._control.close(reason)

    # The client's side

    async def wait_connected(self, *, has_channel: bool) -> bool:
        """Whether the client's media came within `CONNECT_SECONDS`."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connected.wait()
        except TimeoutError:
            return False
        if has_channel and not self._is_gone:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHANNEL_SECONDS):
                    await self._channel_open.wait()
        return not self._is_gone

    async def serve(self) -> None:
        """Until the session ends, or the media is lost; its client may come back. Safe to cancel.

        The peer connection is closed by the end."""
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(), name="media watch")
                await self._control.serve(self._receive)
                watching.cancel()
        finally:
            await self.shut()

    def lose(self) -> None:
        """The client's connection is lost."""
        self._is_gone = True
        for event in (self._connected, self._channel_open, self._woken):
            event.set()

    async def shut(self) -> None:
        """Close the peer connection. May be called twice."""
        self.lose()
        if self._peer is not None:
            await self._peer.close()

    def complain(self, error: NurError) -> None:
        """Tell the client of an error, over its data channel."""
        self.post(self._dialect.error(error))

    def post(self, message: str | bytes) -> None:
        """Send a message of the dialect's own, before those that wait."""
        if self._channel is not None and self._unsent_bytes <= CHANNEL_BACKLOG:
            self._channel.send(message)

    # What the peer connection says

    def _state_changed(self, state: PeerState) -> None:
        log.debug("media.state", state=state.value)
        match state:
            case PeerState.CONNECTED:
                self._heard_at = self._clock.monotonic()
                self._was_connected = True
                self._connected.set()
            case PeerState.FAILED | PeerState.CLOSED:
                self.lose()
            case _:
                pass

    def _hear(self, samples: Samples) -> None:
        self._control.touch()
        self._early.hear(samples)

    def _channel_opened(self, channel: DataChannel) -> None:
        if self._channel is None and self._label in (None, channel.label):
            self._channel = channel
            self._channel_open.set()

    def _message_came(self, channel: DataChannel, message: str | bytes) -> None:
        if self._label is not None and channel.label != self._label:
            return
        if len(self._inbox) >= MOST_MESSAGES or self._inbox_bytes + len(message) > MOST_BYTES:
            if not self._is_flooding:
                self._is_flooding = True
                self.complain(
                    BadRequest(
                        "expected fewer messages, or smaller ones, got more for too long; what "
                        "exceeds it is dropped",
                        code="message_rate_violation",
                    )
                )
            return
        self._is_flooding = False
        self._inbox.append(message)
        self._inbox_bytes += len(message)
        self._woken.set()

    # As an ASGI connection, for `ClientConnection`

    async def _receive(self) -> MutableMapping[str, Any]:
        while not self._inbox and not self._is_gone:
            self._woken.clear()
            await self._woken.wait()
        if self._is_gone:
            return {"type": "websocket.disconnect"}
        message = self._inbox.popleft()
        self._inbox_bytes -= len(message)
        kind = "text" if isinstance(message, str) else "bytes"
        return {"type": "websocket.receive", kind: message}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        """Raises `OSError` once the client is gone."""
        if self._is_gone:
            raise ConnectionError("the client is gone")
        if message["type"] == "websocket.close":
            await self._say_farewell()
            return
        if self._channel is None:
            return  # Its client has asked for none.
        await self._until(lambda: self._unsent_bytes <= CHANNEL_BACKLOG)
        if self._is_gone:
            raise ConnectionError("the client is gone")
        text = message.get("text")
        self._channel.send(text if text is not None else message["bytes"])

    async def _say_farewell(self) -> None:
        """Let the last audio and messages leave, and be played."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._until(lambda: not (self.peer.unsent_ms or self._unsent_bytes))
                await asyncio.sleep(self._far_seconds)
        if self._messages is not None and self._ended is not None:
            self._messages.ended(self._ended)

    @property
    def _unsent_bytes(self) -> int:
        return self._channel.unsent_bytes if self._channel is not None else 0

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Until it is so, or the client is gone. Asked for, since no library says so by itself."""
        for _ in range(int(MOST_WAIT_SECONDS / POLL_SECONDS)):
            if is_so() or self._is_gone:
                return
            await asyncio.sleep(POLL_SECONDS)

    # What time does

    async def _watch(self) -> None:
        looks = 0
        while not self._is_gone:
            await asyncio.sleep(LOOK_SECONDS)
            looks += 1
            if looks % STATS_EVERY == 0:
                await self._look()
            self._report_played()

    async def _look(self) -> None:
        try:
            stats = await self.peer.stats()
        except NurError:
            return
        now = self._clock.monotonic()
        if stats.bytes_received > self.last_stats.bytes_received:
            self._heard_at = now
            self._control.touch()
        elif now - self._heard_at >= LOST_SECONDS - LOOK_SECONDS * STATS_EVERY:
            log.info("media.lost", silent_seconds=round(now - self._heard_at, 1))
            self.lose()
        if stats.round_trip_seconds is not None:
            self._far_seconds = FAR_BUFFER_SECONDS + stats.round_trip_seconds / 2
        before, self.last_stats = self.last_stats, stats
        self.on_packets(
            max(0, stats.packets_received - before.packets_received),
            max(0, stats.packets_lost - before.packets_lost),
        )

    def _report_played(self) -> None:
        """Tell the session how far behind its own clock the far end plays."""
        sent = self.peer.sent
        if sent is None or self._session is None or self._dialect.reports_played:
            return
        response_id, sent_ms = sent
        played_ms = sent_ms - round(self._far_seconds * 1000)
        if played_ms > 0 and self.peer.unsent_ms:
            self._session.played(response_id, played_ms)
