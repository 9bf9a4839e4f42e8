"""Figures of HTTP requests, and traces of turns for an OpenTelemetry collector."""

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nur_server.api.middleware import route_template
from nur_server.clock import Clock
from nur_server.conversation.record import Turn
from nur_server.errors import InternalError
from nur_server.session.metrics import Metrics, Stage

UNKNOWN = "unknown"
"""The route of requests that lead nowhere."""
_SDK = (
    "opentelemetry.sdk.trace",
    "opentelemetry.sdk.trace.export",
    "opentelemetry.sdk.resources",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
)
"""Not a dependency: few need traces."""


class CountedRequests:
    """Counts and times requests by route."""

    def __init__(self, app: ASGIApp, metrics: Metrics, clock: Clock) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = self._clock.monotonic()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            route = route_template(scope) or UNKNOWN
            method = scope["method"] if route != UNKNOWN else UNKNOWN
            metrics = self._metrics
            metrics.requests.labels(method, route, str(status)).inc()
            metrics.request_seconds.labels(method, route).observe(self._clock.monotonic() - started)
            if status == 429:
                metrics.rate_limited.labels(route).inc()


class Traces:
    """Agent turns as traces: a span for the turn, and one for each stage that led to it.

    They are sent in batches from a thread of the OpenTelemetry SDK; what a collector does not take
    is dropped. Words are not in them.
    """

    def __init__(self, tracer: Any, clock: Clock, stop: Callable[[], None]) -> None:
        self._tracer = tracer
        self._clock = clock
        self.stop = stop
        """Send what is left. Blocks, for a few seconds at most."""

    def turn(self, session_id: str, at: float, turn: Turn, stages: tuple[Stage, ...]) -> None:
        from opentelemetry.trace import set_span_in_context

        began = self._clock.now() - timedelta(seconds=at)

        def moment(seconds: float) -> int:
            return int((began + timedelta(seconds=seconds)).timestamp() * 1e9)

        attributes: dict[str, str | int | bool] = {
            "session.id": session_id,
            "turn.index": turn.index,
            "turn.trigger": turn.trigger,
            "turn.end_reason": turn.end_reason,
            "turn.interrupted": turn.interrupted_at_ms is not None,
        }
        if turn.latency_ms is not None:
            attributes["turn.latency_ms"] = turn.latency_ms
        start = min([turn.started_ms / 1000, *(stage.started for stage in stages)])
        span = self._tracer.start_span("turn", start_time=moment(start), attributes=attributes)
        inside = set_span_in_context(span)
        for stage in stages:
            part = self._tracer.start_span(
                stage.name, context=inside, start_time=moment(stage.started)
            )
            part.end(end_time=moment(stage.ended))
        span.end(end_time=moment(turn.ended_ms / 1000))


def open_traces(endpoint: str, node_id: str, clock: Clock) -> Traces:
    """Traces to a collector that takes OTLP over HTTP at `endpoint`, its base address.

    Raises `InternalError` where the SDK is not installed.
    """
    try:
        sdk, export, resources, otlp = (import_module(name) for name in _SDK)
    except ImportError:
        raise InternalError(
            "NUR_OTLP_ENDPOINT is set, which needs the OpenTelemetry SDK: "
            "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http",
            code="invalid_setting",
        ) from None
    resource = resources.Resource.create({"service.name": "nur", "service.instance.id": node_id})
    provider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = otlp.OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=5)
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    return Traces(provider.get_tracer("nur"), clock, provider.shutdown)
