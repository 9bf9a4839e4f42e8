"""Finding a model server that already runs."""

import json

import pytest
from servers import Exchange, Handler, ScriptedServer, running

from nur_server.providers.discovery import FoundServer, Place, chat_models, discover


def lists(*ids: str) -> Handler:
    async def handler(exchange: Exchange) -> None:
        assert (exchange.asked.method, exchange.asked.path) == ("GET", "/v1/models")
        data = [{"id": id, "object": "model"} for id in ids]
        await exchange.answer(json.dumps({"object": "list", "data": data}))

    return handler


def place(kind: str, server: ScriptedServer) -> Place:
    return Place(kind, server.base_url)


async def test_a_running_server_is_found_with_its_models() -> None:
    async with running(lists("llama3:8b", "qwen3.5:4b")) as ollama:
        found = await discover(own_port=0, places=[place("Ollama", ollama)])
    assert found == FoundServer("Ollama", ollama.base_url, ("llama3:8b", "qwen3.5:4b"))


async def test_nothing_is_found_where_nothing_runs() -> None:
    async with running() as gone:
        places = [place("Ollama", gone)]
    assert await discover(own_port=0, places=places) is None
    assert await discover(own_port=0, places=[]) is None


async def test_the_first_place_is_preferred_whoever_answers_first() -> None:
    async with running(lists("a")) as one, running(lists("b")) as other:
        found = await discover(own_port=0, places=[place("one", one), place("other", other)])
    assert found is not None
    assert found.kind == "one"


async def test_this_server_does_not_find_itself() -> None:
    async with running(lists("m")) as own:
        assert await discover(own_port=own.port, places=[place("own", own)]) is None
    assert own.asked == []


async def says_no(exchange: Exchange) -> None:
    await exchange.answer('{"detail": "Unauthorized"}', status=401)


async def is_a_web_page(exchange: Exchange) -> None:
    await exchange.answer("<html></html>", kind="text/html")


async def dies(exchange: Exchange) -> None:
    exchange.die()


@pytest.mark.parametrize(
    "handler", [says_no, is_a_web_page, dies, Exchange.hang, lists(), lists("nomic-embed-text")]
)
async def test_what_is_no_chat_server_is_passed_over(handler: Handler) -> None:
    async with running(handler) as other, running(lists("m")) as good:
        places = [place("other", other), place("good", good)]
        found = await discover(own_port=0, places=places, within_seconds=0.2)
    assert found is not None
    assert found.kind == "good"


@pytest.mark.parametrize(
    ("models", "best"),
    [
        (("llama3", "qwen3.5-4b", "qwen3.5-4b-instruct"), "qwen3.5-4b"),
        (("llama3", "qwen3.5:4b-instruct-q4"), "qwen3.5:4b-instruct-q4"),
        (("llama3", "gemma"), "llama3"),
    ],
)
def test_the_wanted_model_or_its_family_is_the_best(models: tuple[str, ...], best: str) -> None:
    assert FoundServer("Ollama", "http://localhost/v1", models).best("qwen3.5-4b") == best


@pytest.mark.parametrize("listing", [None, [], {}, {"data": 3}, {"data": [3, {"id": None}]}])
def test_an_odd_listing_has_no_models(listing: object) -> None:
    assert chat_models(listing) == ()
