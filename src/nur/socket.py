"""One WebSocket connection, whose every way to fail is a value: `Closed`.

httpx2 runs a connection inside a task group, which wraps whatever is raised in it in exception
groups; so nothing is.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import anyio
import httpcore2
import httpx2
import wsproto.events
from httpx2.websockets import (
    AsyncWebSocketSession,
    HTTPXWSException,
    WebSocketDisconnect,
    WebSocketUpgradeError,
)
from wsproto.utilities import ProtocolError

from nur.closed import Closed
from nur.queues import Message

MOST_FRAME_BYTES = 1_048_576
PING_SECONDS = 10.0
"""Between pings, and the longest wait for a pong: silence of twice that ends a connection."""
WRITE_SECONDS = 10.0
"""A write that takes longer means that the connection is dead."""
CLOSE_SECONDS = 2.0

_BROKEN = (
    HTTPXWSException,
    httpx2.TransportError,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
    ProtocolError,
    OSError,
)
"""What a connection that cannot be made, or breaks, raises somewhere on the way."""


class Socket:
    """An open connection."""

    def __init__(self, session: AsyncWebSocketSession) -> None:
        self._session = session

    async def send(self, message: Message) -> Closed | None:
        """Write a message; None when it is written. Not safe to cancel: close it then."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                if isinstance(message.data, str):
                    await self._session.send_text(message.data)
                else:
                    await self._session.send_bytes(message.data)
        except TimeoutError:
            return Closed(reason=f"a write took longer than {WRITE_SECONDS:g} s")
        except _BROKEN as error:
            return Closed(reason=type(error).__name__)
        return None

    async def receive(self) -> str | bytes | Closed:
        """The next message. Safe to cancel."""
        while True:
            try:
                event = await self._session.receive()
            except WebSocketDisconnect as closed:
                return Closed(closed.code, closed.reason)
            except _BROKEN as error:
                return Closed(reason=type(error).__name__)
            if isinstance(event, wsproto.events.TextMessage):
                return event.data
            if isinstance(event, wsproto.events.BytesMessage):
                return bytes(event.data)


@asynccontextmanager
async def open_socket(
    http: httpx2.AsyncClient, url: str, headers: Mapping[str, str], timeout_seconds: float
) -> AsyncIterator[Socket]:
    """Connect, and close at the end of the block, whose body must not raise.

    Raises what `closed_by` understands.
    """
    async with http.websocket(
        url,
        headers=dict(headers),
        timeout=timeout_seconds,
        max_message_size_bytes=MOST_FRAME_BYTES,
        keepalive_ping_interval_seconds=PING_SECONDS,
        keepalive_ping_timeout_seconds=PING_SECONDS,
    ) as session:
        try:
            yield Socket(session)
        finally:
            # The session's own exit writes the close frame shielded from any deadline.
            with suppress(TimeoutError, *_BROKEN):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await session.close()


def closed_by(error: Exception) -> Closed:
    """What an error of opening, using or closing a connection means. Raises it if it is another."""
    if isinstance(error, WebSocketUpgradeError):
        return Closed(status=error.response.status_code, reason="the upgrade was refused")
    if isinstance(error, ExceptionGroup):
        _, others = error.split(_BROKEN)
        if others is None:
            return closed_by(error.exceptions[0])
    elif isinstance(error, _BROKEN):
        return Closed(reason=str(error) or type(error).__name__)
    raise error
