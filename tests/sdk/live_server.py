"""A real server on a loopback port, with scripted engines, and a wire to it that can be cut."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from nur_server.api.app import create_app
from nur_server.conversation.events import Role
from nur_server.ports import ReplyRequest
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.scripted import Call, Reply, ScriptedLanguageModel, ScriptedSpeechToText
from nur_server.settings import Settings

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    url: str
    key: str
    app: FastAPI


class AnnouncedServer(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.has_started.set()


def answer(request: ReplyRequest) -> Reply:
    """Looks an order up when it is asked for one, and tells what it was told."""
    last = request.messages[-1]
    if last.role is Role.TOOL:
        return f"Here it is: {_spoken(last.content)}."
    said = " ".join(message.content for message in request.messages)
    if "order" in said and request.tools:
        return [Call("lookup_order", {"order_id": "1042"})]
    return "One two three four five."


def _spoken(result: str) -> str:
    """A tool's result in words; JSON is not for the ear."""
    return str(json.loads(result)["status"]) if result.startswith("{") else result


@contextmanager
def running(folder: Path, operator_token: str | None = None) -> Iterator[RunningServer]:
    """Serve from `folder` until the block ends. Every utterance is heard as `Hello there.`"""
    keys: list[str] = []
    app = create_app(
        Settings(
            _env_file=None,
            data_dir=folder,
            drain_seconds=0.0,
            log_level="error",
            operator_token=operator_token,
        ),
        catalogue=Catalogue.scripted(
            llm=ScriptedLanguageModel(answer),
            stt=ScriptedSpeechToText(lambda _: "Hello there."),
        ),
        on_first_key=lambda key: keys.append(key.secret),
    )
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, lifespan="on", ws="websockets-sansio"
    )
    server = AnnouncedServer(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="server")
    thread.start()
    try:
        assert server.has_started.wait(START_SECONDS)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield RunningServer(f"http://127.0.0.1:{port}", keys[0], app)
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)


class Wire:
    """A port whose connections lead to `target`, until they are cut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="wire", daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def cut(self) -> None:
        """Break every connection; new ones can be made."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target, timeout=10)
                far.settimeout(None)
                self._ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    thread = threading.Thread(target=self._copy, args=(source, sink), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError), source:
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire_to(url: str) -> Iterator[Wire]:
    """A wire to the server at `url`."""
    host, _, port = url.removeprefix("http://").partition(":")
    wire = Wire((host, int(port)))
    try:
        yield wire
    finally:
        wire.close()
