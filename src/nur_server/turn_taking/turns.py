"""Decides when the user has finished: how much silence ends the turn, and why.

The answer is a length of silence, not yes or no: short after a complete answer to the question just
asked, longer in the middle of a thought, a number or a spelling. New evidence (a partial
transcript, the turn model) changes it while the silence goes on.
"""

import re
from dataclasses import dataclass
from itertools import takewhile

from nur_server.turn_taking.backchannels import is_vocal_tic
from nur_server.turn_taking.settings import TurnDetection
from nur_server.turn_taking.words import (
    Expected,
    ends_unfinished,
    is_closing,
    is_short_answer,
    normalise,
)

ANSWER_MS = 240
"""After a complete answer to the question just asked."""
COMPLETE_MS = 480
"""When turn model and words agree that the turn is over. Of 58 turns of natural voices that were
cut off, 18 fell into gaps of 0.31 to 0.49 s at the end of a clause, where both agreed."""
CLOSING_MS = 384
"""After thanks or a farewell: nothing is expected to follow."""
LIKELY_MS = 560
"""When the words do, and the turn model is rather for it than against it."""
SURE_DOUBT_MS = 608
"""When the turn model is almost certain, and a comma or a doubtful word of the recogniser's is
against it. On natural voices it was so in 32 of the 41 finished turns that were answered late."""
QUESTION_MS = 480
"""After a question that was well understood, whatever the turn model says of its melody."""
UNSURE_MS = 960
"""When one of words and turn model is in doubt, or not known yet."""
MID_THOUGHT_MS = 1600
"""People who stop to think go on within a second and a half, mostly."""
DICTATION_MS = 1900
"""In the middle of a number or a spelling."""
WORDLESS_MS = 1600
"""Before speech without words is given up as noise: it may be the start of a sentence, misheard."""
NO_MODEL_SENTENCE_MS = 480
NO_MODEL_OPEN_MS = 800

_ADDRESS = re.compile(r"\b(?:at|@) .* dot [a-z]{2,4}$|\b[a-z]+ (?:com|net|org|edu)$")
"""The end of an e-mail address."""
_DECLINES = re.compile(
    r"\b(?:no|not|dont|do not|cant|cannot|havent|forgot|lost|idea|sure|why|what|where|wait|sorry)\b"
)
"""Not the number or the spelling asked for, but something about it."""

ENOUGH_DIGITS = 5
"""The shortest number that people give without a pause in it: a postcode."""
ENOUGH_UNASKED = 3
"""The same of a number they mention by themselves: an order, a room."""

DIGITS = frozenset(
    {"zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
)

_AWAITS_CLAUSE = re.compile(
    r"\b(?:(?:is|was|me|him|her|us|you|them|say|said|says|think|know|hope|heard|so) that"
    r"|(?:say|said|says|think|thought|told (?:me|us)|that|if|whether|because)"
    r" (?:i|you|we|he|she|they)|(?:me|us|him|her|them|going|able|supposed|how|about) to"
    r"|(?:can|could|would|will) you (?:please )?(?:tell|send|give|show|let)(?: (?:me|us))?"
    r"|let me know)$"
)
"""What an English sentence does not end with: a clause or an object is still to come."""
_AWAITS_OBJECT = re.compile(
    r"\b(?:(?:like|want|need|have|love|hope|try|trying|going|wanted|hoping|able) to (?:[a-z]+ )?"
    r"(?:order|buy|book|get|find|return|know|ask|make|schedule|have|take|send|report|check|bring)"
    r"|(?:am|are|is|was|were|been|im|were|ive been) (?:[a-z]+ )?"
    r"(?:looking|trying|wondering|hoping|thinking|asking|searching|waiting|calling)"
    r"(?: (?:for|about|if))?)$"
)
"""A verb at the end that wants an object …"""
_HELPING = (
    r"(?:do|does|did|can|could|will|would|should|have|has|dont|doesnt|didnt|cant|wont|havent)"
)
_SOMEBODY = r"(?:i|you|it|we|they|he|she)"
_LEADING = r"(?:(?:and|so|but|well|ok|okay|yes|no|um|uh|because) )*"
_AWAITS_VERB = re.compile(
    rf"{_LEADING}(?:(?:what|which|where|when|why|how|who)(?: [a-z]+){{0,2}} {_HELPING}"
    rf" (?:{_SOMEBODY}|(?:the|a|an|my|your|our) [a-z]+)"
    rf"|(?:{_HELPING}|is|are|was|were|am) (?:{_SOMEBODY}|there|this|that)"
    rf"|(?:{_HELPING}|is|are|was|were) (?:the|a|an|my|your|our)(?: [a-z]+)?"
    rf"|{_SOMEBODY} (?:{_HELPING}|must|may|might|am|are|is)"
    r" (?:only|just|rather|also|even|always|still))"
)
"""The beginning of a sentence, and all there is: "how much do I", "is there", "I can only"."""
_AWAITS_FIRST_OBJECT = re.compile(
    rf"{_LEADING}{_SOMEBODY}(?:ve| have| has)?(?: (?:just|already|also|still|only|really|never))?"
    r" (?:have|has|had|need|needs|needed|want|wants|wanted|got|get|bought|found|lost|received"
    r"|booked|sent|missed|gave|made|took|put|like|love|use|used|brought|sold|keep|kept|prefer"
    r"|noticed|says|said|dropped|broke|installed|returned|picked|chose)"
)
"""A short sentence that breaks off behind a verb that wants an object: "I just received"."""
_OBJECT_CAME_FIRST = re.compile(
    r"\b(?:what|which|who|where|how|all|everything|anything|something|nothing|ones?|things?)"
    r"(?: [a-z]+){0,2} (?:i|im|ive|you|youre|we|weve|he|she|they|theyre)\b"
)
"""… unless it stands before: "that is all I wanted to know"."""
_AWAITS_NOUN = re.compile(
    r"\ban? (?:(?:very|really|bit|little|more) )?(?:small|big|large|new|old|little|long|short|good"
    r"|nice|great|bad|cheap|different|certain|special|specific|single|double|whole|few|couple)$"
    r"|\b(?:my|your|our|his|her|their) (?:first|last|next|new|old|main|other|whole)$"
)
"""An article and what describes the noun, without the noun."""
_ENDS_WITH_VERB = re.compile(
    r"\b(?:where|what|who|how|when|which|why|as|than|whether|if|so|yes|no)\b.*"
    r" (?:is|are|am|was|were|be|do|does|did|can|could|have|has|had|will|would|should)$"
)
"""What one may end with: "not sure where it is", "as soon as you can"."""

SURE = 0.8
"""The turn model's probability from which it is believed, if the words agree."""
LIKELY = 0.5
VERY_SURE = 0.9
ALMOST_CERTAIN = 0.95
DOUBTFUL = 0.82
"""Confidence below which a text is too likely misheard to say that a sentence is complete."""
VERY_DOUBTFUL = 0.75
"""The same, when the turn model is very sure."""
LONG_WORDS = 6
"""Of so many words some may be misheard, and the sentence be complete all the same …"""
LONG_DOUBTFUL = 0.65
LONG_VERY_DOUBTFUL = 0.55


@dataclass(frozen=True, slots=True)
class TurnEvidence:
    """What is known about a turn during a pause."""

    text: str
    """The latest hypothesis."""
    is_text_current: bool
    """Whether it covers the last word spoken."""
    turn_probability: float | None
    """The turn model's, for this pause. None: not asked, not answered, or no model."""
    expects: Expected
    """What the agent's last words asked for."""
    language: str
    has_turn_model: bool
    confidence: float | None = None
    """Of the recogniser in its text, 0–1, where it gives one."""
    digits_asked: int | None = None
    """How many digits the agent has asked for. None: it has not said."""


@dataclass(frozen=True, slots=True)
class TurnVerdict:
    """The silence that ends the turn, given the evidence so far."""

    silence_ms: int
    reason: str
    is_confident: bool
    """Likely enough to start the reply unheard."""


def judge(evidence: TurnEvidence, detection: TurnDetection) -> TurnVerdict:
    """How much silence ends the turn."""
    verdict = _judge(evidence)
    silence_ms = verdict.silence_ms
    if detection.min_silence_ms is not None:
        silence_ms = max(silence_ms, detection.min_silence_ms)
    if detection.max_silence_ms is not None:
        silence_ms = min(silence_ms, detection.max_silence_ms)
    return TurnVerdict(silence_ms, verdict.reason, verdict.is_confident)


def _judge(evidence: TurnEvidence) -> TurnVerdict:
    text = evidence.text.strip()
    if not evidence.is_text_current:
        return TurnVerdict(UNSURE_MS, "transcript_pending", False)
    if not normalise(text):
        return TurnVerdict(WORDLESS_MS, "no_words", False)
    if is_vocal_tic(text):
        return TurnVerdict(MID_THOUGHT_MS, "vocal_tic", False)
    is_dictated = evidence.expects in (Expected.NUMBER, Expected.SPELLING)
    if is_dictated and not _DECLINES.search(normalise(text)):
        return _judge_dictation(text, evidence, evidence.expects.value)
    if evidence.expects not in (Expected.OPEN, Expected.NONE) and is_short_answer(text):
        return TurnVerdict(ANSWER_MS, "complete_answer", True)
    if evidence.language.startswith("en") and is_closing(text):
        return TurnVerdict(CLOSING_MS, "closing", True)
    unfinished = _unfinished(text, evidence)
    if unfinished in ("number", "spelling"):
        return _judge_dictation(text, evidence, unfinished)
    if unfinished == "comma" and _is_sure(evidence):
        is_very_sure = (evidence.turn_probability or 0.0) >= ALMOST_CERTAIN
        return TurnVerdict(SURE_DOUBT_MS if is_very_sure else UNSURE_MS, unfinished, is_very_sure)
    if unfinished is not None:
        return TurnVerdict(MID_THOUGHT_MS, unfinished, False)
    return _judge_model(text, evidence)


def _unfinished(text: str, evidence: TurnEvidence) -> str | None:
    """Why more is to come, whatever the recogniser put at the end: it closes every hypothesis with
    a full stop, so that one is no sign of an end where the last word is none."""
    words = normalise(text)
    unfinished = ends_unfinished(text.rstrip(",") or text, evidence.language)
    if _breaks_off_in_digits(words):
        return "number"
    if unfinished == "number" and text.endswith("?"):
        return None
    if unfinished is not None:
        return unfinished
    if text.endswith(","):
        return "comma"
    if evidence.language.startswith("en") and _awaits_more(words):
        return "lead_in"
    if text.endswith("?"):
        return None
    if evidence.expects is Expected.OPEN and _ends_in_number(words):
        return "number"
    if _ENDS_WITH_VERB.search(words):
        return None
    return ends_unfinished(text.rstrip("."), evidence.language)


def _awaits_more(words: str) -> bool:
    """Whether an English sentence breaks off before the words its last ones call for."""
    if _AWAITS_CLAUSE.search(words) or _AWAITS_NOUN.search(words):
        return True
    if _AWAITS_VERB.fullmatch(words) or _AWAITS_FIRST_OBJECT.fullmatch(words):
        return True
    return bool(_AWAITS_OBJECT.search(words)) and not _OBJECT_CAME_FIRST.search(words)


def _is_sure(evidence: TurnEvidence) -> bool:
    return evidence.turn_probability is not None and evidence.turn_probability >= SURE


def _judge_dictation(text: str, evidence: TurnEvidence, reason: str) -> TurnVerdict:
    """A number or a spelling is being given: people pause between its groups, and small recognisers
    mishear them, so that a few words without a digit are no sign of another answer."""
    is_spelling = evidence.expects is Expected.SPELLING or reason == "spelling"
    if is_spelling:
        is_enough = _ADDRESS.search(normalise(text)) is not None
    elif evidence.digits_asked is not None:
        is_enough = _count_digits(text) >= evidence.digits_asked
        if is_enough:
            # All that was asked for is there: whatever follows would be something else.
            return TurnVerdict(
                SURE_DOUBT_MS if _is_sure(evidence) else UNSURE_MS, f"{reason}_complete", True
            )
    else:
        is_asked = evidence.expects is Expected.NUMBER
        is_enough = _count_digits(text) >= (ENOUGH_DIGITS if is_asked else ENOUGH_UNASKED)
        is_enough = is_enough and (is_asked or not _breaks_off_in_digits(normalise(text)))
    if is_enough and _is_sure(evidence):
        return TurnVerdict(UNSURE_MS, f"{reason}_complete", True)
    is_pending = evidence.turn_probability is None
    return TurnVerdict(DICTATION_MS if is_pending else MID_THOUGHT_MS, reason, False)


def _count_digits(text: str) -> int:
    """Digits in any form: `1042`, `one zero`, `A10B`, `4-2-7`, `o` for zero."""
    words = normalise(text).split()
    count = 0
    for before, word in zip(["", *words], words, strict=False):
        is_letter_zero = word == "o" and (before.isdigit() or before in DIGITS)
        count += sum(c.isdigit() for c in word) or word in DIGITS or is_letter_zero
    return count


def _breaks_off_in_digits(words: str) -> bool:
    """Whether the text ends in two digits that were named one by one: the beginning of a longer
    number, whatever mark the recogniser put behind it. A lone digit may be an amount."""
    named = takewhile(_is_single, reversed(words.split()))
    return 2 <= sum(1 for _ in named) < ENOUGH_UNASKED


def _is_single(word: str) -> bool:
    return word in DIGITS or (len(word) == 1 and word.isdigit())


def _ends_in_number(words: str) -> bool:
    """Whether the last word counts something that is yet to be named: "twenty two", of an address.

    A lone number, or a time of day, is an answer by itself.
    """
    *before, last = words.split()
    return bool(before) and (last.isdigit() or last in DIGITS) and before[-1] not in ("at", "by")


def _judge_model(text: str, evidence: TurnEvidence) -> TurnVerdict:
    probability = evidence.turn_probability
    ends_sentence = text.endswith((".", "?", "!", "。", "？", "！"))
    if probability is None:
        if evidence.has_turn_model:
            return TurnVerdict(UNSURE_MS, "turn_model_pending", False)
        if ends_sentence:
            return TurnVerdict(NO_MODEL_SENTENCE_MS, "sentence_end", True)
        return TurnVerdict(NO_MODEL_OPEN_MS, "silence", False)
    is_doubtful = _are_words_doubtful(text, evidence.confidence, probability)
    if probability >= SURE:
        if is_doubtful and probability >= ALMOST_CERTAIN:
            return TurnVerdict(SURE_DOUBT_MS, "words_doubtful", True)
        if is_doubtful:
            return TurnVerdict(MID_THOUGHT_MS, "words_doubtful", True)
        return TurnVerdict(COMPLETE_MS, "turn_complete", True)
    if probability >= LIKELY:
        return TurnVerdict(UNSURE_MS if is_doubtful else LIKELY_MS, "turn_likely", True)
    if text.endswith("?") and not is_doubtful:
        return TurnVerdict(QUESTION_MS, "question", True)
    if is_short_answer(text) or text.endswith("?"):
        return TurnVerdict(UNSURE_MS, "short_turn", True)
    return TurnVerdict(MID_THOUGHT_MS, "turn_unlikely", False)


def _are_words_doubtful(text: str, confidence: float | None, probability: float) -> bool:
    if confidence is None:
        return False
    is_long = len(text.split()) >= LONG_WORDS
    if probability >= VERY_SURE:
        return confidence < (LONG_VERY_DOUBTFUL if is_long else VERY_DOUBTFUL)
    return confidence < (LONG_DOUBTFUL if is_long else DOUBTFUL)
