"""The user speaks while the agent does: an interruption, or not?

Judged again at every window and every transcript, from how long they speak, what they say, how
loud they are against the tracked speaker, and whether it is the agent's own voice coming back.

A recogniser is at its worst on what overlaps are made of: a hum of half a second becomes "And?" or
"Thank you.", and the first word of a sentence becomes any other. So words alone stop the agent only
when there are several of them, or when they ask for it outright; and a short sound that nobody
follows up is let pass, whatever was made of it.
"""

from dataclasses import dataclass
from enum import Enum, auto

from nur_server.conversation import addressee
from nur_server.conversation.words import (
    is_backchannel,
    is_closing,
    is_stop_command,
    is_vocal_tic,
    normalise,
    overlap_with,
)

QUIETEST_YIELD_MS = 160
"""Speech that stops the agent at a threshold just above 0."""
LONGEST_YIELD_MS = 1400
"""Speech that stops the agent at a threshold just below 1."""
SETTLED_MS = 416
"""Speech from which a hypothesis is more than a guess at the first word."""
OVER_SILENCE_MS = 320
"""Silence after which the overlap is over and is judged for good."""
SUSPICIOUS_WORDS = 3
"""Words that are enough to hold the agent, before the speech itself is long enough."""
ENOUGH_WORDS = 4
"""Words that are an interruption however short it was."""
SUSTAINED = 1.9
"""Speech with words must last this many times longer to stop the agent for good than to hold it."""
BRIEF = 1.6
"""An overlap that lasted less than this many times what holds the agent was no interruption, unless
its words are plain. Listening noises last up to a second, interruptions mostly longer."""
WORDLESS_HOLD = 1.3
"""When nothing at all is understood, speech must last this many times longer to hold the agent …"""
WORDLESS_YIELD = 2.4
"""… and this many times longer to be an interruption, once it is over."""
ASIDE_DB = 6.0
"""Below the tracked speaker by this much, it is somebody further away, or not for the agent. People
stray by some 3 dB from one thing they say to the next; who is across the room is 10 dB down."""
ECHO_SHARE = 0.8
"""Share of the words that were the agent's own, for it to be an echo."""

_FLOOR_TAKERS = frozenset(
    {"no", "nope", "what", "why", "who", "when", "where", "how", "which", "hello", "help", "sorry"}
    | {"pardon", "huh", "repeat", "again"}
)
"""Words that are a whole interruption by themselves."""


class Ruling(Enum):
    """What to do about an overlap."""

    LISTEN = auto()
    """Too early to say: duck, or stay held, and go on listening."""
    DISREGARD = auto()
    """Not an interruption so far: speak on quietly, even if it was held."""
    HOLD = auto()
    """Probably an interruption: stop the audio, keep its place."""
    YIELD = auto()
    """An interruption: stop for good."""
    CARRY_ON = auto()
    """Not an interruption: play on as before."""


@dataclass(frozen=True, slots=True)
class OverlapEvidence:
    """What is known about an overlap."""

    speech_ms: int
    """Speech so far, pauses left out."""
    silence_ms: int
    """Since the last of it."""
    text: str
    """The latest hypothesis."""
    is_text_current: bool
    """Whether it covers the last word spoken."""
    level_db: float
    """Level of its speech, dBFS."""
    speaker_db: float | None
    """Tracked level of the user. None: not heard yet."""
    agent_words: str
    """What the agent has been saying lately."""
    language: str
    text_ms: int = 0
    """How much of the speech the hypothesis covers."""


@dataclass(frozen=True, slots=True)
class OverlapVerdict:
    ruling: Ruling
    reason: str


def judge(evidence: OverlapEvidence, threshold: float, delay_ms: int) -> OverlapVerdict:
    """What to do, for an `interruption_threshold` of 0–1 and an `interruption_delay`."""
    if threshold >= 1.0:
        return OverlapVerdict(Ruling.CARRY_ON, "interruptions_off")
    is_over = evidence.silence_ms >= OVER_SILENCE_MS
    if evidence.speech_ms < delay_ms:
        return _unless(is_over, "within_delay", "shorter_than_delay")
    if threshold <= 0.0:
        return OverlapVerdict(Ruling.YIELD, "any_speech")
    is_over = is_over and evidence.is_text_current
    text = normalise(evidence.text)
    if text:
        return _judge_words(evidence, text, threshold, is_over)
    return _judge_sound(evidence, threshold, is_over)


def yield_ms(threshold: float) -> int:
    """Speech it takes to stop the agent, at a threshold between 0 and 1."""
    return round(QUIETEST_YIELD_MS + threshold * (LONGEST_YIELD_MS - QUIETEST_YIELD_MS) * 0.75)


def _unless(is_over: bool, reason: str, final_reason: str | None = None) -> OverlapVerdict:
    """No interruption so far; nor any more, once it is over."""
    if is_over:
        return OverlapVerdict(Ruling.CARRY_ON, final_reason or reason)
    return OverlapVerdict(Ruling.DISREGARD, reason)


def _is_aside(evidence: OverlapEvidence) -> bool:
    speaker_db = evidence.speaker_db
    return speaker_db is not None and evidence.level_db < speaker_db - ASIDE_DB


def _elsewhere(evidence: OverlapEvidence, text: str) -> float:
    """Probability that the words are for somebody else in the room."""
    if not evidence.language.startswith("en") or is_closing(text):
        return 0.0
    return addressee.probability(evidence.text, text)


def _judge_words(
    evidence: OverlapEvidence, text: str, threshold: float, is_over: bool
) -> OverlapVerdict:
    words = text.split()
    if overlap_with(evidence.agent_words, text) >= ECHO_SHARE and len(words) >= 2:
        return _unless(is_over, "echo")
    if _is_aside(evidence):
        return _unless(is_over, "aside")
    elsewhere = _elsewhere(evidence, text)
    if elsewhere >= addressee.SURELY_ELSEWHERE:
        return _unless(is_over, "aside")
    if is_vocal_tic(text):
        return _unless(is_over, "vocal_tic")
    if is_backchannel(text, evidence.language):
        return _unless(is_over, "backchannel")
    needed_ms = yield_ms(threshold)
    is_settled = is_over or evidence.text_ms >= min(needed_ms, SETTLED_MS)
    if is_settled and is_stop_command(text):
        return OverlapVerdict(Ruling.YIELD, "stop_command")
    if elsewhere >= addressee.ELSEWHERE:
        return _unless(is_over, "aside")
    if is_over:
        return _judge_whole(evidence, words, needed_ms)
    return _judge_beginning(evidence, words, needed_ms)


def _judge_whole(evidence: OverlapEvidence, words: list[str], needed_ms: int) -> OverlapVerdict:
    """It is over, and this is all that was said."""
    is_brief = len(words) < ENOUGH_WORDS and evidence.speech_ms < needed_ms * BRIEF
    if is_brief and not _FLOOR_TAKERS.intersection(words):
        return OverlapVerdict(Ruling.CARRY_ON, "too_brief")
    return OverlapVerdict(Ruling.YIELD, "words")


def _judge_beginning(evidence: OverlapEvidence, words: list[str], needed_ms: int) -> OverlapVerdict:
    """They are still speaking, and this much was understood."""
    if evidence.text_ms >= needed_ms * SUSTAINED:
        return OverlapVerdict(Ruling.YIELD, "words")
    is_suspicious = len(words) >= SUSPICIOUS_WORDS or evidence.speech_ms >= needed_ms
    return OverlapVerdict(Ruling.HOLD if is_suspicious else Ruling.LISTEN, "few_words")


def _judge_sound(evidence: OverlapEvidence, threshold: float, is_over: bool) -> OverlapVerdict:
    """Nothing was understood so far."""
    if _is_aside(evidence):
        return _unless(is_over, "aside")
    needed_ms = yield_ms(threshold)
    if is_over:
        if evidence.speech_ms >= needed_ms * WORDLESS_YIELD:
            return OverlapVerdict(Ruling.YIELD, "long_speech")
        return OverlapVerdict(Ruling.CARRY_ON, "no_words")
    if evidence.speech_ms >= needed_ms * WORDLESS_HOLD:
        return OverlapVerdict(Ruling.HOLD, "long_speech")
    return OverlapVerdict(Ruling.LISTEN, "short_speech")
