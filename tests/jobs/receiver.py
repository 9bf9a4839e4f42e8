"""A webhook receiver on loopback, over a real socket."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from standardwebhooks.webhooks import Webhook

WAIT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Received:
    """A request, and what it was answered."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return str(self.json["type"])

    def verify(self, secret: str) -> Any:
        """Raises where the signature is not of this secret."""
        return Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[str, bytes], int]
"""The status for a path and a body."""


def accept(_path: str, _body: bytes) -> int:
    return 204


class Receiver:
    """Keeps what comes in."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answer: Answer = accept
        self.hangs: set[str] = set()
        """Paths that are never answered."""
        self.received: list[Received] = []
        self._came = asyncio.Condition()

    def url(self, path: str = "/hooks") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def accepted(self, path: str | None = None) -> list[Received]:
        """What was answered with success."""
        return [
            r for r in self.received if 200 <= r.status < 300 and (path is None or r.path == path)
        ]

    def accepted_ids(self) -> Counter[str]:
        return Counter(r.id for r in self.accepted())

    def types(self, path: str | None = None) -> list[str]:
        return [r.type for r in self.accepted(path)]

    async def until(self, holds: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
        """Wait for requests until it holds. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds), self._came:
            await self._came.wait_for(holds)

    async def accepted_count(self, count: int, seconds: float = WAIT_SECONDS) -> Sequence[Received]:
        await self.until(lambda: len(self.accepted()) >= count, seconds)
        return self.accepted()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request, *lines = head.strip().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (s.partition(":") for s in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            path = request.split()[1]
            if path in self.hangs:
                await reader.read()
                return
            status = self.answer(path, body)
            async with self._came:
                self.received.append(Received(path, headers, body, status))
                self._came.notify_all()
            writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver at a free port of this machine."""
    receiver = Receiver(0)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
