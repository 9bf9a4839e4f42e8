"""Does the voice at the microphone sound as the user's did before?

Somebody further away is quieter and duller. Who turns to somebody else, or covers the microphone,
is a little quieter and much duller: the head keeps back the treble.

The level alone shows nothing: the gain control of browsers and telephones makes one person 6 to
8 dB quieter from one turn to the next, and nobody moved. So it counts only together with dullness,
and beyond what a gain control does it is no more than a doubt, which the words have to confirm.

Brightness is compared between like sounds. The bursts of an "s" or a "t" hold nearly all the treble
of a sentence, so that a sentence without them would seem dull; they are left out. What remains
still strays with the words, the more the fewer there are: of 52 sentences in six synthesised
voices, compared with four others, 99 of 100 strayed by less than 8 dB where they lasted a second,
and by less than 14 dB where they were shorter. The same ones turned away were 10 dB duller at the
median, those under a hand 40 dB.
"""

from dataclasses import dataclass, field
from math import log10, sqrt

from nur_server.audio.rates import LISTEN_RATE
from nur_server.turn_taking.window import ScoredWindow

WINDOW_SAMPLES = 512
"""Length of a window of the detector: 32 ms at the listening rate."""
SILENCE_DB = -96.0
GAIN_DB = 10.0
"""By how much a gain control makes one person quieter at the most: 6 to 8 dB were measured in a
browser, and 2 dB are left for the person."""
AWAY_DB = 6.0
"""Quieter by this much, beyond `GAIN_DB` or together with dullness, counts as away by 1."""
MOST_BY_LEVEL = 0.9
"""How far away the level alone may make a voice: a doubt, see `addressee`, and never enough to
leave a turn unanswered."""
BURST_DB = -6.0
"""Brightness of a window from which it is the burst of a consonant and is not compared."""
SETTLED_MS = 1000
"""Speech from which the sounds of a stretch are many enough to compare their brightness."""
STRAYING_DULL_DB = 6.0
"""By how much less bright than usual settled speech may be and mean nothing …"""
SHORT_STRAYING_DULL_DB = 14.0
"""… and shorter speech: a word or two may hold dull vowels alone."""
DULL_DB = 4.0
"""Duller still by this much, it is not said into the microphone."""
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
    """The same of its treble, bursts and the background's left out; None: not measured."""
    is_treble_clear: bool = True
    """Else there is no more treble than the background, and `treble_db` is the most it can be."""
    speech_ms: int = field(default=SETTLED_MS, compare=False)
    """How much speech it was measured on."""

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
        self._samples = 0
        self._power = 0.0
        self._treble = 0.0
        self._background = 0.0
        """Of the treble, in the same windows."""
        self._has_treble = True
        self._weight = 0.0
        self._brightness = 0.0
        """Of the windows without a burst, in dB, each weighted by its amplitude."""

    def hear(
        self, score: ScoredWindow, background: Background, samples: int = WINDOW_SAMPLES
    ) -> None:
        """Take a window of speech, so many samples at the listening rate long."""
        self._windows += 1
        self._samples += samples
        level = power(score.level_db)
        self._power += level
        if score.treble_db is None:
            self._has_treble = False
            return
        treble = power(score.treble_db)
        self._treble += treble
        self._background += background.treble_power
        left = max(treble - background.treble_power, background.treble_power * UNCLEAR)
        brightness_db = decibels(left) - score.level_db
        if brightness_db < BURST_DB:
            self._weight += sqrt(level)
            self._brightness += sqrt(level) * brightness_db

    @property
    def voice(self) -> Voice | None:
        """None before the first window."""
        if not self._windows:
            return None
        level_db = decibels(self._power / self._windows)
        speech_ms = self._samples * 1000 // LISTEN_RATE
        if not self._has_treble:
            return Voice(level_db, speech_ms=speech_ms)
        least = self._background * UNCLEAR
        treble = self._treble - self._background
        is_clear = treble > least
        if self._weight > 0.0:
            treble_db = level_db + self._brightness / self._weight
        else:
            treble_db = decibels(max(treble, least) / self._windows)
        return Voice(level_db, treble_db, is_clear, speech_ms)


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
        weight *= min(1.0, voice.speech_ms / SETTLED_MS)
        level_db = known.level_db + weight * (voice.level_db - known.level_db)
        before, now = known.brightness_db, voice.clear_brightness_db
        if before is not None and now is not None:
            before += weight * (now - before)
        brightness_db = now if before is None else before
        self.voice = _voice(level_db, brightness_db, known.speech_ms + voice.speech_ms)

    def replace(self, voice: Voice | None) -> None:
        """This is how they sound now. None: they are to be heard anew."""
        self.voice = voice and _voice(voice.level_db, voice.clear_brightness_db, voice.speech_ms)


def away(voice: Voice | None, speaker: Voice | None, background_treble_db: float) -> float:
    """How far `voice` is from the speaker's usual one: 0 as ever; 1 is as far as somebody across
    the room. The level alone makes `MOST_BY_LEVEL` of it at the most."""
    if voice is None or speaker is None:
        return 0.0
    quieter = max(0.0, speaker.level_db - voice.level_db)
    dullness = _dullness(voice, speaker, background_treble_db)
    by_level = min(max(0.0, quieter - GAIN_DB) / AWAY_DB, MOST_BY_LEVEL)
    return dullness + max(by_level, min(quieter / AWAY_DB, dullness))


def _dullness(voice: Voice, speaker: Voice, background_treble_db: float) -> float:
    """How much duller than usual, beyond what words do; 1 is as dull as a head turned away."""
    usual, now = speaker.brightness_db, voice.brightness_db
    if usual is None or now is None or voice.level_db + usual < background_treble_db + CLEAR_DB:
        return 0.0
    is_settled = min(voice.speech_ms, speaker.speech_ms) >= SETTLED_MS
    straying_db = STRAYING_DULL_DB if is_settled else SHORT_STRAYING_DULL_DB
    return max(0.0, usual - now - straying_db) / DULL_DB


def _voice(level_db: float, brightness_db: float | None, speech_ms: int) -> Voice:
    treble_db = None if brightness_db is None else level_db + brightness_db
    return Voice(level_db, treble_db, speech_ms=speech_ms)


def power(level_db: float) -> float:
    """1 is full scale."""
    return float(10 ** (level_db / 10))


def decibels(power: float) -> float:
    """dBFS, `SILENCE_DB` for none."""
    return max(SILENCE_DB, 10 * log10(power)) if power > 0 else SILENCE_DB
