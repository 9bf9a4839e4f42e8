"""A collector of traces on loopback: takes OTLP over HTTP and reads it as its schema says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Span:
    name: str
    trace: str
    id: str
    parent: str
    """Empty: it is the trace's first."""
    started_ns: int
    ended_ns: int
    attributes: dict[str, Any]


@dataclass
class Collector:
    """Keeps what is posted to it."""

    address: str = ""
    paths: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        return [
            Span(
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                _plain(span.attributes) | _plain(resource.resource.attributes),
            )
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = [
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        ]
        self.paths.append(head.split()[1].decode())
        self.bodies.append(await reader.readexactly(length))
        writer.write(OK)
        await writer.drain()
        writer.close()


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@asynccontextmanager
async def collecting(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """A collector that is up. Skips the test without the SDK."""
    pytest.importorskip("opentelemetry.sdk", reason="needs opentelemetry-sdk")
    pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.http",
        reason="needs opentelemetry-exporter-otlp-proto-http",
    )
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    collector = Collector()
    server = await asyncio.start_server(collector.take, "127.0.0.1", 0)
    collector.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server:
        yield collector
