"""The user's side: from scored windows and transcripts to turns, and to interruptions."""

from collections.abc import Callable
from typing import Any, assert_never

from nur_server.audio.rates import LISTEN_RATE
from nur_server.conversation.actions import (
    DropUtterance,
    FinishUtterance,
    MarkPause,
    OpenUtterance,
    ScoreTurn,
)
from nur_server.conversation.addressing import Addressing
from nur_server.conversation.context import Context
from nur_server.conversation.deadlines import Timer
from nur_server.conversation.events import (
    AudioMissing,
    SpeechScored,
    TranscriptFailed,
    TranscriptUpdated,
    TurnScored,
)
from nur_server.conversation.notices import (
    InputTaken,
    ReplyStatus,
    UserSpeechStarted,
    UserSpeechStopped,
    UserTranscript,
)
from nur_server.conversation.record import Speaker, Turn
from nur_server.conversation.response import Response, ResponsePhase, Trigger
from nur_server.conversation.talker import Talker
from nur_server.conversation.user_turn import (
    COMMITTED,
    PAUSE_MS,
    PRE_ROLL_MS,
    TURN_MODEL_MS,
    EndedTurn,
    SpeechSoFar,
    Stage,
    UserTurn,
)
from nur_server.turn_taking import endless, interruption, resumption, turns
from nur_server.turn_taking.interruption import OverlapEvidence, Ruling
from nur_server.turn_taking.speech_tracker import Sound, SpeechTracker, to_ms
from nur_server.turn_taking.turns import TurnEvidence
from nur_server.turn_taking.words import (
    digits_asked,
    expects,
    leaves_question_open,
    normalise,
)

STALL_MS = 1000
"""Audio that breaks off in the middle of speech is missing for so long before silence is counted:
a network that stalls (a hand-over between cells or access points) is back within a second."""
TRANSCRIPT_SECONDS = 3.0
"""Longest wait for the words of a finished turn of which nothing is understood yet: then the
recogniser hangs, and the user is told."""
LATE_WORDS_SECONDS = 6.0
"""The same for the end of words of which the beginning is understood, as on a machine that is
overloaded. A wrong answer, or a tool called with half a number, is worse than a late one; after
some seconds more people take the line for dead."""
OVERLAP_WORDS_MS = 2000
"""Silence after an overlap from which what was understood so far has to do."""
UNHEARD_THRESHOLD = 0.2
"""Highest interruption threshold while nothing of the reply was heard: the user goes on."""
FIRST_TURNS = 20
"""Turns whose words are kept for telling who has answered a call."""
CONTEXT_REASONS = ("backchannel", "aside", "in_passing")
"""Why an overlap was let pass, where its words are worth remembering."""
NOT_RESUMED = frozenset({COMMITTED, "keys"})
"""Ends of turns that somebody said were ends."""
DISCARDED = "discarded"
"""What made the record of words that were taken for none."""


class Listener:
    """Follows the user's speech.

    `on_turn` is told of every turn with words for the agent, once they are known; `on_idle` when
    somebody has stopped speaking without anything to answer.
    """

    def __init__(
        self,
        context: Context,
        talker: Talker,
        on_turn: Callable[[UserTurn], None],
        on_idle: Callable[[str | None], None],
    ) -> None:
        self._context = context
        self._talker = talker
        self._on_turn = on_turn
        self._on_idle = on_idle
        self._speech = SpeechTracker()
        self._addressing = Addressing(context, self._speech)
        self._turn: UserTurn | None = None
        self._finishing: UserTurn | None = None
        self._ended: EndedTurn | None = None
        """The latest turn, which the user may go on with."""
        self._missed_ms = 0
        """Time in which the client has sent nothing, up to now."""
        self._stall_ms = 0
        """How much of it is taken for a stall."""
        self._speech_ms = 0
        """Of the turns that are over."""
        self._texts: list[str] = []
        """Of the first turns that are over: who has answered is told by their words."""

    @property
    def is_user_speaking(self) -> bool:
        """A turn is open: the user speaks, or pauses in it."""
        return self._turn is not None

    @property
    def is_awaiting_words(self) -> bool:
        """A turn has ended and its final transcript is awaited."""
        return self._finishing is not None

    @property
    def speech_ended_at(self) -> float:
        """Session time of the end of the user's last speech."""
        return self._context.now - self._speech.silence_ms / 1000

    def speech_so_far(self) -> SpeechSoFar:
        """Everything said, turn by turn."""
        turns = [turn for turn in (self._finishing, self._turn) if turn is not None]
        return SpeechSoFar(
            speech_ms=self._speech_ms + sum(turn.speech_ms for turn in turns),
            silence_ms=self._speech.silence_ms,
            text=" ".join([*self._texts, *(turn.text for turn in turns)]).strip(),
            is_text_current=all(turn.is_text_current for turn in turns),
        )

    def forget_speech(self) -> None:
        """What was said so far is no sign of who is there now."""
        self._speech_ms = 0
        self._texts.clear()

    @property
    def sounding_ms(self) -> int:
        """How long somebody has been speaking, in a turn or not."""
        speech = self._speech
        return to_ms(speech.position - speech.onset) if speech.is_speaking else 0

    # Sound

    def hear(self, score: SpeechScored, *, is_open: bool) -> None:
        """Take a window. While the conversation is not `is_open`, it is only counted."""
        before = self._speech.position
        threshold = self._context.config.turn_detection.vad_threshold
        sound = self._speech.hear(score, threshold, is_turn_open=self._turn is not None)
        if not is_open or (self._turn is None and sound is not Sound.ONSET):
            return
        turn = self._turn or self._open_turn()
        turn.take(sound, score, max(0, score.position - before), self._speech.background)
        self._missed_ms = 0
        if sound in (Sound.ONSET, Sound.SPEECH):
            self._talker.drop_speculation()
        self._judge()

    def miss_audio(self, event: AudioMissing) -> None:
        """The client sends nothing: time is silence, once it is no mere stall."""
        if self._turn is None:
            return
        if self._missed_ms == 0:
            self._stall_ms = STALL_MS if self._speech.silence_ms == 0 else 0
        silence_ms = event.missing_ms - max(self._missed_ms, self._stall_ms)
        self._missed_ms = event.missing_ms
        if silence_ms > 0:
            self._speech.starve(silence_ms)
            self._judge()

    def _open_turn(self) -> UserTurn:
        context = self._context
        start = max(0, self._speech.onset - PRE_ROLL_MS * LISTEN_RATE // 1000)
        heard = self._speech.position - self._speech.onset
        began_at = max(0.0, context.now - heard / LISTEN_RATE)
        turn = UserTurn(
            utterance_id=context.new_id("utt"),
            item_id=context.new_id("msg"),
            start=start,
            wants_reply=context.config.turn_detection.creates_reply,
            began_at=began_at,
            spoke_at=began_at,
            stage=Stage.LISTENING,
            speech_end=self._speech.position,
            speech_samples=heard,
            covers=start,
            progress_at=context.now,
            words_end=start,
        )
        self._turn = turn
        self._speech.foreground.begin_turn()
        context.do(OpenUtterance(turn.utterance_id, start))
        context.stop_silence_timers()
        if self._talker.response is None:
            self._announce(turn)
        elif self._talker.can_be_interrupted():
            turn.stage = Stage.OVERLAPPING
            turn.goes_on = self._resumable(self._talker.response)
            self._talker.make_way()
        return turn

    def give_floor(self) -> None:
        """The agent has stopped speaking: whoever speaks has the floor."""
        if self._turn is not None:
            self._announce(self._turn)

    def _announce(self, turn: UserTurn) -> None:
        turn.stage = Stage.LISTENING
        if not turn.is_announced:
            turn.is_announced = True
            at_ms = to_ms(turn.start)
            self._context.notify(UserSpeechStarted(turn.item_id, at_ms))

    # Judging

    def _judge(self) -> None:
        turn = self._turn
        if turn is None:
            return
        if self._speech.silence_ms >= PAUSE_MS and not turn.is_pause_marked:
            turn.is_pause_marked = True
            turn.pause += 1
            turn.progress_at = self._context.now
            self._context.do(MarkPause(turn.utterance_id, self._speech.position))
        if turn.stage is Stage.OVERLAPPING:
            self._judge_overlap(turn)
        elif turn.stage is Stage.LISTENING:
            self._judge_turn(turn)

    def _judge_turn(self, turn: UserTurn) -> None:
        if self._context.config.turn_detection.client_commits:
            return
        silence_ms = self._speech.silence_ms
        if silence_ms < PAUSE_MS or endless.is_too_long(self._context.now - turn.began_at):
            self._judge_endless(turn)
            return
        self._ask_turn_model(turn)
        config = self._context.config
        asked = self._context.history.last_agent_text
        evidence = TurnEvidence(
            text=turn.text,
            is_text_current=turn.is_text_current,
            turn_probability=turn.turn_probability,
            expects=expects(asked),
            digits_asked=digits_asked(asked),
            language=config.language,
            has_turn_model=config.has_turn_model,
            confidence=turn.confidence,
        )
        verdict = turns.judge(evidence, config.turn_detection)
        if silence_ms >= verdict.silence_ms:
            self._end_turn(turn, verdict.reason)
        elif verdict.is_confident:
            self._speculate(turn)

    def _judge_endless(self, turn: UserTurn) -> None:
        now = self._context.now
        unbroken, lasted = now - turn.progress_at, now - turn.began_at
        reason = endless.end_reason(turn.words_pause_ms, unbroken, lasted)
        if reason is None:
            return
        if reason == "no_new_words":
            self._speech.foreground.take_for_background()
        self._end_turn(turn, reason)

    def _ask_turn_model(self, turn: UserTurn) -> None:
        is_time = self._speech.silence_ms >= TURN_MODEL_MS and not turn.is_turn_asked
        if is_time and self._context.config.has_turn_model:
            turn.is_turn_asked = True
            end = self._speech.position
            self._context.do(ScoreTurn(turn.utterance_id, turn.pause, turn.start, end))

    def _speculate(self, turn: UserTurn) -> None:
        """Have the reply made before the turn is certainly over."""
        config = self._context.config
        if not config.eager_replies or not config.speaks or not turn.wants_reply:
            return
        if not turn.text.strip():
            return
        if self._talker.is_busy or self._finishing or self._context.journal.running():
            return
        if self._addressing.is_for_somebody_else(turn):
            return
        self._talker.speculate(turn.text, normalise(turn.text))

    def _judge_overlap(self, turn: UserTurn) -> None:
        response = self._talker.response
        if response is None:
            self._announce(turn)
            return
        detection = self._context.config.turn_detection
        threshold = self._context.config.interruption_threshold
        if response.first_audio_at is None:
            threshold = min(threshold, UNHEARD_THRESHOLD)
        evidence = self._overlap_evidence(turn, response)
        verdict = None
        if turn.goes_on is not None and threshold < 1.0 and self._is_taken_back(response):
            verdict = resumption.judge(evidence)
        verdict = verdict or interruption.judge(
            evidence, threshold, detection.interruption_delay_ms
        )
        match verdict.ruling:
            case Ruling.LISTEN:
                pass
            case Ruling.DISREGARD:
                self._speak_on(response)
            case Ruling.HOLD:
                self._talker.hold()
            case Ruling.YIELD:
                self._yield(turn, verdict.reason, evidence)
            case Ruling.CARRY_ON:
                self._let_pass(turn, verdict.reason)
            case _:
                assert_never(verdict.ruling)

    def _resumable(self, response: Response) -> EndedTurn | None:
        """The turn that somebody who begins to speak now may be going on with."""
        ended = self._ended
        if ended is None or response.trigger is not Trigger.USER_SPEECH:
            return None
        is_soon = self._context.now - ended.ended_at <= resumption.RESUME_SECONDS
        is_early = response.played_ms <= resumption.RESUME_HEARD_MS
        return ended if is_soon and is_early else None

    def _is_taken_back(self, response: Response) -> bool:
        """Whether nothing has come of the reply but words: a tool that was called has run."""
        return not response.call_ids

    def _speak_on(self, response: Response) -> None:
        """Undo a hold while the user still speaks; the overlap is not over."""
        if response.phase is ResponsePhase.HELD and response.first_audio_at is not None:
            self._talker.play_on()
            self._talker.make_way()

    def _overlap_evidence(self, turn: UserTurn, response: Response) -> OverlapEvidence:
        return OverlapEvidence(
            speech_ms=turn.speech_ms,
            silence_ms=self._speech.silence_ms,
            text=turn.text,
            is_text_current=turn.is_text_current or self._speech.silence_ms >= OVERLAP_WORDS_MS,
            away=self._addressing.away(turn),
            agent_words=f"{self._context.history.last_agent_text} {response.full_text}",
            language=self._context.config.language,
            text_ms=turn.text_ms,
            is_asked=leaves_question_open(response.heard_text),
            is_agent_heard=response.first_audio_at is not None,
        )

    def _yield(self, turn: UserTurn, reason: str, evidence: OverlapEvidence) -> None:
        """The user interrupts, or goes on: they have the floor."""
        is_resumed = reason == "resumed" and self._resume(turn)
        self._announce(turn)
        if turn.text:
            self._context.notify(UserTranscript(turn.item_id, turn.text, is_final=False))
        figures = {
            "speech_ms": evidence.speech_ms,
            **self._addressing.evidence(turn),
            "words": len(normalise(evidence.text).split()),
        }
        if is_resumed:
            self._talker.take_back(figures)
            return
        self._talker.cut(ReplyStatus.INTERRUPTED, reason, figures)

    def _resume(self, turn: UserTurn) -> bool:
        """Make one turn of this one and the one it goes on with, where nothing came between."""
        ended, self._ended = turn.goes_on, None
        if ended is None or not self._context.history.user_goes_on():
            return False
        turn.resume(ended)
        return True

    def _let_pass(self, turn: UserTurn, reason: str) -> None:
        """No interruption: the agent speaks on, and what was said is kept as context."""
        turn.end_reason = reason
        self._drop(turn)
        if turn.text.strip():
            is_context = reason in CONTEXT_REASONS
            figures = {"speech_ms": turn.speech_ms, **self._addressing.evidence(turn)}
            self._record(turn, reason if is_context else DISCARDED, figures)
            if is_context:
                self._context.history.user_said_aside(turn.text, is_for_agent=reason != "aside")
        if reason == "aside":
            self._addressing.disregard(turn)
        self._talker.play_on()

    # Words

    def understand(self, event: TranscriptUpdated) -> None:
        """Take a hypothesis."""
        turn = self._turn_of(event.utterance_id)
        if turn is None:
            return
        changed = turn.understand(event)
        if turn.stage is Stage.FINISHING:
            if turn.is_final:
                self._finish(turn)
            return
        if changed and turn.is_announced and turn.text:
            self._context.notify(UserTranscript(turn.item_id, turn.text, is_final=False))
        self._judge()

    def lose_transcript(self, event: TranscriptFailed) -> None:
        """The recogniser gave up: what was understood so far has to do."""
        turn = self._turn_of(event.utterance_id)
        if turn is None:
            return
        turn.failure = event.code
        turn.is_final = True
        if turn.stage is Stage.FINISHING:
            self._finish(turn)

    def take_turn_score(self, event: TurnScored) -> None:
        turn = self._turn_of(event.utterance_id)
        if turn is not None and turn.is_turn_asked and event.pause == turn.pause:
            turn.turn_probability = event.probability
            self._judge()

    def give_up_words(self) -> None:
        """The final transcript is overdue: what was understood so far has to do."""
        turn = self._finishing
        if turn is not None:
            turn.failure = turn.failure or "transcript_timeout"
            self._context.do(DropUtterance(turn.utterance_id))
            self._finish(turn)

    def _turn_of(self, utterance_id: str) -> UserTurn | None:
        for turn in (self._turn, self._finishing):
            if turn is not None and turn.utterance_id == utterance_id:
                return turn
        return None

    def take_keys(self, digits: str) -> None:
        """The user has said something with the keypad: a turn without audio."""
        turn = UserTurn(
            utterance_id=self._context.new_id("utt"),
            item_id=self._context.new_id("msg"),
            start=self._speech.position,
            began_at=self._context.now,
            stage=Stage.FINISHING,
            speech_end=self._speech.position,
            text=f"[pressed {digits}]",
            is_final=True,
            end_reason="keys",
        )
        self._commit(turn)

    # What the client says of its input

    def commit_input(self, *, triggers_reply: bool) -> None:
        """The client says that the user has finished. Where nobody has spoken it is told that there
        are no words, and nothing else happens."""
        turn = self._turn
        if turn is None:
            item_id = self._context.new_id("msg")
            self._context.notify(InputTaken(item_id))
            self._context.notify(UserTranscript(item_id, "", is_final=True))
            return
        turn.wants_reply = triggers_reply
        self._context.notify(InputTaken(turn.item_id))
        if turn.stage is Stage.OVERLAPPING:
            self._talker.play_on()
        self._end_turn(turn, COMMITTED)

    def clear_input(self) -> None:
        """The client takes back what was said since the last turn: it leaves no trace."""
        turn = self._turn
        if turn is None:
            return
        self._drop(turn)
        self._talker.drop_speculation()
        if turn.resumed is not None:
            self._context.history.user_said(turn.resumed.text, turn.item_id)
        if turn.is_announced:
            self._notify_stop(turn, "cleared", {})
        if turn.stage is Stage.OVERLAPPING:
            self._talker.play_on()
        self._on_idle(None)

    # The end of a turn

    def _end_turn(self, turn: UserTurn, reason: str) -> None:
        turn.end_reason = reason
        if turn.is_text_current:
            self._drop(turn)
            self._commit(turn)
            return
        self._turn = None
        turn.stage = Stage.FINISHING
        self.give_up_words()
        self._finishing = turn
        self._context.do(FinishUtterance(turn.utterance_id, self._speech.position))
        seconds = LATE_WORDS_SECONDS if turn.text.strip() else TRANSCRIPT_SECONDS
        self._context.deadlines.set(Timer.TRANSCRIPT, self._context.now + seconds)

    def _drop(self, turn: UserTurn) -> None:
        self._turn = None
        self._context.do(DropUtterance(turn.utterance_id))

    def _finish(self, turn: UserTurn) -> None:
        self._finishing = None
        self._context.deadlines.clear(Timer.TRANSCRIPT)
        self._commit(turn)

    def _commit(self, turn: UserTurn) -> None:
        """The user's turn is over and its words are known."""
        self._speech_ms += turn.speech_ms
        if len(self._texts) < FIRST_TURNS:
            self._texts.append(turn.text)
        evidence: dict[str, Any] = {
            "silence_ms": self._speech.silence_ms,
            "speech_ms": turn.speech_ms,
            "turn_probability": turn.turn_probability,
            **self._addressing.evidence(turn),
        }
        if turn.failure is not None:
            evidence["recogniser_error"] = turn.failure
        resumed = turn.resumed
        if resumed is not None:
            evidence["resumed_after_ms"] = round((turn.spoke_at - resumed.ended_at) * 1000)
        discarded = None if resumed is not None else self._addressing.discard_reason(turn)
        if discarded is not None:
            evidence["discarded"] = discarded
        if turn.is_announced:
            self._notify_stop(turn, turn.end_reason, evidence)
        if discarded is not None:
            if turn.end_reason == COMMITTED:
                self._context.notify(UserTranscript(turn.item_id, "", is_final=True))
            self._talker.drop_speculation()
            if turn.text.strip():
                self._record(turn, DISCARDED, evidence)
            self._on_idle(turn.failure)
            return
        self._context.notify(UserTranscript(turn.item_id, turn.text, is_final=True))
        if resumed is None and self._addressing.is_for_somebody_else(turn):
            self._disregard(turn, evidence)
            return
        self._addressing.learn(turn)
        index = self._record(turn, "speech", evidence)
        self._context.history.user_said(turn.text, turn.item_id)
        if turn.end_reason not in NOT_RESUMED:
            now = self._context.now
            self._ended = EndedTurn(turn.item_id, turn.text, index, turn.began_at, now)
        self._on_turn(turn)

    def _notify_stop(self, turn: UserTurn, reason: str, evidence: dict[str, Any]) -> None:
        at_ms = to_ms(turn.speech_end)
        self._context.notify(UserSpeechStopped(reason, evidence, turn.item_id, at_ms))

    def forget_voice(self) -> None:
        """Somebody else may be speaking from now on, or at another microphone."""
        self._addressing.forget_voice()

    def _disregard(self, turn: UserTurn, evidence: dict[str, Any]) -> None:
        """No turn for the agent; the words are kept as context."""
        self._talker.drop_speculation()
        self._record(turn, "aside", evidence)
        self._addressing.disregard(turn)
        self._context.history.user_said_aside(turn.text, is_for_agent=False)
        self._on_idle(None)

    def _record(self, turn: UserTurn, trigger: str, evidence: dict[str, Any]) -> int:
        """The index it is kept under: that of the turn it goes on with, where it does."""
        context = self._context
        index = context.next_index if turn.resumed is None else turn.resumed.index
        started_ms = round(turn.began_at * 1000)
        context.commit(
            Turn(
                index=index,
                item_id=turn.item_id,
                speaker=Speaker.USER,
                text=turn.text,
                started_ms=started_ms,
                ended_ms=max(started_ms, context.now_ms - self._speech.silence_ms),
                trigger=trigger,
                end_reason=turn.end_reason,
                evidence=evidence,
                confidence=turn.confidence,
            )
        )
        return index

    def stop(self, reason: str) -> bool:
        """Nobody listens any more. Whether something was said that has no answer yet."""
        has_words = False
        for turn in (self._finishing, self._turn):
            if turn is not None:
                self._context.do(DropUtterance(turn.utterance_id))
                turn.end_reason = reason
                if turn.is_announced:
                    self._notify_stop(turn, reason, {})
                if turn.text.strip():
                    has_words = True
                    self._context.notify(UserTranscript(turn.item_id, turn.text, is_final=True))
                    self._record(turn, "speech", {})
                    self._context.history.user_said(turn.text, turn.item_id)
        self._turn = self._finishing = None
        self._context.deadlines.clear(Timer.TRANSCRIPT)
        return has_words
