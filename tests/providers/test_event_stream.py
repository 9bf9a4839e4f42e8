"""Event streams as the WHATWG's rules have them."""

import json
from contextlib import aclosing

import pytest
from servers import Exchange, running

from nur_server.errors import ProviderGarbled
from nur_server.providers.event_stream import server_events
from nur_server.providers.http import answered, model_client


async def stream(*pieces: bytes) -> list[str]:
    async def handler(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        for piece in pieces:
            await exchange.piece(piece)
        await exchange.end()

    async with running(handler) as server, model_client(1.0) as client:
        url = server.url
        async with (
            answered(client, "m", "GET", url, within_seconds=1.0) as response,
            aclosing(server_events(response, "m", 1.0)) as events,
        ):
            return [f"{event.name}|{event.data}" async for event in events]


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


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffdata: a\n\ndata: b\n\n",
        "data: a\r\n\r\ndata: b\r\n\r\n",
        "data: a\r\rdata: b\r\r",
        "data: a\n\ntrace: x\n\nlonely\n\n: ping\n\ndata: b\n\n",
        "data: a\n\ndata\n\ndata:\n\ndata:  \n\ndata: b\n\n",
        "retry: 3\nid: 7\ndata: a\n\n\n\n\ndata: b\n\n",
        "data: a\n\ndata: b",
    ],
)
async def test_what_nobody_knows_is_skipped(text: str) -> None:
    raw = text.encode()
    for size in (1, 2, 3, len(raw)):
        pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
        assert await stream(*pieces) == ["|a", "|b"]


async def test_json_lines_stand_for_events() -> None:
    line = json.dumps({"error": "out of memory"}).encode()
    assert await stream(line + b"\n") == ["|" + line.decode()]
    assert await stream(b"data: a\n\n", line) == ["|a", "|" + line.decode()]
