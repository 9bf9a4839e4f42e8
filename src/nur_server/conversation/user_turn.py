"""One stretch of the user's talking, from its onset until it is judged."""

from dataclasses import dataclass, field
from enum import Enum, auto

from nur_server.audio.rates import LISTEN_RATE
from nur_server.conversation.events import SpeechScored, TranscriptUpdated
from nur_server.turn_taking.speech_tracker import Sound, to_ms
from nur_server.turn_taking.voice import Background, Voice, VoiceMeter
from nur_server.turn_taking.words import normalise

PRE_ROLL_MS = 300
"""Audio taken from before the onset: soft consonants come before the detector is sure."""
PAUSE_MS = 128
"""Silence after which a hypothesis is asked for."""
TURN_MODEL_MS = 192
"""Silence after which the turn model is asked."""
COVER_SLACK = LISTEN_RATE // 20
"""A hypothesis that ends this close before the last speech window covers it."""

UNDERSTOOD = 0.6
"""Confidence of a hypothesis from which its words stay, though a later one may have none: noise at
the end of a word makes a recogniser give up on all of it."""

NEW_CHARACTERS = 2
"""By which a hypothesis has to be longer to hold new words: recognisers change their minds about
those they have given."""

COMMITTED = "committed"
"""Why a turn ended that the client has ended: its words are for the agent, however they sound."""


class Stage(Enum):
    OVERLAPPING = auto()
    """It began while the agent was speaking, or about to, and is judged by `interruption`."""
    LISTENING = auto()
    """The user has the floor; its end is judged by `turns`."""
    FINISHING = auto()
    """It has ended; the final transcript is awaited."""


@dataclass(slots=True)
class UserTurn:
    """What is known about it. Positions are samples at 16 kHz since the session began."""

    utterance_id: str
    item_id: str
    start: int
    """Of its audio, pre-roll included."""
    began_at: float
    """Session time of the onset."""
    stage: Stage
    speech_end: int
    """Where its last speech window ended."""
    speech_samples: int = 0
    text: str = ""
    covers: int = 0
    """Position up to which `text` accounts for the audio."""
    confidence: float | None = None
    is_final: bool = False
    failure: str | None = None
    """Why the recogniser gave up on it."""
    is_announced: bool = False
    """The client was told that the user speaks."""
    progress_at: float = 0.0
    """Session time of the onset, or of the latest pause or new words."""
    words_end: int = 0
    """Position up to which the latest hypothesis with new words accounts for the audio."""
    most_characters: int = 0
    """Of the longest hypothesis, bare words alone."""
    text_speech_samples: int = 0
    """Speech that `text` accounts for."""
    pause: int = 0
    """Pauses so far; while the user is silent, the number of the present one."""
    is_pause_marked: bool = False
    is_turn_asked: bool = False
    turn_probability: float | None = None
    end_reason: str = ""
    spoke_at: float = 0.0
    """Session time of the onset, without the turn that it goes on with."""
    goes_on: "EndedTurn | None" = None
    """The turn that it may go on with."""
    resumed: "EndedTurn | None" = None
    """The turn that it goes on with: both are one."""
    wants_reply: bool = True
    """False: the client has ended it and asks for the reply itself."""
    _meter: VoiceMeter = field(default_factory=VoiceMeter)

    @property
    def speech_ms(self) -> int:
        return to_ms(self.speech_samples)

    @property
    def text_ms(self) -> int:
        """Speech the hypothesis covers, a stretch of silence behind it left out."""
        return to_ms(self.text_speech_samples)

    @property
    def voice(self) -> Voice | None:
        """How it sounds. None: it was not said aloud."""
        return self._meter.voice

    @property
    def is_text_current(self) -> bool:
        """Whether the hypothesis accounts for the last word spoken."""
        return self.is_final or self.covers >= self.speech_end - COVER_SLACK

    @property
    def words_pause_ms(self) -> int:
        """Audio the recogniser has gone through since the latest new words. 0 before the first."""
        return to_ms(self.covers - self.words_end) if self.most_characters else 0

    def take(self, sound: Sound, score: SpeechScored, window: int, background: Background) -> None:
        """Add a window of `window` samples."""
        if sound in (Sound.ONSET, Sound.SPEECH):
            self.speech_samples += window
            self.speech_end = score.position
            self._meter.hear(score, background, window)
            self.is_pause_marked = False
            self.is_turn_asked = False
            self.turn_probability = None

    def understand(self, event: TranscriptUpdated) -> bool:
        """Take a hypothesis. Whether its text differs from the one before.

        One without words does not take back words that were well understood.
        """
        understood = self.confidence is not None and self.confidence >= UNDERSTOOD
        text = self._whole(event.text)
        changed = text != self.text and (bool(event.text.strip()) or not understood)
        self.covers = max(self.covers, event.covers)
        uncovered = max(0, self.speech_end - self.covers)
        self.text_speech_samples = max(0, self.speech_samples - uncovered)
        self.is_final = event.is_final
        if changed or text == self.text:
            self.text, self.confidence = text, event.confidence
        characters = len(normalise(event.text))
        if characters >= self.most_characters + NEW_CHARACTERS:
            self.most_characters, self.words_end = characters, self.covers
            self.progress_at = event.at
        return changed

    def resume(self, ended: "EndedTurn") -> None:
        """It goes on with `ended`: from here on both are one."""
        self.resumed = ended
        self.text = self._whole(self.text)
        self.item_id = ended.item_id
        self.began_at = ended.began_at

    def _whole(self, text: str) -> str:
        """With the words of the turn that it goes on with."""
        if self.resumed is None:
            return text
        if not text.strip():
            return self.resumed.text
        # Recognisers close whatever they are given with a full stop: here there was a pause.
        return f"{self.resumed.text.rstrip(' .,!?…')}, {text}"


@dataclass(frozen=True, slots=True)
class EndedTurn:
    """A turn of the user's that was taken for over, and is being answered."""

    item_id: str
    text: str
    index: int
    """In the record."""
    began_at: float
    """Session time, as of the end."""
    ended_at: float


@dataclass(frozen=True, slots=True)
class SpeechSoFar:
    """What the far end has said since the conversation was opened."""

    speech_ms: int
    silence_ms: int
    text: str
    is_text_current: bool
