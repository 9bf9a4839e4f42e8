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
