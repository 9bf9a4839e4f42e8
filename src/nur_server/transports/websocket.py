"""A client's WebSocket as its session sees it: one bounded queue, one writer, bounded time.

Blind to the wire: an `Encoder` turns audio and notices into messages, and an ASGI `send` callable
takes them away. What a client does not read piles up here; beyond `Limits` the client is dropped,
and the session waits for it to come back.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

import structlog

from nur_server.conversation.events import EndedReason
from nur_server.ports import Samples, SessionNotice

log = structlog.get_logger()

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
"""An ASGI connection's `send`. Raises `OSError` once the client is gone."""
WireMessage = str | bytes
"""A text frame, or a binary one."""


class Encoder(Protocol):
    """How audio and notices are written."""

    def audio(self, response_id: str, samples: Samples) -> WireMessage | Sequence[WireMessage]:
        """The message that carries the audio, as the last of a sequence where others announce it:
        those are sent even if the audio is dropped."""
        ...

    def encode(self, notice: SessionNotice) -> Sequence[WireMessage]:
        """The messages that one notice becomes, in order; none for what the client is not shown."""
        ...

    def farewell(self, reason: EndedReason) -> tuple[int, str]:
        """The close code and its reason text, at most 123 bytes of it."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may leave unread before it is dropped."""

    backlog_seconds: float = 5.0
    """Agent audio in the queue."""
    backlog_messages: int = 1_000
    write_seconds: float = 10.0
    """For one message."""
    close_seconds: float = 2.0
    """For all that is queued when the connection is being closed, and the close itself."""


class State(Enum):
    OPEN = auto()
    CLOSING = auto()
    """What is queued still leaves, nothing is added."""
    CLOSED = auto()
    """The close frame was sent."""
    DROPPED = auto()
    """The client stopped reading, or is gone."""


@dataclass(frozen=True, slots=True)
class _Queued:
    message: WireMessage
    response_id: str | None = None
    """Only on audio."""
    samples: int = 0


class WebSocketTransport:
    """The output half of a transport. `write` is its one writer and must be running."""

    def __init__(
        self, send: Send, encoder: Encoder, output_rate: int, limits: Limits | None = None
    ) -> None:
        self._send = send
        self._encoder = encoder
        self._limits = limits or Limits()
        self._max_samples = 0
        self.expect_rate(output_rate)
        self._queue: deque[_Queued] = deque()
        self._queued_samples = 0
        self._state = State.OPEN
        self._farewell = (1000, "")
        self._woken = asyncio.Event()
        self._write_scope: asyncio.Timeout | None = None
        self._close_by: float | None = None

    @property
    def state(self) -> State:
        return self._state

    def expect_rate(self, output_rate: int) -> None:
        """Audio comes at so many samples per second: the bound on the backlog counts by it."""
        self._max_samples = int(self._limits.backlog_seconds * output_rate)

    # The session's side

    def play(self, response_id: str, samples: Samples) -> None:
        if self._state is State.OPEN:
            *heralds, audio = _all(self._encoder.audio(response_id, samples))
            for message in heralds:
                self._add(_Queued(message))
            self._add(_Queued(audio, response_id, len(samples)))

    def clear(self, response_id: str) -> None:
        if not self._queued_samples:
            return
        self._queue = deque(item for item in self._queue if item.response_id != response_id)
        self._queued_samples = sum(item.samples for item in self._queue)

    def notify(self, notice: SessionNotice) -> None:
        if self._state is State.OPEN:
            for message in self._encoder.encode(notice):
                self._add(_Queued(message))

    def close(self, reason: EndedReason) -> None:
        self.shut(*self._encoder.farewell(reason))

    # The connection's side

    def post(self, message: WireMessage) -> None:
        """Queue a message of the dialect's own."""
        if self._state is State.OPEN:
            self._add(_Queued(message))

    def shut(self, code: int, reason: str = "") -> None:
        """Send what is queued, then close. Only the first call counts."""
        if self._state is not State.OPEN:
            return
        self._farewell = (code, reason)
        self._close_by = asyncio.get_running_loop().time() + self._limits.close_seconds
        self._finish_write_by(self._close_by)
        self._enter(State.CLOSING)

    def drop(self, cause: str) -> None:
        """Give the client up: nothing more is sent. May be called twice."""
        if self._state in (State.CLOSED, State.DROPPED):
            return
        log.info("client.dropped", cause=cause, unread_messages=len(self._queue))
        self._queue.clear()
        self._queued_samples = 0
        self._finish_write_by(asyncio.get_running_loop().time())
        self._enter(State.DROPPED)

    async def write(self) -> State:
        """Send what is queued until the connection is closed or dropped; which of the two.

        Safe to cancel: the message being sent may be lost with the connection.
        """
        while self._state in (State.OPEN, State.CLOSING):
            if self._queue:
                item = self._queue.popleft()
                self._queued_samples -= item.samples
                await self._write_one(_frame(item.message))
            elif self._state is State.CLOSING:
                code, reason = self._farewell
                await self._write_one({"type": "websocket.close", "code": code, "reason": reason})
                if self._state is State.CLOSING:
                    self._enter(State.CLOSED)
            else:
                self._woken.clear()
                await self._woken.wait()
        return self._state

    async def _write_one(self, message: MutableMapping[str, Any]) -> None:
        due = self._close_by or asyncio.get_running_loop().time() + self._limits.write_seconds
        try:
            async with asyncio.timeout_at(due) as self._write_scope:
                try:
                    await self._send(message)
                finally:
                    self._write_scope = None
        except TimeoutError:
            self.drop("write_timeout")
        except OSError:
            self.drop("connection_lost")

    def _finish_write_by(self, due: float) -> None:
        """Cut the message being sent, where there is one, at `due` on the loop's clock."""
        scope = self._write_scope
        if scope is not None and not scope.expired():
            scope.reschedule(due)

    def _add(self, item: _Queued) -> None:
        self._queue.append(item)
        self._queued_samples += item.samples
        if (
            self._queued_samples > self._max_samples
            or len(self._queue) > self._limits.backlog_messages
        ):
            self.drop("backlog")
        self._woken.set()

    def _enter(self, state: State) -> None:
        log.debug("connection.state", was=self._state.name, state=state.name)
        self._state = state
        self._woken.set()


def _all(messages: WireMessage | Sequence[WireMessage]) -> Sequence[WireMessage]:
    return (messages,) if isinstance(messages, str | bytes) else messages


def _frame(message: WireMessage) -> MutableMapping[str, Any]:
    kind = "text" if isinstance(message, str) else "bytes"
    return {"type": "websocket.send", kind: message}
