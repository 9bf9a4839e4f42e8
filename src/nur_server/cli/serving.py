"""The server of this process, stopped without cutting off a caller."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum, auto
from typing import Any, TypeVar

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from nur_server.api.services import Services
from nur_server.settings import Settings
from nur_server.transports.protocol import BoundedHttp, BoundedProtocol

KEEP_ALIVE_SECONDS = 75
"""Longer than the usual proxy keeps a connection, so that the proxy is the one to close it."""
FRAME_HEADROOM = 2
"""Frames up to so many times the limit are read, to be refused with a readable error."""
CLOSE_SECONDS = 5
"""Longest wait, once no session lives, for requests that are being answered."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = structlog.get_logger()

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on a fast event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


# How it stops


class Stopping(Enum):
    """How far the server is with stopping."""

    NOT = auto()
    GENTLY = auto()
    """No one new is let in; live sessions may finish, for `drain_seconds`."""
    NOW = auto()
    """Live sessions are ended."""


class Server(uvicorn.Server):
    """Serves `app`, whose lifespan has begun, until it is asked to stop.

    The first signal lets live sessions finish, the second ends them, the third ends the process.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                http=BoundedHttp,
                ws=BoundedProtocol,
                ws_per_message_deflate=False,
                ws_max_size=FRAME_HEADROOM * settings.max_frame_bytes,
                # The application itself reads proxies' headers, and needs to see who sent them.
                proxy_headers=False,
                server_header=False,
                access_log=False,
                log_config=None,
                # Its information names addresses of sessions, which are as good as keys.
                log_level="warning",
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=CLOSE_SECONDS,
            )
        )
        self._app = app
        self._drain_seconds = settings.drain_seconds
        self._stopping = Stopping.NOT
        self._now = asyncio.Event()
        self.ready = asyncio.Event()
        """Set once it answers."""
        self.asked_to_stop = asyncio.Event()

    def stop(self) -> None:
        """Stop gently; asked again, at once; asked a third time, with nothing tidied up."""
        match self._stopping:
            case Stopping.NOT:
                self._stopping = Stopping.GENTLY
                self.should_exit = True
                self.asked_to_stop.set()
                if self.started:
                    self._services.live.is_draining = True
            case Stopping.GENTLY:
                self._stopping = Stopping.NOW
                self._now.set()
            case Stopping.NOW:
                os._exit(1)

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Stop at a signal rather than cut live connections off."""
        return on_signal(self.stop)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for live sessions and calls, and close what is left.

        Until then everybody is answered: readiness says no and new sessions get a 503, while
        clients come back, carriers report, and the streams of ringing calls get through.
        """
        services = self._services
        if len(services.live):
            log.info(
                "waiting for live sessions; a second signal ends them",
                sessions=len(services.live),
                seconds=self._drain_seconds,
            )
        await first_of(self._drain(services), self._now.wait())
        await services.live.close()
        await super().shutdown(sockets)

    async def _drain(self, services: Services) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(services.live.settle(self._drain_seconds))
            group.create_task(services.calls.drain(self._drain_seconds))

    @property
    def _services(self) -> Services:
        services = self._app.state.services
        assert isinstance(services, Services)
        return services


async def first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Return when one of them has; the others are cancelled."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


@contextmanager
def on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at Ctrl-C and SIGTERM, until the block is left."""
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
