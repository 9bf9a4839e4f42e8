"""The port between a session and whoever it talks with."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from nur_server.commands import Command
from nur_server.conversation.events import EndedReason
from nur_server.conversation.notices import Notice
from nur_server.meter import MessageMeter
from nur_server.options import SessionOptions
from nur_server.ports.engines import Samples


class HangupCause(StrEnum):
    """Why a call ended, as its carrier says it."""

    NORMAL = "normal"
    """Somebody hung up after it was answered."""
    CANCELED = "canceled"
    """We gave up before it was answered."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    INVALID_NUMBER = "invalid_number"
    NO_MEDIA = "no_media"
    """It was answered, but no audio came."""
    CARRIER_ERROR = "carrier_error"

    @property
    def ended_reason(self) -> EndedReason:
        """Why a conversation is over whose far end is gone."""
        match self:
            case HangupCause.CARRIER_ERROR:
                return EndedReason.CARRIER_ERROR
            case HangupCause.NO_MEDIA:
                return EndedReason.NO_MEDIA
            case _:
                return EndedReason.CALLER_HUNG_UP


@dataclass(frozen=True, slots=True)
class SessionAbout:
    """What a client is shown of its session."""

    session_id: str
    agent_id: str | None
    options: SessionOptions
    """In force."""
    warnings: tuple[str, ...]
    """About what was asked for last."""
    expires_at: datetime | None
    """When the session ends at the latest. None: never."""


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """The client's `UpdateSession` is in force."""

    about: SessionAbout


SessionNotice = Notice | SessionUpdated
"""What those who watch a session are notified of: the conversation's notices and the session's."""


class SessionInput(Protocol):
    """What a transport hands to its session. Every method returns at once."""

    @property
    def about(self) -> SessionAbout: ...

    @property
    def is_over(self) -> bool:
        """It has ended: nothing it is given has an effect any more."""
        ...

    @property
    def message_meter(self) -> MessageMeter:
        """Of all the connections that the session has had."""
        ...

    def hear(self, samples: Samples) -> None:
        """The user's audio at 16 kHz."""
        ...

    def press(self, digit: str) -> None:
        """A key of the far end's: `0`–`9`, `*`, `#`, `A`–`D`."""
        ...

    def played(self, response_id: str, played_ms: int) -> None:
        """The far end has heard so much of a response by now."""
        ...

    def command(self, command: Command) -> None:
        """Do what the client asks. Raises `NurError` for what it may not, or cannot, ask."""
        ...

    def hung_up(self, cause: "HangupCause") -> None:
        """The far end of a phone call is gone."""
        ...

    def end(self, reason: EndedReason) -> None:
        """End the session."""
        ...

    def detach(self, transport: "Transport") -> None:
        """The connection is lost; its client may come back."""
        ...


@dataclass(frozen=True, slots=True)
class TransportCapabilities:
    """What a transport can do, as far as a session must know."""

    output_rate: int | None = None
    """Samples per second that `play` takes. None: whatever the session's options say."""
    can_resume: bool = False
    """Whether its client may come back with another connection after this one is lost."""


class CallControl(Protocol):
    """What a transport can do to the phone call that it carries."""

    def send_digits(self, digits: str) -> None:
        """Press keys (`0`–`9`, `*`, `#`, `A`–`D`), behind what is being played."""
        ...

    async def transfer(self, to_number: str) -> None:
        """Connect the far end to another number and leave the call. Raises `ProviderError`."""
        ...


class Transport(Protocol):
    """A way to talk with somebody: a socket, a browser's media, a phone call.

    Input goes to the listener that `connect` names: what comes before is kept for it, within
    bounds. Every method returns at once unless it is `async`: a transport has its own bounded
    queue and write time-out, and drops the client that stops reading.
    """

    @property
    def capabilities(self) -> TransportCapabilities: ...

    @property
    def call_control(self) -> CallControl | None:
        """None: it does not carry a phone call."""
        ...

    def connect(self, listener: SessionInput) -> None:
        """The session is ready: what comes from the client goes to `listener` from here on."""
        ...

    def replaced(self) -> None:
        """A newer connection of the same client has taken over; close this one."""
        ...

    def play(self, response_id: str, samples: Samples) -> None:
        """Send agent audio, at the session's output rate, now. Called at the pace of speech."""
        ...

    def clear(self, response_id: str) -> None:
        """Drop audio of the response that has not left yet; what it said before stays in order."""
        ...

    def notify(self, notice: SessionNotice) -> None:
        """Send a notice, behind everything played before it."""
        ...

    def close(self, reason: EndedReason) -> None:
        """Say that the session ended, and close."""
        ...
