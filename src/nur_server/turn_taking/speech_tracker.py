"""Turns scored windows into speech and silence, counted in the audio itself."""

from enum import Enum, auto

from nur_server.audio.rates import LISTEN_RATE
from nur_server.turn_taking.foreground import Foreground
from nur_server.turn_taking.voice import Background, Speaker
from nur_server.turn_taking.window import ScoredWindow

RELEASE_MARGIN = 0.15
"""Speech that has begun goes on until the probability falls this far below the threshold."""
ONSET_WINDOWS = 2
"""Windows in a row that begin a stretch of speech: one alone is a click."""
END_SILENCE_MS = 96
"""Silence after which a stretch of speech is over and the next needs a new onset."""


def to_ms(samples: int) -> int:
    """Duration of `samples` at the listening rate, in whole milliseconds."""
    return samples * 1000 // LISTEN_RATE


class Sound(Enum):
    """What a window added."""

    QUIET = auto()
    """No speech, and none before it that is still open."""
    ONSET = auto()
    """A stretch of speech has begun."""
    SPEECH = auto()
    PAUSE = auto()
    """Silence after speech."""


class SpeechTracker:
    """Tracks the user's speech through the windows of one session."""

    def __init__(self) -> None:
        self.position = 0
        """Where the last window ended."""
        self.onset = 0
        """Where the current or last stretch of speech began."""
        self.speech_end = 0
        """Where the last speech window ended."""
        self.speaker = Speaker()
        self.background = Background()
        self.foreground = Foreground()
        self._speaking = False
        self._rising: list[int] = []
        """Starts of the windows of a possible onset."""
        self._silence = 0

    @property
    def is_speaking(self) -> bool:
        return self._speaking

    @property
    def silence_ms(self) -> int:
        """Since the last speech window."""
        return to_ms(self._silence)

    def hear(self, score: ScoredWindow, threshold: float, *, is_turn_open: bool = False) -> Sound:
        """Take one window. Speech in the background of a turn that is open, or that goes on behind
        it, is silence."""
        started = self.position
        window = max(0, score.position - self.position)
        self.position = score.position
        floor = threshold - RELEASE_MARGIN if self._speaking else threshold
        if score.probability < max(floor, 0.01):
            self.foreground.hear_silence(score, window)
        elif not self.foreground.is_background(score, window, is_turn_open=is_turn_open):
            return self._voiced(started)
        if not self._speaking:
            self.background.hear(score)
        return self._unvoiced(window)

    def starve(self, milliseconds: int) -> None:
        """Silence passes although no audio arrives."""
        self._unvoiced(milliseconds * LISTEN_RATE // 1000)

    def _voiced(self, started: int) -> Sound:
        if self._speaking:
            self._silence = 0
            self.speech_end = self.position
            return Sound.SPEECH
        self._rising.append(started)
        if len(self._rising) < ONSET_WINDOWS:
            return Sound.QUIET
        self.onset = self._rising[0]
        self._rising.clear()
        self._speaking = True
        self._silence = 0
        self.speech_end = self.position
        return Sound.ONSET

    def _unvoiced(self, samples: int) -> Sound:
        self._rising.clear()
        self._silence += samples
        if self._speaking:
            if to_ms(self._silence) >= END_SILENCE_MS:
                self._speaking = False
            return Sound.PAUSE
        return Sound.QUIET
