"""The peer connections of this process: made on demand, waited for, served, and closed."""

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog

from nur_server.errors import Conflict, NotInstalled, NurError, Unavailable
from nur_server.transports.webrtc.connection import MediaConnection
from nur_server.transports.webrtc.media import MediaEngine, MediaSettings

log = structlog.get_logger(__name__)

PACKAGES = ("reactor_webrtc", "livekit.protocol")
"""What the extra `webrtc` installs."""
INSTALL = "pip install -e '.[server,webrtc]'"
"""In the checkout."""
MOST_CONNECTING = 100
"""Peer connections whose media has not come yet: each holds some MB, and may be a bot's."""
COMPLAINT_SECONDS = 0.3
"""For an error to leave before its connection is closed."""

Enter = Callable[[], Awaitable[None]]
"""Enters the session that a connection is for. Raises `NurError`."""


def missing_packages() -> list[str]:
    """What the extra would install, and this process lacks."""
    return [name for name in PACKAGES if not _is_there(name)]


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


class MediaHub:
    """For one event loop. Cheap until the first browser comes."""

    def __init__(
        self,
        settings: MediaSettings,
        on_packets: Callable[[int, int], None] = lambda received, lost: None,
    ) -> None:
        """`on_packets` is called with packets of audio that came, and were lost, now and then."""
        self.settings = settings
        self._on_packets = on_packets
        self._engine: MediaEngine | None = None
        self._answering: set[str] = set()
        self._connecting: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections: set[MediaConnection] = set()
        """Those that are waited for or served."""
        self._is_closed = False

    def __len__(self) -> int:
        """Peer connections, connected or not."""
        return len(self._tasks)

    def require(self) -> None:
        """Raises `NotInstalled`, and `Unavailable` while the server stops."""
        missing = missing_packages()
        if missing:
            raise NotInstalled(
                f"voice in browsers needs packages that are not installed: {', '.join(missing)}; "
                f"run {INSTALL} in the checkout and start the server again",
                details={"install": INSTALL},
            )
        if self._is_closed:
            raise Unavailable("the server is stopping; connect again in a moment")

    def engine(self) -> MediaEngine:
        """The media library's. Raises as `require` does, and `Unavailable` (`at_capacity`)."""
        self.require()
        if len(self._connecting) + len(self._answering) >= MOST_CONNECTING:
            raise Unavailable(
                f"{MOST_CONNECTING} clients have not connected their media yet; try again in a "
                "moment",
                code="at_capacity",
                retry_after_seconds=5.0,
            )
        if self._engine is None:
            from nur_server.transports.webrtc.reactor import ReactorEngine

            self._engine = ReactorEngine(self.settings)
        return self._engine

    @contextmanager
    def answering(self, session_id: str) -> Iterator[MediaEngine]:
        """While an offer for the session is answered, which another cannot be meanwhile.

        Raises as `engine` does, and `Conflict`."""
        engine = self.engine()
        if session_id in self._answering:
            raise Conflict(
                f"another offer for session {session_id} is being answered; wait for its answer",
                param="sdp",
            )
        self._answering.add(session_id)
        try:
            yield engine
        finally:
            self._answering.discard(session_id)

    def begin(
        self, session_id: str, connection: MediaConnection, enter: Enter, *, has_channel: bool
    ) -> asyncio.Task[None]:
        """Wait for a connection's media, enter the session, and serve it until its end.

        An earlier connection of the session whose media has not come yet is given up.
        """
        connection.on_packets = self._on_packets
        earlier = self._connecting.pop(session_id, None)
        if earlier is not None:
            earlier.cancel()
        work = self._run(session_id, connection, enter, has_channel=has_channel)
        task = asyncio.create_task(work, name=f"media of {session_id}")
        self._connecting[session_id] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: self._connects(session_id, done))
        return task

    def _connects(self, session_id: str, task: "asyncio.Task[None] | None") -> None:
        if self._connecting.get(session_id) is task:
            del self._connecting[session_id]

    async def _run(
        self, session_id: str, connection: MediaConnection, enter: Enter, *, has_channel: bool
    ) -> None:
        self.connections.add(connection)
        try:
            if not await connection.wait_connected(has_channel=has_channel):
                log.info("media.never_connected", session_id=session_id)
                return
            self._connects(session_id, asyncio.current_task())
            try:
                await enter()
            except NurError as error:
                log.info("media.refused", session_id=session_id, code=error.code)
                connection.complain(error)
                await asyncio.sleep(COMPLAINT_SECONDS)
                return
            await connection.serve()
        except Exception:
            log.exception("media.crashed", session_id=session_id)
        finally:
            self.connections.discard(connection)
            await connection.shut()

    async def close(self) -> None:
        """Close every connection, then the library."""
        self._is_closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=3.0)
        if self._engine is not None:
            await self._engine.close()
