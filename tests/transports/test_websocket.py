"""What a client gets, in which order, and what happens to one that does not read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from nur_server.conversation.events import EndedReason
from nur_server.conversation.notices import AgentTranscript, ReplyStarted
from nur_server.ports import Samples, SessionNotice, Transport
from nur_server.transports.websocket import Limits, State, WebSocketTransport
from tests.transports.served import served

RATE = 24_000
FRAME = np.full(RATE // 50, 7, np.int16)
"""20 ms."""


class PlainDialect:
    """Audio as it is; of a notice only its name."""

    def audio(self, response_id: str, samples: Samples) -> bytes:
        return samples.tobytes()

    def encode(self, notice: SessionNotice) -> Sequence[str]:
        return [type(notice).__name__]

    def farewell(self, reason: EndedReason) -> tuple[int, str]:
        return 1000, reason.value


STARTED = ReplyStarted("r1", "i1")
HEARD = AgentTranscript("r1", "i1", "hello", interrupted=False)

# On a scripted connection: what leaves, and when


class Wire:
    """An ASGI connection that keeps what it is sent, and can stop reading."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.is_gone = False

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        if self.is_gone:
            raise OSError("the client is gone")
        self.sent.append(message.get("text", message.get("bytes", message.get("code"))))


@asynccontextmanager
async def writing(transport: WebSocketTransport) -> AsyncIterator[asyncio.Task[State]]:
    task = asyncio.create_task(transport.write())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def opened(wire: Wire, **limits: Any) -> WebSocketTransport:
    return WebSocketTransport(wire.send, PlainDialect(), RATE, Limits(**limits))


async def test_it_is_a_transport() -> None:
    transport: Transport = opened(Wire())
    assert transport is not None


async def test_audio_and_notices_leave_in_the_order_they_were_given() -> None:
    wire = Wire()
    transport = opened(wire)
    async with writing(transport):
        transport.notify(STARTED)
        transport.play("r1", FRAME)
        transport.play("r1", FRAME)
        transport.notify(HEARD)
        await settle()
    audio = FRAME.tobytes()
    assert wire.sent == ["ReplyStarted", audio, audio, "AgentTranscript"]


async def test_clearing_a_response_takes_its_audio_back_and_nothing_else() -> None:
    wire = Wire()
    wire.reads.clear()
    transport = opened(wire)
    async with writing(transport):
        transport.notify(STARTED)
        await settle()
        transport.play("r1", FRAME)
        transport.play("r2", FRAME * 2)
        transport.post("text")
        transport.clear("r1")
        transport.notify(HEARD)
        wire.reads.set()
        await settle()
    assert wire.sent == ["ReplyStarted", (FRAME * 2).tobytes(), "text", "AgentTranscript"]


async def test_closing_sends_what_is_queued_first() -> None:
    wire = Wire()
    transport = opened(wire)
    transport.play("r1", FRAME)
    transport.notify(HEARD)
    transport.close(EndedReason.CLIENT_ENDED)
    assert await transport.write() is State.CLOSED
    assert wire.sent == [FRAME.tobytes(), "AgentTranscript", 1000]


async def test_after_closing_nothing_is_added_and_the_first_farewell_counts() -> None:
    wire = Wire()
    transport = opened(wire)
    transport.shut(1008, "first")
    transport.play("r1", FRAME)
    transport.notify(HEARD)
    transport.post("text")
    transport.close(EndedReason.CLIENT_ENDED)
    await transport.write()
    assert wire.sent == [1008]


async def test_more_unread_audio_than_allowed_drops_the_client() -> None:
    wire = Wire()
    wire.reads.clear()
    transport = opened(wire, backlog_seconds=1.0)
    async with writing(transport) as task:
        await settle()
        for _ in range(50):
            transport.play("r1", FRAME)
        assert transport.state is State.OPEN
        transport.play("r1", FRAME)
        assert transport.state is State.DROPPED
        assert await task is State.DROPPED
    assert wire.sent == []


async def test_audio_that_was_read_does_not_count() -> None:
    wire = Wire()
    transport = opened(wire, backlog_seconds=1.0)
    async with writing(transport):
        for _ in range(200):
            transport.play("r1", FRAME)
            await settle()
    assert transport.state is State.OPEN
    assert len(wire.sent) == 200


async def test_more_unread_messages_than_allowed_drop_the_client() -> None:
    wire = Wire()
    wire.reads.clear()
    transport = opened(wire, backlog_messages=10)
    async with writing(transport) as task:
        for _ in range(12):
            transport.notify(HEARD)
        assert await task is State.DROPPED


async def test_a_client_that_takes_too_long_over_one_message_is_dropped() -> None:
    wire = Wire()
    wire.reads.clear()
    transport = opened(wire, write_seconds=0.02)
    transport.notify(HEARD)
    assert await transport.write() is State.DROPPED


async def test_a_client_that_vanishes_is_dropped() -> None:
    wire = Wire()
    wire.is_gone = True
    transport = opened(wire)
    transport.notify(HEARD)
    assert await transport.write() is State.DROPPED


async def test_closing_a_client_that_does_not_read_is_bounded() -> None:
    wire = Wire()
    wire.reads.clear()
    transport = opened(wire, close_seconds=0.02)
    async with writing(transport) as task:
        transport.notify(HEARD)
        await settle()
        transport.close(EndedReason.CLIENT_ENDED)
        async with asyncio.timeout(5):
            assert await task is State.DROPPED


async def test_a_dropped_client_is_sent_nothing_more() -> None:
    wire = Wire()
    transport = opened(wire)
    transport.drop("test")
    transport.drop("again")
    transport.play("r1", FRAME)
    transport.notify(HEARD)
    transport.close(EndedReason.CLIENT_ENDED)
    assert await transport.write() is State.DROPPED
    assert wire.sent == []


# On a real socket


Talk = Callable[[WebSocketTransport], Awaitable[None]]


@asynccontextmanager
async def speaking(talk: Talk, **limits: Any) -> AsyncIterator[tuple[str, asyncio.Future[State]]]:
    """A server that speaks with `talk` over every connection, and how the first one ended."""
    ended: asyncio.Future[State] = asyncio.get_running_loop().create_future()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        transport = WebSocketTransport(send, PlainDialect(), RATE, Limits(**limits))
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(transport.write())
            talking = group.create_task(talk(transport))
            state = await writer
            talking.cancel()
        ended.set_result(state)

    async with served(app) as (address, _):
        yield address, ended


async def everything(client: ClientConnection) -> list[str | bytes]:
    return [message async for message in client]


async def test_over_a_real_socket_audio_is_binary_notices_are_text_and_the_end_is_clean() -> None:
    async def talk(transport: WebSocketTransport) -> None:
        transport.notify(STARTED)
        for _ in range(50):
            transport.play("r1", FRAME)
        transport.notify(HEARD)
        transport.close(EndedReason.MAX_TURNS)

    async with speaking(talk) as (address, ended), connect(address) as client:
        received = await everything(client)
        assert received == ["ReplyStarted", *[FRAME.tobytes()] * 50, "AgentTranscript"]
        assert (client.close_code, client.close_reason) == (1000, "max_turns")
        assert await ended is State.CLOSED


async def test_over_a_real_socket_a_client_that_stops_reading_is_dropped() -> None:
    async def talk(transport: WebSocketTransport) -> None:
        second = np.zeros(RATE, np.int16)
        while True:
            transport.play("r1", second)
            await asyncio.sleep(0)

    async with (
        speaking(talk, backlog_seconds=5.0) as (address, ended),
        connect(address, max_queue=1, ping_interval=None, close_timeout=0.1) as client,
    ):
        async with asyncio.timeout(30):
            assert await ended is State.DROPPED
        client.transport.abort()


async def test_over_a_real_socket_a_client_that_vanishes_is_noticed() -> None:
    async def talk(transport: WebSocketTransport) -> None:
        while True:
            transport.play("r1", FRAME)
            await asyncio.sleep(0.001)

    async with speaking(talk) as (address, ended), connect(address) as client:
        await client.recv()
        client.transport.abort()
        async with asyncio.timeout(30):
            assert await ended is State.DROPPED
        with pytest.raises(ConnectionClosed):
            await everything(client)
            await client.recv()
