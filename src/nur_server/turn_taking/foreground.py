"""Speech behind the user's own: a television, a conversation at the next table.

To a voice-activity detector it is speech like any other, and the user's turn would last until it
stops. It is told by the contrast within one turn, where nobody's gain control moves far: windows
well below the loud speech of the turn are background. What was heard so goes on being background
between turns, for as long as it can be heard.

Measured on four synthesised voices before five others reading the news: at `CONTRAST_DB` no
speaker's own soft syllables counted for more than 192 ms in a row, which ends no turn, and half a
second of silence was found within 0.7 s behind the user's last word, with the news 24, 18 and 12 dB
below the user alike.
"""

from collections import deque
from math import inf

from nur_server.audio.rates import LISTEN_RATE
from nur_server.turn_taking.voice import SILENCE_DB, decibels, power
from nur_server.turn_taking.window import ScoredWindow

CONTRAST_DB = 12.0
"""Below the loud speech of the turn by this much, speech is background."""
SHORT_WINDOWS = 8
"""Windows (256 ms, a syllable or two) whose mean level is compared …"""
LONG_WINDOWS = 16
"""… with the loudest mean level of so many."""
LOUD_MS = 512
"""Loud speech there has to be in a turn to compare with: a cough is shorter."""
LOUD_DB = 8.0
"""Speech no further than this below the loudest is loud."""
FORGETTING_DB = 1.0
"""Per second, by which the loudest speech of the turn fades: one loud word is no measure for a long
turn."""
LEARNING_MS = 480
"""Background speech in a turn from which it is known."""
SAME_LEVEL_DB = 6.0
"""Sound no further than this below the user's loud speech cannot be told from theirs by level."""
BACKDROP_MEMORY = 0.02
"""Weight of the latest window in the level of the background."""
BACKDROP_PAUSE_MS = 3000
"""The background is gone when it has been silent for so long: what comes then may be the user."""
LONGEST_BACKDROP_MS = 60_000
"""Without a turn of the user's for so long, whatever is heard is listened to again."""


class Foreground:
    """Tells the user's speech from speech in the background, window by window."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=LONG_WINDOWS)
        """Power of the latest windows; 1 is full scale."""
        self._loudest_db = -inf
        """Of the turn's speech."""
        self._loud = 0
        """Samples of loud speech in the turn."""
        self._behind = 0
        """Samples of background speech in the turn."""
        self._user_db = -inf
        """The loudest speech of the latest turn that was measured."""
        self._backdrop_db: float | None = None
        self._pause = 0
        """Samples since the background was heard last."""
        self._since_turn = 0
        """Samples since the user was heard last."""

    @property
    def backdrop_db(self) -> float | None:
        """Level of the speech in the background. None: there is none."""
        return self._backdrop_db

    def begin_turn(self) -> None:
        """A turn is opened: its own loud speech is the measure."""
        if self._has_measure:
            self._user_db = self._loudest_db
        self._loudest_db = -inf
        self._loud = self._behind = 0

    def is_background(self, score: ScoredWindow, samples: int, *, is_turn_open: bool) -> bool:
        """Take a window of speech, `samples` long. Whether it is somebody behind the user."""
        self._levels.append(power(score.level_db))
        short_db = self._mean_db(SHORT_WINDOWS)
        if is_turn_open:
            is_behind = self._is_below_turn(short_db, samples)
        else:
            is_behind = self._is_backdrop(short_db)
        if is_behind:
            self._learn(score.level_db, samples)
            self._age(samples)
        else:
            self._since_turn = 0
        return is_behind

    def take_for_background(self) -> None:
        """The words show that what is heard at present is not the user's. As loud as they are, it
        could not be told from them."""
        level_db = self._mean_db(LONG_WINDOWS)
        if level_db < self._loudest_db - SAME_LEVEL_DB:
            self._backdrop_db, self._pause = level_db, 0

    def hear_silence(self, score: ScoredWindow, samples: int) -> None:
        """Take a window without speech."""
        self._levels.append(power(score.level_db))
        self._pause += samples
        self._age(samples)

    def _is_below_turn(self, short_db: float, samples: int) -> bool:
        if self._has_measure and short_db < self._loudest_db - CONTRAST_DB:
            return True
        self._fade(samples)
        self._loudest_db = max(self._loudest_db, self._mean_db(LONG_WINDOWS))
        if short_db >= self._loudest_db - LOUD_DB:
            self._loud += samples
        return False

    @property
    def _has_measure(self) -> bool:
        return self._loud >= LOUD_MS * LISTEN_RATE // 1000

    def _fade(self, samples: int) -> None:
        self._loudest_db -= FORGETTING_DB * samples / LISTEN_RATE

    def _is_backdrop(self, short_db: float) -> bool:
        """Nearer to the background than to the user: single words of either are some 7 dB louder
        than its mean."""
        if self._backdrop_db is None:
            return False
        user_db = self._loudest_db if self._has_measure else self._user_db
        return short_db < (self._backdrop_db + user_db) / 2

    def _learn(self, level_db: float, samples: int) -> None:
        self._behind += samples
        self._pause = 0
        if self._backdrop_db is not None:
            self._backdrop_db += BACKDROP_MEMORY * (level_db - self._backdrop_db)
        elif self._behind >= LEARNING_MS * LISTEN_RATE // 1000:
            self._backdrop_db = self._mean_db(LONG_WINDOWS)

    def _age(self, samples: int) -> None:
        self._since_turn += samples
        is_gone = self._pause > BACKDROP_PAUSE_MS * LISTEN_RATE // 1000
        if is_gone or self._since_turn > LONGEST_BACKDROP_MS * LISTEN_RATE // 1000:
            self._backdrop_db = None

    def _mean_db(self, windows: int) -> float:
        latest = list(self._levels)[-windows:]
        return decibels(sum(latest) / len(latest)) if latest else SILENCE_DB
