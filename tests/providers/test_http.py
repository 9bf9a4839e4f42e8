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
from nur_server.providers.http import (
    ModelServer,
    answered,
    model_client,
    read_json,
    retried,
    server_events,
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


async def stream(*pieces: bytes) -> list[str]:
    async def handler(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        for piece in pieces:
            await exchange.piece(piece)
        await exchange.end()

    async with running(handler) as server, model_client(1.0) as client:
        return await events_of(client, server.url)


async def test_events_are_read_whatever_the_pieces() -> None:
    assert await stream(b"data: a\n\ndata: b\n\n") == ["|a", "|b"]
    assert await stream(b"da", b"ta: a\r", b"\n\r\n", b"data:b\n", b"\n") == ["|a", "|b"]
    assert await stream(b"event: x\ndata: a\ndata: b\n\n") == ["x|a\nb"]
    assert await stream(b": busy\n\nid: 1\nretry: 5\ndata: a\n\n") == ["|a"]
    assert await stream("data: caf\u00e9\n\n".encode()) == ["|café"]


async def test_an_event_cut_short_is_handed_out() -> None:
    assert await stream(b'data: a\n\ndata: {"b": ') == ["|a", '|{"b": ']


async def test_a_page_of_html_is_no_event_stream() -> None:
    with pytest.raises(ProviderGarbled, match="event stream"):
        await stream(b"<html><body>Welcome</body></html>\n")


async def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ProviderGarbled, match="UTF-8"):
        await stream(b"data: \xff\xfe\n\n")


async def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(ProviderGarbled, match="1 MiB"):
        await stream(b"data: ", *(b"x" * 262_144 for _ in range(5)))


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
async def test_a_refusal_says_what_the_server_said(
    client: httpx2.AsyncClient, status: int, retryable: bool
) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer('{"error": "no such model"}', status=status)

    async with running(handler) as server:
        with pytest.raises(ProviderRejected, match="no such model") as caught:
            await events_of(client, server.url)
    assert caught.value.retryable is retryable
    assert caught.value.provider_status == status


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
        with pytest.raises(ProviderGarbled, match="It works!"):
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
