"""What is known of a call's line: reported in any order, more than once, and waited for."""

import asyncio
from dataclasses import dataclass

from nur_server.conversation.events import EndedReason
from nur_server.ports import CallLeg, HangupCause


@dataclass(frozen=True, slots=True)
class LineEnd:
    """How the carrier says the call ended."""

    cause: HangupCause
    detail: str = ""


class CallLine:
    """A `ports.Line` that keeps what it is told. For one event loop."""

    def __init__(self) -> None:
        self.has_rung = False
        """Before it was answered, or ended."""
        self.leg: CallLeg | None = None
        """The first media that came."""
        self.end: LineEnd | None = None
        self.wanted_end: EndedReason | None = None
        """Somebody on our side wants the call to end."""
        self.answered_by: str | None = None
        """Who was found to have answered. None: nobody has looked, or it is not known yet."""
        self._changed = asyncio.Event()

    # The carrier's side

    def ringing(self) -> None:
        if self.leg is None and self.end is None:
            self.has_rung = True
            self._changed.set()

    def answered(self, leg: CallLeg) -> None:
        if self.leg is None and self.end is None:
            self.leg = leg
            self._changed.set()
        elif leg is not self.leg:
            leg.close(EndedReason.CANCELED)

    def ended(self, cause: HangupCause, detail: str = "") -> None:
        if self.end is None:
            self.end = LineEnd(cause, detail)
            self._changed.set()

    # Our side

    def want_end(self, reason: EndedReason) -> None:
        """Ask that the call ends. The first reason counts."""
        if self.wanted_end is None:
            self.wanted_end = reason
            self._changed.set()

    async def change(self) -> None:
        """Return when something has been told since the last time. Safe to cancel."""
        await self._changed.wait()
        self._changed.clear()
