"""One agent utterance: what it means to say, what was made of it, what was heard.

Played milliseconds are mapped to words by the synthesiser's word times where it gives them, and
otherwise by each word's share of its clause's spoken text.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum, auto
from typing import Any

from nur_server.conversation.events import WordTime
from nur_server.conversation.notices import ReplyStatus
from nur_server.text.clauses import ClauseSplitter
from nur_server.text.normalisation import SpokenClause, SpokenWord, TextNormaliser

MS_PER_CHARACTER = 62
"""Speaking pace assumed for a clause whose audio is not complete yet."""
MAX_CHARACTERS = 6_000
"""An answer longer than this (about six minutes of speech) is cut: a model that never stops."""


class Trigger(StrEnum):
    """What a response answers to."""

    GREETING = "greeting"
    USER_SPEECH = "user_speech"
    TOOL_RESULT = "tool_result"
    REPLY_CREATE = "reply_create"
    FILLER = "filler"
    SILENCE = "silence"
    GOODBYE = "goodbye"
    VOICEMAIL = "voicemail"
    """The message left after a machine's beep."""
    APOLOGY = "apology"
    """The user was not understood for a technical reason."""


class ResponsePhase(Enum):
    SPECULATIVE = auto()
    """Made on a likely end of turn: nothing may be heard of it, and no tool runs."""
    THINKING = auto()
    """It may be heard, but nothing was yet."""
    SPEAKING = auto()
    DUCKED = auto()
    """Playing quietly while an overlap is judged."""
    HELD = auto()
    """Not playing; its place is kept."""
    STOPPING = auto()
    """Flushed: waiting to be told what was heard."""
    OVER = auto()


@dataclass(slots=True)
class Clause:
    spoken: SpokenClause
    duration_ms: int | None = None
    """None while its audio is being made."""
    words: tuple[WordTime, ...] = ()

    @property
    def length_ms(self) -> int:
        """Duration, estimated until the audio is complete."""
        if self.duration_ms is not None:
            return self.duration_ms
        return len(self.spoken.spoken) * MS_PER_CHARACTER

    def span_ms(self, word: SpokenWord) -> tuple[int, int]:
        """When a word starts and ends, from the start of the clause."""
        return self._at(word.spoken_start), self._at(word.spoken_end)

    def _at(self, character: int) -> int:
        length = max(1, len(self.spoken.spoken))
        if not self.words or character >= length:
            return self.length_ms * min(character, length) // length
        before = [word for word in self.words if word.character <= character]
        after = next((word for word in self.words if word.character > character), None)
        left = before[-1] if before else WordTime(0, 0)
        right_character = after.character if after else length
        right_ms = after.start_ms if after else max(self.length_ms, left.start_ms)
        span = max(1, right_character - left.character)
        share = (character - left.character) / span
        return round(left.start_ms + share * (right_ms - left.start_ms))


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word that has been played."""

    text: str
    """As written, with the space before it."""
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class ReplyWish:
    """What a client wants of one reply."""

    instructions: str | None = None
    request_id: str = ""
    offers_tools: bool = True
    speaks: bool | None = None
    """None: as the session is set up."""
    is_kept: bool = True
    """False: it is no part of the conversation."""


@dataclass(slots=True)
class PendingCall:
    """A tool call of a speculative response: it waits for the response to be confirmed."""

    call_id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Response:
    """One agent utterance. `say` is set for words that need no model."""

    id: str
    item_id: str
    trigger: Trigger
    phase: ResponsePhase
    created_at: float
    language: str = "en"
    internal_ids: frozenset[str] = frozenset()
    """Ids that are never shown nor spoken: the session's, and those of tool calls."""
    answers_speech_end: float | None = None
    """When the user's speech that it answers ended, for the latency."""
    provisional_text: str = ""
    """The user's words a speculative response was made for, normalised."""
    wish: ReplyWish = field(default_factory=ReplyWish)
    speaks: bool = True
    """False: it is text only."""
    is_generating: bool = True
    retried: bool = False
    """An empty answer was already asked for once more."""
    clauses: list[Clause] = field(default_factory=list)
    held_calls: list[PendingCall] = field(default_factory=list)
    call_ids: list[str] = field(default_factory=list)
    """Tools it called, in order."""
    played_ms: int = 0
    first_audio_at: float | None = None
    error_code: str | None = None
    is_broken: bool = False
    """A failed speculation: it is made anew when the turn really ends."""
    speech_finished: bool = False
    """`FinishSpeech` was asked for."""
    cut_status: ReplyStatus = ReplyStatus.INTERRUPTED
    cut_reason: str = ""
    is_taken_back: bool = False
    """The user went on with the turn that it answered: the model is not told of it."""
    truncated_ms: int | None = None
    """How far the client has played it, where the client has stopped it."""
    prompt_tokens: int | None = None
    """Over all the model's answers. None: its server does not say."""
    completion_tokens: int | None = None
    cut_evidence: dict[str, Any] = field(default_factory=dict)
    _splitter: ClauseSplitter = field(default_factory=ClauseSplitter)
    _normaliser: TextNormaliser | None = None
    _characters: int = 0
    heard_text: str = ""
    """The words heard so far: exactly those that were told to the client."""
    is_failed: bool = False
    """The model's answer did not come, or not to its end."""
    filler_item_id: str = ""
    filler_text: str = ""
    """Likewise of the filler, until it was told whole."""
    _filler_clauses: int = 0
    _filler_words: int = 0
    _reported: int = 0
    """How many they are."""

    def write(self, text: str) -> list[tuple[int, Clause]]:
        """Take a piece of the answer; the clauses it completes, with their numbers."""
        room = MAX_CHARACTERS - self._characters
        self._characters += len(text)
        return self._add(self._splitter.feed(text[: max(0, room)]))

    @property
    def is_too_long(self) -> bool:
        return self._characters > MAX_CHARACTERS

    def finish_writing(self) -> list[tuple[int, Clause]]:
        """The answer is complete; its last clauses."""
        self.is_generating = False
        return self._add(self._splitter.finish())

    def write_again(self) -> None:
        """The answer was empty: another one is written in its place."""
        self.retried = True
        self.is_generating = True
        self._splitter = ClauseSplitter()

    def abandon_writing(self) -> None:
        """The answer broke off: what is not a whole clause yet is dropped."""
        self.is_generating = False
        self._splitter = ClauseSplitter()

    def say(self, text: str) -> list[tuple[int, Clause]]:
        """Add words of our own behind what is there, as one clause."""
        return self._add([text])

    def say_filler(self, item_id: str, text: str) -> list[tuple[int, Clause]]:
        """Add words in front that stand for an answer which is long in coming."""
        added = self.say(text)
        self._normaliser = None
        self.filler_item_id = item_id
        self._filler_clauses = len(added)
        self._filler_words = sum(len(clause.spoken.words) for _, clause in added)
        return added

    @property
    def has_words(self) -> bool:
        """There is something to say besides the filler."""
        return len(self.clauses) > self._filler_clauses

    @property
    def is_filler_heard(self) -> bool:
        return self._reported >= self._filler_words > 0

    def filler_share(self, told: int) -> int:
        """How many of the last `told` words belong to the filler."""
        return min(told, max(0, self._filler_words - (self._reported - told)))

    def synthesised(self, clause: int, duration_ms: int, words: tuple[WordTime, ...]) -> None:
        """A clause's audio is complete. A clause that does not exist is ignored.

        A word said to start beyond the audio starts at its end.
        """
        if 0 <= clause < len(self.clauses):
            self.clauses[clause].duration_ms = duration_ms
            self.clauses[clause].words = tuple(
                word if word.start_ms <= duration_ms else replace(word, start_ms=duration_ms)
                for word in words
            )

    def play(self, played_ms: int) -> list[HeardWord]:
        """So much has been played; the words heard since the last call.

        A word is heard once half of it was played.
        """
        self.played_ms = max(self.played_ms, played_ms)
        heard = []
        for word in self._words_from(self._reported):
            if (word.start_ms + word.end_ms) / 2 > self.played_ms:
                break
            heard.append(word)
        self._tell(heard)
        return heard

    def truncate(self, played_ms: int) -> bool:
        """No more than this was heard, whatever was taken for it. Whether words are taken back."""
        heard: list[HeardWord] = []
        for word in self._words_from(0):
            if len(heard) == self._reported or (word.start_ms + word.end_ms) / 2 > played_ms:
                break
            heard.append(word)
        kept = max(len(heard), min(self._reported, self._filler_words))
        if kept == self._reported:
            return False
        self._reported = kept
        self.heard_text = _joined("", heard[self._filler_words :])
        return True

    def count_tokens(self, prompt: int | None, completion: int | None) -> None:
        """Add what one of the model's answers took, as far as its server says."""
        if prompt is not None:
            self.prompt_tokens = (self.prompt_tokens or 0) + prompt
        if completion is not None:
            self.completion_tokens = (self.completion_tokens or 0) + completion

    def play_all(self) -> list[HeardWord]:
        """Everything was played; the words not told yet."""
        heard = list(self._words_from(self._reported))
        self._tell(heard)
        return heard

    def _tell(self, heard: list[HeardWord]) -> None:
        self._reported += len(heard)
        fillers = self.filler_share(len(heard))
        self.filler_text = _joined(self.filler_text, heard[:fillers])
        self.heard_text = _joined(self.heard_text, heard[fillers:])

    @property
    def unheard_text(self) -> str:
        first = max(self._reported, self._filler_words)
        return "".join(word.text for word in self._words_from(first)).strip()

    @property
    def full_text(self) -> str:
        return "".join(clause.spoken.gap + clause.spoken.written for clause in self.clauses)

    def _add(self, texts: list[str]) -> list[tuple[int, Clause]]:
        if self._normaliser is None:
            self._normaliser = TextNormaliser(self.language, self.internal_ids)
        added = []
        for text in texts:
            spoken = self._normaliser.clause(text)
            if spoken is not None and spoken.words:
                self.clauses.append(Clause(spoken))
                added.append((len(self.clauses) - 1, self.clauses[-1]))
        return added

    def _words_from(self, first: int) -> Iterator[HeardWord]:
        """The words from number `first` on, with their times in the response."""
        start_ms = 0
        number = 0
        for clause in self.clauses:
            words = clause.spoken.words
            for index in range(max(0, first - number), len(words)):
                word = words[index]
                written_from = words[index - 1].written_end if index else 0
                text = clause.spoken.written[written_from : word.written_end]
                if index == 0:
                    text = f"{clause.spoken.gap}{text}"
                begin, end = clause.span_ms(word)
                yield HeardWord(text, start_ms + begin, start_ms + end)
            number += len(words)
            start_ms += clause.length_ms


def _joined(text: str, words: list[HeardWord]) -> str:
    return (text + "".join(word.text for word in words)).strip()
