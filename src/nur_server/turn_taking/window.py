"""What the turn-taking policies need to know of one window of audio."""

from typing import Protocol


class ScoredWindow(Protocol):
    """A window judged by the voice-activity model. `conversation.events.SpeechScored` is one."""

    @property
    def position(self) -> int:
        """Where the window ends: samples at `audio.rates.LISTEN_RATE` since the session began."""
        ...

    @property
    def probability(self) -> float:
        """That it holds speech, 0–1."""
        ...

    @property
    def level_db(self) -> float:
        """RMS level in dBFS; -96 for digital silence."""
        ...

    @property
    def treble_db(self) -> float | None:
        """The same between 1.5 and 3.4 kHz; None: not measured."""
        ...
