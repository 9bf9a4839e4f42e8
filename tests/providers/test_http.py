"""One translation of failures, and one retry rule, for all model servers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import httpx2
import pytest
from servers import Exchange, running

from nur_server.errors import (
    ProviderError,
    ProviderGarbled,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
)
from nur_server.providers.event_stream import server_events
from nur_server.providers.http import (
    ModelServer,
    answered,
    model_client,
    read_json,
    retried,
)


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with model_client(1.0) as client:
        yield client


async def events_of(client: httpx2.AsyncClient, url: str, within: float = 1.0) -> list[str]:
    async with answered(client, "m", "GET", url, within_seconds=within) as response:
        events = server_events(response, "m", within)
        async with aclosing(events):
            return [f"{event.name}|{event.data}" async for event in events]


async def test_comments_alone_do_not_keep_a_stream_alive(client: httpx2.AsyncClient) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        while True:
            await exchange.piece(": still here\n\n")
            await asyncio.sleep(0.01)

    async with running(handler) as server:
        with pytest.raises(ProviderTimeout):
            await events_of(client, server.url, within=0.1)


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (401, False), (404, False), (429, True), (503, True)]
)
async def test_a_refusal_keeps_what_the_server_said_out_of_the_message(
    client: httpx2.AsyncClient, status: int, retryable: bool
) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer('{"error": "no such model"}', status=status)

    async with running(handler) as server:
        with pytest.raises(ProviderRejected, match=str(status)) as caught:
            await events_of(client, server.url)
    assert caught.value.retryable is retryable
    assert caught.value.provider_status == status
    assert caught.value.said == "no such model"
    assert "no such model" not in caught.value.message


async def test_a_redirect_is_not_followed(client: httpx2.AsyncClient) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer("", status=302, Location="http://127.0.0.1:9/")

    async with running(handler) as server:
        with pytest.raises(ProviderRejected, match="302"):
            await events_of(client, server.url)
    assert len(server.asked) == 1


async def test_nobody_listening_is_unreachable(client: httpx2.AsyncClient) -> None:
    async with running() as server:
        url = server.url
    with pytest.raises(ProviderUnreachable) as caught:
        await events_of(client, url)
    assert caught.value.retryable


async def test_a_silent_server_times_out(client: httpx2.AsyncClient) -> None:
    async with running(Exchange.hang) as server:
        with pytest.raises(ProviderTimeout):
            await events_of(client, server.url, within=0.05)


async def test_a_broken_connection_is_unreachable(client: httpx2.AsyncClient) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        await exchange.piece("data: a\n\n")
        exchange.die()

    async with running(handler) as server:
        with pytest.raises(ProviderUnreachable):
            await events_of(client, server.url)


async def test_text_is_no_json(client: httpx2.AsyncClient) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer("It works!")

    async with running(handler) as server:
        with pytest.raises(ProviderGarbled, match="Expected JSON"):
            async with answered(client, "m", "GET", server.url, within_seconds=1) as response:
                await read_json(response, "m", 1)


async def test_leaving_early_ends_the_work_behind_it(client: httpx2.AsyncClient) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        await exchange.piece("data: a\n\n")
        await exchange.hang()

    async with running(handler) as server:
        async with answered(client, "m", "GET", server.url, within_seconds=1) as response:
            events = server_events(response, "m", 1)
            async with aclosing(events):
                assert (await anext(events)).data == "a"
        async with asyncio.timeout(2):
            await server.exchanges[0].was_aborted.wait()


def test_a_key_never_shows_in_a_representation() -> None:
    server = ModelServer("http://localhost/v1/", "m", "secret")
    assert "secret" not in repr(server)
    assert server.headers == {"Authorization": "Bearer secret"}
    assert server.url("models") == "http://localhost/v1/models"


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h/v1?key=a", "http://h/v1/models?key=a"),
        ("http://h/v1/?api-version=1&key=a", "http://h/v1/models?api-version=1&key=a"),
        ("http://ann:pw@h:8000/v1", "http://ann:pw@h:8000/v1/models"),
        ("http://h", "http://h/models"),
        ("http://h/v1#part", "http://h/v1/models"),
    ],
)
def test_the_query_of_an_address_stays_behind_the_path(base: str, url: str) -> None:
    assert ModelServer(base, "small").url("models") == url


class Attempts:
    """Streams that fail by script: each a list of parts, the last of which may be an error."""

    def __init__(self, *scripts: list[str | ProviderError]) -> None:
        self._scripts = scripts
        self.made = 0

    async def __call__(self) -> AsyncGenerator[str, None]:
        script = self._scripts[self.made]
        self.made += 1
        for part in script:
            if isinstance(part, ProviderError):
                raise part
            yield part


def lost(**more: bool) -> ProviderError:
    return ProviderUnreachable("lost", provider="m", **more)


async def collect(attempts: Attempts) -> list[str]:
    return [part async for part in retried(lambda: attempts(), pause_seconds=0.001)]


async def test_a_failure_before_the_first_part_is_retried() -> None:
    attempts = Attempts([lost()], [lost()], ["a", "b"])
    assert await collect(attempts) == ["a", "b"]


async def test_the_third_failure_is_final() -> None:
    attempts = Attempts([lost()], [lost()], [lost()], ["a"])
    with pytest.raises(ProviderUnreachable):
        await collect(attempts)
    assert attempts.made == 3


async def test_what_was_yielded_is_never_asked_for_twice() -> None:
    attempts = Attempts(["a", lost()], ["a", "b"])
    with pytest.raises(ProviderUnreachable) as caught:
        await collect(attempts)
    assert attempts.made == 1
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "error",
    [ProviderTimeout("late", provider="m"), ProviderRejected("no", provider="m")],
    ids=["time-out", "refusal"],
)
async def test_some_failures_are_not_worth_a_retry(error: ProviderError) -> None:
    attempts = Attempts([error], ["a"])
    with pytest.raises(type(error)):
        await collect(attempts)
    assert attempts.made == 1


def busy(seconds: float | None, said: str = "") -> ProviderError:
    return ProviderRejected(
        "busy", provider="m", retryable=True, retry_after_seconds=seconds, said=said,
        provider_status=503,
    )  # fmt: skip


async def slept(attempts: Attempts, patience_seconds: float) -> list[str]:
    return [part async for part in retried(lambda: attempts(), patience_seconds=patience_seconds)]


async def test_a_server_that_says_when_to_come_back_is_asked_then() -> None:
    started = asyncio.get_running_loop().time()
    attempts = Attempts([busy(0.3)], ["a"])
    assert await slept(attempts, 5) == ["a"]
    assert asyncio.get_running_loop().time() - started >= 0.3


async def test_a_server_that_says_so_is_asked_more_often_than_others() -> None:
    attempts = Attempts(*[[busy(0)] for _ in range(4)], ["a"])
    assert await slept(attempts, 60) == ["a"]
    assert attempts.made == 5


async def test_nobody_waits_for_longer_than_the_setting_says() -> None:
    for error in (busy(30), busy(None, "Loading model")):
        attempts = Attempts([error], ["a"])
        with pytest.raises(ProviderRejected):
            await slept(attempts, 0.5)
        assert attempts.made == 1
