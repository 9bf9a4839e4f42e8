"""Whether what is said is for the agent, and what the user's voice usually sounds like.

Nobody is ignored for good: whoever sounds like somebody else and speaks again, without the usual
voice between, is the only one there and is heard.
"""

from typing import Any

from nur_server.conversation.context import Context
from nur_server.conversation.user_turn import COMMITTED, UserTurn
from nur_server.turn_taking import addressee, interruption
from nur_server.turn_taking.backchannels import is_vocal_tic
from nur_server.turn_taking.settings import VoiceFocus
from nur_server.turn_taking.speech_tracker import SpeechTracker
from nur_server.turn_taking.voice import away
from nur_server.turn_taking.words import (
    Expected,
    expects,
    leaves_question_open,
    normalise,
)

QUIETLY_AWAY = 1.0
"""How far the voice has to be for words in the agent's silence to be for somebody else …"""
QUIETLY_ELSEWHERE = 0.95
"""… and how probable that is by voice and words together: nothing is worse than no answer."""
SHORT_MS = 560
"""Speech in the agent's silence below which a word or two may be a noise …"""
DOUBTFUL = 0.8
"""… if the recogniser is less sure of them than this."""
MOST_DISREGARDED = 1
"""Turns in a row that are taken to be for somebody else by their voice."""


class Addressing:
    """Judges turns by the voice and the words, and learns the voice from those for the agent."""

    def __init__(self, context: Context, speech: SpeechTracker) -> None:
        self._context = context
        self._speech = speech
        self._disregarded = 0
        """Turns in a row that were for somebody else, going by the voice."""

    @property
    def has_asked(self) -> bool:
        """The agent's last words were a question."""
        said = self._context.history.last_agent_text
        return expects(said) is not Expected.NONE or leaves_question_open(said)

    def away(self, turn: UserTurn) -> float:
        """How far the voice is from the user's usual one, where that is to count."""
        return 0.0 if self._disregarded >= MOST_DISREGARDED else self._measured(turn)

    def _measured(self, turn: UserTurn) -> float:
        if self._context.config.voice_focus is VoiceFocus.FAR_FIELD:
            return 0.0
        speech = self._speech
        return away(turn.voice, speech.speaker.voice, speech.background.treble_db)

    def discard_reason(self, turn: UserTurn) -> str | None:
        """Why the turn is no words at all. None: it is."""
        if not turn.text.strip():
            return "no_words"
        if turn.end_reason == COMMITTED:
            return None
        if is_vocal_tic(turn.text):
            return "vocal_tic"
        return "doubtful_words" if self._is_noise(turn) else None

    def _is_noise(self, turn: UserTurn) -> bool:
        """A recogniser makes a doubtful word or two of a cough or an "um". Who has been asked
        something, or wants something, is heard."""
        said = self._context.history.last_agent_text
        if not said or turn.confidence is None or turn.confidence >= DOUBTFUL:
            return False
        bare = normalise(turn.text)
        if turn.speech_ms >= SHORT_MS or bare.count(" ") >= 2 or self.has_asked:
            return False
        return not interruption.wants_something(turn.text, bare, turn.speech_ms)

    def is_for_somebody_else(self, turn: UserTurn) -> bool:
        """While the agent is silent, only a voice that is well away tells. The answer to a question
        of the agent's is for the agent, unless its words say otherwise."""
        if self._context.config.interruption_threshold <= 0.0 or turn.end_reason == COMMITTED:
            return False
        gone = self.away(turn)
        if gone < QUIETLY_AWAY:
            return False
        if self.has_asked:
            return self._is_elsewhere_by_words(turn)
        return self._elsewhere(turn, gone) >= QUIETLY_ELSEWHERE

    def disregard(self, turn: UserTurn) -> None:
        """The turn was taken to be for somebody else."""
        if not self._is_elsewhere_by_words(turn):
            self._disregarded += 1

    def learn(self, turn: UserTurn) -> None:
        """The turn was for the agent: so the user sounds."""
        if self._disregarded >= MOST_DISREGARDED:
            self._speech.speaker.replace(turn.voice)
        else:
            self._speech.speaker.learn(turn.voice)
        self._disregarded = 0

    def forget_voice(self) -> None:
        """Somebody else may be speaking from now on, or at another microphone."""
        self._disregarded = 0
        self._speech.speaker.replace(None)

    def evidence(self, turn: UserTurn) -> dict[str, Any]:
        """How the turn sounds, as its record tells it."""
        voice = turn.voice
        brightness_db = voice.brightness_db if voice is not None else None
        return {
            "away": round(self._measured(turn), 1),
            "level_db": round(voice.level_db, 1) if voice is not None else None,
            "brightness_db": None if brightness_db is None else round(brightness_db, 1),
        }

    def _is_elsewhere_by_words(self, turn: UserTurn) -> bool:
        return self._elsewhere(turn, 0.0) >= addressee.ELSEWHERE

    def _elsewhere(self, turn: UserTurn, gone: float) -> float:
        language = self._context.config.language
        return addressee.probability(turn.text, normalise(turn.text), language, gone)
