"""What sessions leave in the figures, in virtual time."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest
from prometheus_client import CollectorRegistry

from nur_server.conversation.actions import CommitTurn, Generate, Notify, ResumePlayout, Speak
from nur_server.conversation.events import (
    ClauseSynthesised,
    EndedReason,
    PlayoutDrained,
    PlayoutProgressed,
    ReplyText,
    TranscriptFailed,
)
from nur_server.conversation.notices import ReplyDone, ReplyError, ReplyStatus, UserSpeechStopped
from nur_server.conversation.record import Speaker, Turn
from nur_server.session.metrics import MAX_OPEN, Metrics, Stage, Stages
from tests.session.scene import CONFIG, scene


@dataclass
class Notebook:
    """A tracer that keeps what it is told."""

    turns: list[tuple[str, float, Turn, tuple[Stage, ...]]] = field(default_factory=list)

    def turn(self, session_id: str, at: float, turn: Turn, stages: tuple[Stage, ...]) -> None:
        self.turns.append((session_id, at, turn, stages))


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


TURN = Turn(1, "item_1", Speaker.AGENT, "Yes.", 1500, 2500, "user_speech", latency_ms=700)


def test_the_stages_of_a_turn_are_timed_and_traced_once() -> None:
    metrics, notebook = Metrics(), Notebook()
    stages = Stages("ses_1", metrics, notebook)
    stages.action(1.0, Notify(UserSpeechStopped("silence")))
    stages.action(1.0, Generate("resp_1", (), ()))
    stages.event(ReplyText(1.2, "resp_1", "Yes"))
    stages.event(ReplyText(1.3, "resp_1", "."))
    stages.action(1.3, Speak("resp_1", 0, "Yes."))
    stages.event(PlayoutProgressed(1.4, "resp_1", 1))
    stages.event(ClauseSynthesised(1.6, "resp_1", 0, 900))
    stages.event(PlayoutProgressed(1.7, "resp_1", 100))
    stages.event(PlayoutDrained(2.5, "resp_1", 900))
    for _ in range(2):
        stages.action(2.5, CommitTurn(TURN))
    took = {
        stage: value(metrics.registry, "nur_stage_seconds_sum", stage=stage)
        for stage in ("llm", "first_audio", "tts", "response")
    }
    assert took == pytest.approx({"llm": 0.2, "first_audio": 0.4, "tts": 0.3, "response": 0.7})
    ((session_id, at, turn, traced),) = notebook.turns
    assert (session_id, at, turn) == ("ses_1", 2.5, TURN)
    assert [stage.name for stage in traced] == ["llm", "first_audio", "tts"]


def test_interruptions_false_alarms_and_errors_are_counted() -> None:
    metrics = Metrics()
    stages = Stages("ses_1", metrics)
    stages.action(1, Notify(ReplyDone("resp_1", ReplyStatus.INTERRUPTED)))
    stages.action(1, Notify(ReplyDone("resp_2", ReplyStatus.COMPLETED)))
    stages.action(1, ResumePlayout("resp_1"))
    stages.action(1, Notify(ReplyError("resp_1", "provider_timeout", "late", True)))
    registry = metrics.registry
    assert value(registry, "nur_interruptions_total") == 1
    assert value(registry, "nur_false_alarms_resumed_total") == 1
    assert value(registry, "nur_errors_total", code="provider_timeout") == 1


def test_a_recognisers_failure_is_counted_once() -> None:
    metrics = Metrics()
    stages = Stages("ses_1", metrics)
    for number in range(2):
        stages.event(TranscriptFailed(1, f"utt_{number}", "provider_rejected", "no"))
        stages.action(1, Notify(ReplyError(f"resp_{number}", "provider_rejected", "no", True)))
    stages.action(1, Notify(ReplyError("resp_3", "provider_rejected", "no", True)))
    assert value(metrics.registry, "nur_errors_total", code="provider_rejected") == 3


def test_what_never_ends_does_not_pile_up() -> None:
    stages = Stages("ses_1", Metrics())
    for number in range(10 * MAX_OPEN):
        stages.action(1, Generate(f"resp_{number}", (), ()))
    assert len(stages._open) == MAX_OPEN


@pytest.mark.looptime
async def test_a_conversation_is_in_the_figures() -> None:
    config = replace(CONFIG, greeting="Hello there!")
    async with scene(config=config, replies=["Yes, we do."], hears=["Do you sell boots?"]) as s:
        metrics = s.session._services.metrics
        await asyncio.sleep(3)
        await s.speak(1.2)
        await asyncio.sleep(4)
        s.session.end(EndedReason.CLIENT_ENDED)
        await s.session.wait_ended()
    registry = metrics.registry
    assert value(registry, "nur_sessions_started_total") == 1
    assert value(registry, "nur_sessions_ended_total", reason="client_ended") == 1
    for stage in ("stt", "llm", "first_audio", "response"):
        assert value(registry, "nur_stage_seconds_count", stage=stage) == 1, stage
    assert value(registry, "nur_stage_seconds_count", stage="tts") == 2
