"""Who is at the other end when a conversation begins, and what they hear first.

On an outbound call it is found out who has answered, where the agent wants to know; then the
opening is said, to whoever it is for. Everything else waits for that: `is_held_back`.
"""

from collections.abc import Callable

from nur_server.conversation.answering_machine import Answerer, AnswerVerdict
from nur_server.conversation.call_opening import CallOpening
from nur_server.conversation.config import OnMachine
from nur_server.conversation.context import Context
from nur_server.conversation.deadlines import Timer
from nur_server.conversation.events import (
    ClientDropped,
    EndRequested,
    Event,
    ReplyRequested,
    SpeechScored,
)
from nur_server.conversation.listener import Listener
from nur_server.conversation.machine_detection import MachineDetection
from nur_server.conversation.notices import CallAnswered
from nur_server.conversation.talker import Talker
from nur_server.conversation.voicemail_message import VoicemailMessage

INTRODUCTION = (
    "You placed this call, and a service that screens calls has answered. In one short sentence say"
    " who calls and why, and nothing else."
)
"""To the model, where the agent has no opening."""


class Callee:
    """What the engine asks about whoever has answered.

    `greet` says the opening, `introduce` says to a screening service who calls and why,
    `leave_message` speaks a message to a machine, `hang_up` ends the call at one.
    """

    def __init__(
        self,
        context: Context,
        listener: Listener,
        talker: Talker,
        *,
        greet: Callable[[], None],
        introduce: Callable[[], None],
        leave_message: Callable[[str], None],
        hang_up: Callable[[], None],
    ) -> None:
        self._context = context
        self._listener = listener
        self._talker = talker
        self._greet = greet
        self._introduce = introduce
        self._leave_message = leave_message
        self._hang_up = hang_up
        self._detection: MachineDetection | None = None
        self._opening: CallOpening | None = None
        self._message: VoicemailMessage | None = None
        self._awaits_audio = False
        """The greeting waits for the client's first audio."""

    @property
    def is_held_back(self) -> bool:
        """Nothing is said yet: it is not known who has answered, or they are to speak first."""
        is_waiting = self._opening is not None and self._opening.is_waiting
        return self._detection is not None or is_waiting or self._awaits_audio

    @property
    def holds_message(self) -> bool:
        """A voicemail is not ready for its message yet."""
        return self._message is not None and self._message.is_waiting

    def open(self) -> None:
        """The far end has answered."""
        config = self._context.config
        if config.hello_seconds is not None and config.greeting:
            self._opening = CallOpening(
                self._context, self._listener, config.hello_seconds, say=self._greet
            )
        if config.answering is not None:
            self._detection = MachineDetection(
                self._context, self._listener, config.answering, on_answer=self._take_answer
            )
        elif self._opening is not None:
            self._opening.wait()
        elif config.greeting and config.speaks and config.first_audio_seconds:
            self._awaits_audio = True
            due = self._context.now + config.first_audio_seconds
            self._context.deadlines.set(Timer.SCREENING, due)
        else:
            self._greet()

    def see(self, event: Event) -> None:
        """What the client does or sends shows that it is there: the greeting waits no longer."""
        if isinstance(event, SpeechScored | ReplyRequested | EndRequested | ClientDropped):
            self._meet()

    def _meet(self) -> None:
        if self._awaits_audio:
            self._awaits_audio = False
            self._context.deadlines.clear(Timer.SCREENING)
            self._greet()

    def leave(self, again: Callable[[], None], stop: Callable[[], None]) -> None:
        """A message is spoken to a machine; `again` speaks it anew after `stop` has cut it."""
        self._message = VoicemailMessage(
            self._context, self._listener, self._talker, again=again, stop=stop
        )

    def close(self) -> None:
        """The conversation comes to its end."""
        self._awaits_audio = False
        self._detection = self._opening = self._message = None

    # What happens

    def look(self) -> None:
        """Judge what is known by now."""
        if self._detection is not None:
            if not (self._detection.is_screened and self._talker.is_busy):
                self._detection.look()
        elif self._opening is not None:
            self._opening.look()
        elif self._message is not None:
            self._message.look()

    def beep(self) -> None:
        if self._detection is not None:
            self._detection.beep()
        elif self._message is not None:
            self._message.beep()

    def time_out(self) -> None:
        """Waited long enough."""
        if self._awaits_audio:
            self._meet()
        elif self._detection is not None:
            self._detection.time_out()
        elif self._opening is not None:
            self._opening.time_out()
        elif self._message is not None:
            self._message.time_out()

    def take_end(self) -> None:
        """A response is over."""
        if self._opening is not None:
            self._opening.take_end(self._talker.ended)

    def hears_opening_again(self, words: str) -> bool:
        """Whether what they said is answered with the opening, which they have not heard; then it
        is said."""
        if self._opening is None or not self._opening.is_to_be_said_again(words):
            return False
        self._talker.drop_speculation()
        self._opening.say_again()
        return True

    def instructions(self) -> str | None:
        """For the reply to somebody who has cut the opening."""
        return None if self._opening is None else self._opening.instructions()

    def _take_answer(self, verdict: AnswerVerdict) -> None:
        """It is known who has answered the call."""
        assert verdict.answerer is not None
        self._listener.forget_voice()
        self._context.notify(CallAnswered(verdict.answerer.value, verdict.reason))
        if verdict.answerer is Answerer.SCREENING:
            self._listener.stop("answered")
            self._listener.forget_speech()
            self._introduce()
            return
        self._detection = None
        policy = self._context.config.answering
        is_machine = verdict.answerer.is_machine
        if policy is None or not is_machine or policy.on_machine is OnMachine.CARRY_ON:
            self._begin()
        elif (
            verdict.answerer is Answerer.VOICEMAIL and policy.on_machine is OnMachine.LEAVE_MESSAGE
        ):
            self._leave_message(policy.message)
        else:
            self._hang_up()

    def _begin(self) -> None:
        """Somebody is there and may be spoken to."""
        if self._opening is not None:
            self._opening.begin()
        else:
            self._listener.stop("answered")
            self._greet()
