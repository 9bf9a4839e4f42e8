"""What a carrier is to the engine: a way to place calls, a way to read its reports, and a codec.

A vendor is one file with two classes: its REST side satisfies `Carrier`, its stream's wire format
`Codec`. Everything else, from tokens to silence, is the engine's and the same for all.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson

from nur_server.errors import BadRequest
from nur_server.ports import DialRequest, HangupCause, Samples

WireMessage = str | bytes
"""A text frame, or a binary one."""

# The stream


@dataclass(frozen=True, slots=True)
class Audio:
    """The far end's, at the codec's rate."""

    samples: Samples


@dataclass(frozen=True, slots=True)
class Pressed:
    digit: str


@dataclass(frozen=True, slots=True)
class Played:
    """Everything sent before this mark was played, or thrown away by a clear."""

    mark: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The carrier has ended the stream in good order."""


StreamEvent = Audio | Pressed | Played | Stopped


class Codec(Protocol):
    """One stream's wire format. Made anew for each: it may remember the stream's id."""

    @property
    def sample_rate(self) -> int:
        """Of the audio both ways."""
        ...

    def read(self, frame: WireMessage) -> Sequence[StreamEvent]:
        """What a frame says; nothing for kinds that are not known. Raises `ProviderGarbled`."""
        ...

    def audio(self, samples: Samples) -> WireMessage: ...

    def clear(self) -> WireMessage:
        """Throw away what was sent and not played yet."""
        ...

    def mark(self, name: str) -> WireMessage:
        """Ask for `Played` once everything before it was played."""
        ...


# Reports


@dataclass(frozen=True, slots=True)
class Webhook:
    """A request of the carrier's, as it was sent."""

    method: str
    url: str
    """The public one the carrier asked for, with its query: it is part of what is signed."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)

    @property
    def form(self) -> dict[str, str]:
        """The body's fields. Raises `BadRequest`."""
        try:
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True, max_num_fields=200))
        except ValueError:
            raise BadRequest("expected a form as the body, got something else") from None

    @property
    def json(self) -> dict[str, Any]:
        """Raises `BadRequest`."""
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise BadRequest("expected a JSON object as the body, got something else")
        return body


@dataclass(frozen=True, slots=True)
class Reply:
    """What the carrier is answered."""

    body: bytes = b""
    media_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Rang:
    pass


@dataclass(frozen=True, slots=True)
class Ended:
    cause: HangupCause
    detail: str = ""
    """The carrier's own words or code."""


@dataclass(frozen=True, slots=True)
class Offered:
    """Somebody calls."""

    to_number: str
    from_number: str


@dataclass(frozen=True, slots=True)
class Picked:
    """The far end has answered, and the carrier asks what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The carrier asks for a document that its own request determines."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Report:
    carrier_call_id: str
    event: Rang | Ended | Offered | Picked | Asked | None
    """None: nothing that matters here."""


# Calls


@dataclass(frozen=True, slots=True)
class Order:
    """A call to be placed."""

    request: DialRequest
    media_url: str
    status_url: str
    placed_at: datetime


Keypad = Callable[[str, str], Awaitable[None]]
"""The carrier's id for the call, and the digits."""


class Carrier(Protocol):
    """A vendor's REST side. Its coroutines raise `ProviderError`, and `Forbidden` on forgery."""

    @property
    def name(self) -> str: ...

    @property
    def keypad(self) -> Keypad | None:
        """Presses keys on our side. None: they are sent as tones within the audio."""
        ...

    def codec(self) -> Codec: ...

    async def dial(self, order: Order) -> str:
        """Place a call, once; its id. Raises with code `OUTCOME_UNKNOWN` where it may ring."""
        ...

    async def find(self, order: Order) -> Sequence[str]:
        """Ids of calls that may be the one that was ordered; for when `dial` could not tell."""
        ...

    async def hang_up(self, carrier_call_id: str) -> None:
        """End a call in any state; nothing happens when it is over already."""
        ...

    async def transfer(self, carrier_call_id: str, to_number: str, status_url: str) -> None:
        """`status_url`: where a carrier may ask what to do."""
        ...

    async def accept(self, carrier_call_id: str, media_url: str) -> Reply:
        """Bring an incoming or answered call's audio to `media_url`."""
        ...

    async def reject(self, carrier_call_id: str) -> Reply: ...

    def verify(self, webhook: Webhook) -> None:
        """Raises `Forbidden` for what this carrier has not signed."""
        ...

    def verify_stream(self, url: str, headers: Mapping[str, str]) -> None:
        """The same for the opening of a stream, where this carrier signs it."""
        ...

    def read(self, webhook: Webhook) -> Report:
        """What a verified report says. Raises `BadRequest`."""
        ...


def field_of(values: Mapping[str, Any], name: str) -> str:
    """A text field of a report. Raises `BadRequest`."""
    value = values.get(name)
    if not isinstance(value, str) or not value:
        got = type(value).__name__
        raise BadRequest(f"{name}: expected text in the carrier's report, got {got}")
    return value


def with_plus(number: str) -> str:
    """A number of a report in E.164, of a carrier that leaves the plus sign out."""
    return f"+{number}" if number.isdecimal() else number
