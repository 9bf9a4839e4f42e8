"""The engine of all carriers: places calls, takes them, and brings reports and media together.

A call is known by our id from the order on, and by the carrier's once that has given it one. The
call's stream opens with a one-time token, in the path of its address. What is unclear after a
failed order is looked up, never ordered again; a call that turns up after we gave it up is hung up.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from nur_server.clock import Clock
from nur_server.errors import NotFound, NurError, ProviderError
from nur_server.ids import CALL, new_id
from nur_server.ports import (
    CallObserver,
    DialRequest,
    HangupCause,
    InboundCall,
    OnInbound,
)
from nur_server.transports.carriers.carrier import (
    Asked,
    Carrier,
    Ended,
    Offered,
    Order,
    Picked,
    Rang,
    Reply,
    Webhook,
)
from nur_server.transports.carriers.media import CarrierLeg, Leaving, Receive, Timing
from nur_server.transports.carriers.rest import OUTCOME_UNKNOWN
from nur_server.transports.carriers.tokens import StreamTokens
from nur_server.transports.websocket import Send

log = structlog.get_logger(__name__)

PATH = "/v1/carriers"
GRACE_SECONDS = 30.0
"""Beyond its ring time, for a call's end to be reported and a late stream to come."""
INBOUND_SECONDS = 30.0
"""From an incoming call to its stream."""
LOOK_UP_SECONDS = (0.5, 1.0, 2.0)
"""Waits before each look for a call whose order was not answered."""
DECIDE_SECONDS = 4.0
"""For somebody to take an incoming call: carriers wait 5 s for the answer to a report."""
REPORT_SECONDS = 2.0
"""For the carrier's report of the end, after a stream broke off."""
HANG_UP_SECONDS = 5.0
MAX_REMEMBERED = 10_000
"""Calls that were placed, so that none is placed twice."""


@dataclass(slots=True)
class _Call:
    """A call from its order, or its arrival, until nothing more is expected of it."""

    call_id: str
    observer: CallObserver
    carrier_call_id: str | None = None
    leg: CarrierLeg | None = None
    is_abandoned: bool = False
    """Its order failed, so whatever comes of it is unwanted."""
    is_identified: asyncio.Event = field(default_factory=asyncio.Event)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)
    expiry: asyncio.TimerHandle | None = None


class _LegOrders:
    """Implements `media.Orders` for one call."""

    def __init__(self, carrier: Carrier, carrier_call_id: str, status_url: str) -> None:
        self._carrier = carrier
        self._carrier_call_id = carrier_call_id
        self._status_url = status_url

    async def transfer(self, to_number: str) -> None:
        await self._carrier.transfer(self._carrier_call_id, to_number, self._status_url)

    @property
    def presses_keys(self) -> bool:
        return self._carrier.keypad is not None

    async def send_digits(self, digits: str) -> None:
        if self._carrier.keypad is not None:
            await self._carrier.keypad(self._carrier_call_id, digits)


class CarrierEngine:
    """Implements `ports.TelephonyEngine`. For one event loop.

    `public_url` is where the carrier reaches this very process: `https://` and no path at its end.
    It makes the addresses for media and reports itself.
    """

    def __init__(
        self,
        carrier: Carrier,
        public_url: str,
        clock: Clock,
        on_inbound: OnInbound,
        timing: Timing | None = None,
    ) -> None:
        self._carrier = carrier
        self._public_url = public_url.rstrip("/")
        self._base = f"{self._public_url}{PATH}/{carrier.name}"
        self._clock = clock
        self._on_inbound = on_inbound
        self._timing = timing or Timing()
        self._tokens = StreamTokens(clock)
        self._calls: dict[str, _Call] = {}
        self._by_carrier_id: dict[str, _Call] = {}
        self._placed: OrderedDict[str, asyncio.Future[str]] = OrderedDict()

    @property
    def name(self) -> str:
        return self._carrier.name

    def __len__(self) -> int:
        """Calls that something is still expected of."""
        return len(self._calls)

    # Orders

    async def dial(self, request: DialRequest, observer: CallObserver) -> str:
        """As the port says. Cancelling gives the call up: should it ring, it is hung up."""
        placed = self._placed.get(request.call_id)
        if placed is not None:
            return await asyncio.shield(placed)
        placed = asyncio.get_running_loop().create_future()
        self._remember(request.call_id, placed)
        call = self._open(request.call_id, observer, request.ring_seconds + GRACE_SECONDS)
        try:
            carrier_call_id = await self._place(call, request)
        except BaseException as error:
            call.is_abandoned = True
            placed.set_exception(_given_up(self.name, error))
            placed.exception()  # it is raised here: nobody else need ask for it
            raise
        self._identify(call, carrier_call_id)
        placed.set_result(carrier_call_id)
        return carrier_call_id

    async def hang_up(self, carrier_call_id: str) -> None:
        await self._carrier.hang_up(carrier_call_id)

    async def _place(self, call: _Call, request: DialRequest) -> str:
        order = Order(
            request=request,
            media_url=self._media_url(call, request.ring_seconds + GRACE_SECONDS),
            status_url=self._status_url(call),
            placed_at=self._clock.now(),
        )
        try:
            return await self._carrier.dial(order)
        except ProviderError as error:
            if error.code != OUTCOME_UNKNOWN:
                raise
            log.warning("carrier.order_unanswered", call_id=call.call_id, carrier=self.name)
            found = await self._look_up(call, order)
            if found is None:
                error.retryable = False
                raise
            return found

    async def _look_up(self, call: _Call, order: Order) -> str | None:
        """The call's id at the carrier, where its report or its list of calls tells."""
        for seconds in LOOK_UP_SECONDS:
            try:
                async with asyncio.timeout(seconds):
                    await call.is_identified.wait()
            except TimeoutError:
                pass
            if call.carrier_call_id is not None:
                return call.carrier_call_id
            try:
                found = await self._carrier.find(order)
            except ProviderError as error:
                log.warning("carrier.look_up_failed", carrier=self.name, code=error.code)
                continue
            candidates = [known for known in found if known not in self._by_carrier_id]
            if len(candidates) == 1:
                return candidates[0]
        return None

    # Reports

    def public_url(self, path: str, query: str) -> str:
        """The address a carrier asked for, whatever proxies have made of it on the way."""
        own = path[path.find(f"{PATH}/") :]
        return f"{self._public_url}{own}{'?' if query else ''}{query}"

    async def report(self, webhook: Webhook, call_id: str | None = None) -> Reply:
        """Take a carrier's report. `call_id` is ours, from its address; None for a new call.

        Raises `Forbidden` for a forged one, `BadRequest` for one that cannot be read.
        """
        self._carrier.verify(webhook)
        report = self._carrier.read(webhook)
        if isinstance(report.event, Asked):
            return report.event.reply
        if report.event is None:
            return Reply()
        call = self._call_of(report.carrier_call_id, call_id)
        if isinstance(report.event, Offered) and call is None:
            return await self._take_in(report.carrier_call_id, report.event)
        if call is None:
            return Reply()
        match report.event:
            case Ended(cause, detail):
                self._end(call, cause, detail)
            case _ if call.is_abandoned:
                await self._let_go(report.carrier_call_id)
            case Rang():
                call.observer.ringing()
            case Offered() | Picked():
                media_url = self._media_url(call, GRACE_SECONDS)
                return await self._carrier.accept(report.carrier_call_id, media_url)
        return Reply()

    def _call_of(self, carrier_call_id: str, call_id: str | None) -> _Call | None:
        call = self._calls.get(call_id) if call_id else self._by_carrier_id.get(carrier_call_id)
        if call is not None and call.carrier_call_id is None:
            self._identify(call, carrier_call_id)
        if call is not None and call.carrier_call_id != carrier_call_id:
            log.warning("carrier.report_of_another_call", call_id=call.call_id)
            return None
        return call

    async def _take_in(self, carrier_call_id: str, offered: Offered) -> Reply:
        inbound = InboundCall(offered.to_number, offered.from_number, carrier_call_id, self)
        observer = await self._ask_for_observer(inbound)
        if observer is None:
            return await self._carrier.reject(carrier_call_id)
        known = self._by_carrier_id.get(carrier_call_id)
        call = known or self._open(new_id(CALL), observer, INBOUND_SECONDS)
        self._identify(call, carrier_call_id)
        try:
            media_url = self._media_url(call, INBOUND_SECONDS)
            return await self._carrier.accept(carrier_call_id, media_url)
        except NurError as error:
            self._end(call, HangupCause.CARRIER_ERROR, error.message)
            raise

    async def _ask_for_observer(self, inbound: InboundCall) -> CallObserver | None:
        try:
            async with asyncio.timeout(DECIDE_SECONDS):
                return await self._on_inbound(inbound)
        except TimeoutError:
            log.warning("carrier.inbound_undecided", carrier=self.name)
        except NurError as error:
            log.warning("carrier.inbound_refused", carrier=self.name, code=error.code)
        return None

    # Media

    def admit(self, token: str, url: str, headers: Mapping[str, str]) -> str:
        """The id of the call whose stream may open. `headers`: names in lower case.

        Raises `Forbidden` for a stream the carrier has not signed or a token that is not good,
        `NotFound` for a call nobody waits for any more.
        """
        self._carrier.verify_stream(url, headers)
        call = self._calls.get(self._tokens.redeem(token))
        if call is None or call.is_abandoned or call.leg is not None:
            raise NotFound("expected a call that waits for its media, got one that does not")
        return call.call_id

    def stream_url(self, token: str) -> str:
        """The public address of a stream: what its carrier was given and may have signed."""
        return "ws" + f"{self._base}/media/{token}".removeprefix("http")

    async def serve(self, call_id: str, receive: Receive, send: Send) -> None:
        """Carry the stream of a call that was admitted and accepted, to its end."""
        call = self._calls.get(call_id)
        if call is None:
            return
        codec = self._carrier.codec()
        carrier_call_id = await self._carrier_id(call)
        if carrier_call_id is None or call.leg is not None:
            return
        orders = _LegOrders(self._carrier, carrier_call_id, self._status_url(call))
        leg = CarrierLeg(codec, send, orders, call.observer.answered, self._timing)
        call.leg = leg
        if call.expiry is not None:
            call.expiry.cancel()
        leaving = Leaving.LOST
        try:
            leaving = await leg.serve(receive)
        finally:
            await self._leave(call, leg, carrier_call_id, leaving)

    async def _carrier_id(self, call: _Call) -> str | None:
        """A stream may open before the order to dial was answered."""
        try:
            async with asyncio.timeout(DECIDE_SECONDS):
                await call.is_identified.wait()
        except TimeoutError:
            log.warning("carrier.stream_unidentified", call_id=call.call_id)
        return call.carrier_call_id

    async def _leave(
        self, call: _Call, leg: CarrierLeg, carrier_call_id: str, leaving: Leaving
    ) -> None:
        """Tell how the call ended, and make sure that the carrier has let go."""
        log.info("carrier.stream_ended", call_id=call.call_id, leaving=leaving.name)
        if leaving is Leaving.TRANSFERRED:
            self._forget(call)
            return
        if leaving is Leaving.LOST and not call.has_ended.is_set():
            await self._await_report(call)
        if call.has_ended.is_set():
            return
        lost = HangupCause.CARRIER_ERROR if leg.has_media else HangupCause.NO_MEDIA
        cause = lost if leaving is Leaving.LOST else HangupCause.NORMAL
        detail = "the media stream broke off" if leaving is Leaving.LOST else ""
        self._end(call, cause, detail)
        await self._let_go(carrier_call_id)

    async def _await_report(self, call: _Call) -> None:
        try:
            async with asyncio.timeout(REPORT_SECONDS):
                await call.has_ended.wait()
        except TimeoutError:
            return

    async def _let_go(self, carrier_call_id: str) -> None:
        try:
            async with asyncio.timeout(HANG_UP_SECONDS):
                await self._carrier.hang_up(carrier_call_id)
        except (TimeoutError, ProviderError) as error:
            log.warning("carrier.not_hung_up", carrier=self.name, error=type(error).__name__)

    # What is known of each call

    def _open(self, call_id: str, observer: CallObserver, seconds: float) -> _Call:
        call = _Call(call_id, observer)
        self._calls[call_id] = call
        call.expiry = asyncio.get_running_loop().call_later(seconds, self._expire, call, seconds)
        return call

    def _expire(self, call: _Call, seconds: float) -> None:
        if call.is_abandoned:
            self._forget(call)
        else:
            detail = f"no word from {self.name} within {seconds:g} s"
            self._end(call, HangupCause.CARRIER_ERROR, detail)

    def _identify(self, call: _Call, carrier_call_id: str) -> None:
        if call.carrier_call_id is None and not call.has_ended.is_set():
            call.carrier_call_id = carrier_call_id
            self._by_carrier_id[carrier_call_id] = call
            call.is_identified.set()

    def _end(self, call: _Call, cause: HangupCause, detail: str) -> None:
        if call.has_ended.is_set():
            return
        call.has_ended.set()
        self._forget(call)
        if call.is_abandoned:
            return
        call.observer.ended(cause, detail)
        if call.leg is not None:
            call.leg.tell_hung_up(cause)
            call.leg.leave()

    def _forget(self, call: _Call) -> None:
        if call.expiry is not None:
            call.expiry.cancel()
        self._calls.pop(call.call_id, None)
        if call.carrier_call_id is not None:
            self._by_carrier_id.pop(call.carrier_call_id, None)

    def _remember(self, call_id: str, placed: asyncio.Future[str]) -> None:
        self._placed[call_id] = placed
        while len(self._placed) > MAX_REMEMBERED:
            self._placed.popitem(last=False)

    def _status_url(self, call: _Call) -> str:
        return f"{self._base}/calls/{call.call_id}"

    def _media_url(self, call: _Call, seconds: float) -> str:
        return self.stream_url(self._tokens.make(call.call_id, seconds))


def _given_up(carrier: str, error: BaseException) -> Exception:
    """What others who asked for the same call are told."""
    if isinstance(error, Exception):
        return error
    return ProviderError(
        f"Expected {carrier} to be waited for; whoever placed the call gave it up.",
        provider=carrier,
        code=OUTCOME_UNKNOWN,
        retryable=False,
    )
