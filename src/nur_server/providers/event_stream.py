"""Server-sent events (WHATWG HTML, section 9.2), as model servers send them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import httpx2

from nur_server.providers.http import garbled, pieces, provider_errors

MAX_LINE_BYTES = 1_048_576
"""Longest line of an event stream. A tool call with its arguments is far below."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event."""

    name: str
    """Empty where the server names none."""
    data: str

    @property
    def is_last(self) -> bool:
        """How chat servers and their like say that nothing follows."""
        return self.data.strip() == "[DONE]"


async def server_events(
    response: httpx2.Response, provider: str, within_seconds: float
) -> AsyncGenerator[ServerEvent, None]:
    """The events of a `text/event-stream` body, until it ends.

    A server that keeps the connection busy with comments is timed out like a silent one. An event
    the body's end cuts short is handed out, so that its reader can tell.
    """
    parser = _EventParser(provider)
    async with aclosing(pieces(response, provider, within_seconds)) as body:
        loop = asyncio.get_running_loop()
        last_event = loop.time()
        async for piece in body:
            events = parser.feed(piece)
            if events:
                last_event = loop.time()
            elif loop.time() - last_event > within_seconds:
                with provider_errors(provider):
                    raise TimeoutError
            for event in events:
                yield event
                last_event = loop.time()
    for event in parser.finish():
        yield event


class _EventParser:
    """Lines end with LF, CR or both. Comments and fields that nobody knows are skipped, and so are
    events without data. A line that is a JSON object stands for an event: some servers report an
    error in that way, and some stream so altogether."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._has_begun = False

    def feed(self, piece: bytes) -> list[ServerEvent]:
        data = self._rest + piece
        if not self._has_begun:
            if BYTE_ORDER_MARK.startswith(data):
                self._rest = data
                return []
            self._has_begun = True
            data = data.removeprefix(BYTE_ORDER_MARK)
        held = b"\r" if data.endswith(b"\r") else b""
        *lines, rest = _lines(data.removesuffix(held))
        self._rest = rest + held
        if len(self._rest) > MAX_LINE_BYTES:
            raise garbled(self._provider, "event lines of at most 1 MiB", self._rest)
        return [event for line in lines if (event := self._line(line)) is not None]

    def finish(self) -> list[ServerEvent]:
        last = [self._line(line) for line in _lines(self._rest)]
        return [event for event in [*last, self._line(b"")] if event is not None]

    def _line(self, raw: bytes) -> ServerEvent | None:
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise garbled(self._provider, "UTF-8 text", raw) from None
        if not line:
            return self._dispatch()
        if line.startswith("<"):
            raise garbled(self._provider, "an event stream", line)
        if line.startswith("{") and not self._data:
            return ServerEvent(self._name, line)
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        name, data = self._name, "\n".join(self._data)
        self._name, self._data = "", []
        return ServerEvent(name, data) if data.strip() else None


def _lines(data: bytes) -> list[bytes]:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
