"""A connection the application has left does not outlive it for long."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect

from nur_server.transports import protocol
from tests.transports.served import served


async def leave_with_data_unread(scope: Any, receive: Any, send: Any) -> None:
    """Asked to, send far more than the system buffers, then leave."""
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            while True:
                await send({"type": "websocket.send", "bytes": bytes(1 << 20)})


async def leave_with_a_word(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "bye"})
    await send({"type": "websocket.close", "code": 1000})


async def test_a_client_that_never_reads_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.1)
    async with served(leave_with_data_unread) as (address, server):
        client = await connect(address, max_size=None, max_queue=1, ping_interval=None)
        client.transport.pause_reading()
        await client.send("go")
        async with asyncio.timeout(20):
            while server.server_state.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        client.transport.abort()
        await client.wait_closed()


async def test_a_client_that_reads_gets_everything_and_a_clean_close() -> None:
    async with served(leave_with_a_word) as (address, _), connect(address) as client:
        assert [message async for message in client] == ["bye"]
        assert client.close_code == 1000


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.mark.parametrize(
    "more",
    [
        b"Content-Length: 5\r\n\r\n",
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"".join(b"X-%d: 1\r\n" % i for i in range(200)) + b"\r\n",
    ],
)
async def test_an_upgrade_that_cannot_be_read_is_refused_and_closed(more: bytes) -> None:
    async with served(leave_with_a_word) as (address, server):
        port = int(address.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE + more)
        async with asyncio.timeout(20):
            answer = await reader.read()
            while server.server_state.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert answer.startswith((b"HTTP/1.1 400 Bad Request\r\n", b"HTTP/1.1 431 "))
        assert b"Failed to open a WebSocket connection" in answer
        writer.close()


async def test_an_upgrade_with_an_empty_body_is_one() -> None:
    async with (
        served(leave_with_a_word) as (address, _),
        connect(address, additional_headers={"Content-Length": "0"}) as client,
    ):
        assert await client.recv() == "bye"
