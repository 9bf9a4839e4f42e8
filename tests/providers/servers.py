"""Scripted servers on real loopback sockets that speak the documented protocols, and break them."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the server received it."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Died(Exception):
    """The server breaks the connection."""


class Exchange:
    """One request being answered, with every liberty a broken server takes."""

    def __init__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked = asked
        self._writer = writer
        self.was_aborted = asyncio.Event()
        """The client went away before the answer was whole."""

    async def head(self, status: int = 200, kind: str = "application/json", **more: str) -> None:
        """Start an answer of unknown length."""
        fields = {"Content-Type": kind, "Transfer-Encoding": "chunked", **more}
        await self.raw(_head(status, fields))

    async def piece(self, data: bytes | str) -> None:
        data = data.encode() if isinstance(data, str) else data
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def answer(
        self, body: bytes | str, status: int = 200, kind: str = "application/json", **more: str
    ) -> None:
        """A whole answer at once."""
        body = body.encode() if isinstance(body, str) else body
        fields = {"Content-Type": kind, "Content-Length": str(len(body)), **more}
        await self.raw(_head(status, fields) + body)

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def hang(self) -> None:
        """Say nothing more until the client goes away, or the server is stopped."""
        await self.was_aborted.wait()
        raise Died

    def die(self) -> None:
        """Break the connection as a killed process does."""
        raise Died

    # Dialects

    async def events(self, *data: object, done: bool = True) -> None:
        """A whole event stream of JSON chunks."""
        await self.head(kind="text/event-stream")
        for item in data:
            await self.event(item)
        if done:
            await self.piece("data: [DONE]\n\n")
        await self.end()

    async def event(self, item: object) -> None:
        text = item if isinstance(item, str) else json.dumps(item)
        await self.piece(f"data: {text}\n\n")


def _head(status: int, fields: dict[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} Scripted",
        *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


Handler = Callable[[Exchange], Awaitable[None]]


@dataclass
class ScriptedServer:
    """An HTTP server that answers its first request by the first handler, and so on; the last
    handler answers all that follow."""

    handlers: Sequence[Handler]
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while (asked := await _read_request(reader)) is not None:
                await self._exchange(asked, reader, writer)
            writer.close()
        except (Died, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._connections.discard(task)

    async def _exchange(
        self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        exchange = Exchange(asked, writer)
        self.asked.append(asked)
        self.exchanges.append(exchange)
        self.was_asked.set()
        handler = self.handlers[min(len(self.asked), len(self.handlers)) - 1]
        watch = asyncio.ensure_future(_watch(reader, exchange))
        try:
            await handler(exchange)
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch


async def _watch(reader: asyncio.StreamReader, exchange: Exchange) -> None:
    # A StreamReader has no event for its end that leaves its bytes to the next request.
    while not reader.at_eof() and reader.exception() is None:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    exchange.was_aborted.set()


async def _read_request(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, target, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


@asynccontextmanager
async def running(*handlers: Handler) -> AsyncIterator[ScriptedServer]:
    """A `ScriptedServer` on a free port; nothing of it is left afterwards."""
    scripted = ScriptedServer(handlers)
    server = await asyncio.start_server(scripted._serve, "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
        connections = list(scripted._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


# The vLLM realtime socket


@dataclass
class Realtime:
    """One scripted realtime connection: what the client sent, and how to answer."""

    socket: ServerConnection
    received: list[dict[str, Any]] = field(default_factory=list)
    pcm: bytearray = field(default_factory=bytearray)
    was_fed: asyncio.Event = field(default_factory=asyncio.Event)

    async def greet(self) -> None:
        await self.send(type="session.created", id="sess-1", created=1_790_000_000)

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def delta(self, text: str) -> None:
        await self.send(type="transcription.delta", delta=text)

    async def done(self, text: str) -> None:
        await self.send(type="transcription.done", text=text, usage={"total_tokens": 1})

    async def read(self) -> dict[str, Any]:
        """The next message of the client; its audio is collected in `pcm`."""
        message: dict[str, Any] = json.loads(await self.socket.recv())
        self.received.append(message)
        self.was_fed.set()
        if message["type"] == "input_audio_buffer.append":
            self.pcm += base64.b64decode(message["audio"], validate=True)
        return message

    async def read_to_final(self) -> None:
        """Take messages until the client ends its audio."""
        while (await self.read()).get("final") is not True:
            pass

    async def hang(self) -> None:
        """Take what comes and answer nothing."""
        while True:
            await self.read()


RealtimeHandler = Callable[[Realtime], Awaitable[None]]


@dataclass
class RealtimeServer:
    port: int
    connections: list[Realtime]
    was_fed: asyncio.Event
    """Some connection has received something."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@asynccontextmanager
async def realtime(*handlers: RealtimeHandler) -> AsyncIterator[RealtimeServer]:
    """A realtime server: its first connection goes to the first handler, and so on."""
    connections: list[Realtime] = []
    was_fed = asyncio.Event()

    async def serve_one(socket: ServerConnection) -> None:
        assert socket.request is not None and socket.request.path == "/v1/realtime"
        connection = Realtime(socket, was_fed=was_fed)
        connections.append(connection)
        await handlers[min(len(connections), len(handlers)) - 1](connection)

    async with serve(serve_one, "127.0.0.1", 0, close_timeout=0.2) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield RealtimeServer(port, connections, was_fed)
