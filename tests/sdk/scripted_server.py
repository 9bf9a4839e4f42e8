"""A WebSocket server on a real loopback socket that plays one script per connection."""

import base64
import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

LONGEST_WAIT_SECONDS = 10.0


class Line:
    """A connection, as a script sees it."""

    def __init__(self, connection: ServerConnection, heard: "queue.Queue[Any]") -> None:
        self._connection = connection
        self._heard = heard

    @property
    def path(self) -> str:
        request = self._connection.request
        return request.path if request else ""

    @property
    def authorization(self) -> str | None:
        request = self._connection.request
        return request.headers.get("Authorization") if request else None

    def say(self, kind: str, **fields: Any) -> None:
        self._connection.send(json.dumps({"type": kind, "timestamp": 1.5, **fields}))

    def say_raw(self, data: str | bytes) -> None:
        self._connection.send(data)

    def ready(self, session_id: str = "ses_1") -> None:
        self.say("session.ready", session_id=session_id, config={"greeting": "hi"}, expires_at=9)

    def say_audio(self, reply_id: str, audio: bytes) -> None:
        self.say("reply.audio", reply_id=reply_id, data=base64.b64encode(audio).decode())

    def hear(self) -> Any:
        """The client's next message: a dictionary, or bytes."""
        data = self._connection.recv(timeout=LONGEST_WAIT_SECONDS)
        return data if isinstance(data, bytes) else json.loads(data)

    def hear_all(self) -> None:
        """Take the client's messages until it goes, for `Telephone.heard`."""
        try:
            while True:
                self._heard.put(self.hear())
        except ConnectionClosed:
            return

    def drop(self) -> None:
        """Break the connection without a word, as a network does."""
        self._connection.socket.close()
        self._connection.close_socket()

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._connection.close(code, reason)

    def end(self, reason: str = "client_ended") -> None:
        self.say("session.ended", session_duration_seconds=1.0, reason=reason)
        self.close()


Script = Callable[[Line], None]


class Telephone:
    """A running server. Connection number n plays script number n; later ones the last."""

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        self._scripts = scripts
        self._connections = 0
        self._lock = threading.Lock()
        self.heard: queue.Queue[Any] = queue.Queue()
        self.url = ""
        self.failures: list[BaseException] = []
        """What scripts raised: a wrong expectation of theirs, above all."""

    @property
    def connections(self) -> int:
        return self._connections

    def next_heard(self) -> Any:
        return self.heard.get(timeout=LONGEST_WAIT_SECONDS)

    def __call__(self, connection: ServerConnection) -> None:
        with self._lock:
            script = self._scripts[min(self._connections, len(self._scripts) - 1)]
            self._connections += 1
        try:
            script(Line(connection, self.heard))
        except ConnectionClosed:
            return
        except BaseException as failure:
            self.failures.append(failure)
            connection.close(1008)


@contextmanager
def answering(*scripts: Script) -> Iterator[Telephone]:
    """Serve the scripts until the block ends."""
    telephone = Telephone(scripts)
    server: Server
    with serve(
        telephone, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=0.5
    ) as server:
        thread = threading.Thread(target=server.serve_forever, name="scripted-server")
        thread.start()
        telephone.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1/sessions/ses_1"
        try:
            yield telephone
        finally:
            server.shutdown()
            thread.join(LONGEST_WAIT_SECONDS)
            if telephone.failures:
                raise telephone.failures[0]
