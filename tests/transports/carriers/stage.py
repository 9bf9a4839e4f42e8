"""A carrier, this server and a telephone, each on real loopback sockets."""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np
import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from nur_server.api import errors
from nur_server.api.middleware import RequestContext
from nur_server.api.routes import carriers
from nur_server.audio import g711
from nur_server.clock import SystemClock
from nur_server.ports import (
    CallObserver,
    DialRequest,
    HangupCause,
    InboundCall,
    OnInbound,
    Samples,
    Transport,
)
from nur_server.transports.carriers.adapter import CarrierEngine
from nur_server.transports.carriers.carrier import Carrier
from nur_server.transports.carriers.media import Timing
from tests.providers.servers import Exchange, running

CALLEE, OURS = "+14155550123", "+12025550100"
WAIT_SECONDS = 10.0
QUICK = Timing(silence_seconds=1.0, mark_seconds=1.0, last_words_seconds=0.3)


class Changing:
    """Something that is told things, and can be waited for."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def _tell(self) -> None:
        self._changed.set()

    async def until(self, is_so: Callable[[], Any], seconds: float = WAIT_SECONDS) -> None:
        async with asyncio.timeout(seconds):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()


class LineLog(Changing):
    """A `ports.CallObserver` that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.legs: list[Transport] = []
        self.end: tuple[HangupCause, str] | None = None

    def ringing(self) -> None:
        self.told.append("ringing")
        self._tell()

    def answered(self, leg: Transport) -> None:
        self.told.append("answered")
        self.legs.append(leg)
        self._tell()

    def ended(self, cause: HangupCause, detail: str = "") -> None:
        self.told.append("ended")
        self.end = self.end or (cause, detail)
        self._tell()

    async def leg(self) -> Transport:
        await self.until(lambda: self.legs)
        return self.legs[0]

    async def cause(self) -> HangupCause:
        await self.until(lambda: self.end)
        assert self.end is not None
        return self.end[0]


class Ear(Changing):
    """A `ports.SessionInput` that keeps what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.samples = np.zeros(0, np.int16)
        self.digits = ""
        self.cause: HangupCause | None = None

    def hear(self, samples: Samples) -> None:
        self.samples = np.concatenate([self.samples, samples])
        self._tell()

    def press(self, digit: str) -> None:
        self.digits += digit
        self._tell()

    def hung_up(self, cause: HangupCause) -> None:
        self.cause = cause
        self._tell()


class Phone(Changing, ABC):
    """The far end of a stream: says what it is told to, plays what comes at the pace of speech."""

    rate = 8000

    def __init__(self, stream: ClientConnection) -> None:
        super().__init__()
        self.stream = stream
        self.frames: list[Any] = []
        """Everything received."""
        self.heard = np.zeros(0, np.int16)
        """Played to the person at the phone."""
        self.waiting: list[np.ndarray | str] = []
        """Audio that is not played yet, and marks."""
        self.clears = 0
        self.most_waiting_ms = 0
        self.answers_marks = True
        self.is_closed = False
        self._tasks: list[asyncio.Task[None]] = []

    # The vendor's words

    @abstractmethod
    async def greet(self) -> None: ...

    @abstractmethod
    def spoken(self, samples: Samples) -> str | bytes: ...

    @abstractmethod
    def read(self, frame: str | bytes) -> np.ndarray | str | None:
        """Audio, a mark's name, or None for a clear."""

    @abstractmethod
    def echo(self, mark: str) -> str: ...

    @abstractmethod
    def pressed(self, digit: str) -> str: ...

    @abstractmethod
    async def stop(self) -> None:
        """End the stream in good order."""

    # The person

    async def say(self, samples: Samples) -> None:
        step = self.rate // 50
        for start in range(0, len(samples), step):
            await self.stream.send(self.spoken(samples[start : start + step]))

    async def press(self, digit: str) -> None:
        await self.stream.send(self.pressed(digit))

    def vanish(self) -> None:
        """Break the connection as a lost network does."""
        self.stream.transport.abort()

    async def closed(self) -> None:
        await self.until(lambda: self.is_closed)

    # The machinery

    async def begin(self) -> None:
        await self.greet()
        self._tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._play())]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.stream.close()

    async def _receive(self) -> None:
        with suppress(ConnectionClosed):
            async for frame in self.stream:
                self.frames.append(frame)
                found = self.read(frame)
                if found is None:
                    marks = [item for item in self.waiting if isinstance(item, str)]
                    self.waiting.clear()
                    self.clears += 1
                    for mark in marks:
                        await self._answer(mark)
                else:
                    self.waiting.append(found)
                self._tell()
        self.is_closed = True
        self._tell()

    async def _play(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            audio = [item for item in self.waiting if not isinstance(item, str)]
            ms = sum(len(item) for item in audio) * 1000 // self.rate
            self.most_waiting_ms = max(self.most_waiting_ms, ms)
            while self.waiting and isinstance(self.waiting[0], str):
                await self._answer(str(self.waiting.pop(0)))
            if self.waiting:
                self.heard = np.concatenate([self.heard, self.waiting.pop(0)])
            self._tell()

    async def _answer(self, mark: str) -> None:
        if self.answers_marks:
            with suppress(ConnectionClosed):
                await self.stream.send(self.echo(mark))


class Person:
    """Holds a telephone to the ear: sends silence, and speech where there is some, in real time."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self._step = phone.rate // 50
        self._to_say = np.zeros(0, np.int16)
        self._talking = asyncio.create_task(self._talk())

    def say(self, samples: Samples) -> None:
        self._to_say = np.concatenate([self._to_say, samples])

    async def hear_out(
        self, more_than: int = 0, *, quiet_seconds: float = 0.4, seconds: float = WAIT_SECONDS
    ) -> int:
        """Return once something was heard beyond so many samples, and then nothing for a while.
        How many it were. Raises `TimeoutError` where nothing is heard in time."""
        await self.phone.until(lambda: len(self.phone.heard) > more_than, seconds)
        while True:
            heard = len(self.phone.heard)
            await asyncio.sleep(quiet_seconds)
            if len(self.phone.heard) == heard:
                return heard

    async def leave(self) -> None:
        self._talking.cancel()
        await asyncio.gather(self._talking, return_exceptions=True)

    async def _talk(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                now, self._to_say = self._to_say[: self._step], self._to_say[self._step :]
                await self.phone.say(np.pad(now, (0, self._step - len(now))))
                await asyncio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Placed:
    """A call as the carrier was asked for it."""

    carrier_call_id: str
    to_number: str
    from_number: str
    address: str
    """Of the stream, or of the document that names it."""
    status_url: str


@dataclass
class FakeCarrier(ABC):
    """A vendor: its REST interface, its reports and its streams."""

    placed: list[Placed] = field(default_factory=list)
    hung_up: list[str] = field(default_factory=list)
    transferred: list[tuple[str, str]] = field(default_factory=list)
    pressed: list[tuple[str, str]] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    phones: list[Phone] = field(default_factory=list)
    answers: list[tuple[int, Any]] = field(default_factory=list)
    """What the next requests are refused with."""
    swallows: bool = False
    """Carry the next order to dial out, and break the connection instead of answering."""
    loses: bool = False
    """Break the connection without carrying the order out."""
    client: httpx2.AsyncClient = field(default_factory=lambda: httpx2.AsyncClient(trust_env=False))
    base: str = ""
    """Where this server is, as the carrier knows it."""
    ways: dict[str, str] = field(default_factory=dict)
    """Public addresses, and where they lead on this machine: through a proxy that ends TLS."""

    name = ""

    @property
    @abstractmethod
    def settings(self) -> dict[str, str]:
        """With which a server has an account here."""

    @abstractmethod
    def carrier(self, client: httpx2.AsyncClient, api_url: str) -> Carrier: ...

    @abstractmethod
    async def handle(self, exchange: Exchange) -> None: ...

    @abstractmethod
    async def ring(self, call: Placed) -> None: ...

    @abstractmethod
    async def end(self, call: Placed, cause: HangupCause) -> None:
        """Report the end, in the vendor's words for the cause."""

    @abstractmethod
    async def pick_up(self, call: Placed) -> Phone: ...

    @abstractmethod
    async def call_in(self, to_number: str, from_number: str) -> Phone | None:
        """None: rejected."""

    @abstractmethod
    async def stream(self, url: str, call_id: str) -> Phone:
        """Open a stream, signed as this vendor does."""

    def way_to(self, url: str) -> str:
        """Where a request for this address goes."""
        for public, way in self.ways.items():
            if url.startswith(public):
                return way + url.removeprefix(public)
        return url

    async def open(self, phone: type[Phone], url: str, headers: Sequence[tuple[str, str]]) -> Any:
        way = self.way_to(url)
        stream = await connect(way, additional_headers=headers, compression=None, proxy=None)
        made = phone(stream)
        self.phones.append(made)
        return made


@dataclass
class Stage:
    fake: FakeCarrier
    engine: CarrierEngine
    line: LineLog
    inbound: list[InboundCall]
    client: httpx2.AsyncClient

    async def dial(self, call_id: str = "call_1", ring_seconds: float = 30.0) -> Placed:
        request = DialRequest(call_id, CALLEE, OURS, ring_seconds)
        carrier_call_id = await self.engine.dial(request, self.line)
        placed = self.fake.placed[-1]
        assert carrier_call_id == placed.carrier_call_id
        return placed

    async def ordered(self) -> Placed:
        """The first call the carrier has taken an order for."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not self.fake.placed:  # noqa: ASYNC110 - set from within a request
                await asyncio.sleep(0.01)
        return self.fake.placed[0]

    async def answered(self) -> tuple[Transport, Ear, Phone]:
        """A call that was placed, rung and answered with a word."""
        placed = await self.dial()
        await self.fake.ring(placed)
        phone = await self.fake.pick_up(placed)
        await phone.say(tone(0.1, phone.rate))
        leg = await self.line.leg()
        ear = Ear()
        leg.connect(ear)
        return leg, ear, phone


def tone(seconds: float, rate: int, hz: float = 440.0) -> Samples:
    at = np.arange(int(seconds * rate)) / rate
    return (8000 * np.sin(2 * np.pi * hz * at)).astype(np.int16)


def through_the_network(samples: Samples) -> Samples:
    return g711.decode(g711.encode(samples, "mulaw"), "mulaw")


@asynccontextmanager
async def staged(
    fake: FakeCarrier, timing: Timing = QUICK, takes: bool = True
) -> AsyncIterator[Stage]:
    """`takes`: whether incoming calls are."""
    line, inbound = LineLog(), []

    async def on_inbound(call: InboundCall) -> CallObserver | None:
        inbound.append(call)
        return line if takes else None

    async with running(fake.handle) as api, httpx2.AsyncClient(trust_env=False) as client:
        carrier = fake.carrier(client, api.url)
        async with serving(carrier, on_inbound, timing) as (engine, base):
            fake.base = base
            stage = Stage(fake, engine, line, inbound, client)
            try:
                yield stage
            finally:
                for phone in fake.phones:
                    await phone.end()
                await fake.client.aclose()


@asynccontextmanager
async def serving(
    carrier: Carrier, on_inbound: OnInbound, timing: Timing
) -> AsyncIterator[tuple[CarrierEngine, str]]:
    """An application with the carrier's routes, behind uvicorn."""
    listening = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = FastAPI(middleware=[Middleware(RequestContext, clock=SystemClock())])
    errors.install(app)
    app.include_router(carriers.router, prefix="/v1")
    engine = CarrierEngine(carrier, base, SystemClock(), on_inbound, timing)
    app.state.carrier_engine = engine
    server = uvicorn.Server(
        uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None)
    )
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield engine, base
    finally:
        server.should_exit = True
        await task
        listening.close()
