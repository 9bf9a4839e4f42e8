"""The opening of an outbound call: who is called speaks first, and hears all of it.

People pick up, say "hello?" and listen. An agent that speaks at once is talked over by that hello,
and what it rang for is lost. So the agent waits for the hello, within a bound, and says its opening
again when it was cut before its substance.
"""

import re
from collections.abc import Callable
from enum import Enum, auto

from nur_server.conversation.context import Context
from nur_server.conversation.deadlines import Timer
from nur_server.conversation.listener import Listener
from nur_server.conversation.response import Response, Trigger
from nur_server.turn_taking.backchannels import is_backchannel
from nur_server.turn_taking.stop_words import is_stop_command
from nur_server.turn_taking.words import normalise

HELLO_SILENCE_MS = 600
"""Silence after the callee's words that hands the floor over, as in `answering_machine`."""
WORDS_AWAITED_MS = 1500
"""The same where their words are not understood in time."""
LONGEST_HELLO_SECONDS = 10.0
"""Nobody greets for longer."""
SUBSTANCE = 0.8
"""Share of the opening's words from which it was heard: what the call is about stands in front of a
closing question."""
MOST_REPEATS = 2
"""Times the opening is said again."""
GREETING_WORDS = 5
"""Words of somebody who has just picked up, at the most."""

_GREETING = re.compile(
    r"\b(?:hello|hallo|hi|hey|hiya|yes|yeah|speaking|good (?:morning|afternoon|evening|day)"
    r"|who is (?:this|it|there|calling|speaking)|whos (?:this|there|calling|speaking)"
    r"|(?:sorry|pardon|what|huh|say (?:that|it) again|can you hear me|are you there)"
    r"|hola|bueno|diga|digame|allo|oui|ja|pronto|si|alo|sim|quien es|wer ist da|qui est ce)\b"
)


class _State(Enum):
    WAITING = auto()
    """For the callee's hello."""
    SPEAKING = auto()
    """The opening is said, or about to be."""
    OVER = auto()


class CallOpening:
    """Waits for the hello, then says the opening, until it was heard.

    `say` speaks it; until then nothing else is to be said. `hello_seconds` is the longest wait for
    somebody who says nothing.
    """

    def __init__(
        self, context: Context, listener: Listener, hello_seconds: float, say: Callable[[], None]
    ) -> None:
        self._context = context
        self._listener = listener
        self._say = say
        self._state = _State.WAITING
        self._repeats = 0
        self._unheard = ""
        """Of the opening that was cut before its substance."""
        self._hello_seconds = hello_seconds
        self._began = context.now

    @property
    def is_waiting(self) -> bool:
        return self._state is _State.WAITING

    def wait(self) -> None:
        """Whoever has answered is to speak first."""
        self._began = self._context.now
        self._context.deadlines.set(Timer.SCREENING, self._began + self._hello_seconds)

    def look(self) -> None:
        """Judge what was heard by now."""
        if self._state is _State.WAITING and self._has_said_hello:
            self.begin()

    def time_out(self) -> None:
        """They were waited for long enough."""
        if self._state is not _State.WAITING:
            return
        is_speaking = self._listener.speech_so_far().speech_ms > 0
        if is_speaking and self._context.now - self._began < LONGEST_HELLO_SECONDS:
            until = self._began + LONGEST_HELLO_SECONDS
            self._context.deadlines.set(Timer.SCREENING, until)
        else:
            self.begin()

    @property
    def _has_said_hello(self) -> bool:
        speech = self._listener.speech_so_far()
        if not speech.speech_ms:
            return False
        needed_ms = HELLO_SILENCE_MS if speech.is_text_current else WORDS_AWAITED_MS
        return speech.silence_ms >= needed_ms

    def begin(self) -> None:
        """Say it: they have said hello, or it was waited for long enough."""
        self._state = _State.SPEAKING
        self._context.deadlines.clear(Timer.SCREENING)
        self._listener.stop("answered")
        self._say()

    def take_end(self, response: Response | None) -> None:
        """A response is over."""
        if self._state is not _State.SPEAKING or response is None:
            return
        if response.trigger is not Trigger.GREETING:
            return
        heard = len(response.heard_text.split())
        total = heard + len(response.unheard_text.split())
        if heard >= SUBSTANCE * total or self._repeats >= MOST_REPEATS:
            self._state = _State.OVER
        else:
            self._unheard = response.unheard_text

    def is_to_be_said_again(self, words: str) -> bool:
        """Whether the callee, who has cut the opening with `words`, is answered with it: they have
        only picked up, or asked who it is."""
        if not self._unheard:
            return False
        bare = normalise(words)
        is_greeting = not bare or (
            len(bare.split()) <= GREETING_WORDS
            and (_GREETING.search(bare) is not None or is_backchannel(words))
        )
        return is_greeting and (not is_stop_command(words) or _GREETING.fullmatch(bare) is not None)

    def say_again(self) -> None:
        self._repeats += 1
        self._unheard = ""
        self._say()

    def instructions(self) -> str | None:
        """For the reply to a callee who has cut the opening with something else. Given once."""
        unheard, self._unheard = self._unheard, ""
        if not unheard:
            return None
        self._state = _State.OVER
        return (
            "You placed this call, and your opening was cut off. They have not heard: "
            f'"{unheard}". Answer what they have just said, and tell them what they have not heard '
            "unless they do not want to talk."
        )
