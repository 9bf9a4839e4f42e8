"""A call's media between carrier and conversation: watched, and kept within what is allowed."""

from collections.abc import Callable

from nur_server.calls.line import CallLine
from nur_server.clock import Clock
from nur_server.conversation.config import ToolRunner
from nur_server.conversation.events import EndedReason
from nur_server.conversation.notices import CallAnswered, ToolCallRequested
from nur_server.ports import CallLeg, HangupCause, LegListener, Samples, SessionNotice

NOBODY = "Nobody is connected who could run this tool. Go on without it."

CheckTransfer = Callable[[str], None]
"""Raises `ProviderError` for a number the call may not be transferred to."""
AnswerTool = Callable[[str, str, bool], object]
"""`call_id`, result, whether it is an error."""


class WatchedLeg:
    """A `ports.CallLeg` around the carrier's.

    It notes when audio last came, tells the line of a hang-up and of who has answered, refuses
    transfers that are not allowed, and answers tool calls meant for a client: a phone call has
    none.
    """

    def __init__(
        self,
        leg: CallLeg,
        line: CallLine,
        clock: Clock,
        check_transfer: CheckTransfer,
        answer_tool: AnswerTool,
    ) -> None:
        self._leg = leg
        self._line = line
        self._clock = clock
        self._check_transfer = check_transfer
        self._answer_tool = answer_tool
        self._listener: LegListener | None = None
        self.has_heard = False
        """Whether any audio has come."""
        self._heard_at = clock.monotonic()

    @property
    def quiet_seconds(self) -> float:
        """Since the carrier last brought audio, silence included; at first, since the answer."""
        return self._clock.monotonic() - self._heard_at

    # The conversation's side

    @property
    def output_rate(self) -> int:
        return self._leg.output_rate

    def connect(self, listener: LegListener) -> None:
        self._listener = listener
        self._leg.connect(self)

    def play(self, response_id: str, samples: Samples) -> None:
        self._leg.play(response_id, samples)

    def clear(self, response_id: str) -> None:
        self._leg.clear(response_id)

    def replaced(self) -> None:
        """A call has one line; nothing replaces it."""

    def notify(self, notice: SessionNotice) -> None:
        match notice:
            case ToolCallRequested(call_id=call_id, runner=ToolRunner.CLIENT):
                self._answer_tool(call_id, NOBODY, True)
            case CallAnswered(answerer=answerer):
                self._line.answered_by = answerer
            case _:
                self._leg.notify(notice)

    def close(self, reason: EndedReason) -> None:
        self._leg.close(reason)

    def send_digits(self, digits: str) -> None:
        self._leg.send_digits(digits)

    async def transfer(self, to_number: str) -> None:
        self._check_transfer(to_number)
        await self._leg.transfer(to_number)

    # The carrier's side

    def hear(self, samples: Samples) -> None:
        self.has_heard = True
        self._heard_at = self._clock.monotonic()
        if self._listener is not None:
            self._listener.hear(samples)

    def press(self, digit: str) -> None:
        if self._listener is not None:
            self._listener.press(digit)

    def played(self, response_id: str, played_ms: int) -> None:
        if self._listener is not None:
            self._listener.played(response_id, played_ms)

    def hung_up(self, cause: HangupCause) -> None:
        self._line.ended(cause)
