"""Input that comes before a session is ready for it."""

from collections import deque

from nur_server.ports import HangupCause, Samples, SessionInput

EARLY_FRAMES = 100
"""Audio kept, the latest: 2 s of 20 ms frames, longer than any server takes to open a session."""
EARLY_KEYS = 16
"""Key presses kept, the latest: a phone number and a `#`."""


class EarlyInput:
    """Hands a transport's input to its session, and what came before to begin with."""

    def __init__(self) -> None:
        self._listener: SessionInput | None = None
        self._audio: deque[Samples] = deque(maxlen=EARLY_FRAMES)
        self._keys: deque[str] = deque(maxlen=EARLY_KEYS)

    def connect(self, listener: SessionInput) -> None:
        """Input goes to `listener` from here on."""
        self._listener = listener
        while self._audio:
            listener.hear(self._audio.popleft())
        while self._keys:
            listener.press(self._keys.popleft())

    def hear(self, samples: Samples) -> None:
        """The far end's audio at 16 kHz."""
        if self._listener is not None:
            self._listener.hear(samples)
        else:
            self._audio.append(samples)

    def press(self, digit: str) -> None:
        """A key of the far end's: `0`–`9`, `*`, `#`, `A`–`D`."""
        if self._listener is not None:
            self._listener.press(digit)
        else:
            self._keys.append(digit)

    def hung_up(self, cause: HangupCause) -> None:
        """The far end is gone."""
        if self._listener is not None:
            self._listener.hung_up(cause)
