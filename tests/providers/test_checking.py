"""Whether a model server is there and is the right one."""

import json
from typing import Any

import pytest
from servers import Exchange, running

from nur_server.engine_settings import ModelKind
from nur_server.errors import ProviderError
from nur_server.providers import checking
from nur_server.providers.checking import check_server
from nur_server.providers.http import ModelServer, model_client


def listing(*ids: str, **more: Any) -> str:
    return json.dumps({"object": "list", "data": [{"id": id, **more} for id in ids]})


async def code_of(
    *answers: tuple[str, int], kind: ModelKind = "llm", model: str = "small", path: str = "/v1"
) -> str | None:
    """The code of what is wrong with a server that gives these answers. None: nothing."""

    def handler(body: str, status: int) -> Any:
        async def answer(exchange: Exchange) -> None:
            await exchange.answer(body, status)

        return answer

    async with (
        running(*(handler(*each) for each in answers)) as server,
        model_client(1.0) as client,
    ):
        try:
            await check_server(ModelServer(server.url + path, model, "sk-1"), client, kind)
        except ProviderError as error:
            return error.code
        finally:
            assert all(asked.headers["authorization"] == "Bearer sk-1" for asked in server.asked)
    return None


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (listing("large", "small"), "small"),
        (listing("small:latest"), "small"),
        (listing("models/small"), "Small"),
        (listing("/models/whatever.gguf", owned_by="llamacpp"), "small"),
        (listing(), "small"),
    ],
)
async def test_a_server_that_has_the_model_is_right(body: str, model: str) -> None:
    assert await code_of((body, 200), model=model) is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (listing("large", "smaller"), 200, "model_not_listed"),
        ("{}", 401, "key_refused"),
        ("{}", 403, "key_refused"),
        ("{}", 404, "wrong_address"),
        ("<html>", 200, "wrong_address"),
        ('{"models": []}', 200, "wrong_address"),
        ("[]", 200, "wrong_address"),
        ("", 302, "wrong_address"),
        ("{}", 500, "provider_rejected"),
        ("{}", 429, None),
    ],
)
async def test_a_server_that_is_wrong_is_told_apart(
    body: str, status: int, code: str | None
) -> None:
    assert await code_of((body, status)) == code


@pytest.mark.parametrize("kind", ["stt", "tts"])
@pytest.mark.parametrize(("status", "code"), [(405, None), (422, None), (404, "wrong_address")])
async def test_a_speech_server_need_not_list_models(
    kind: ModelKind, status: int, code: str | None
) -> None:
    assert await code_of(("{}", 404), ("{}", status), kind=kind) == code


async def test_nothing_at_the_address_is_told() -> None:
    async with running() as server:
        url = server.base_url
    async with model_client(1.0) as client:
        with pytest.raises(ProviderError) as caught:
            await check_server(ModelServer(url, "small"), client, "llm")
    assert caught.value.code == "provider_unreachable"


async def test_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "CHECK_SECONDS", 0.05)

    async def hang(exchange: Exchange) -> None:
        await exchange.hang()

    async with running(hang) as server, model_client(1.0) as client:
        with pytest.raises(ProviderError) as caught:
            await check_server(ModelServer(server.base_url, "small"), client, "llm")
    assert caught.value.code == "provider_timeout"
