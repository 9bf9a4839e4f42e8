"""Does the voice at the microphone sound as the user's did before?

Somebody further away is quieter. Who turns to somebody else, or covers the microphone, is a little
quieter and much duller: the head keeps back the treble. One person strays, too, from one thing they
say to the next, by some 3 dB in level and in brightness.
"""

from dataclasses import dataclass
from math import log10

from nur_server.turn_taking.window import ScoredWindow

SILENCE_DB = -96.0
AWAY_DB = 6.0
"""Below the user's usual level by this much, it is not said into the microphone."""
STRAYING_DULL_DB = 3.0
"""By how much less bright than usual it may be and mean nothing."""
DULL_DB = 6.0
"""Duller still by this much, it is not said into the microphone either."""
CLEAR_DB = 3.0
"""How far the user's usual treble has to be above the background to judge by it."""
UNCLEAR = 0.25
"""Share of the background's power that speech has to add to it, to be measured in it."""
SPEAKER_MEMORY = 0.3
"""Weight of the latest turn in the tracked voice of the user …"""
LOUDER_MEMORY = 0.5
"""… and of one that is much louder than all before: so they sound when they face the microphone."""
BACKGROUND_MEMORY = 0.05
"""Weight of the latest window in the tracked background."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How a stretch of speech sounds."""

    level_db: float
    """RMS of its speech windows together, dBFS: the loud ones count most, so that a voice in a
    noisy or echoing room is not taken for a louder one."""
    treble_db: float | None = None
    """The same of its treble, the background's taken off; None: not measured."""
    is_treble_clear: bool = True
    """Else there is no more treble than the background, and `treble_db` is the most it can be."""

    @property
    def brightness_db(self) -> float | None:
        """Treble against the whole, mostly -10 to -20 dB."""
        return None if self.treble_db is None else self.treble_db - self.level_db

    @property
    def clear_brightness_db(self) -> float | None:
        """The same, where it is known for certain."""
        return self.brightness_db if self.is_treble_clear else None


class Background:
    """What is there when nobody speaks."""

    def __init__(self) -> None:
        self._treble: float | None = None

    @property
    def treble_power(self) -> float:
        """1 is full scale."""
        return self._treble or 0.0

    @property
    def treble_db(self) -> float:
        return decibels(self.treble_power)

    def hear(self, score: ScoredWindow) -> None:
        """Take a window without speech."""
        if score.treble_db is None:
            return
        treble = power(score.treble_db)
        known = treble if self._treble is None else self._treble
        self._treble = known + BACKGROUND_MEMORY * (treble - known)


class VoiceMeter:
    """Adds up the speech windows of one stretch of talking."""

    def __init__(self) -> None:
        self._windows = 0
        self._power = 0.0
        self._treble = 0.0
        self._background = 0.0
        """Of the treble, in the same windows."""
        self._has_treble = True

    def hear(self, score: ScoredWindow, background: Background) -> None:
        """Take a window of speech."""
        self._windows += 1
        self._power += power(score.level_db)
        if score.treble_db is None:
            self._has_treble = False
        else:
            self._treble += power(score.treble_db)
            self._background += background.treble_power

    @property
    def voice(self) -> Voice | None:
        """None before the first window."""
        if not self._windows:
            return None
        level_db = decibels(self._power / self._windows)
        if not self._has_treble:
            return Voice(level_db)
        least = self._background * UNCLEAR
        treble = self._treble - self._background
        is_clear = treble > least
        treble_db = decibels(max(treble, least) / self._windows)
        return Voice(level_db, treble_db, is_clear)


class Speaker:
    """The user's voice as it usually is, tracked over their turns."""

    def __init__(self) -> None:
        self.voice: Voice | None = None
        """None: not heard yet."""

    def learn(self, voice: Voice | None) -> None:
        """Take a turn as the user's own. One without sound shows nothing."""
        if voice is None:
            return
        known = self.voice
        if known is None:
            self.replace(voice)
            return
        is_louder = voice.level_db >= known.level_db + AWAY_DB
        weight = LOUDER_MEMORY if is_louder else SPEAKER_MEMORY
        level_db = known.level_db + weight * (voice.level_db - known.level_db)
        before, now = known.brightness_db, voice.clear_brightness_db
        if before is not None and now is not None:
            before += weight * (now - before)
        self.voice = _voice(level_db, now if before is None else before)

    def replace(self, voice: Voice | None) -> None:
        """This is how they sound now. None: they are to be heard anew."""
        self.voice = voice and _voice(voice.level_db, voice.clear_brightness_db)


def away(voice: Voice | None, speaker: Voice | None, background_treble_db: float) -> float:
    """How far `voice` is from the speaker's usual one: 0 as ever; 1 is as far as somebody across
    the room."""
    if voice is None or speaker is None:
        return 0.0
    quieter = max(0.0, speaker.level_db - voice.level_db)
    usual, now = speaker.brightness_db, voice.brightness_db
    if usual is None or now is None or voice.level_db + usual < background_treble_db + CLEAR_DB:
        return quieter / AWAY_DB
    duller = max(0.0, usual - now - STRAYING_DULL_DB)
    return quieter / AWAY_DB + duller / DULL_DB


def _voice(level_db: float, brightness_db: float | None) -> Voice:
    return Voice(level_db, None if brightness_db is None else level_db + brightness_db)


def power(level_db: float) -> float:
    """1 is full scale."""
    return float(10 ** (level_db / 10))


def decibels(power: float) -> float:
    """dBFS, `SILENCE_DB` for none."""
    return max(SILENCE_DB, 10 * log10(power)) if power > 0 else SILENCE_DB
