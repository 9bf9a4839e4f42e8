"""A message on a voicemail: spoken behind the tone, and again where the machine speaks on.

A greeting comes in parts, and the tone late. A message that plays meanwhile is not recorded, though
everything looks done; so it stops, waits for the tone and begins again.
"""

from collections.abc import Callable
from enum import Enum, auto

from nur_server.conversation.context import Context
from nur_server.conversation.deadlines import Timer
from nur_server.conversation.listener import Listener
from nur_server.conversation.machine_detection import BEEP_SECONDS, TONE_MS
from nur_server.conversation.response import Trigger
from nur_server.conversation.talker import Talker

SPEAKS_ON_MS = 800
"""Speech of the machine's while the message plays: longer than an echo or a click on the line."""
MOST_RESTARTS = 3
"""A line that is never quiet gets the message all the same."""


class _State(Enum):
    SPEAKING = auto()
    WAITING = auto()


class VoicemailMessage:
    """Watches the machine while a message is spoken to it."""

    def __init__(
        self,
        context: Context,
        listener: Listener,
        talker: Talker,
        *,
        again: Callable[[], None],
        stop: Callable[[], None],
    ) -> None:
        self._context = context
        self._listener = listener
        self._talker = talker
        self._again = again
        self._stop = stop
        self._state = _State.SPEAKING
        self._restarts = 0

    @property
    def is_waiting(self) -> bool:
        return self._state is _State.WAITING

    def look(self) -> None:
        if self._state is _State.SPEAKING:
            if min(self._listener.sounding_ms, self._spoken_ms) >= SPEAKS_ON_MS:
                self._interrupt()
        elif self._listener.speech_so_far().silence_ms >= TONE_MS:
            self._speak()

    def beep(self) -> None:
        """The tone: what was spoken before it is not recorded."""
        if self._spoken_ms:
            self._interrupt()
        if self._state is _State.WAITING:
            self._speak()

    def time_out(self) -> None:
        """Waited long enough for the tone."""
        if self._state is _State.WAITING:
            self._speak()

    @property
    def _spoken_ms(self) -> int:
        """Since the message began. 0: not yet, or other words are being spoken."""
        response = self._talker.response
        if response is None or response.trigger is not Trigger.VOICEMAIL:
            return 0
        began = response.first_audio_at
        return 0 if began is None else round((self._context.now - began) * 1000)

    def _interrupt(self) -> None:
        if self._restarts >= MOST_RESTARTS:
            return
        self._restarts += 1
        self._state = _State.WAITING
        self._context.deadlines.set(Timer.SCREENING, self._context.now + BEEP_SECONDS)
        self._stop()

    def _speak(self) -> None:
        self._state = _State.SPEAKING
        self._context.deadlines.clear(Timer.SCREENING)
        self._again()
