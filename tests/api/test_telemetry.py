"""Traces of turns, as a collector gets them."""

import asyncio
import sys

import pytest

from nur_server.api.telemetry import open_traces
from nur_server.clock import SystemClock
from nur_server.conversation.record import Speaker, Turn
from nur_server.errors import InternalError
from nur_server.session.metrics import Stage

from .collector import collecting

TURN = Turn(1, "item_1", Speaker.AGENT, "The secret is blue.", 1500, 2500, "user_speech")


async def test_a_turn_and_its_stages_reach_the_collector_without_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with collecting(monkeypatch) as collector:
        traces = open_traces(collector.address, "node-a", SystemClock())
        traces.turn("ses_1", 2.5, TURN, (Stage("llm", 1.0, 1.2), Stage("tts", 1.3, 1.6)))
        await asyncio.to_thread(traces.stop)
        assert collector.paths == ["/v1/traces"]
        stages = {span.name: span for span in collector.spans}
        turn = stages.pop("turn")
        assert sorted(stages) == ["llm", "tts"]
        for span in stages.values():
            assert (span.trace, span.parent) == (turn.trace, turn.id)
        assert turn.parent == ""
        assert turn.attributes["session.id"] == "ses_1"
        assert turn.attributes["service.instance.id"] == "node-a"
        assert turn.attributes["turn.trigger"] == "user_speech"
        assert round((turn.ended_ns - turn.started_ns) / 1e6) == 1500, "from its first stage on"
        assert not any(b"secret" in body for body in collector.bodies)


def test_a_missing_sdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(InternalError, match="pip install opentelemetry-sdk"):
        open_traces("http://127.0.0.1:4318", "node-a", SystemClock())
