"""A pooler in front of PostgreSQL, as small as tests need it.

It speaks the protocol's frames (https://www.postgresql.org/docs/current/protocol-message-formats.html)
and answers a client's start itself, with a process id of its own invention, as poolers do.
"""

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path

SSL_REQUEST = 80877103
PROTOCOL = 196608
READY = b"Z"
IDLE = b"I"
AUTHENTICATED = b"R" + struct.pack("!ii", 8, 0)


class Mode(StrEnum):
    NEWEST_FIRST = "transaction, the connection used last"
    OLDEST_FIRST = "transaction, round robin"
    SESSION = "session"


class Link:
    """A connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.greeting = b""
        """Its parameters, as frames."""

    @classmethod
    async def open(cls, socket: Path, user: str, database: str) -> "Link":
        link = cls(*await asyncio.open_unix_connection(socket))
        options = b"".join(
            part.encode() + b"\0" for part in ("user", user, "database", database, "")
        )
        link.writer.write(struct.pack("!ii", len(options) + 8, PROTOCOL) + options)
        while True:
            kind, frame = await read_frame(link.reader)
            if kind == READY:
                return link
            if kind == b"S":
                link.greeting += frame


async def read_frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """A frame's type, and all of it."""
    head = await reader.readexactly(5)
    (length,) = struct.unpack("!i", head[1:])
    return head[:1], head + await reader.readexactly(length - 4)


class Pooler:
    """Lends a few connections of the server to its clients."""

    def __init__(self, links: list[Link], mode: Mode) -> None:
        self._free = deque(links)
        self._mode = mode
        self._clients: set[asyncio.Task[None]] = set()
        self._process = 1_000_000

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._welcome(reader, writer)
            await self._relay(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._clients.discard(task)

    async def close(self) -> None:
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients)
        for link in self._free:
            link.writer.close()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length, code = struct.unpack("!ii", await reader.readexactly(8))
            await reader.readexactly(length - 8)
            if code != SSL_REQUEST:
                break
            writer.write(b"N")
        self._process += 1
        key = b"K" + struct.pack("!iii", 12, self._process, 0)
        ready = READY + struct.pack("!i", 5) + IDLE
        writer.write(AUTHENTICATED + self._free[0].greeting + key + ready)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link: Link | None = None
        asking = asyncio.ensure_future(read_frame(reader))
        answering: asyncio.Future[tuple[bytes, bytes]] | None = None
        try:
            while True:
                waiting = [each for each in (asking, answering) if each]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if answering is not None and link is not None and answering.done():
                    kind, frame = answering.result()
                    writer.write(frame)
                    answering = asyncio.ensure_future(read_frame(link.reader))
                    if kind == READY and frame[5:] == IDLE and self._mode is not Mode.SESSION:
                        answering.cancel()
                        self._release(link)
                        link = answering = None
                elif asking.done():
                    kind, frame = asking.result()
                    if kind == b"X":
                        return
                    if link is None:
                        link = self._take()
                        answering = asyncio.ensure_future(read_frame(link.reader))
                    link.writer.write(frame)
                    asking = asyncio.ensure_future(read_frame(reader))
        finally:
            for each in (asking, answering):
                if each is not None:
                    each.cancel()
            if link is not None:
                self._release(link)

    def _take(self) -> Link:
        return self._free.popleft() if self._mode is Mode.OLDEST_FIRST else self._free.pop()

    def _release(self, link: Link) -> None:
        self._free.append(link)


@asynccontextmanager
async def pooling(socket: Path, database: str, mode: Mode, size: int) -> AsyncIterator[int]:
    """The port of a pooler with `size` connections to the server on a socket."""
    links = [await Link.open(socket, "postgres", database) for _ in range(size)]
    pooler = Pooler(links, mode)
    server = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await pooler.close()
