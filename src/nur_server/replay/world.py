"""A recorded session played against other settings.

The rule. What a caller and their client did does not depend on the agent: their audio (as scored
by the voice-activity model), their messages, their coming and going happen when they were
recorded. Everything else answers something the conversation asked for, so it happens only where
it is asked for again, after the delay it had:

- a transcript: what was recognised of the same stretch of audio, no earlier than it was known;
- a turn score: the recorded one of the same pause, to a quarter of a second; else the turn model
  counts as skipped;
- a reply: the recorded one to the same prompt; else the one to the most similar last message;
- speech: the recorded duration and word times of the same text; else the recorded pace;
- a tool's result: that of the same call, else of the same tool; else none ever comes;
- playout: played again, at the pace of speech.

Answers to what is not asked for are dropped. What had to be assumed is listed: the recorded world
does not change with the settings, so the further two timelines drift apart, the more of the second
is assumption.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, assert_never

import numpy as np

from nur_server.audio.playout import FRAME_MS, Playout
from nur_server.audio.rates import LISTEN_RATE
from nur_server.conversation.actions import (
    Action,
    CallTool,
    CancelTool,
    DropUtterance,
    FinishSpeech,
    FinishUtterance,
    Flush,
    Generate,
    HangUp,
    HoldPlayout,
    OpenUtterance,
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
    AsideCancelled,
    AsideRequested,
    AudioMissing,
    BeepHeard,
    ClauseSynthesised,
    ClientDropped,
    ClientResumed,
    ConfigChanged,
    DigitPressed,
    EndRequested,
    Event,
    InputCleared,
    InputCommitted,
    ItemRemoved,
    MessageAdded,
    PlayoutDrained,
    PlayoutFlushed,
    PlayoutProgressed,
    ReplyCancelled,
    ReplyFailed,
    ReplyFinished,
    ReplyRequested,
    ReplyText,
    ReplyToolCall,
    ReplyTruncated,
    SessionOpened,
    SpeechFailed,
    SpeechScored,
    Ticked,
    ToolAnswered,
    ToolCallNoted,
    TranscriptFailed,
    TranscriptUpdated,
    TransferFinished,
    TurnScored,
)
from nur_server.conversation.user_turn import COVER_SLACK
from nur_server.replay.record import USUAL_DELAY_SECONDS, Record, ReplyPart
from nur_server.replay.recording import Replay, Step
from nur_server.replay.settings import apply

RATE = 1_000
"""Samples per second of the silence that is played: one per millisecond."""
AFTERMATH_SECONDS = 60.0
"""How long a conversation may go on after the recording has ended."""


@dataclass(frozen=True, slots=True)
class Variation:
    """A recording with other settings."""

    steps: tuple[Step, ...]
    assumed: tuple[str, ...]
    """Answers that are not on record, with their times."""


def vary(replay: Replay, changes: Mapping[str, Any]) -> Variation:
    """Run a recording with some settings changed (fields by name, see `settings`)."""
    world = _World(Record.of(replay.steps), apply(replay.recording.config, changes))
    for event in replay.recording.events:
        match event:
            case TranscriptUpdated() | TranscriptFailed():
                world.is_recognised(event)
            case ConfigChanged(config=config):
                world.happens(replace(event, config=apply(config, changes)))
            case ReplyCancelled():
                world.happens(replace(event, response_id=None))
            case (
                SessionOpened()
                | SpeechScored()
                | AudioMissing()
                | InputCommitted()
                | InputCleared()
                | ReplyTruncated()
                | MessageAdded()
                | ToolCallNoted()
                | ItemRemoved()
                | AsideRequested()
                | AsideCancelled()
                | ReplyRequested()
                | ClientDropped()
                | ClientResumed()
                | DigitPressed()
                | BeepHeard()
                | TransferFinished()
                | EndRequested()
            ):
                world.happens(event)
            case (
                TurnScored()
                | ReplyText()
                | ReplyToolCall()
                | ReplyFinished()
                | ReplyFailed()
                | ClauseSynthesised()
                | SpeechFailed()
                | PlayoutProgressed()
                | PlayoutDrained()
                | PlayoutFlushed()
                | ToolAnswered()
                | Ticked()
            ):
                pass  # The world answers these anew, to what the conversation asks for now.
            case _:
                assert_never(event)
    return world.run(replay.recording.ended_at + AFTERMATH_SECONDS)


@dataclass(slots=True)
class _Listening:
    start: int
    end: int | None = None


@dataclass(slots=True)
class _Making:
    """A response being made."""

    playout: Playout
    ready_at: float = 0.0
    """When its last clause so far is made."""


class _World:
    """Runs a conversation in virtual time against a record."""

    def __init__(self, record: Record, config: ConversationConfig) -> None:
        self._record = record
        self._conversation = Conversation(config)
        self._now = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._inbox: list[Event] = []
        self._steps: list[Step] = []
        self._assumed: list[str] = []
        self._listening: dict[str, _Listening] = {}
        self._making: dict[str, _Making] = {}
        self._silenced: set[str] = set()
        """Responses whose model is not listened to any more."""
        self._deadline: float | None = None
        self._is_over = False

    # What comes from outside

    def happens(self, event: Event) -> None:
        """This happens at its time, whatever else does."""
        self._later(event.at, lambda: self._feed(event))

    def is_recognised(self, event: TranscriptUpdated | TranscriptFailed) -> None:
        """So much is known of the audio from this time on."""
        self._later(event.at, lambda: self._recognise(event))

    def run(self, until: float) -> Variation:
        """Until the conversation ends, nothing more can happen, or `until`."""
        while not self._is_over:
            due = self._next_at()
            if due is None or due > until:
                break
            self._now = max(self._now, due)
            self._advance()
        return Variation(tuple(self._steps), tuple(self._assumed))

    # Time

    def _later(self, at: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (round(at, 3), next(self._order), do))

    def _next_at(self) -> float | None:
        times = [self._queue[0][0]] if self._queue else []
        if self._deadline is not None:
            times.append(self._deadline)
        if any(making.playout.is_running for making in self._making.values()):
            times.append(round(self._now + FRAME_MS / 1000, 3))
        return min(times, default=None)

    def _advance(self) -> None:
        if self._queue and self._queue[0][0] <= self._now:
            heapq.heappop(self._queue)[2]()
        elif self._deadline is not None and self._deadline <= self._now:
            self._deadline = None
            self._feed(Ticked(self._now))
        for making in list(self._making.values()):
            making.playout.tick(self._now)

    def _feed(self, event: Event) -> None:
        """Handle an event, behind those that are being handled."""
        self._inbox.append(event)
        if len(self._inbox) > 1:
            return
        while self._inbox and not self._is_over:
            actions = self._conversation.receive(self._inbox[0])
            self._steps.append(Step(self._inbox[0], tuple(actions)))
            for action in actions:
                self._perform(action)
            self._inbox.pop(0)

    # Answers

    def _perform(self, action: Action) -> None:
        match action:
            case OpenUtterance(utterance_id, start):
                self._listening[utterance_id] = _Listening(start)
            case FinishUtterance(utterance_id, end):
                self._finish_utterance(utterance_id, end)
            case DropUtterance(utterance_id):
                self._listening.pop(utterance_id, None)
            case ScoreTurn():
                self._score(action)
            case Generate():
                self._generate(action)
            case StopGenerating(response_id):
                self._silenced.add(response_id)
            case Speak():
                self._speak(action)
            case FinishSpeech(response_id):
                self._finish_speech(response_id)
            case Release() | SetVolume() | HoldPlayout() | ResumePlayout() | Flush():
                self._play(action)
            case CallTool():
                self._call(action)
            case CancelTool():
                pass
            case SetDeadline(at):
                self._deadline = None if at is None else max(at, round(self._now + 0.001, 3))
            case HangUp():
                self._is_over = True
            case _:
                pass

    def _recognise(self, event: TranscriptUpdated | TranscriptFailed) -> None:
        for utterance_id, listening in list(self._listening.items()):
            if listening.end is not None:
                continue
            if isinstance(event, TranscriptFailed):
                self._feed(replace(event, utterance_id=utterance_id))
            elif event.covers > listening.start:
                self._tell_words(utterance_id, listening, event, is_final=False)

    def _finish_utterance(self, utterance_id: str, end: int) -> None:
        """Give the final transcript, once the words up to `end` were known."""
        listening = self._listening.get(utterance_id)
        if listening is None:
            return
        listening.end = end
        events = [e for h in self._record.hypotheses.values() for e in h.events]
        enough = [e for e in events if e.covers >= end - COVER_SLACK]
        last = enough[0] if enough else (events[-1] if events else None)
        if last is None:
            last = TranscriptUpdated(self._now, utterance_id, "", end, is_final=True)
        known = last
        self._later(
            max(self._now, known.at),
            lambda: self._tell_words(utterance_id, listening, known, is_final=True),
        )

    def _tell_words(
        self, utterance_id: str, listening: _Listening, event: TranscriptUpdated, *, is_final: bool
    ) -> None:
        if self._listening.get(utterance_id) is not listening:
            return
        if is_final:
            del self._listening[utterance_id]
        recorded = sorted(self._record.hypotheses.values(), key=lambda h: h.start)
        words = [
            word
            for utterance in recorded
            if listening.end is None or utterance.start < listening.end
            for word in utterance.words(self._now, listening.start, listening.end)
        ]
        covers = event.covers if listening.end is None else max(event.covers, listening.end)
        text = " ".join(words)
        self._feed(
            TranscriptUpdated(self._now, utterance_id, text, covers, is_final, event.confidence)
        )

    def _score(self, action: ScoreTurn) -> None:
        known = self._record.score_at(action.end)
        if known is None:
            self._assume(f"no turn score on record for the pause at {_seconds(action.end)}")
        delay = known.delay_seconds if known is not None else USUAL_DELAY_SECONDS
        probability = known.probability if known is not None else None
        utterance_id, pause = action.utterance_id, action.pause
        self._later(
            self._now + delay,
            lambda: self._feed(TurnScored(self._now, utterance_id, pause, probability)),
        )

    def _generate(self, action: Generate) -> None:
        self._making_of(action.response_id)
        known, is_same = self._record.reply_to(action.messages)
        if not is_same:
            asked = action.messages[-1].content if action.messages else ""
            self._assume(
                f"no reply on record to {asked!r}"
                + (f", the one to {known.messages[-1].content!r} is used" if known else "")
            )
        if known is None:
            failure = ReplyFailed(0, "", "not_recorded", "No reply is on record.", False)
            self._part(action.response_id, USUAL_DELAY_SECONDS, failure)
            return
        for delay, part in known.parts:
            self._part(action.response_id, delay, part)
        if not known.is_complete:
            end = known.parts[-1][0] if known.parts else USUAL_DELAY_SECONDS
            self._part(action.response_id, end, ReplyFinished(0, "", "stop"))

    def _part(self, response_id: str, delay: float, part: ReplyPart) -> None:
        def tell() -> None:
            if response_id not in self._silenced:
                self._feed(replace(part, at=self._now, response_id=response_id))

        self._later(self._now + delay, tell)

    def _speak(self, action: Speak) -> None:
        response_id, clause = action.response_id, action.clause
        making = self._making_of(response_id)
        speech, is_known = self._record.speech_of(action.text)
        if not is_known:
            self._assume(f"the length of {action.text!r}")
        delay = min(speech.delay_seconds, self._record.audio_delay_seconds)
        making.ready_at = ready_at = max(making.ready_at, self._now + delay)

        def made() -> None:
            if self._making.get(response_id) is not making:
                return
            if speech.failure is not None:
                self._feed(SpeechFailed(self._now, response_id, clause, *speech.failure))
                return
            making.playout.queue(np.zeros(speech.duration_ms, np.int16), self._now)
            self._feed(
                ClauseSynthesised(self._now, response_id, clause, speech.duration_ms, speech.words)
            )

        self._later(ready_at, made)

    def _finish_speech(self, response_id: str) -> None:
        making = self._making.get(response_id)
        if making is not None:
            self._later(max(self._now, making.ready_at), lambda: making.playout.finish(self._now))

    def _making_of(self, response_id: str) -> _Making:
        making = self._making.get(response_id)
        if making is None:
            playout = Playout(
                RATE,
                send=lambda samples: None,
                on_progress=lambda ms: self._feed(PlayoutProgressed(self._now, response_id, ms)),
                on_drained=lambda ms: self._drained(response_id, ms),
            )
            making = self._making[response_id] = _Making(playout)
        return making

    def _drained(self, response_id: str, played_ms: int) -> None:
        self._making.pop(response_id, None)
        self._feed(PlayoutDrained(self._now, response_id, played_ms))

    def _play(self, action: Release | SetVolume | HoldPlayout | ResumePlayout | Flush) -> None:
        making = self._making.get(action.response_id)
        if isinstance(action, Flush):
            self._silenced.add(action.response_id)
            self._making.pop(action.response_id, None)
            played_ms = making.playout.flush(self._now) if making is not None else 0
            self._feed(PlayoutFlushed(self._now, action.response_id, played_ms))
            return
        if making is None:
            return
        playout = making.playout
        match action:
            case Release():
                playout.release(self._now)
            case HoldPlayout():
                playout.hold(self._now)
            case ResumePlayout():
                playout.resume(self._now)
            case SetVolume(_, gain):
                playout.set_gain(gain)

    def _call(self, action: CallTool) -> None:
        known, is_same = self._record.result_of(action.tool.name, action.arguments)
        if not is_same:
            self._assume(
                f"{action.tool.name}({action.arguments}) "
                + ("answers as it did to another call" if known else "never answers")
            )
        if known is None:
            return
        call_id, answer = action.call_id, known
        self._later(
            self._now + answer.delay_seconds,
            lambda: self._feed(ToolAnswered(self._now, call_id, answer.result, answer.is_error)),
        )

    def _assume(self, what: str) -> None:
        self._assumed.append(f"{self._now:.2f} s: {what}")


def _seconds(position: int) -> str:
    return f"{position / LISTEN_RATE:.2f} s"
