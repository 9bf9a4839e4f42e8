"""A server with scripted engines, and OpenAI's own Python client that talks to it."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

import openai
from tests.api_realtime.conftest import RATE, Server, serve, tone

__all__ = ["serve"]

PATIENCE_SECONDS = 20.0
STRICT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
"""What every event is held to: agents-js and pipecat check theirs as strictly."""
DETECTED = {"type": "server_vad", "silence_duration_ms": 400}


@dataclass
class Peer:
    """A client of the protocol, and what it was sent."""

    connection: Any
    seen: list[dict[str, Any]] = field(default_factory=list)
    checks: bool = True

    async def send(self, type: str, **fields: Any) -> None:
        await self.connection.send({"type": type, **fields})

    async def update(self, **session: Any) -> dict[str, Any]:
        """Configure the session; what is in force."""
        await self.send("session.update", session={"type": "realtime", **session})
        return (await self.until("session.updated"))["session"]

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            event = await self.connection.recv()
        told: dict[str, Any] = event.to_dict()
        STRICT.validate_python(told)
        assert told["event_id"]
        self.seen.append(told)
        return told

    async def until(self, type: str, when: Callable[[Any], bool] = lambda _: True) -> Any:
        while True:
            event = await self.next()
            if event["type"] == type and when(event):
                return event

    def of(self, type: str) -> list[dict[str, Any]]:
        return [event for event in self.seen if event["type"] == type]

    def types(self) -> list[str]:
        """In order; several of a kind in a row are one."""
        kinds: list[str] = []
        for event in self.seen:
            if not kinds or kinds[-1] != event["type"]:
                kinds.append(event["type"])
        return kinds

    def spoken(self) -> bytes:
        return b"".join(
            base64.b64decode(e["delta"]) for e in self.of("response.output_audio.delta")
        )

    async def audio(self, samples: np.ndarray | bytes, rate: int = RATE) -> None:
        data = samples if isinstance(samples, bytes) else samples.tobytes()
        step = rate // 10 * (1 if isinstance(samples, bytes) else 2)
        for start in range(0, len(data), step):
            piece = base64.b64encode(data[start : start + step]).decode()
            await self.send("input_audio_buffer.append", audio=piece)
            await asyncio.sleep(0.01)

    async def say(self, seconds: float = 0.5) -> None:
        """A tone, which the scripted detector takes for speech, and a silence."""
        await self.audio(tone(seconds))
        await self.audio(np.zeros(int(RATE * 1.2), np.int16))

    async def type(self, text: str) -> str:
        """Add a message of the user's; the id of its item."""
        item = {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": text}],
        }
        await self.send("conversation.item.create", item=item)
        added = await self.until("conversation.item.added")
        return str(added["item"]["id"])

    async def respond(self, **response: Any) -> dict[str, Any]:
        """Ask for a response, and wait for its end."""
        await self.send("response.create", response=response)
        return (await self.until("response.done"))["response"]


def openai_client(server: Server, key: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key=key or server.key, base_url=f"http://{server.address}/v1", max_retries=0
    )


@asynccontextmanager
async def connected(
    server: Server, model: str = "gpt-realtime", key: str | None = None, **options: Any
) -> AsyncIterator[Peer]:
    """A peer that has seen `session.created`."""
    async with (
        openai_client(server, key) as client,
        client.realtime.connect(model=model, **options) as connection,
    ):
        peer = Peer(connection)
        assert (await peer.next())["type"] == "session.created"
        yield peer


async def ended(server: Server) -> dict[str, Any]:
    """The only session, once it is over."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            listed = (await server.get("/v1/sessions"))["data"][0]
            if listed["status"] == "ended":
                return await server.get(f"/v1/sessions/{listed['id']}")
            await asyncio.sleep(0.02)


async def turns_of(server: Server) -> list[tuple[str, str]]:
    """Who said what, as the record of the only session has it once it is over."""
    session = await ended(server)
    transcript = await server.get(f"/v1/sessions/{session['id']}/transcript")
    return [(turn["speaker"], turn["text"]) for turn in transcript["turns"]]


@pytest.fixture
async def server(serve: Any) -> AsyncIterator[Server]:
    async with serve() as running:
        yield running
