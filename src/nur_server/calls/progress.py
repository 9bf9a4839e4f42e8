"""How far a call has got: reported in any order, more than once, and waited for."""

import asyncio
from dataclasses import dataclass

from nur_server.conversation.events import EndedReason
from nur_server.ports import HangupCause, Transport


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How the carrier says the call ended."""

    cause: HangupCause
    detail: str = ""


class CallProgress:
    """A `ports.CallObserver` that keeps what is reported. For one event loop."""

    def __init__(self) -> None:
        self.has_rung = False
        """Before it was answered, or ended."""
        self.leg: Transport | None = None
        """The first media that came."""
        self.end: CallEnd | None = None
        self.wanted_end: EndedReason | None = None
        """Our side wants the call to end, for this reason."""
        self.answered_by: str | None = None
        """Whether a person or a machine has answered. None: not known, or not asked for."""
        self._changed = asyncio.Event()

    # The carrier's side

    def ringing(self) -> None:
        if self.leg is None and self.end is None:
            self.has_rung = True
            self._changed.set()

    def answered(self, leg: Transport) -> None:
        if self.leg is None and self.end is None:
            self.leg = leg
            self._changed.set()
        elif leg is not self.leg:
            leg.close(EndedReason.CANCELED)

    def ended(self, cause: HangupCause, detail: str = "") -> None:
        if self.end is None:
            self.end = CallEnd(cause, detail)
            self._changed.set()

    # Our side

    def want_end(self, reason: EndedReason) -> None:
        """Ask that the call ends. The first reason counts."""
        if self.wanted_end is None:
            self.wanted_end = reason
            self._changed.set()

    async def change(self) -> None:
        """Return when something has been reported since the last time. Safe to cancel."""
        await self._changed.wait()
        self._changed.clear()
