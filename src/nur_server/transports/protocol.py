"""uvicorn's connections, none of which a client can hold for as long as it likes.

uvicorn closes a WebSocket by waiting until everything sent was taken: a client that does not read
never takes it. It waits for the head of a request without end. And it neither answers nor closes
an upgrade that cannot be read, such as one with a body.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LINGER_SECONDS = 2.0
"""For the rest of the data and the close handshake."""
HEAD_SECONDS = 15.0
"""From the opening of a connection, or the first byte of a later request, to the end of its head.
"""


class BoundedProtocol(WebSocketsSansIOProtocol):
    """Pass it to uvicorn as `ws`."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse(self.conn.handshake_exc)

    def _refuse(self, error: Exception) -> None:
        """Answer an upgrade that cannot be read, and close."""
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()) or _refusal(error))
        self.transport.close()

    async def run_asgi(self) -> None:
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)


def _refusal(error: Exception) -> bytes:
    body = f"Failed to open a WebSocket connection: {error.__cause__ or error}.\n".encode()
    head = (
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


class BoundedHttp(H11Protocol):
    """Pass it to uvicorn as `http`."""

    _by: asyncio.TimerHandle | None = None
    """When the connection is closed. None: no head is waited for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._by is None:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._by = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._by is not None:
            self._by.cancel()
            self._by = None
