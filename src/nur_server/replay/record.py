"""Every answer the world gave in a recorded session, by what it answered."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from statistics import median
from typing import Any

from nur_server.audio.rates import LISTEN_RATE
from nur_server.conversation.actions import (
    Action,
    CallTool,
    Flush,
    Generate,
    ModelMessage,
    OpenUtterance,
    ScoreTurn,
    Speak,
)
from nur_server.conversation.events import (
    ClauseSynthesised,
    Event,
    PlayoutProgressed,
    ReplyFailed,
    ReplyFinished,
    ReplyText,
    ReplyToolCall,
    SpeechFailed,
    ToolAnswered,
    TranscriptUpdated,
    TurnScored,
    WordTime,
)
from nur_server.conversation.user_turn import COVER_SLACK
from nur_server.replay.recording import Step

SAME_PAUSE = LISTEN_RATE // 4
"""Samples between two pauses that count as one."""
USUAL_DELAY_SECONDS = 0.1
"""Of an answer that has none on record."""
USUAL_MS_PER_CHARACTER = 62.0

ReplyPart = ReplyText | ReplyToolCall | ReplyFinished | ReplyFailed


HANGING_SECONDS = 10.0
"""A model that was silent for so long when its reply was given up had stopped for good."""


@dataclass(slots=True)
class Generation:
    """A prompt, and what the model answered, with its delays."""

    messages: tuple[ModelMessage, ...]
    parts: list[tuple[float, ReplyPart]] = field(default_factory=list)
    given_up_after: float | None = None
    """Seconds. None: it was not."""

    @property
    def is_complete(self) -> bool:
        """All of the answer is on record: that it never ended may be part of it."""
        if any(isinstance(part, ReplyFinished | ReplyFailed) for _, part in self.parts):
            return True
        last = self.parts[-1][0] if self.parts else 0.0
        return self.given_up_after is not None and self.given_up_after - last >= HANGING_SECONDS


@dataclass(frozen=True, slots=True)
class Speech:
    delay_seconds: float
    duration_ms: int
    words: tuple[WordTime, ...]
    failure: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    end: int
    delay_seconds: float
    probability: float | None


@dataclass(frozen=True, slots=True)
class Result:
    delay_seconds: float
    result: str
    is_error: bool


@dataclass(slots=True)
class Hypotheses:
    """What was recognised of one recorded utterance."""

    start: int
    events: list[TranscriptUpdated] = field(default_factory=list)

    def words(self, at: float, start: int, end: int | None) -> list[str]:
        """What was known at `at` of the audio from `start` to `end`."""
        latest = self._latest(at, end)
        if latest is None or latest.covers <= start:
            return []
        before = self._latest(at, start) if start > self.start else None
        skipped = len(before.text.split()) if before is not None else 0
        return latest.text.split()[skipped:]

    def _latest(self, at: float, end: int | None) -> TranscriptUpdated | None:
        known = [event for event in self.events if event.at <= at]
        if end is not None:
            known = [event for event in known if event.covers <= end + COVER_SLACK]
        return known[-1] if known else None


@dataclass(slots=True)
class Record:
    """Every answer of the recorded world, by what it answered."""

    hypotheses: dict[str, Hypotheses] = field(default_factory=dict)
    generations: list[Generation] = field(default_factory=list)
    speech: dict[str, list[Speech]] = field(default_factory=dict)
    first_audio_seconds: list[float] = field(default_factory=list)
    scores: list[Scored] = field(default_factory=list)
    results: dict[tuple[str, str], list[Result]] = field(default_factory=dict)
    _given: Counter[object] = field(default_factory=Counter)
    """How often each question was asked of the record."""

    @classmethod
    def of(cls, steps: Sequence[Step]) -> "Record":
        record = cls()
        asked: dict[object, tuple[float, Any]] = {}
        for step in steps:
            record._take(step.event, asked)
            for action in step.actions:
                record._ask(step.event.at, action, asked)
        return record

    def _ask(self, at: float, action: Action, asked: dict[object, tuple[float, Any]]) -> None:
        match action:
            case OpenUtterance(utterance_id, start):
                self.hypotheses[utterance_id] = Hypotheses(start)
            case ScoreTurn(utterance_id, pause, _, end):
                asked["score", utterance_id, pause] = at, end
            case Generate(response_id, messages, _):
                generation = Generation(messages)
                self.generations.append(generation)
                asked["reply", response_id] = at, generation
            case Speak(response_id, clause, text):
                asked["speech", response_id, clause] = at, text
                asked.setdefault(("audio", response_id), (at, None))
            case Flush(response_id):
                if (prompt := asked.get(("reply", response_id))) is not None:
                    prompt[1].given_up_after = at - prompt[0]
            case CallTool(call_id, _, tool, arguments):
                asked["tool", call_id] = at, (tool.name, _canonical(arguments))
            case _:
                pass

    def _take(self, event: Event, asked: dict[object, tuple[float, Any]]) -> None:
        match event:
            case TranscriptUpdated():
                if event.utterance_id in self.hypotheses:
                    self.hypotheses[event.utterance_id].events.append(event)
            case TurnScored(at, utterance_id, pause, probability):
                if (question := asked.get(("score", utterance_id, pause))) is not None:
                    self.scores.append(Scored(question[1], at - question[0], probability))
            case ReplyText() | ReplyToolCall() | ReplyFinished() | ReplyFailed():
                if (prompt := asked.get(("reply", event.response_id))) is not None:
                    prompt[1].parts.append((event.at - prompt[0], event))
            case ClauseSynthesised(at, response_id, clause, duration_ms, words):
                if (spoken := asked.get(("speech", response_id, clause))) is not None:
                    made = Speech(at - spoken[0], duration_ms, words)
                    self.speech.setdefault(spoken[1], []).append(made)
            case SpeechFailed(at, response_id, clause, code, message):
                if (spoken := asked.get(("speech", response_id, clause))) is not None:
                    made = Speech(at - spoken[0], 0, (), (code, message))
                    self.speech.setdefault(spoken[1], []).append(made)
            case PlayoutProgressed(at, response_id, _):
                if (first := asked.pop(("audio", response_id), None)) is not None:
                    self.first_audio_seconds.append(at - first[0])
            case ToolAnswered(at, call_id, result, is_error):
                if (called := asked.pop(("tool", call_id), None)) is not None:
                    answer = Result(at - called[0], result, is_error)
                    self.results.setdefault(called[1], []).append(answer)
            case _:
                pass

    def reply_to(self, messages: tuple[ModelMessage, ...]) -> tuple[Generation | None, bool]:
        """The answer to a prompt, or to the most similar one; and whether it is the same."""
        same = [g for g in self.generations if g.messages == messages]
        number = self._times(messages)
        whole = [g for g in same[number:] if g.is_complete] or [g for g in same if g.is_complete]
        if whole:
            return whole[0], True
        complete = [g for g in self.generations if g.is_complete]
        likely = complete or same or self.generations
        best = max(likely, key=lambda g: _likeness(g.messages, messages), default=None)
        return best, False

    def speech_of(self, text: str) -> tuple[Speech, bool]:
        """How a text sounds; and whether it is on record."""
        known = self.speech.get(text)
        if known is not None:
            return known[min(self._times(text), len(known) - 1)], True
        every = [(len(t), s) for t, spoken in self.speech.items() for s in spoken]
        made = [(length, s) for length, s in every if s.failure is None and length]
        pace = median(s.duration_ms / length for length, s in made) if made else None
        delay = median(s.delay_seconds for _, s in made) if made else USUAL_DELAY_SECONDS
        duration_ms = round(len(text) * (pace or USUAL_MS_PER_CHARACTER))
        return Speech(delay, duration_ms, ()), False

    @property
    def audio_delay_seconds(self) -> float:
        """From a text to its first audio."""
        return median(self.first_audio_seconds or [USUAL_DELAY_SECONDS])

    def score_at(self, end: int) -> Scored | None:
        near = [s for s in self.scores if abs(s.end - end) <= SAME_PAUSE]
        return min(near, key=lambda s: abs(s.end - end), default=None)

    def result_of(self, name: str, arguments: Mapping[str, Any]) -> tuple[Result | None, bool]:
        """A tool's answer; and whether it is one to the same call."""
        wanted = (name, _canonical(arguments))
        same = self.results.get(wanted)
        if same:
            return same[min(self._times(wanted), len(same) - 1)], True
        others = [found for (tool, _), found in self.results.items() if tool == name]
        return (others[0][0] if others else None), False

    def _times(self, question: object) -> int:
        """How often this was asked before: the second time gets the second answer."""
        self._given[question] += 1
        return self._given[question] - 1


def _canonical(arguments: Mapping[str, Any]) -> str:
    return json.dumps(dict(arguments), sort_keys=True)


def _likeness(one: tuple[ModelMessage, ...], other: tuple[ModelMessage, ...]) -> tuple[bool, float]:
    """How alike two prompts end."""
    last, wanted = one[-1], other[-1]
    words = SequenceMatcher(None, last.content.lower().split(), wanted.content.lower().split())
    return last.role is wanted.role, words.ratio()
