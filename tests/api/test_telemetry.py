"""Traces of turns, as a collector gets them."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from nur_server.api.telemetry import open_traces
from nur_server.clock import SystemClock
from nur_server.conversation.record import Speaker, Turn
from nur_server.errors import InternalError
from nur_server.session.metrics import Stage

TURN = Turn(1, "item_1", Speaker.AGENT, "The secret is blue.", 1500, 2500, "user_speech")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


class Collector:
    """Takes whatever is posted to it."""

    def __init__(self) -> None:
        self.got = b""
        self.address = ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = [
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        ]
        self.got += head + await reader.readexactly(length)
        writer.write(OK)
        await writer.drain()
        writer.close()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    server = await asyncio.start_server(collector.take, "127.0.0.1", 0)
    collector.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server:
        yield collector


async def test_a_turn_and_its_stages_reach_the_collector_without_words(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="needs opentelemetry-sdk")
    pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.http",
        reason="needs opentelemetry-exporter-otlp-proto-http",
    )
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    traces = open_traces(collector.address, "node-a", SystemClock())
    traces.turn("ses_1", 2.5, TURN, (Stage("llm", 1.0, 1.2), Stage("tts", 1.3, 1.6)))
    await asyncio.to_thread(traces.stop)
    assert collector.got.startswith(b"POST /v1/traces ")
    for name in (b"turn", b"llm", b"tts", b"ses_1", b"node-a", b"user_speech"):
        assert name in collector.got
    assert b"secret" not in collector.got


def test_a_missing_sdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(InternalError, match="pip install opentelemetry-sdk"):
        open_traces("http://127.0.0.1:4318", "node-a", SystemClock())
