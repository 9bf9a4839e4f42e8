"""A network in between: a UDP relay that loses, delays and reorders packets as it is told."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

_CANDIDATE = re.compile(r"a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host[^\r\n]*")


@dataclass
class Weather:
    """What befalls packets, either way."""

    loss: float = 0.0
    """Share of packets, 0–1."""
    jitter_seconds: float = 0.0
    """Each is delayed by up to so much, so that later ones overtake it."""
    burst_every_seconds: float = 0.0
    burst_seconds: float = 0.1
    """Everything is lost for so long, every so often."""
    is_cut: bool = False
    """Nothing passes."""


class Relay(asyncio.DatagramProtocol):
    """Between one client and the server; both know the relay alone."""

    def __init__(self, weather: Weather, target: tuple[str, int], seed: int = 1) -> None:
        self.weather = weather
        self.carried = self.dropped = 0
        self._target = target
        self._client: tuple[str, int] | None = None
        self._random = random.Random(seed)
        self._loop = asyncio.get_running_loop()
        self._front: asyncio.DatagramTransport | None = None
        self.back: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._front = transport  # type: ignore[assignment]  # Python 3.11 says less of it

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._client = addr
        self._carry(self.back, data, self._target)

    def from_server(self, data: bytes) -> None:
        if self._client is not None:
            self._carry(self._front, data, self._client)

    def _carry(
        self, way: asyncio.DatagramTransport | None, data: bytes, to: tuple[str, int]
    ) -> None:
        weather, now = self.weather, self._loop.time()
        every = weather.burst_every_seconds
        in_burst = every > 0 and now % every < weather.burst_seconds
        if weather.is_cut or in_burst or self._random.random() < weather.loss:
            self.dropped += 1
            return
        self.carried += 1
        if way is not None and not way.is_closing():
            delay = self._random.random() * weather.jitter_seconds
            self._loop.call_later(delay, self._send, way, data, to)

    def _send(self, way: asyncio.DatagramTransport, data: bytes, to: tuple[str, int]) -> None:
        if not way.is_closing():
            way.sendto(data, to)


class _Back(asyncio.DatagramProtocol):
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._relay.from_server(data)


def without_candidates(offer: str) -> str:
    """An offer whose sender is found by what it sends."""
    return re.sub(r"a=candidate:[^\r\n]*\r?\n", "", offer)


@asynccontextmanager
async def relayed(answer: str, weather: Weather) -> AsyncIterator[tuple[str, Relay]]:
    """An answer that leads to the relay, and the relay."""
    found = _CANDIDATE.search(answer)
    assert found, answer
    host, port = found[1], int(found[2])
    loop = asyncio.get_running_loop()
    relay = Relay(weather, (host, port))
    front, _ = await loop.create_datagram_endpoint(lambda: relay, local_addr=(host, 0))
    back, _ = await loop.create_datagram_endpoint(lambda: _Back(relay), local_addr=(host, 0))
    relay.back = back
    own = front.get_extra_info("sockname")[1]
    line = f"a=candidate:1 1 udp 2122194687 {host} {own} typ host\r\n"
    rest = without_candidates(answer)
    try:
        yield rest.replace("a=end-of-candidates\r\n", line + "a=end-of-candidates\r\n"), relay
    finally:
        front.close()
        back.close()
