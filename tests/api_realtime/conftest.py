"""A real server on a loopback socket, with scripted engines, and a client that talks to it."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from nur_server.api.app import create_app
from nur_server.api.services import Services
from nur_server.clock import Clock
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.scripted import (
    Reply,
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
)
from nur_server.settings import Settings
from nur_server.store.records import NewKey
from tests.databases import lay

PATIENCE_SECONDS = 20.0
"""After this a test has failed: nothing here takes as long."""
RATE = 24_000


@dataclass
class Client:
    """One connection to the server."""

    connection: ClientConnection
    seen: list[dict[str, Any]] = field(default_factory=list)
    audio: list[bytes] = field(default_factory=list)
    """Binary frames."""

    async def send(self, type: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"type": type, **fields}))

    async def send_audio(self, samples: np.ndarray) -> None:
        await self.send("input.audio", audio=base64.b64encode(samples.tobytes()).decode())

    async def update(self, **session: Any) -> None:
        await self.send("session.update", session=session)

    async def next(self) -> dict[str, Any]:
        """The next text message."""
        while True:
            async with asyncio.timeout(PATIENCE_SECONDS):
                frame = await self.connection.recv()
            if isinstance(frame, bytes):
                self.audio.append(frame)
                continue
            message: dict[str, Any] = json.loads(frame)
            self.seen.append(message)
            return message

    async def until(self, type: str, **fields: Any) -> dict[str, Any]:
        """The next message of this type with these values; those before it are in `seen`."""
        while True:
            message = await self.next()
            if message["type"] == type and fields.items() <= message.items():
                return message

    async def closed(self) -> int | None:
        """The close code, once the server has closed."""
        try:
            while True:
                await self.next()
        except ConnectionClosed:
            return self.connection.close_code

    def types(self) -> list[str]:
        """What was seen, without audio and deltas."""
        passing = ("reply.audio", "transcript.agent.delta", "transcript.user.delta")
        return [m["type"] for m in self.seen if m["type"] not in passing]

    def spoken(self) -> bytes:
        """The agent audio that came as JSON."""
        return b"".join(
            base64.b64decode(m["data"]) for m in self.seen if m["type"] == "reply.audio"
        )

    async def speak(self, seconds: float = 0.5) -> None:
        """Say something (a tone, loud enough for the scripted detector), then be silent."""
        await self._stream(tone(seconds))
        await self._stream(np.zeros(int(RATE * 1.2), np.int16))

    async def _stream(self, samples: np.ndarray) -> None:
        for start in range(0, len(samples), RATE // 10):
            await self.send_audio(samples[start : start + RATE // 10])
            await asyncio.sleep(0.01)


def id_of(path: str) -> str:
    """The session's id in the path of its socket."""
    return path.split("/")[3]


async def eventually(is_so: Callable[[], bool]) -> None:
    """Return once `is_so`; fail when it is not within `PATIENCE_SECONDS`."""
    for _ in range(int(PATIENCE_SECONDS / 0.01)):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to be in time")


def tone(seconds: float, rate: int = RATE) -> np.ndarray:
    return (np.sin(np.arange(int(rate * seconds)) / 8) * 12_000).astype(np.int16)


@dataclass
class Server:
    """A running server, and an account on it."""

    address: str
    """`127.0.0.1:1234`"""
    key: str
    services: Services
    llm: ScriptedLanguageModel
    tts: ScriptedTextToSpeech
    http: httpx2.AsyncClient

    @asynccontextmanager
    async def connect(
        self, path: str = "/v1/ws", *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> AsyncIterator[Client]:
        """`headers` None: the key as Bearer on `/v1/ws`."""
        if headers is None:
            headers = {"Authorization": f"Bearer {self.key}"} if "/ws" in path else {}
        async with connect(
            f"ws://{self.address}{path}",
            additional_headers=headers,
            max_size=None,
            **{"max_queue": None, **options},
        ) as connection:
            yield Client(connection)

    @asynccontextmanager
    async def ready(self, **session: Any) -> AsyncIterator[Client]:
        """A client of `/v1/ws` whose session is ready."""
        async with self.connect() as client:
            await client.update(**session)
            await client.until("session.ready")
            yield client

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        response = await self.http.post(path, json=body)
        assert response.status_code in (200, 201), response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def get(self, path: str) -> dict[str, Any]:
        response = await self.http.get(path)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def make_agent(self, **fields: Any) -> str:
        body = {"name": "Support", "voice_id": "rachel_v2", "system_prompt": "Be brief.", **fields}
        agent_id: str = (await self.post("/v1/agents", **body))["id"]
        return agent_id

    async def make_session(self, agent_id: str, **fields: Any) -> str:
        """The path of a new session's socket, with its secret."""
        session = await self.post(f"/v1/agents/{agent_id}/sessions", **fields)
        url: str = session["websocket_url"]
        return url.removeprefix(f"ws://{self.address}")

    async def vanish(self, client: Client) -> None:
        """Cut the line, without a word."""
        client.connection.transport.abort()
        await client.connection.wait_closed()


Serve = Callable[..., Any]


@pytest.fixture
def serve(tmp_path: Path, prepared_file: Path) -> Serve:
    """`async with serve(replies=…, heard=…, **settings) as server:`"""
    data_dir = tmp_path / "data"

    @asynccontextmanager
    async def running(
        *,
        replies: list[Reply] | Callable[..., Reply] = lambda _: "Hello.",
        heard: Any = lambda _: "Where is my order?",
        clock: Clock | None = None,
        **settings: Any,
    ) -> AsyncIterator[Server]:
        lay(prepared_file, data_dir)
        llm = ScriptedLanguageModel(replies)
        tts = ScriptedTextToSpeech(ms_per_character=15, tone_hz=300)
        catalogue = Catalogue.scripted(stt=ScriptedSpeechToText(heard), llm=llm, tts=tts)
        keys: list[NewKey] = []
        app = create_app(
            Settings(
                _env_file=None,
                data_dir=data_dir,
                discover_models=False,
                drain_seconds=0.1,
                log_level="error",
                **settings,
            ),
            catalogue=catalogue,
            clock=clock,
            on_first_key=keys.append,
        )
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        uvicorn_server = uvicorn.Server(
            uvicorn.Config(
                app, ws="websockets-sansio", ws_per_message_deflate=False, log_config=None
            )
        )
        serving = asyncio.create_task(uvicorn_server.serve(sockets=[listener]))
        try:
            while not uvicorn_server.started:
                assert not serving.done(), "the server did not start"
                await asyncio.sleep(0.01)
            async with httpx2.AsyncClient(
                base_url=f"http://{address}",
                headers={"Authorization": f"Bearer {keys[0].secret}"},
                trust_env=False,
            ) as http:
                yield Server(address, keys[0].secret, app.state.services, llm, tts, http)
        finally:
            uvicorn_server.should_exit = True
            await serving

    return running


@pytest.fixture
async def server(serve: Serve) -> AsyncIterator[Server]:
    async with serve() as running:
        yield running
