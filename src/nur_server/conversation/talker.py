"""The agent's side: at most one response at a time, from the question to the last word heard."""

from collections.abc import Callable
from typing import Any, assert_never

from nur_server.conversation.actions import (
    FinishSpeech,
    Flush,
    Generate,
    HoldPlayout,
    Release,
    ResumePlayout,
    SetVolume,
    Speak,
    StopGenerating,
)
from nur_server.conversation.context import Context
from nur_server.conversation.deadlines import Timer
from nur_server.conversation.events import (
    ClauseSynthesised,
    PlayoutDrained,
    PlayoutFlushed,
    PlayoutProgressed,
    ReplyFailed,
    ReplyFinished,
    ReplyText,
    ReplyToolCall,
    SpeechFailed,
)
from nur_server.conversation.notices import (
    ReplyStarted,
    ReplyStatus,
)
from nur_server.conversation.response import (
    Clause,
    PendingCall,
    ReplyWish,
    Response,
    ResponsePhase,
    Trigger,
)
from nur_server.conversation.telling import Telling
from nur_server.conversation.tool_calls import ToolCalls

DUCKED_GAIN = 0.35
STALL_MARGIN_SECONDS = 5.0
"""Longest wait for audio while the model or the synthesiser still works, beyond the time that they
have themselves."""
SLOW_ANSWER_SECONDS = 3.0
"""From so long a silence on the user is told that the answer takes a while, or from
`tool_filler_seconds` where that is longer: callers ask "hello?" after some four seconds."""
PLAYOUT_STALLED_SECONDS = 3.0
"""Longest wait for audio that is already made."""
WORDS_LOST = "The user's words were not recognised, and the user was asked to say them again."
TOO_MANY_TOOL_CALLS = "The model went on calling tools and answered nothing."
MAX_TOOL_ROUNDS = 8
"""Generations in a row that answer to tool results: a model that never stops calling. The last of
them is offered no tools; one that calls all the same gets no further answer."""


class Talker:
    """Makes responses and follows them to their end. `on_done` is told when one is over."""

    def __init__(self, context: Context, calls: ToolCalls, on_done: Callable[[], None]) -> None:
        self._context = context
        self._calls = calls
        self._on_done = on_done
        self._telling = Telling(context, calls)
        self._response: Response | None = None
        self._tool_rounds = 0
        self.ended: Response | None = None
        """The response that was over last."""

    @property
    def is_busy(self) -> bool:
        """A response is being made or played, be it unheard so far."""
        return self._response is not None

    @property
    def response(self) -> Response | None:
        """The response that may be heard: neither a speculation nor one that was cut."""
        response = self._response
        if response is None or response.phase in _UNHEARD:
            return None
        return response

    @property
    def speculation(self) -> Response | None:
        """The response made on a likely end of turn."""
        response = self._response
        if response is not None and response.phase is ResponsePhase.SPECULATIVE:
            return response
        return None

    # Beginning a response

    def reply(self, trigger: Trigger, wish: ReplyWish, answers: float | None) -> None:
        """Ask the model for a reply. `answers`: when the speech it answers ended."""
        if trigger is Trigger.TOOL_RESULT:
            self._tool_rounds += 1
            if self._tool_rounds > MAX_TOOL_ROUNDS:
                self._report_tools()
                self.apologise(trigger, "too_many_tool_calls", TOO_MANY_TOOL_CALLS)
                return
        elif trigger is Trigger.USER_SPEECH:
            self._tool_rounds = 0
        response = self._begin(trigger, ResponsePhase.THINKING, answers, wish)
        self._notify_start(response)
        self._generate(response)
        self._context.do(Release(response.id))
        self._watch(response)
        self._await_words(response)

    def say(self, trigger: Trigger, text: str) -> None:
        """Speak words of our own, without a model."""
        self._say(self._begin_own(trigger), text)

    def apologise(self, trigger: Trigger, code: str, message: str) -> None:
        """Speak the apology for a failure, and tell of it."""
        response = self._begin_own(trigger)
        response.error_code = code
        self._telling.error(response, message)
        self._say(response, self._context.config.apology)

    def _begin_own(self, trigger: Trigger) -> Response:
        response = self._begin(trigger, ResponsePhase.THINKING, None)
        response.is_generating = False
        self._notify_start(response)
        return response

    def _notify_start(self, response: Response) -> None:
        trigger, wish = response.trigger.value, response.wish
        self._context.notify(
            ReplyStarted(response.id, response.item_id, trigger, wish.request_id, response.speaks)
        )

    def _say(self, response: Response, text: str) -> None:
        self._speak(response, response.say(text))
        self._context.do(Release(response.id))
        self._finish_speech(response)

    def speculate(self, user_text: str, normal_text: str) -> None:
        """Start the reply to a turn that is likely over; nothing of it is heard before `confirm`.

        `normal_text` is what the final transcript will be compared with.
        """
        self._tool_rounds = 0
        response = self._begin(Trigger.USER_SPEECH, ResponsePhase.SPECULATIVE, None)
        response.provisional_text = normal_text
        self._generate(response, user_text)

    def confirm(self, normal_text: str, answers: float) -> bool:
        """The turn is over: if a reply was made for these very words, it may now be heard.

        False, and the reply is thrown away, when there is none that fits.
        """
        response = self.speculation
        if response is None:
            return False
        if response.is_broken or response.provisional_text != normal_text:
            self.drop_speculation()
            return False
        response.phase = ResponsePhase.THINKING
        response.answers_speech_end = answers
        self._report_tools()
        self._notify_start(response)
        self._context.do(Release(response.id))
        self._watch(response)
        self._await_words(response)
        held, response.held_calls = response.held_calls, []
        for call in held:
            self._call_tool(response, call)
        if not response.is_generating:
            self._finish_answer(response)
        return True

    def drop_speculation(self) -> None:
        """The user goes on: the reply is thrown away unheard."""
        response = self.speculation
        if response is not None:
            response.phase = ResponsePhase.OVER
            self._response = None
            self._context.do(Flush(response.id))

    def _begin(
        self,
        trigger: Trigger,
        phase: ResponsePhase,
        answers: float | None,
        wish: ReplyWish | None = None,
    ) -> Response:
        context, wish = self._context, wish or ReplyWish()
        response = Response(
            id=context.new_id("resp"),
            item_id=context.new_id("msg"),
            trigger=trigger,
            phase=phase,
            created_at=context.now,
            language=context.config.language,
            internal_ids=frozenset({context.config.session_id, *context.journal.ids()}),
            answers_speech_end=answers,
            wish=wish,
            speaks=context.config.speaks if wish.speaks is None else wish.speaks,
        )
        self._response = response
        context.stop_silence_timers()
        return response

    def _generate(self, response: Response, user_text: str | None = None) -> None:
        context = self._context
        if response.phase is not ResponsePhase.SPECULATIVE:
            self._report_tools()
        messages = context.history.prompt(
            context.config.system_prompt,
            context.journal,
            turns=context.config.context_window,
            user_text=user_text,
            instructions=response.wish.instructions,
        )
        may_call = response.wish.offers_tools and self._tool_rounds < MAX_TOOL_ROUNDS
        tools = context.config.tools if may_call else ()
        context.do(Generate(response.id, messages, tools))

    def _report_tools(self) -> None:
        for call in self._context.journal.unreported():
            call.is_reported = True

    # What the model says

    def take_reply(self, event: ReplyText | ReplyToolCall | ReplyFinished | ReplyFailed) -> None:
        """Take a piece of the model's answer."""
        response = self._response
        if response is None or response.id != event.response_id or not response.is_generating:
            return
        if response.phase is ResponsePhase.STOPPING:
            return
        match event:
            case ReplyText():
                self._speak(response, response.write(event.text))
                if response.is_too_long:
                    response.error_code = "reply_too_long"
                    self._context.do(StopGenerating(response.id))
                    self._end_answer(response)
            case ReplyToolCall(_, _, call_id, name, arguments):
                call = PendingCall(call_id, name, arguments)
                if response.phase is ResponsePhase.SPECULATIVE:
                    response.held_calls.append(call)
                else:
                    self._call_tool(response, call)
            case ReplyFinished(_, _, _, prompt_tokens, completion_tokens):
                response.count_tokens(prompt_tokens, completion_tokens)
                self._end_answer(response)
            case ReplyFailed():
                self._fail_answer(response, event)
            case _:
                assert_never(event)

    def _call_tool(self, response: Response, call: PendingCall) -> None:
        call_id = self._calls.call(response.id, call.call_id, call.name, call.arguments)
        response.call_ids.append(call_id)

    def _await_words(self, response: Response) -> None:
        """Expect the first words within a while, or say a filler."""
        config = self._context.config
        if response.speaks and config.tool_filler and not response.clauses:
            seconds = max(SLOW_ANSWER_SECONDS, config.tool_filler_seconds)
            self._context.deadlines.set(Timer.SLOW_ANSWER, self._context.now + seconds)

    def fill(self) -> None:
        """The model takes long: say so, within the reply that is awaited."""
        response, filler = self.response, self._context.config.tool_filler
        if response is None or not filler or response.clauses or not response.is_generating:
            return
        if response.phase is ResponsePhase.THINKING and self._context.is_connected:
            self._speak(response, response.say_filler(self._context.new_id("msg"), filler))
        else:
            self._await_words(response)

    def _speak(self, response: Response, clauses: list[tuple[int, Clause]]) -> None:
        speaks = response.speaks
        if clauses:
            self._context.deadlines.clear(Timer.SLOW_ANSWER)
        for number, clause in clauses:
            if speaks:
                self._context.do(Speak(response.id, number, clause.spoken.spoken))
            else:
                response.synthesised(number, clause.length_ms, ())
        if clauses and not speaks:
            response.phase = ResponsePhase.SPEAKING
            self._telling.words(response, response.play_all())

    def _end_answer(self, response: Response) -> None:
        self._speak(response, response.finish_writing())
        if response.phase is not ResponsePhase.SPECULATIVE:
            self._finish_answer(response)

    def _finish_answer(self, response: Response) -> None:
        """The model has finished and the reply may be heard."""
        if not response.has_words and not response.call_ids and response.error_code is None:
            if not response.retried:
                response.write_again()
                self._generate(response)
                return
            response.error_code = "empty_reply"
            response.is_failed = True
            self._telling.error(response, "The model answered nothing twice.")
            self._speak(response, response.say(self._context.config.apology))
        self._finish_speech(response)

    def _fail_answer(self, response: Response, event: ReplyFailed) -> None:
        response.abandon_writing()
        if response.phase is ResponsePhase.SPECULATIVE:
            response.is_broken = True
            return
        response.error_code = event.code
        response.is_failed = True
        self._telling.error(response, event.message, retryable=event.retryable)
        self._speak(response, response.say(self._context.config.apology))
        self._finish_speech(response)

    def _finish_speech(self, response: Response) -> None:
        response.speech_finished = True
        self._context.deadlines.clear(Timer.SLOW_ANSWER)
        self._context.do(FinishSpeech(response.id))
        if not response.clauses or not response.speaks:
            self._complete(response)
        else:
            self._watch(response)

    # What is made of it and played

    def take_speech(self, event: ClauseSynthesised | SpeechFailed) -> None:
        """Take the synthesiser's report on a clause."""
        response = self._response
        if response is None or response.id != event.response_id:
            return
        if isinstance(event, ClauseSynthesised):
            response.synthesised(event.clause, event.duration_ms, event.words)
        elif response.phase is ResponsePhase.SPECULATIVE:
            response.is_broken = True
        elif response.phase is not ResponsePhase.STOPPING:
            response.error_code = event.code
            self._telling.error(response, event.message)
            self.cut(ReplyStatus.FAILED, "speech_failed")

    def take_playout(self, event: PlayoutProgressed | PlayoutDrained | PlayoutFlushed) -> None:
        """Take a report on what was played."""
        response = self._response
        if response is None or response.id != event.response_id:
            return
        is_stopping = response.phase is ResponsePhase.STOPPING
        match event:
            case PlayoutProgressed():
                self._progress(response, event.played_ms)
            case PlayoutDrained():
                if response.speech_finished and not is_stopping:
                    self._progress(response, event.played_ms)
                    self._telling.words(response, response.play_all())
                    self._complete(response)
            case PlayoutFlushed():
                if is_stopping:
                    self._telling.words(response, response.play(event.played_ms))
                    if response.truncated_ms is not None:
                        self._telling.truncation(response, response.truncated_ms)
                    self._finish(response, response.cut_status)
            case _:
                assert_never(event)

    def _progress(self, response: Response, played_ms: int) -> None:
        if response.phase in _UNHEARD:
            return
        if response.first_audio_at is None and played_ms > 0:
            response.first_audio_at = self._context.now
            if response.phase is ResponsePhase.THINKING:
                response.phase = ResponsePhase.SPEAKING
        self._telling.words(response, response.play(played_ms))
        self._watch(response)

    # While the user speaks too

    def can_be_interrupted(self) -> bool:
        """Whether the user's speech may stop the response that is playing."""
        response = self.response
        config = self._context.config
        return (
            response is not None
            and config.turn_detection.interrupt_response
            and not config.turn_detection.client_commits
            and config.interruption_threshold < 1.0
            and response.trigger.value not in config.turn_detection.uninterruptible_turns
        )

    def make_way(self) -> None:
        """An overlap begins: play quietly while it is judged, or do not begin to speak."""
        response = self.response
        if response is None:
            return
        if response.phase is ResponsePhase.THINKING:
            self.hold()
        elif response.phase is ResponsePhase.SPEAKING:
            response.phase = ResponsePhase.DUCKED
            self._context.do(SetVolume(response.id, DUCKED_GAIN))

    def hold(self) -> None:
        """Stop playing and keep the place."""
        response = self.response
        if response is not None and response.phase is not ResponsePhase.HELD:
            response.phase = ResponsePhase.HELD
            self._context.deadlines.clear(Timer.STALLED)
            self._context.do(HoldPlayout(response.id))

    def play_on(self) -> None:
        """Undo `make_way` and `hold`."""
        response = self.response
        if response is None:
            return
        if response.phase not in (ResponsePhase.HELD, ResponsePhase.DUCKED):
            return
        self._context.do(SetVolume(response.id, 1.0))
        if response.phase is ResponsePhase.HELD:
            self._context.do(ResumePlayout(response.id))
        was_heard = response.first_audio_at is not None
        response.phase = ResponsePhase.SPEAKING if was_heard else ResponsePhase.THINKING
        self._watch(response)

    def cut(self, status: ReplyStatus, reason: str, evidence: dict[str, Any] | None = None) -> None:
        """Stop the response for good. What was heard is known when `PlayoutFlushed` comes."""
        response = self.response
        if response is None:
            return
        response.phase = ResponsePhase.STOPPING
        response.cut_reason = reason
        response.cut_status = status
        response.cut_evidence = evidence or {}
        self._context.deadlines.clear(Timer.SLOW_ANSWER)
        due = self._context.now + PLAYOUT_STALLED_SECONDS
        self._context.deadlines.set(Timer.STALLED, due)
        self._context.do(Flush(response.id))

    def take_back(self, evidence: dict[str, Any]) -> None:
        """The user goes on with the turn that the response answers."""
        if self.response is not None:
            self.response.is_taken_back = True
        self.cut(ReplyStatus.INTERRUPTED, "resumed", evidence)

    def truncate(self, item_id: str, played_ms: int) -> None:
        """The client has played no more of a reply than this.

        A reply that is playing is stopped; of one that is over, the last, what was taken for heard
        is corrected. Any other is left as it is.
        """
        response = self.response
        if response is not None and response.item_id == item_id:
            response.truncated_ms = max(0, played_ms)
            self.cut(ReplyStatus.INTERRUPTED, "truncated")
        else:
            self._telling.correct(item_id, max(0, played_ms))

    # Healing and ending

    def _watch(self, response: Response) -> None:
        """Expect audio within a while."""
        context = self._context
        if response.phase is ResponsePhase.HELD or not context.is_connected:
            context.deadlines.clear(Timer.STALLED)
            return
        made = response.speech_finished and all(
            clause.duration_ms is not None for clause in response.clauses
        )
        seconds = PLAYOUT_STALLED_SECONDS
        if not made:
            seconds = context.config.model_seconds + STALL_MARGIN_SECONDS
        context.deadlines.set(Timer.STALLED, context.now + seconds)

    def heal(self) -> None:
        """A response should be audible and is not: end it rather than stay "speaking"."""
        response = self._response
        if response is None:
            return
        if response.phase is ResponsePhase.STOPPING:
            self._finish(response, response.cut_status)
            return
        response.error_code = response.error_code or "playout_stalled"
        self._telling.error(response, "No audio was played in time.")
        self.cut(ReplyStatus.FAILED, "stalled")

    def _complete(self, response: Response) -> None:
        """It was said to its end."""
        failed = response.is_failed
        self._finish(response, ReplyStatus.FAILED if failed else ReplyStatus.COMPLETED)

    def _finish(self, response: Response, status: ReplyStatus) -> None:
        response.phase = ResponsePhase.OVER
        self._response, self.ended = None, response
        self._context.deadlines.clear(Timer.STALLED)
        self._context.deadlines.clear(Timer.SLOW_ANSWER)
        self._telling.over(response, status)
        self._on_done()


_UNHEARD = frozenset({ResponsePhase.SPECULATIVE, ResponsePhase.STOPPING, ResponsePhase.OVER})
