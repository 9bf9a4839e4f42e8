"""The media of one carrier call: its stream as a `ports.Transport`.

The carrier plays what it is sent at the pace of speech and says, mark by mark, how far it has come.
No more than `MAX_AHEAD_MS` are left with it: what it holds cannot be ducked or held back any more,
and is what is heard on after an interruption if its clear comes late.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

import structlog

from nur_server.audio import dtmf
from nur_server.audio.rates import LISTEN_RATE
from nur_server.audio.resample import StreamResampler
from nur_server.conversation.events import EndedReason
from nur_server.errors import NurError, ProviderGarbled
from nur_server.ports import (
    CallControl,
    HangupCause,
    Samples,
    SessionInput,
    SessionNotice,
    TransportCapabilities,
)
from nur_server.transports.carriers.carrier import (
    Audio,
    Codec,
    Played,
    Pressed,
    Stopped,
    StreamEvent,
    WireMessage,
)
from nur_server.transports.early import EarlyInput
from nur_server.transports.websocket import Limits, Send, WebSocketTransport

log = structlog.get_logger(__name__)

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
"""An ASGI connection's `receive`."""

NORMAL_CLOSURE = 1000
"""RFC 6455, section 7.4.1."""
SILENCE_SECONDS = 10.0
"""Without any message: carriers send audio all the time, silence too, so the carrier is gone."""
MAX_AHEAD_MS = 400
MARK_MS = 100
"""Audio between two marks."""
MARK_SECONDS = 2.0
"""Without an answer to any mark: then the carrier's word is not waited for any more."""
LAST_WORDS_SECONDS = 1.0
"""For the carrier to play what it holds, before the stream is closed."""
TRANSFER_SECONDS = 15.0
MAX_GARBLED = 10
MAX_KEYS_WAITING = 16
LIMITS = Limits(backlog_seconds=5.0, write_seconds=5.0, close_seconds=2.0)
KEYS = "keys"
"""The response id of tones."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long what is waited for."""

    silence_seconds: float = SILENCE_SECONDS
    mark_seconds: float = MARK_SECONDS
    last_words_seconds: float = LAST_WORDS_SECONDS


class Leaving(Enum):
    """How a stream ended."""

    OURS = auto()
    """Closed by us."""
    THEIRS = auto()
    """Ended by the carrier in good order."""
    LOST = auto()
    """Broken off, silent or not understood."""
    TRANSFERRED = auto()


class _State(Enum):
    OPEN = auto()
    CLOSING = auto()
    """What the carrier holds is played, nothing is added."""
    TRANSFERRING = auto()
    TRANSFERRED = auto()


class Orders(Protocol):
    """What a leg asks of its carrier besides the stream."""

    async def transfer(self, to_number: str) -> None: ...

    @property
    def presses_keys(self) -> bool:
        """Whether `send_digits` may be used. Else keys are tones."""
        ...

    async def send_digits(self, digits: str) -> None: ...


class _Encoder:
    """The codec, as the socket asks for it."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def audio(self, response_id: str, samples: Samples) -> WireMessage:
        return self._codec.audio(samples)

    def encode(self, notice: SessionNotice) -> Sequence[WireMessage]:
        """A telephone shows nothing."""
        return ()

    def farewell(self, reason: EndedReason) -> tuple[int, str]:
        return 1000, ""


class CarrierLeg:
    """Implements `ports.Transport` and `ports.CallControl`. `serve` must be running."""

    def __init__(
        self,
        codec: Codec,
        send: Send,
        orders: Orders,
        on_media: Callable[["CarrierLeg"], None],
        timing: Timing | None = None,
    ) -> None:
        """`on_media` is told once, when the first audio has come."""
        self._codec = codec
        self._orders = orders
        self._on_media = on_media
        self._timing = timing or Timing()
        self._socket = WebSocketTransport(send, _Encoder(codec), codec.sample_rate, LIMITS)
        self._ahead = _Ahead(codec.sample_rate)
        self._held: deque[tuple[str, Samples]] = deque()
        self._resampler = StreamResampler(codec.sample_rate, LISTEN_RATE)
        self._state = _State.OPEN
        self._input = EarlyInput()
        self._keys: asyncio.Queue[str] = asyncio.Queue(MAX_KEYS_WAITING)
        self._all_played = asyncio.Event()
        self._transfer_over = asyncio.Event()
        self._wait: asyncio.Timeout | None = None
        self._is_over = False
        self._garbled = 0
        self.has_media = False
        """Whether any audio has come."""

    # The conversation's side

    @property
    def capabilities(self) -> TransportCapabilities:
        return TransportCapabilities(output_rate=self._codec.sample_rate)

    @property
    def call_control(self) -> CallControl:
        return self

    @property
    def unplayed_ms(self) -> int:
        """Audio given to `play` that the carrier has not said to have played."""
        held = sum(len(samples) for _, samples in self._held)
        return (self._ahead.samples + held) * 1000 // self._codec.sample_rate

    def connect(self, listener: SessionInput) -> None:
        self._input.connect(listener)

    def play(self, response_id: str, samples: Samples) -> None:
        if self._state is _State.OPEN:
            self._held.append((response_id, samples))
            self._release()

    def clear(self, response_id: str) -> None:
        self._held = deque(item for item in self._held if item[0] != response_id)
        self._socket.clear(response_id)
        if self._ahead.samples and self._state is _State.OPEN:
            self._socket.post(self._codec.clear())
            self._ahead.forget()
            self._look_whether_all_played()

    def replaced(self) -> None:
        """A call has one line; nothing replaces it."""

    def notify(self, notice: SessionNotice) -> None:
        """A telephone shows nothing."""

    def send_digits(self, digits: str) -> None:
        if self._state is not _State.OPEN or not dtmf.DIGITS.match(digits):
            log.warning("leg.keys_not_pressed", state=self._state.name, count=len(digits))
        elif self._orders.presses_keys:
            try:
                self._keys.put_nowait(digits)
            except asyncio.QueueFull:
                log.warning("leg.keys_not_pressed", state="too many are waiting")
        else:
            sound = dtmf.tones(digits, self._codec.sample_rate)
            step = self._codec.sample_rate // 50
            for start in range(0, len(sound), step):
                self.play(KEYS, sound[start : start + step])

    async def transfer(self, to_number: str) -> None:
        """Cancelling leaves open whether the far end was connected."""
        self._transfer_over.clear()
        self._enter(_State.TRANSFERRING)
        try:
            async with asyncio.timeout(TRANSFER_SECONDS):
                await self._orders.transfer(to_number)
        except BaseException:
            self._enter(_State.OPEN)
            raise
        else:
            self._enter(_State.TRANSFERRED)
        finally:
            self._transfer_over.set()

    def close(self, reason: EndedReason) -> None:
        if self._state is _State.OPEN:
            self._enter(_State.CLOSING)
            while self._held:
                self._send(*self._held.popleft())
            self._mark()
            self._look_whether_all_played()
            self._wait_no_longer_than(
                0.0 if self._all_played.is_set() else self._timing.last_words_seconds
            )
        elif self._state is _State.TRANSFERRED:
            self._wait_no_longer_than(0.0)

    # The carrier's side

    async def serve(self, receive: Receive) -> Leaving:
        """Until the stream is over; how it ended. Safe to cancel: the stream is closed."""
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._socket.write())
            pressing = group.create_task(self._press_keys())
            try:
                leaving = await self._read(receive)
            except asyncio.CancelledError:
                writing.cancel()
                raise
            finally:
                self._is_over = True
                pressing.cancel()
                self._socket.shut(1000)
        return leaving

    def leave(self) -> None:
        """The carrier reports that the call is over."""
        if self._state is _State.OPEN:
            self._enter(_State.CLOSING)
        self._wait_no_longer_than(0.0)

    def tell_hung_up(self, cause: HangupCause) -> None:
        self._input.hung_up(cause)

    async def _read(self, receive: Receive) -> Leaving:
        while True:
            try:
                async with asyncio.timeout(self._timing.silence_seconds) as self._wait:
                    if self._state is _State.CLOSING:
                        self._wait_no_longer_than(
                            0.0 if self._all_played.is_set() else self._timing.last_words_seconds
                        )
                    message = await receive()
            except TimeoutError:
                return await self._why_ended(Leaving.LOST)
            finally:
                self._wait = None
            if message["type"] != "websocket.receive":
                is_orderly = message.get("code") == NORMAL_CLOSURE
                return await self._why_ended(Leaving.THEIRS if is_orderly else Leaving.LOST)
            frame = message.get("text") or message.get("bytes") or b""
            if self._take(frame):
                return await self._why_ended(Leaving.THEIRS)
            if self._garbled > MAX_GARBLED:
                return await self._why_ended(Leaving.LOST)

    async def _why_ended(self, otherwise: Leaving) -> Leaving:
        """A transfer ends the stream too, before or after the carrier has confirmed it."""
        if self._state is _State.TRANSFERRING:
            await self._transfer_over.wait()
        match self._state:
            case _State.TRANSFERRED:
                return Leaving.TRANSFERRED
            case _State.CLOSING:
                return Leaving.OURS
            case _:
                return otherwise

    def _take(self, frame: WireMessage) -> bool:
        """Whether it was the last one."""
        try:
            events = self._codec.read(frame)
        except ProviderGarbled as error:
            self._garbled += 1
            log.warning("leg.garbled", count=self._garbled, code=error.code)
            return False
        is_last = False
        for event in events:
            is_last |= self._take_event(event)
        self._release()
        return is_last

    def _take_event(self, event: StreamEvent) -> bool:
        match event:
            case Audio(samples):
                self._hear(samples)
            case Pressed(digit):
                self._input.press(digit)
            case Played(mark):
                self._ahead.played(mark)
                self._look_whether_all_played()
            case Stopped():
                return True
        return False

    def _hear(self, samples: Samples) -> None:
        if self._state is _State.CLOSING:
            return
        self._input.hear(self._resampler.process(samples))
        if not self.has_media:
            self.has_media = True
            self._on_media(self)

    # What is sent

    def _release(self) -> None:
        """Send what is held back as far as the carrier has room for it."""
        if self._ahead.is_waiting_since(_now() - self._timing.mark_seconds):
            log.warning("leg.marks_unanswered", unplayed_ms=self.unplayed_ms)
            self._ahead.trust_no_more()
        while self._held and self._ahead.has_room:
            self._send(*self._held.popleft())

    def _send(self, response_id: str, samples: Samples) -> None:
        self._all_played.clear()
        self._socket.play(response_id, samples)
        if self._ahead.sent(len(samples)):
            self._mark()

    def _mark(self) -> None:
        name = self._ahead.mark(_now())
        if name is not None:
            self._socket.post(self._codec.mark(name))

    def _look_whether_all_played(self) -> None:
        if not self._ahead.samples and not self._held:
            self._all_played.set()
            if self._state is _State.CLOSING:
                self._wait_no_longer_than(0.0)

    async def _press_keys(self) -> None:
        """Order key presses, each behind what was being played."""
        while True:
            digits = await self._keys.get()
            self._mark()
            self._look_whether_all_played()
            try:
                async with asyncio.timeout(self._timing.mark_seconds):
                    await self._all_played.wait()
            except TimeoutError:
                log.info("leg.keys_pressed_early", unplayed_ms=self.unplayed_ms)
            try:
                await self._orders.send_digits(digits)
            except NurError as error:
                log.warning("leg.keys_not_pressed", state="refused", code=error.code)

    def _wait_no_longer_than(self, seconds: float) -> None:
        if self._wait is not None and not self._wait.expired():
            self._wait.reschedule(_now() + seconds)

    def _enter(self, state: _State) -> None:
        log.debug("leg.state", was=self._state.name, state=state.name)
        self._state = state


class _Ahead:
    """What the carrier holds, by the marks it has answered. Counts in samples."""

    def __init__(self, sample_rate: int) -> None:
        self._most = MAX_AHEAD_MS * sample_rate // 1000
        self._between = MARK_MS * sample_rate // 1000
        self._sent = 0
        self._played = 0
        self._marked = 0
        self._marks: deque[tuple[str, int, float]] = deque()
        """Name, samples sent before it, and when it was set; not answered yet."""
        self._number = 0
        self._is_trusted = True

    @property
    def samples(self) -> int:
        return self._sent - self._played

    @property
    def has_room(self) -> bool:
        return not self._is_trusted or self.samples < self._most

    def sent(self, samples: int) -> bool:
        """Whether a mark is due."""
        self._sent += samples
        return self._sent - self._marked >= self._between

    def mark(self, now: float) -> str | None:
        """The name of a new mark behind everything sent. None: there is one already."""
        if self._marked == self._sent:
            return None
        self._number += 1
        name = f"m{self._number}"
        self._marked = self._sent
        if self._is_trusted:
            self._marks.append((name, self._sent, now))
        return name

    def played(self, name: str) -> None:
        """A mark is answered, and with it those before. One that is not known is ignored."""
        if any(name == known for known, _, _ in self._marks):
            while True:
                known, samples, _ = self._marks.popleft()
                self._played = samples
                if known == name:
                    return

    def forget(self) -> None:
        """What was sent is thrown away."""
        self._played = self._marked = self._sent
        self._marks.clear()

    def is_waiting_since(self, then: float) -> bool:
        return bool(self._marks) and self._marks[0][2] < then

    def trust_no_more(self) -> None:
        """Go by what was sent: this carrier does not answer marks."""
        self._is_trusted = False
        self.forget()


def _now() -> float:
    return asyncio.get_running_loop().time()
