"""The two bounded queues of a live session: events on their way in, messages on their way out.

Both belong to one event loop.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from nur.events import Event, ReplyAudio

MOST_EVENTS = 4096
"""At 50 pieces of audio a second, well over a minute that nobody has read."""
MOST_MESSAGES = 64
LONGEST_OFFLINE_SECONDS = 2.0
"""Audio kept for a connection that is being made again; what is older is thrown away."""


class Inbox:
    """Events in order. Full: the oldest audio makes room, else the oldest event."""

    def __init__(self, most: int = MOST_EVENTS) -> None:
        self._most = most
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._is_closed = False
        self.dropped = 0
        """Events thrown away because nobody read them."""

    def put(self, event: Event) -> None:
        if len(self._events) >= self._most:
            self._make_room()
        self._events.append(event)
        self._changed.set()

    def discard_audio(self, reply_id: str) -> None:
        """Throw away what is waiting of a reply's audio."""
        self._events = deque(
            event
            for event in self._events
            if not (isinstance(event, ReplyAudio) and event.reply_id == reply_id)
        )

    def close(self) -> None:
        """No event follows; those waiting can still be read."""
        self._is_closed = True
        self._changed.set()

    async def get(self) -> Event | None:
        """The next event, or None at the end. Safe to cancel: no event is lost."""
        while not self._events:
            if self._is_closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()

    def _make_room(self) -> None:
        audio = next((i for i, each in enumerate(self._events) if isinstance(each, ReplyAudio)), 0)
        del self._events[audio]
        self.dropped += 1


@dataclass(frozen=True, slots=True)
class Message:
    """A message to the server."""

    data: str | bytes
    """Text frame or binary frame."""
    audio_seconds: float | None = None
    """How much of the user's audio it holds. None: it is not audio."""


class Outbox:
    """Messages in order, taken out only once they are written.

    Connected, it is bounded by making the sender wait. Offline, commands wait for the connection
    and audio is cut to the newest `LONGEST_OFFLINE_SECONDS`.
    """

    def __init__(self, most: int = MOST_MESSAGES) -> None:
        self._most = most
        self._messages: deque[Message] = deque()
        self._changed = asyncio.Condition()
        self._is_online = False
        self._is_closed = False
        self.dropped_audio_seconds = 0.0
        """The user's audio thrown away while there was no connection."""

    async def put(self, message: Message) -> bool:
        """Queue a message; False once closed. Safe to cancel: it is queued whole or not at all."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room(message))
            if self._is_closed:
                return False
            self._messages.append(message)
            if not self._is_online:
                self._cut_audio()
            self._changed.notify_all()
            return True

    async def put_first(self, messages: list[Message]) -> None:
        """Queue messages before all others, whatever the bound."""
        async with self._changed:
            self._messages.extendleft(reversed(messages))
            self._changed.notify_all()

    async def set_online(self, is_online: bool) -> None:
        async with self._changed:
            self._is_online = is_online
            self._changed.notify_all()

    async def close(self) -> None:
        """Nothing is taken any more; who waits is let go."""
        async with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    async def first(self) -> Message:
        """The message to write next. It stays until `written`. Safe to cancel."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._messages))
            return self._messages[0]

    async def written(self) -> None:
        """The first message has been written."""
        async with self._changed:
            self._messages.popleft()
            self._changed.notify_all()

    def _has_room(self, message: Message) -> bool:
        if self._is_closed or len(self._messages) < self._most:
            return True
        return message.audio_seconds is not None and not self._is_online

    def _cut_audio(self) -> None:
        waiting = sum(each.audio_seconds or 0.0 for each in self._messages)
        while waiting > LONGEST_OFFLINE_SECONDS:
            oldest = next(i for i, each in enumerate(self._messages) if each.audio_seconds)
            gone = self._messages[oldest].audio_seconds or 0.0
            del self._messages[oldest]
            waiting -= gone
            self.dropped_audio_seconds += gone
