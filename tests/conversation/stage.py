"""A conversation on stage: a scripted caller, model, synthesiser and clock around the pure core.

Everything happens in virtual time. The caller's speech becomes scored windows, a recogniser that
hears exactly what was said, and a real playout that plays silence of the right length.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from nur_server.audio.playout import FRAME_MS, Playout
from nur_server.audio.rates import LISTEN_RATE
from nur_server.conversation.actions import (
    Action,
    CallTool,
    CancelTool,
    CommitTurn,
    DropUtterance,
    FinishSpeech,
    FinishUtterance,
    Flush,
    Generate,
    HangUp,
    HoldPlayout,
    MarkPause,
    ModelMessage,
    Notify,
    OpenUtterance,
    RecordTool,
    Release,
    ResumePlayout,
    ScoreTurn,
    SetDeadline,
    SetVolume,
    Speak,
    StopGenerating,
)
from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.engine import Conversation
from nur_server.conversation.events import (
    AudioMissing,
    ClauseSynthesised,
    EndedReason,
    Event,
    PlayoutDrained,
    PlayoutFlushed,
    PlayoutProgressed,
    ReplyFailed,
    ReplyFinished,
    ReplyText,
    ReplyToolCall,
    SessionOpened,
    SpeechFailed,
    SpeechScored,
    Ticked,
    ToolAnswered,
    TranscriptFailed,
    TranscriptUpdated,
    TurnScored,
)
from nur_server.conversation.notices import (
    AgentTranscript,
    AgentTranscriptDelta,
    Notice,
    ReplyDone,
    ToolCallRequested,
    UserSpeechStarted,
    UserTranscript,
)
from nur_server.conversation.record import Speaker, ToolRecord, Turn

WINDOW = 512
MISSING_SECONDS = 0.3
"""Without audio for so long, a session tells the conversation."""
WINDOW_SECONDS = WINDOW / LISTEN_RATE
RATE = 8_000
MS_PER_CHARACTER = 55
USUAL_DULLNESS_DB = 12.0
"""By how much the treble of a voice is quieter than all of it."""


@dataclass(frozen=True)
class Say:
    """The model says something, in pieces."""

    text: str
    delay: float = 0.05
    piece: int = 12


@dataclass(frozen=True)
class Call:
    """The model calls a tool."""

    name: str
    arguments: str = "{}"
    call_id: str = ""


@dataclass(frozen=True)
class Fail:
    """The model fails."""

    code: str = "provider_unreachable"


@dataclass(frozen=True)
class Hang:
    """The model never answers."""


@dataclass(frozen=True)
class Wait:
    """The model takes its time."""

    seconds: float


Part = Say | Call | Fail | Hang | Wait
Model = Callable[[tuple[ModelMessage, ...]], Sequence[Part]]


@dataclass
class Speech:
    """What the caller says, and when."""

    text: str
    start: float
    end: float
    level_db: float = -20.0
    treble_db: float = -20.0 - USUAL_DULLNESS_DB
    probability: float = 0.95
    is_noise: bool = False
    """Sounds like speech to the detector, but has no words."""

    def words_until(self, at: float) -> str:
        if self.is_noise or at < self.start:
            return ""
        words = self.text.split()
        share = (at - self.start) / (self.end - self.start)
        return " ".join(words[: int(share * len(words) + 1e-6)] if share < 1 else words)


@dataclass
class _Utterance:
    start: int
    is_open: bool = True


@dataclass
class _Player:
    playout: Playout
    clauses: int = 0


@dataclass
class Stage:
    """Runs one conversation. `say`, then `run`, then look."""

    config: ConversationConfig = field(
        default_factory=lambda: ConversationConfig("ses_0123456789ab")
    )
    model: Model = lambda messages: [Say("All right.")]
    tools: Callable[[str, dict[str, Any]], str | None] = lambda name, arguments: '"done"'
    """Answers a client-run tool; None: it never answers."""
    tool_seconds: float = 0.3
    turn_probability: Callable[[str], float] = lambda text: 0.95
    transcript_delay: float = 0.1
    confidence: float = 0.9
    """Of the recogniser, in all it hears."""
    transcript_fails: bool = False
    speech_fails: bool = False
    ms_per_character: int = MS_PER_CHARACTER

    def __post_init__(self) -> None:
        self.conversation = Conversation(self.config)
        self.now = 0.0
        self.position = 0
        self.speech: list[Speech] = []
        self.actions: list[tuple[float, Action]] = []
        self.events: list[Event] = []
        self.prompts: list[tuple[ModelMessage, ...]] = []
        self.turns: dict[int, Turn] = {}
        self.tool_runs: list[tuple[str, dict[str, Any]]] = []
        self.tool_records: dict[str, list[ToolRecord]] = {}
        self.frames: list[tuple[float, str]] = []
        """When a frame of which response was sent."""
        self.ended: EndedReason | None = None
        self.is_sending_audio = True
        self._missing_seconds = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._utterances: dict[str, _Utterance] = {}
        self._players: dict[str, _Player] = {}
        self._deadline: float | None = None
        self._inbox: list[Event] = []
        self._handling = False
        self._cancelled_tools: set[str] = set()
        self._flushed: set[str] = set()
        self._next_window = WINDOW_SECONDS
        self._next_frame = FRAME_MS / 1000

    # The script

    def open(self) -> "Stage":
        self.feed(SessionOpened(self.now))
        return self

    def say(
        self,
        text: str,
        *,
        at: float | None = None,
        after: float = 0.0,
        seconds: float | None = None,
        level_db: float = -20.0,
        treble_db: float | None = None,
        is_noise: bool = False,
    ) -> Speech:
        """The caller speaks at `at`, or `after` seconds from now."""
        start = self.now + after if at is None else at
        length = seconds if seconds is not None else max(0.3, 0.28 * len(text.split()))
        treble = level_db - USUAL_DULLNESS_DB if treble_db is None else treble_db
        speech = Speech(text, start, start + length, level_db, treble, is_noise=is_noise)
        self.speech.append(speech)
        return speech

    def later(self, after: float, event: Callable[[float], Event]) -> None:
        """Feed an event `after` seconds from now."""
        self._at(self.now + after, lambda: self.feed(event(self.now)))

    def run(self, seconds: float) -> "Stage":
        """Let time pass."""
        end = self.now + seconds
        while True:
            times = [self._next_window, self._next_frame]
            if self._queue:
                times.append(self._queue[0][0])
            if self._deadline is not None:
                times.append(max(self._deadline, self.now))
            due = min(times)
            if due > end:
                break
            self.now = due
            self._step()
        self.now = end
        return self

    def run_until(self, done: Callable[[], bool], limit: float = 60.0) -> "Stage":
        start = self.now
        while not done():
            assert self.now - start < limit, f"still waiting after {limit} s of virtual time"
            self.run(0.02)
        return self

    def feed(self, event: Event) -> None:
        self._inbox.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            while self._inbox:
                event = self._inbox.pop(0)
                self.events.append(event)
                for action in self.conversation.receive(event):
                    self.actions.append((self.now, action))
                    self._perform(action)
        finally:
            self._handling = False

    # What happened

    def of(self, kind: type[Any]) -> list[Any]:
        return [action for _, action in self.actions if isinstance(action, kind)]

    @property
    def notices(self) -> list[Notice]:
        return [action.notice for action in self.of(Notify)]

    def notices_of(self, kind: type[Any]) -> list[Any]:
        return [notice for notice in self.notices if isinstance(notice, kind)]

    @property
    def agent_said(self) -> list[str]:
        return [t.text for t in self.turns.values() if t.speaker is Speaker.AGENT]

    @property
    def user_said(self) -> list[str]:
        return [t.text for t in self.turns.values() if t.speaker is Speaker.USER]

    @property
    def is_agent_audible(self) -> bool:
        return any(now > self.now - 0.1 for now, _ in self.frames)

    def assert_spoke(self, text: str) -> None:
        assert any(text in said for said in self.agent_said), self.agent_said

    def assert_heard(self, text: str) -> None:
        assert text in self.user_said, self.user_said

    def assert_interrupted(self) -> Turn:
        cut = [t for t in self.turns.values() if t.interrupted_at_ms is not None]
        assert cut, "expected an interrupted turn"
        return cut[-1]

    def assert_not_interrupted(self) -> None:
        cut = [t for t in self.turns.values() if t.interrupted_at_ms is not None]
        assert not cut, cut

    # The world

    def _at(self, at: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (at, next(self._order), do))

    def _step(self) -> None:
        while self._queue and self._queue[0][0] <= self.now:
            heapq.heappop(self._queue)[2]()
        if self._deadline is not None and self._deadline <= self.now:
            self._deadline = None
            self.feed(Ticked(self.now))
        if self.now >= self._next_frame:
            self._next_frame += FRAME_MS / 1000
            for player in list(self._players.values()):
                player.playout.tick(self.now)
        if self.now >= self._next_window:
            self._next_window += WINDOW_SECONDS
            if self.is_sending_audio:
                self._missing_seconds = 0.0
                self._score_window()
            else:
                self._miss_window()

    def _miss_window(self) -> None:
        self._missing_seconds += WINDOW_SECONDS
        if self._missing_seconds >= MISSING_SECONDS:
            self.feed(AudioMissing(self.now, round(self._missing_seconds * 1000)))

    def _score_window(self) -> None:
        self.position += WINDOW
        end = self.now
        start = end - WINDOW_SECONDS
        speaking = next((s for s in self.speech if s.start < end and s.end > start), None)
        probability = speaking.probability if speaking else 0.02
        level = speaking.level_db if speaking else -60.0
        treble = speaking.treble_db if speaking else -75.0
        self.feed(SpeechScored(self.now, self.position, probability, level, treble))

    def _heard_by(self, utterance: _Utterance, at: float) -> str:
        start = utterance.start / LISTEN_RATE
        spoken = [s for s in self.speech if s.end > start and s.start < at]
        return " ".join(
            filter(None, (s.words_until(at) for s in sorted(spoken, key=lambda s: s.start)))
        )

    def _transcribe(self, utterance_id: str, *, is_final: bool) -> None:
        utterance = self._utterances[utterance_id]
        text = self._heard_by(utterance, self.now)
        covers = self.position

        def answer() -> None:
            if not utterance.is_open:
                return
            if self.transcript_fails:
                self.feed(TranscriptFailed(self.now, utterance_id, "provider_timeout", "gone"))
                utterance.is_open = False
                return
            if is_final:
                utterance.is_open = False
            self.feed(
                TranscriptUpdated(self.now, utterance_id, text, covers, is_final, self.confidence)
            )

        self._at(self.now + self.transcript_delay, answer)

    def _partials(self, utterance_id: str) -> None:
        if self._utterances[utterance_id].is_open:
            self._transcribe(utterance_id, is_final=False)
            self._at(self.now + 0.5, lambda: self._partials(utterance_id))

    def _perform(self, action: Action) -> None:
        match action:
            case OpenUtterance(utterance_id, start):
                self._utterances[utterance_id] = _Utterance(start)
                self._at(self.now + 0.5, lambda: self._partials(utterance_id))
            case MarkPause(utterance_id, _):
                self._transcribe(utterance_id, is_final=False)
            case FinishUtterance(utterance_id, _):
                self._transcribe(utterance_id, is_final=True)
            case DropUtterance(utterance_id):
                self._utterances[utterance_id].is_open = False
            case ScoreTurn(utterance_id, pause, _, _):
                text = self._heard_by(self._utterances[utterance_id], self.now)
                score = TurnScored(0, utterance_id, pause, self.turn_probability(text))
                self._at(
                    self.now + 0.07,
                    lambda: self.feed(TurnScored(self.now, utterance_id, pause, score.probability)),
                )
            case Generate(response_id, messages, _):
                self.prompts.append(messages)
                self._generate(response_id, self.model(messages))
            case StopGenerating():
                pass
            case Speak(response_id, clause, text):
                self._speak(response_id, clause, text)
            case FinishSpeech(response_id):
                self._at(self.now + 0.01, lambda: self._finish(response_id))
            case Release(response_id):
                self._player(response_id).playout.release(self.now)
            case SetVolume(response_id, gain):
                self._player(response_id).playout.set_gain(gain)
            case HoldPlayout(response_id):
                self._player(response_id).playout.hold(self.now)
            case ResumePlayout(response_id):
                self._player(response_id).playout.resume(self.now)
            case Flush(response_id):
                player = self._players.pop(response_id, None)
                self._flushed.add(response_id)
                played = player.playout.flush(self.now) if player else 0
                self.feed(PlayoutFlushed(self.now, response_id, played))
            case CallTool(call_id, _, tool, arguments):
                self.tool_runs.append((tool.name, arguments))
                self._answer(call_id, self.tools(tool.name, arguments))
            case CancelTool(call_id):
                self._cancelled_tools.add(call_id)
            case RecordTool(_, record):
                self.tool_records.setdefault(record.call_id, []).append(record)
            case CommitTurn(turn):
                self.turns[turn.index] = turn
            case SetDeadline(at):
                self._deadline = at
            case HangUp(reason):
                self.ended = reason
            case Notify():
                pass

    def _answer(self, call_id: str, result: str | None) -> None:
        if result is not None:
            self._at(
                self.now + self.tool_seconds,
                lambda: self.feed(ToolAnswered(self.now, call_id, result)),
            )

    def _generate(self, response_id: str, parts: Sequence[Part]) -> None:
        at = self.now
        called = False
        for number, part in enumerate(parts):
            match part:
                case Say(text, delay, piece):
                    at += delay
                    for start in range(0, len(text), piece):
                        at += 0.002
                        bit = text[start : start + piece]
                        self._reply(at, lambda bit=bit: ReplyText(self.now, response_id, bit))
                case Call(name, arguments, call_id):
                    called = True
                    at += 0.01
                    call_id = call_id or f"call_{len(self.prompts)}_{number}"
                    self._reply(
                        at,
                        lambda c=call_id, n=name, a=arguments: ReplyToolCall(
                            self.now, response_id, c, n, a
                        ),
                    )
                case Fail(code):
                    self._reply(
                        at + 0.01,
                        lambda code=code: ReplyFailed(self.now, response_id, code, "broken", True),
                    )
                    return
                case Hang():
                    return
                case Wait(seconds):
                    at += seconds
        reason = "tool_calls" if called else "stop"
        self._reply(at + 0.002, lambda: ReplyFinished(self.now, response_id, reason))

    def _reply(self, at: float, make: Callable[[], Event]) -> None:
        def deliver() -> None:
            event = make()
            if event.response_id not in self._flushed:  # type: ignore[union-attr]
                self.feed(event)

        self._at(at, deliver)

    def _player(self, response_id: str) -> _Player:
        player = self._players.get(response_id)
        if player is None:
            player = _Player(
                Playout(
                    RATE,
                    send=lambda samples: self.frames.append((self.now, response_id)),
                    on_progress=lambda ms: self.feed(PlayoutProgressed(self.now, response_id, ms)),
                    on_drained=lambda ms: self.feed(PlayoutDrained(self.now, response_id, ms)),
                )
            )
            self._players[response_id] = player
        return player

    def _speak(self, response_id: str, clause: int, text: str) -> None:
        player = self._player(response_id)
        duration_ms = max(60, len(text) * self.ms_per_character)

        def made() -> None:
            if response_id in self._flushed:
                return
            if self.speech_fails:
                self.feed(SpeechFailed(self.now, response_id, clause, "provider_timeout", "gone"))
                return
            player.playout.queue(np.zeros(duration_ms * RATE // 1000, np.int16), self.now)
            self.feed(ClauseSynthesised(self.now, response_id, clause, duration_ms))

        self._at(self.now + 0.005, made)

    def _finish(self, response_id: str) -> None:
        if response_id not in self._flushed and response_id in self._players:
            self._players[response_id].playout.finish(self.now)


__all__ = [
    "AgentTranscript",
    "AgentTranscriptDelta",
    "Call",
    "Fail",
    "Hang",
    "ReplyDone",
    "Say",
    "Stage",
    "ToolCallRequested",
    "UserSpeechStarted",
    "UserTranscript",
]
