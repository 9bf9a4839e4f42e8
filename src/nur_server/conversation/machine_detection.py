"""The first seconds of an outbound call: find out who answered, then speak, or leave a message."""

from collections.abc import Callable
from enum import Enum, auto

from nur_server.conversation.answering_machine import (
    UNCERTAIN_SECONDS,
    Answerer,
    AnswerEvidence,
    AnswerVerdict,
    judge,
)
from nur_server.conversation.config import AnsweringPolicy, OnMachine
from nur_server.conversation.context import Context
from nur_server.conversation.deadlines import Timer
from nur_server.conversation.listener import Listener

BEEP_SECONDS = 45.0
"""Longest wait for the beep; then the message is spoken all the same."""
AFTER_GREETING_MS = 2_500
"""Silence after a machine's greeting that counts as its beep: not every machine has one."""


class _State(Enum):
    JUDGING = auto()
    AWAITING_BEEP = auto()
    OVER = auto()


class MachineDetection:
    """Holds the agent's speech back until it is known who has answered.

    `on_answer` is told once who it is; for a machine with `leave_message`, only when the message
    may be spoken.
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
        context.deadlines.set(Timer.SCREENING, context.now + UNCERTAIN_SECONDS)

    @property
    def is_over(self) -> bool:
        return self._state is _State.OVER

    def beep(self) -> None:
        self._beeped = True
        self.look()

    def look(self) -> None:
        """Judge what is known by now."""
        if self._state is _State.JUDGING:
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
        if verdict.answerer is None:
            return
        self._verdict = verdict
        leaves_message = self._policy.on_machine is OnMachine.LEAVE_MESSAGE
        if verdict.answerer is Answerer.VOICEMAIL and leaves_message:
            self._state = _State.AWAITING_BEEP
            self._context.deadlines.set(Timer.SCREENING, self._context.now + BEEP_SECONDS)
        else:
            self._finish(verdict)

    def _await_beep(self) -> None:
        is_silent = self._listener.speech_so_far().silence_ms >= AFTER_GREETING_MS
        if self._verdict is not None and (self._beeped or is_silent):
            self._finish(self._verdict)

    def time_out(self) -> None:
        """Waited long enough, whatever it is."""
        if self._state is _State.JUDGING:
            self._judge()
        if self._state is _State.JUDGING:
            self._finish(AnswerVerdict(Answerer.UNCERTAIN, "timeout"))
        elif self._state is _State.AWAITING_BEEP and self._verdict is not None:
            self._finish(self._verdict)

    def _finish(self, verdict: AnswerVerdict) -> None:
        self._state = _State.OVER
        self._context.deadlines.clear(Timer.SCREENING)
        self._on_answer(verdict)
