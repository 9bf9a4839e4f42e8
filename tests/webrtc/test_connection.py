"""A media connection whose peer follows a script, in virtual time: when it is taken for lost."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nur_server.api.wire.realtime.codec import RealtimeDialect
from nur_server.clock import LoopClock
from nur_server.errors import Unavailable
from nur_server.transports.client import ClientLimits
from nur_server.transports.webrtc.connection import LOST_SECONDS, MediaConnection
from nur_server.transports.webrtc.media import PeerState, PeerStats

pytestmark = pytest.mark.looptime


class ScriptedPeer:
    """As much of `media.MediaPeer` as the watch of a connection asks for."""

    state = PeerState.CONNECTED
    sent = None
    unsent_ms = 0

    def __init__(self, received: Callable[[float], int]) -> None:
        """`received`: bytes that have come by a time."""
        self._received = received
        self.is_closed = False

    async def stats(self) -> PeerStats:
        count = self._received(asyncio.get_running_loop().time())
        if count < 0:
            raise Unavailable("the library does not answer")
        return PeerStats(bytes_received=count)

    async def close(self) -> None:
        self.is_closed = True


async def lost_after(received: Callable[[float], int], seconds: float) -> float | None:
    """When the connection is taken for lost; None: not within `seconds`."""
    clock = LoopClock()
    connection = MediaConnection(RealtimeDialect(clock), ClientLimits(1_000), clock)
    peer: Any = ScriptedPeer(received)
    connection.use(peer)
    connection.events.state(PeerState.CONNECTED)
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(seconds):
            await connection._watch()
    except TimeoutError:
        return None
    finally:
        await connection.shut()
        assert peer.is_closed
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize(
    ("received", "cut_at"),
    [
        (lambda at: 0, 0.0),
        (lambda at: int(min(at, 10.0) * 1000), 10.0),
        (lambda at: int(min(at, 11.9) * 1000), 11.9),
        (lambda at: int(min(at, 60.1) * 1000), 60.1),
    ],
)
async def test_what_stops_is_noticed_in_time(
    received: Callable[[float], int], cut_at: float
) -> None:
    lost = await lost_after(received, 100)
    assert lost is not None and cut_at < lost <= cut_at + LOST_SECONDS


@pytest.mark.parametrize(
    "received",
    [
        lambda at: int(at * 1000),
        lambda at: int(at / 2.5) * 100 + 1,
        lambda at: int(at / 3.5) * 100 + 1,
        lambda at: int(at * 1000) if int(at) % 4 else -1,
    ],
    ids=["audio", "checks of ICE alone", "every other check lost", "no statistics now and then"],
)
async def test_what_goes_on_is_kept(received: Callable[[float], int]) -> None:
    assert await lost_after(received, 120) is None
