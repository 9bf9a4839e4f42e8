"""Finding a language-model server that already runs on this machine."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import structlog

from nur_server.errors import ProviderError
from nur_server.providers.http import answered, model_client, read_json

log = structlog.get_logger()

SEARCH_SECONDS = 0.4
MAX_MODELS = 64


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server of some kind listens by default."""

    kind: str
    base_url: str


PLACES = (
    Place("Ollama", "http://127.0.0.1:11434/v1"),
    Place("llama.cpp", "http://127.0.0.1:8080/v1"),
    Place("llama.cpp", "http://127.0.0.1:8081/v1"),
    Place("vLLM", "http://127.0.0.1:8000/v1"),
    Place("LM Studio", "http://127.0.0.1:1234/v1"),
)
"""In order of preference."""

_NOT_CHAT = ("embed", "rerank", "whisper", "tts", "bge-", "clip")


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A server that answers, with the chat models it has, its own order."""

    kind: str
    base_url: str
    models: tuple[str, ...]

    def best(self, wanted: str) -> str:
        """The model called `wanted`, or one of its family, or else the first.

        `qwen3.5-4b` is of the family of `qwen3.5:4b-instruct`.
        """
        family = _plain(wanted)
        by_name = next((model for model in self.models if model == wanted), None)
        related = next((model for model in self.models if family in _plain(model)), None)
        return by_name or related or self.models[0]


def _plain(model: str) -> str:
    return "".join(character for character in model.lower() if character.isalnum())


async def discover(
    *, own_port: int, places: Sequence[Place] = PLACES, within_seconds: float = SEARCH_SECONDS
) -> FoundServer | None:
    """The first of `places` where a chat server with a model answers; None when there is none.

    All are asked at once; what has not answered `within_seconds` is not there. `own_port` is the
    port of this server itself, which is not asked.
    """
    asked = [place for place in places if urlsplit(place.base_url).port != own_port]
    async with model_client(within_seconds) as client, asyncio.TaskGroup() as group:
        answers = [group.create_task(_ask(client, place, within_seconds)) for place in asked]
    found = next((server for task in answers if (server := task.result()) is not None), None)
    if found is not None:
        log.info("found a model server", kind=found.kind, url=found.base_url, models=found.models)
    return found


async def _ask(client: httpx2.AsyncClient, place: Place, seconds: float) -> FoundServer | None:
    with suppress(ProviderError, TimeoutError):
        async with asyncio.timeout(seconds):
            models = await _models(client, place, seconds)
            if models:
                return FoundServer(place.kind, place.base_url, models)
    return None


async def _models(client: httpx2.AsyncClient, place: Place, seconds: float) -> tuple[str, ...]:
    url = f"{place.base_url}/models"
    async with answered(client, place.kind, "GET", url, within_seconds=seconds) as response:
        return chat_models(await read_json(response, place.kind, seconds))


def chat_models(listing: Any) -> tuple[str, ...]:
    """The ids in an answer of `GET /v1/models` that may chat; none where it is no such answer."""
    data = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(data, list):
        return ()
    ids = [entry.get("id") for entry in data[:MAX_MODELS] if isinstance(entry, dict)]
    return tuple(id for id in ids if isinstance(id, str) and _may_chat(id))


def _may_chat(model: str) -> bool:
    return bool(model) and not any(word in model.lower() for word in _NOT_CHAT)
