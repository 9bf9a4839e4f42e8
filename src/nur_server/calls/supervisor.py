"""One call from the order to its end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from nur_server.calls import states
from nur_server.calls.progress import CallProgress
from nur_server.calls.states import Ending
from nur_server.calls.tasks import CallTask, CallTimes
from nur_server.conversation.events import EndedReason
from nur_server.errors import NotFound, NurError, ProviderError
from nur_server.ports import CallChange, DialRequest, TelephonyEngine, Transport
from nur_server.store.call_records import CallRecord, CallStatus
from nur_server.store.calls import Calls

log = structlog.get_logger(__name__)

STORE_ATTEMPTS = 4
STORE_RETRY_SECONDS = 0.5
TAKEN_BACK = ("agent_paused", "caller_id_not_verified", "destination_blocked")
"""What keeps a call that was accepted from being placed: it is not wanted any more."""

Result = TypeVar("Result")


class CallSupervisor:
    """Places a call, or takes one that came in, stays with it, and stores how it ended."""

    def __init__(
        self,
        call: CallRecord,
        engine: TelephonyEngine,
        calls: Calls,
        times: CallTimes,
        task: Callable[[], Awaitable[CallTask]],
        store_later: Callable[[CallChange], None],
    ) -> None:
        """`task` is made before the call is placed: what is wrong with it costs nobody a ring.
        `store_later` takes the steps of the call that the store does not."""
        self.call = call
        self.progress = CallProgress()
        self._engine = engine
        self._calls = calls
        self._times = times
        self._task = task
        self._store_later = store_later
        self._carrier_call_id = call.carrier_call_id
        self._status = CallStatus.INITIATING

    async def run(self) -> None:
        """Until nothing of the call is left. Cancelling it hangs up."""
        cancelled: asyncio.CancelledError | None = None
        try:
            ending = await self._follow()
        except asyncio.CancelledError as error:
            cancelled = error
            ending = self._broken_off(EndedReason.SERVER_SHUTDOWN)
        except NurError as error:
            ending = self._broken_off(_reason_of(error), error.code, error.message)
        except Exception:
            log.exception("call.crashed", call_id=self.call.id)
            ending = self._broken_off(EndedReason.INTERNAL_ERROR)
        await self._leave(ending)
        await self._store_end(ending)
        if cancelled is not None:
            raise cancelled

    async def _follow(self) -> Ending:
        task = await self._task()
        if self._carrier_call_id is None:
            await self._dial()
            seconds = self.call.ring_seconds + self._times.ring_grace
            outcome = await self._answer(seconds, EndedReason.NO_ANSWER)
        else:
            outcome = await self._answer(self._times.incoming, EndedReason.NO_MEDIA)
        if isinstance(outcome, Ending):
            return outcome
        if not await self._move(CallStatus.IN_PROGRESS):
            outcome.close(EndedReason.CANCELED)
            return states.given_up(EndedReason.CANCELED)
        return await task.hold(outcome, self.progress)

    # Before the answer

    async def _dial(self) -> None:
        """Raises `ProviderError`."""
        call = self.call
        request = DialRequest(
            call_id=call.id,
            to_number=call.to_number,
            from_number=call.from_number,
            ring_seconds=float(call.ring_seconds),
        )
        try:
            async with asyncio.timeout(self._times.dial):
                self._carrier_call_id = await self._engine.dial(request, self.progress)
        except TimeoutError:
            raise ProviderError(
                f"expected {self._engine.name} to place the call within {self._times.dial:g} s",
                provider=self._engine.name,
                code="carrier_timeout",
            ) from None
        carrier_call_id = self._carrier_call_id
        try:
            await self._calls.note_carrier(call.id, carrier_call_id)
        except NurError as error:
            log.warning("call.carrier_not_noted", call_id=call.id, code=error.code)

    async def _answer(self, seconds: float, otherwise: EndedReason) -> Transport | Ending:
        """The media of the call, or its end where nobody answers within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    outcome = await self._look()
                    if outcome is not None:
                        return outcome
                    await self.progress.change()
        except TimeoutError:
            return states.given_up(otherwise)

    async def _look(self) -> Transport | Ending | None:
        progress = self.progress
        if progress.has_rung and self._status is CallStatus.INITIATING:
            await self._move(CallStatus.RINGING)
        if progress.leg is not None:
            return progress.leg
        if progress.end is not None:
            return states.unanswered(progress.end.cause, progress.end.detail)
        if progress.wanted_end is not None:
            return states.given_up(progress.wanted_end)
        return None

    async def _move(self, to: CallStatus) -> bool:
        """Whether the call is still ours to go on with. With the store away it is."""
        self._status = to
        call_id, sources = self.call.id, states.sources(to)
        try:
            return await self._stored(lambda: self._calls.move(call_id, to, sources)) is not None
        except NurError as error:
            if not error.retryable:
                raise
            self._store_later(CallChange(call_id, to.value, tuple(sources)))
            return True

    # After the end

    def _broken_off(
        self, reason: EndedReason, code: str | None = None, detail: str | None = None
    ) -> Ending:
        if self._status is CallStatus.IN_PROGRESS:
            return states.answered(reason, code, detail)
        return states.given_up(reason, code, detail)

    async def _leave(self, ending: Ending) -> None:
        """Make sure that the carrier has let go. Bounded, and never raises.

        A call that was transferred lives on without us.
        """
        leg = self.progress.leg
        if leg is not None:
            leg.close(ending.reason)
        if ending.reason is EndedReason.TRANSFERRED or self._carrier_call_id is None:
            return
        try:
            if leg is not None:
                await self._until_ended(self._times.close)
            if self.progress.end is not None:
                return
            async with asyncio.timeout(self._times.hang_up):
                await self._engine.hang_up(self._carrier_call_id)
        except (TimeoutError, NurError) as error:
            log.warning("call.not_hung_up", call_id=self.call.id, error=type(error).__name__)

    async def _until_ended(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while self.progress.end is None:
                    await self.progress.change()
        except TimeoutError:
            return

    async def _store_end(self, ending: Ending) -> None:
        try:
            await self._stored(lambda: self._finish(ending))
        except NurError as error:
            log.error("call.end_not_stored", call_id=self.call.id, code=error.code)
            if error.retryable:
                self._finish_later(ending)
            return
        log.info(
            "call.ended",
            call_id=self.call.id,
            session_id=self.call.session_id,
            status=ending.status.value,
            reason=ending.reason.value,
        )

    async def _finish(self, ending: Ending) -> bool:
        stored = await self._calls.finish(
            self.call.id,
            ending.status,
            ending.sources,
            ending.reason,
            answered_by=self.progress.answered_by,
            error_code=ending.error_code,
            error_message=ending.error_message,
        )
        return stored is not None

    def _finish_later(self, ending: Ending) -> None:
        change = CallChange(
            self.call.id,
            ending.status.value,
            tuple(ending.sources),
            ending.reason.value,
            self.progress.answered_by,
            ending.error_code,
            ending.error_message,
        )
        self._store_later(change)

    async def _stored(self, write: Callable[[], Awaitable[Result]]) -> Result:
        """Do a write, and again a few times where the store fails. Raises as it does at last."""
        for attempt in range(1, STORE_ATTEMPTS):
            try:
                return await write()
            except NurError as error:
                if not error.retryable:
                    raise
                log.warning("call.write_failed", call_id=self.call.id, attempt=attempt)
                await asyncio.sleep(STORE_RETRY_SECONDS * attempt)
        return await write()


def _reason_of(error: NurError) -> EndedReason:
    """Why a call ended that an error kept from being held."""
    if isinstance(error, ProviderError):
        is_invalid = error.code == EndedReason.INVALID_NUMBER
        return EndedReason.INVALID_NUMBER if is_invalid else EndedReason.CARRIER_ERROR
    if isinstance(error, NotFound):
        return EndedReason.AGENT_DELETED
    if error.code in TAKEN_BACK:
        return EndedReason.CANCELED
    return EndedReason.INTERNAL_ERROR
