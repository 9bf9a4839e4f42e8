"""The port between the server and the carriers of phone calls."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from nur_server.ports.transport import HangupCause, Transport


@dataclass(frozen=True, slots=True)
class DialRequest:
    """A call to be placed."""

    call_id: str
    """Ours; the engine places at most one call for it, however often it is asked."""
    to_number: str
    """E.164."""
    from_number: str
    ring_seconds: float = 45.0
    """Give up when nobody has answered by then."""


class CallObserver(Protocol):
    """Follows how a call goes. Methods may be called in any order, more than once."""

    def ringing(self) -> None: ...

    def answered(self, leg: Transport) -> None:
        """The far end has answered and media flows."""
        ...

    def ended(self, cause: HangupCause, detail: str = "") -> None:
        """`detail`: the carrier's own words or code."""
        ...


class TelephonyEngine(Protocol):
    """Places calls. Inbound calls reach the server through the engine's own routes."""

    @property
    def name(self) -> str: ...

    async def dial(self, request: DialRequest, observer: CallObserver) -> str:
        """Place a call; returns the carrier's id for it.

        Raises `ProviderError`, with the code `invalid_number` for a number that cannot be called.
        """
        ...

    async def hang_up(self, carrier_call_id: str) -> None:
        """End a call in any state; nothing happens when it is over already."""
        ...


@dataclass(frozen=True, slots=True)
class InboundCall:
    """A call to one of our numbers."""

    to_number: str
    """E.164."""
    from_number: str
    """As the carrier gives it: E.164, or a word where the number is withheld."""
    carrier_call_id: str
    engine: TelephonyEngine


OnInbound = Callable[[InboundCall], Awaitable[CallObserver | None]]
"""Decides on an inbound call, and gives its observer. None: the call is rejected."""
