"""The first seconds of an outbound call: find out who answered, then speak, or leave a message."""

from collections.abc import Callable
from enum import Enum, auto

from nur_server.conversation.answering_machine import (
    UNCERTAIN_SECONDS,
    Answerer,
    AnswerEvidence,
    AnswerVerdict,
    announces_tone,
    asks_to_wait,
    judge,
)
from nur_server.conversation.config import AnsweringPolicy, OnMachine
from nur_server.conversation.context import Context
from nur_server.conversation.deadlines import Timer
from nur_server.conversation.listener import Listener

BEEP_SECONDS = 45.0
"""Longest wait for the beep; then the message is spoken all the same."""
TONE_MS = 8_000
"""Silence after a greeting that has announced a tone, from which none is expected any more. Tones
come up to some six seconds late; machines stop recording silence after about ten."""
AFTER_GREETING_MS = 5_000
"""The same after a greeting that has not: it may pause, and go on to announce one; pauses of 3.5 s
were met."""
SCREENED_SECONDS = 60.0
"""Longest wait for who is called, once a screening service has passed on who calls."""
MOST_INTRODUCTIONS = 2
"""Times a screening service is told who calls and why."""


class _State(Enum):
    JUDGING = auto()
    AWAITING_BEEP = auto()
    SCREENED = auto()
    """A screening service has been told who calls; who is called may come, or their voicemail."""
    OVER = auto()


class MachineDetection:
    """Holds the agent's speech back until it is known who has answered.

    `on_answer` is told once who it is; for a machine with `leave_message`, only when the message
    may be spoken. Of a screening service it is told first, and of who comes behind it later.
    """

    def __init__(
        self,
        context: Context,
        listener: Listener,
        policy: AnsweringPolicy,
        on_answer: Callable[[AnswerVerdict], None],
    ) -> None:
        self._context = context
        self._listener = listener
        self._policy = policy
        self._on_answer = on_answer
        self._state = _State.JUDGING
        self._began = context.now
        self._beeped = False
        self._verdict: AnswerVerdict | None = None
        self._introductions = 0
        context.deadlines.set(Timer.SCREENING, context.now + UNCERTAIN_SECONDS)

    @property
    def is_over(self) -> bool:
        return self._state is _State.OVER

    @property
    def is_screened(self) -> bool:
        """A screening service has been told who calls, and nobody else has spoken yet."""
        return self._state is _State.SCREENED

    def beep(self) -> None:
        self._beeped = True
        self.look()

    def look(self) -> None:
        """Judge what is known by now."""
        if self._state in (_State.JUDGING, _State.SCREENED):
            self._judge()
        if self._state is _State.AWAITING_BEEP:
            self._await_beep()

    def _judge(self) -> None:
        speech = self._listener.speech_so_far()
        verdict = judge(
            AnswerEvidence(
                speech_ms=speech.speech_ms,
                silence_ms=speech.silence_ms,
                text=speech.text,
                is_text_current=speech.is_text_current,
                beeped=self._beeped,
                waited_seconds=self._context.now - self._began,
            )
        )
        if verdict.answerer is None or (
            self.is_screened and self._is_service(verdict, speech.text)
        ):
            return
        self._verdict = verdict
        leaves_message = self._policy.on_machine is OnMachine.LEAVE_MESSAGE
        if verdict.answerer is Answerer.SCREENING and self._introductions < MOST_INTRODUCTIONS:
            self._introductions += 1
            self._state = _State.SCREENED
            self._context.deadlines.set(Timer.SCREENING, self._context.now + SCREENED_SECONDS)
            self._on_answer(verdict)
        elif verdict.answerer is Answerer.VOICEMAIL and leaves_message:
            self._state = _State.AWAITING_BEEP
            self._context.deadlines.set(Timer.SCREENING, self._context.now + BEEP_SECONDS)
        else:
            self._finish(verdict)

    def _is_service(self, verdict: AnswerVerdict, text: str) -> bool:
        """Whether it is the screening service still: nobody, or "one moment, please"."""
        if verdict.reason == "no_speech":
            return True
        if verdict.answerer in (Answerer.HUMAN, Answerer.UNCERTAIN) and asks_to_wait(text):
            self._listener.forget_speech()
            return True
        return False

    def _await_beep(self) -> None:
        speech = self._listener.speech_so_far()
        silence_ms = TONE_MS if announces_tone(speech.text) else AFTER_GREETING_MS
        is_silent = speech.silence_ms >= silence_ms and speech.is_text_current
        if self._verdict is not None and (self._beeped or is_silent):
            self._finish(self._verdict)

    def time_out(self) -> None:
        """Waited long enough, whatever it is."""
        if self._state is _State.JUDGING:
            self._judge()
        if self._state in (_State.JUDGING, _State.SCREENED):
            self._finish(AnswerVerdict(Answerer.UNCERTAIN, "timeout"))
        elif self._state is _State.AWAITING_BEEP and self._verdict is not None:
            self._finish(self._verdict)

    def _finish(self, verdict: AnswerVerdict) -> None:
        self._state = _State.OVER
        self._context.deadlines.clear(Timer.SCREENING)
        self._on_answer(verdict)
