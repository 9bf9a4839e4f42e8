"""The client's end of a session: the transport in use, and what is kept while there is none."""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from nur_server.conversation.events import EndedReason
from nur_server.ports import CallControl, Samples, SessionInput, SessionNotice, Transport
from nur_server.session.recorder import Recorder

KEPT_NOTICES = 256
"""Notices kept for a client that is gone for a moment; the oldest are dropped."""


class Arrival(Enum):
    """What the attaching of a transport means."""

    FIRST = auto()
    """The session has its first transport."""
    TAKE_OVER = auto()
    """A connected client has opened a newer connection."""
    RETURN = auto()
    """A client whose connection was lost has come back."""


class ClientLink:
    """One transport at a time. What the session says without one is kept, within bounds."""

    def __init__(self, resume_seconds: float, on_given_up: Callable[[], None]) -> None:
        """`on_given_up` is called once a client has been away for `resume_seconds`."""
        self.kept: deque[SessionNotice] = deque(maxlen=KEPT_NOTICES)
        self.recorder: Recorder | None = None
        """Records what has really been sent."""
        self._transport: Transport | None = None
        self._was_attached = False
        self._resume_seconds = resume_seconds
        self._on_given_up = on_given_up
        self._grace: asyncio.TimerHandle | None = None

    @property
    def is_connected(self) -> bool:
        return self._transport is not None

    @property
    def is_away(self) -> bool:
        """The client was there, and has lost its connection."""
        return self._was_attached and self._transport is None

    @property
    def call_control(self) -> CallControl | None:
        return self._transport.call_control if self._transport is not None else None

    # Coming and going

    def attach(self, transport: Transport, listener: SessionInput) -> Arrival:
        """Talk over `transport` from here on; it is given what was kept."""
        self.stop_waiting()
        earlier, self._transport = self._transport, transport
        if earlier is not None:
            earlier.replaced()
        transport.connect(listener)
        if not self._was_attached:
            self._was_attached = True
            return Arrival.FIRST
        while self.kept:
            transport.notify(self.kept.popleft())
        return Arrival.RETURN if earlier is None else Arrival.TAKE_OVER

    def say_farewell(
        self, transport: Transport, listener: SessionInput, reason: EndedReason
    ) -> None:
        """Tell a client that comes too late what it has missed, and close its transport."""
        transport.connect(listener)
        while self.kept:
            transport.notify(self.kept.popleft())
        transport.close(reason)

    def detach(self, transport: Transport) -> bool:
        """The connection is lost. False where another one is in use already."""
        if transport is not self._transport:
            return False
        self._transport = None
        return True

    def await_return(self, transport: Transport) -> None:
        """Wait for the client of a lost connection, where it can come back."""
        if transport.capabilities.can_resume:
            loop = asyncio.get_running_loop()
            self._grace = loop.call_later(self._resume_seconds, self._on_given_up)
        else:
            self._on_given_up()

    def stop_waiting(self) -> None:
        """Nobody is waited for any more."""
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def close(self, reason: EndedReason) -> None:
        """Say that the session ended. May be called twice."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close(reason)

    # What the session says

    def play(self, response_id: str, samples: Samples, rate: int) -> None:
        """Send agent audio of `rate` samples per second; it is lost where nobody is connected."""
        if self._transport is not None:
            self._transport.play(response_id, samples)
            if self.recorder is not None:
                self.recorder.played(response_id, samples, rate)

    def clear(self, response_id: str) -> None:
        """Drop audio of the response that has not left yet."""
        if self._transport is not None:
            self._transport.clear(response_id)
        if self.recorder is not None:
            self.recorder.cut()

    def notify(self, notice: SessionNotice) -> None:
        """Send a notice, or keep it for the client's return."""
        if self._transport is not None:
            self._transport.notify(notice)
        else:
            self.kept.append(notice)
