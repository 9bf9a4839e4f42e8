"""uvicorn's WebSocket connection, gone soon after the application has left it.

uvicorn closes a connection by waiting until everything sent was taken. A client that does not read
never takes it, and would hold its socket for as long as it likes.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LINGER_SECONDS = 2.0
"""For the rest of the data and the close handshake."""


class BoundedProtocol(WebSocketsSansIOProtocol):
    """Pass it to uvicorn as `ws`."""

    async def run_asgi(self) -> None:
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)
