"""The far end of a phone call in a test."""

import asyncio
from dataclasses import dataclass, field

from nur_server.errors import ProviderRejected
from nur_server.ports import SessionInput
from nur_server.testing.ear import Ear, Transferred


@dataclass(frozen=True, slots=True)
class Phone:
    """The caller is on a phone: the agent can press keys, and transfer the call."""

    transfer_seconds: float = 0.5
    """How long the carrier takes for a transfer."""
    refuses_transfers: bool = False


@dataclass
class Handset(Ear):
    """An ear with a keypad: the media of one call."""

    phone: Phone = field(default_factory=Phone)
    keys: str = ""
    """What the agent has pressed."""
    transferred_to: str | None = None
    is_transferring: bool = False
    """The carrier is at it."""

    def __post_init__(self) -> None:
        self.call_control = self

    def connect(self, listener: SessionInput) -> None:
        """The caller's own audio and keys are given to the session directly."""

    def send_digits(self, digits: str) -> None:
        self.keys += digits

    async def transfer(self, to_number: str) -> None:
        self.is_transferring = True
        try:
            await asyncio.sleep(self.phone.transfer_seconds)
        finally:
            self.is_transferring = False
        if self.phone.refuses_transfers:
            raise ProviderRejected("The carrier refused the transfer.", provider="phone")
        self.transferred_to = to_number
        self.arrivals.append(Transferred(asyncio.get_running_loop().time(), to_number))
