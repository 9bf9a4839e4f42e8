"""What this process counts and times, for Prometheus, and the stages of turns, for traces."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric

from nur_server.clock import Clock
from nur_server.conversation.actions import (
    Action,
    CommitTurn,
    DropUtterance,
    Generate,
    MarkPause,
    Notify,
    RecordTool,
    ResumePlayout,
    Speak,
)
from nur_server.conversation.events import (
    AudioMissing,
    ClauseSynthesised,
    EndedReason,
    Event,
    PlayoutDrained,
    PlayoutFlushed,
    PlayoutProgressed,
    ReplyText,
    SpeechFailed,
    SpeechScored,
    TranscriptFailed,
    TranscriptUpdated,
)
from nur_server.conversation.notices import ReplyDone, ReplyError, ReplyStatus, UserSpeechStopped
from nur_server.conversation.record import Speaker, ToolStatus, Turn

STAGE_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20)
LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1)
REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LAG_EVERY_SECONDS = 0.25
MAX_OPEN = 64
"""Stages of one session that are timed at once."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Part of a turn. Times are seconds of the session."""

    name: str
    started: float
    ended: float


class Tracer(Protocol):
    """Where finished turns go as traces. Returns at once, never raises."""

    def turn(self, session_id: str, at: float, turn: Turn, stages: tuple[Stage, ...]) -> None:
        """An agent turn was stored at session time `at`, which is now."""
        ...


class Metrics:
    """One process's figures, in a registry of their own. 1–2 us each."""

    def __init__(self) -> None:
        own = self.registry = CollectorRegistry()
        self.sessions_live = Gauge(
            "nur_sessions_live", "Sessions that are live in this process.", registry=own
        )
        self.writes_waiting = Gauge(
            "nur_writes_waiting",
            "What sessions left behind and the database has not taken yet.",
            registry=own,
        )
        self.media_connections = Gauge(
            "nur_media_connections", "Peer connections of browsers.", registry=own
        )
        self.media_packets = Counter(
            "nur_media_packets",
            "Packets of users' audio over WebRTC: received, and lost and concealed.",
            ["fate"],
            registry=own,
        )
        self.sessions_started = Counter(
            "nur_sessions_started", "Sessions somebody connected to.", registry=own
        )
        self.sessions_ended = Counter(
            "nur_sessions_ended", "Sessions that ended, by reason.", ["reason"], registry=own
        )
        self.calls = Counter(
            "nur_calls", "Statuses that calls have reached.", ["status"], registry=own
        )
        self.stages = Histogram(
            "nur_stage_seconds",
            "Stages of a turn: stt, llm, tts, first_audio, response. See docs/observability.md.",
            ["stage"],
            buckets=STAGE_SECONDS,
            registry=own,
        )
        self.interruptions = Counter(
            "nur_interruptions", "Responses that the user interrupted.", registry=own
        )
        self.false_alarms = Counter(
            "nur_false_alarms_resumed", "Responses held for a sound and resumed.", registry=own
        )
        self.underruns = Counter(
            "nur_playout_underruns", "Times playing stopped for audio not made yet.", registry=own
        )
        self.errors = Counter(
            "nur_errors", "Failures in sessions, by code.", ["code"], registry=own
        )
        self.tools = Counter(
            "nur_tool_calls", "Tool calls that are over, by status.", ["status"], registry=own
        )
        self.tokens = Counter(
            "nur_llm_tokens",
            "Tokens that replies took, as model servers count them.",
            ["kind"],
            registry=own,
        )
        self.loop_lag = Histogram(
            "nur_event_loop_lag_seconds",
            f"How late the event loop is, looked at every {LAG_EVERY_SECONDS} s.",
            buckets=LAG_SECONDS,
            registry=own,
        )
        self.requests = Counter(
            "nur_http_requests", "HTTP requests.", ["method", "route", "status"], registry=own
        )
        self.request_seconds = Histogram(
            "nur_http_request_seconds",
            "Time to answer HTTP requests.",
            ["method", "route"],
            buckets=REQUEST_SECONDS,
            registry=own,
        )
        self.rate_limited = Counter(
            "nur_rate_limited", "Requests refused by a rate limit.", ["route"], registry=own
        )

    def count_with(self, name: str, help: str, read: Callable[[], float]) -> None:
        """Show a count that somebody else keeps."""
        self.registry.register(_Borrowed(name, help, read))

    async def watch_loop(self, clock: Clock) -> None:
        """Measure how late the event loop is, until cancelled."""
        while True:
            due = clock.monotonic() + LAG_EVERY_SECONDS
            await asyncio.sleep(LAG_EVERY_SECONDS)
            self.loop_lag.observe(max(0.0, clock.monotonic() - due))


class _Borrowed:
    """A counter kept elsewhere."""

    def __init__(self, name: str, help: str, read: Callable[[], float]) -> None:
        self._name = name
        self._help = help
        self._read = read

    def collect(self) -> Iterable[Metric]:
        return [CounterMetricFamily(self._name, self._help, value=self._read())]


@dataclass(slots=True)
class Stages:
    """Times the stages of one session's turns. Given every event and action, in order.

    - `stt`: from a pause of the user to a transcript that reaches up to it
    - `llm`: from asking the language model to its first words
    - `tts`: from a response's first clause to its audio, made whole
    - `first_audio`: from the decision that the user has finished to the first agent audio
    - `response`: from the end of the user's speech to the first agent audio
    """

    session_id: str
    metrics: Metrics
    tracer: Tracer | None = None
    _open: dict[tuple[str, str], float] = field(default_factory=dict)
    _finished: list[Stage] = field(default_factory=list)
    _pauses: dict[str, int] = field(default_factory=dict)
    """How far the transcript of an utterance is to reach."""
    _decided: float | None = None
    _voiced: set[str] = field(default_factory=set)
    _known_turns: set[int] = field(default_factory=set)
    _counted: str | None = None
    """Code of a recogniser's failure that is counted already, and may yet be told of."""

    def event(self, event: Event) -> None:
        match event:
            case SpeechScored() | AudioMissing():
                return
            case TranscriptUpdated(at=at, utterance_id=one, covers=covers, is_final=is_final):
                if is_final or covers >= self._pauses.get(one, covers + 1):
                    self._end("stt", one, at)
                    self._pauses.pop(one, None)
            case TranscriptFailed(utterance_id=one, code=code):
                self._open.pop(("stt", one), None)
                self._pauses.pop(one, None)
                self.metrics.errors.labels(code).inc()
                self._counted = code
            case ReplyText(at=at, response_id=one):
                self._end("llm", one, at)
            case ClauseSynthesised(at=at, response_id=one):
                self._end("tts", one, at)
            case SpeechFailed(response_id=one):
                self._open.pop(("tts", one), None)
            case PlayoutProgressed(at=at):
                self._heard(at)
            case PlayoutDrained(response_id=one) | PlayoutFlushed(response_id=one):
                self._voiced.discard(one)
                self._open.pop(("llm", one), None)
                self._open.pop(("tts", one), None)
            case _:
                pass

    def action(self, at: float, action: Action) -> None:
        match action:
            case MarkPause(utterance_id=one, position=position):
                self._open.pop(("stt", one), None)
                self._begin("stt", one, at)
                self._pauses[one] = position
            case DropUtterance(utterance_id=one):
                self._open.pop(("stt", one), None)
                self._pauses.pop(one, None)
            case Generate(response_id=one):
                self._begin("llm", one, at)
            case Speak(response_id=one):
                if one not in self._voiced:
                    self._voiced.add(one)
                    self._begin("tts", one, at)
            case ResumePlayout():
                self.metrics.false_alarms.inc()
            case RecordTool(_, record):
                if record.status is not ToolStatus.RUNNING:
                    self.metrics.tools.labels(record.status.value).inc()
            case CommitTurn(turn):
                self._turn(at, turn)
            case Notify(UserSpeechStopped()):
                self._decided = at
            case Notify(ReplyDone() as done):
                self._reply_done(done)
            case Notify(ReplyError(code=code)):
                if code != self._counted:
                    self.metrics.errors.labels(code).inc()
                self._counted = None
            case _:
                pass

    def _reply_done(self, done: ReplyDone) -> None:
        if done.status is ReplyStatus.INTERRUPTED:
            self.metrics.interruptions.inc()
        for kind, count in (("prompt", done.prompt_tokens), ("completion", done.completion_tokens)):
            if count:
                self.metrics.tokens.labels(kind).inc(count)

    def ended(self, reason: EndedReason, counts: Mapping[str, float]) -> None:
        """The session is over."""
        self.metrics.sessions_ended.labels(reason.value).inc()
        self.metrics.underruns.inc(counts.get("underruns", 0.0))

    def _begin(self, stage: str, one: str, at: float) -> None:
        if len(self._open) < MAX_OPEN:
            self._open.setdefault((stage, one), at)

    def _end(self, stage: str, one: str, at: float) -> None:
        started = self._open.pop((stage, one), None)
        if started is not None:
            self._took(stage, started, at)

    def _took(self, stage: str, started: float, ended: float) -> None:
        self.metrics.stages.labels(stage).observe(max(0.0, ended - started))
        if self.tracer is not None and len(self._finished) < MAX_OPEN:
            self._finished.append(Stage(stage, started, ended))

    def _heard(self, at: float) -> None:
        decided, self._decided = self._decided, None
        if decided is not None:
            self._took("first_audio", decided, at)

    def _turn(self, at: float, turn: Turn) -> None:
        if turn.speaker is not Speaker.AGENT or turn.index in self._known_turns:
            return
        self._known_turns.add(turn.index)
        if turn.latency_ms is not None:
            self.metrics.stages.labels("response").observe(turn.latency_ms / 1000)
        if self.tracer is not None:
            stages, self._finished = tuple(self._finished), []
            self.tracer.turn(self.session_id, at, turn, stages)
