"""Whether a model server is there, is the right one, takes the key and has the model."""

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx2

from nur_server.engine_settings import ModelKind
from nur_server.errors import ProviderError, ProviderRejected, ProviderTimeout
from nur_server.providers.http import ModelServer, answered, read_json

CHECK_SECONDS = 3.0
"""Longest wait for an answer: as long as for a connection (`http.CONNECT_SECONDS`)."""
MAX_NAMED = 5
"""Models of a server that an error names."""

KEY_REFUSED, MODEL_NOT_LISTED, WRONG_ADDRESS = "key_refused", "model_not_listed", "wrong_address"

WHAT_IS_WRONG = {
    "provider_unreachable": "nothing answers at its address",
    "provider_timeout": "its server does not answer in time",
    KEY_REFUSED: "its server refuses the key",
    MODEL_NOT_LISTED: "its server does not list this model",
    WRONG_ADDRESS: "its address does not lead to an API of the expected kind",
}
"""Codes of errors in words that tell nothing of addresses: for whoever uses the server."""
OTHERWISE = "its server fails"

_ENDPOINTS = {"stt": "audio/transcriptions", "llm": "chat/completions", "tts": "audio/speech"}


async def check_server(
    server: ModelServer, client: httpx2.AsyncClient, kind: ModelKind, *, lists_models: bool = False
) -> None:
    """Raises a `ProviderError` while the server cannot be used: its `code` says why.

    Many servers of speech have no list of models: their other address is tried. `lists_models`:
    this kind of server has one. A server that is merely busy is there.
    """
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await _check(server, client, kind, lists_models or kind == "llm")
    except TimeoutError:
        raise ProviderTimeout(
            f"expected an answer within {CHECK_SECONDS:g} s, got none", provider=server.model
        ) from None


async def _check(
    server: ModelServer, client: httpx2.AsyncClient, kind: ModelKind, lists_models: bool
) -> None:
    try:
        listing = await _get(server, client, "models")
    except ProviderError as error:
        await _judge(error, server, client, kind, lists_models)
        return
    entries = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(entries, list):
        raise _wrong_address(server, "an answer that is no list of models")
    found = [entry for entry in entries if isinstance(entry, dict)]
    ids = [entry["id"] for entry in found if isinstance(entry.get("id"), str)]
    # llama.cpp answers with the one model it has, whatever it is asked for.
    takes_any = any(entry.get("owned_by") == "llamacpp" for entry in found)
    if ids and not takes_any and not _lists(ids, server.model):
        raise ProviderRejected(
            f"expected a server with the model {server.model!r}, got one that lists "
            f"{', '.join(ids[:MAX_NAMED])}{', …' if len(ids) > MAX_NAMED else ''}",
            provider=server.model,
            code=MODEL_NOT_LISTED,
        )


async def _judge(
    error: ProviderError,
    server: ModelServer,
    client: httpx2.AsyncClient,
    kind: ModelKind,
    lists_models: bool,
) -> None:
    """What a failed look at the list of models means. Returns where the server may be used."""
    status = error.provider_status
    if status in (401, 403):
        raise ProviderRejected(
            f"expected the key to be taken, got status {status}",
            provider=server.model,
            provider_status=status,
            code=KEY_REFUSED,
        ) from error
    if status == 429:
        return
    if error.code == "provider_garbled" or (status is not None and 300 <= status < 400):
        raise _wrong_address(server, f"status {status}" if status else "no JSON") from error
    if status not in (404, 405):
        raise error
    if lists_models or await _is_missing(server, client, _ENDPOINTS[kind]):
        raise _wrong_address(server, f"status {status} for the list of models") from error


async def _is_missing(server: ModelServer, client: httpx2.AsyncClient, path: str) -> bool:
    """Whether there is nothing at an address that is for POST."""
    try:
        await _get(server, client, path)
    except ProviderError as error:
        return error.provider_status == 404
    return False


async def _get(server: ModelServer, client: httpx2.AsyncClient, path: str) -> Any:
    async with answered(
        client,
        server.model,
        "GET",
        server.url(path),
        within_seconds=CHECK_SECONDS,
        headers=server.headers,
    ) as response:
        return await read_json(response, server.model, CHECK_SECONDS)


def _lists(ids: Iterable[str], model: str) -> bool:
    """`llama3` is `llama3:latest` on Ollama, and `models/llama3` on Google's servers."""
    plain = {id.lower().removeprefix("models/").removesuffix(":latest") for id in ids}
    return model.lower().removeprefix("models/").removesuffix(":latest") in plain


def _wrong_address(server: ModelServer, got: str) -> ProviderRejected:
    return ProviderRejected(
        f"expected an OpenAI-compatible API at the address, up to and including /v1; got {got}",
        provider=server.model,
        code=WRONG_ADDRESS,
    )
