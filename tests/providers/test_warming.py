"""Models are loaded before somebody waits for them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import httpx2
import pytest
from servers import Exchange, running

from nur_server.errors import ProviderUnreachable
from nur_server.ports import (
    LanguageModelCapabilities,
    ReplyEnd,
    ReplyPart,
    ReplyRequest,
    TextDelta,
)
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.http import ModelServer, model_client
from nur_server.providers.openai_chat import OpenAIChat
from nur_server.providers.scripted import ScriptedLanguageModel
from nur_server.providers.warming import QUESTION, WARM_SECONDS, Warmth


class Loading:
    """A model that takes its time for the first question."""

    name = "slow"
    capabilities = LanguageModelCapabilities(calls_tools=True, loads_at_first_question=True)

    def __init__(self, seconds: float = 100.0, *, fails: bool = False) -> None:
        self._seconds = seconds
        self._fails = fails
        self.requests: list[ReplyRequest] = []

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        self.requests.append(request)
        await asyncio.sleep(self._seconds)
        if self._fails:
            raise ProviderUnreachable("It is lost.", provider=self.name)
        yield TextDelta("H")
        yield ReplyEnd("length")


@pytest.mark.looptime
async def test_a_model_is_asked_for_one_token_and_waited_for() -> None:
    model, warmth = Loading(), Warmth()
    for _ in range(3):
        warmth.warm(model)
        await asyncio.sleep(30)
    assert model.requests == [QUESTION]
    assert QUESTION.max_tokens == 1
    await asyncio.sleep(20)
    warmth.warm(model)
    assert len(model.requests) == 1, "it has just answered"
    await asyncio.sleep(WARM_SECONDS)
    warmth.warm(model)
    await asyncio.sleep(1)
    assert len(model.requests) == 2
    await warmth.close()


@pytest.mark.looptime
async def test_a_model_that_cannot_be_loaded_is_asked_again_at_the_next_session() -> None:
    model, warmth = Loading(1.0, fails=True), Warmth()
    for _ in range(3):
        warmth.warm(model)
        await asyncio.sleep(2)
    assert len(model.requests) == 3


async def test_models_that_are_there_at_once_are_left_alone() -> None:
    model = ScriptedLanguageModel(["Hi."])
    Warmth().warm(model)
    await asyncio.sleep(0)
    assert model.requests == []


async def test_a_catalogue_warms_its_models_until_it_is_closed() -> None:
    model = Loading()
    catalogue = Catalogue.scripted(llm=model)
    catalogue.warm(catalogue.language_model().engine)
    await asyncio.sleep(0)
    assert len(model.requests) == 1
    await catalogue.close()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "warm slow"] == []


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with model_client(0.1) as client:
        yield client


async def test_the_chat_adapter_waits_as_long_as_it_is_asked_to(
    client: httpx2.AsyncClient,
) -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.5)
        await exchange.events({"choices": [{"delta": {"content": "H"}, "finish_reason": "length"}]})

    async with running(slow) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "m"), client, chunk_seconds=0.1)
        parts = [part async for part in chat.reply(QUESTION)]
    assert parts[0] == TextDelta("H")
