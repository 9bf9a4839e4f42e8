"""Decides whether the user's speech over the agent is an interruption.

Judged again at every window and every transcript, from how long they speak, what they say, how
far their voice is from the user's usual one, and whether it is the agent's own voice coming back.

A recogniser is at its worst on what overlaps are made of: a hum of half a second becomes "And?" or
"Thank you.", and the first word of a sentence becomes any other. So a word or two stop the agent
only when they want something of it; and a short sound that nobody follows up is let pass, whatever
was made of it.
"""

from dataclasses import dataclass
from enum import Enum, auto

from nur_server.turn_taking import addressee, cues, turn_grab
from nur_server.turn_taking.backchannels import is_backchannel, is_vocal_tic
from nur_server.turn_taking.stop_words import is_stop_command
from nur_server.turn_taking.words import (
    is_closing,
    is_short_answer,
    normalise,
    overlap_with,
)

QUIETEST_YIELD_MS = 160
"""Speech that stops the agent at a threshold just above 0."""
LONGEST_YIELD_MS = 1400
"""Speech that stops the agent at a threshold just below 1."""
YIELD_SLOPE = 0.75
"""Share of the range between the two that a threshold of 1 would reach. It puts the default
threshold of 0.5 at 625 ms of speech, the figure that docs/turn_taking.md gives."""
LEAST_LIKELIHOOD = 0.39
"""Likelihood of taking the floor that stops the agent at a threshold just above 0 …"""
LIKELIHOOD_PER_THRESHOLD = 0.5
"""… and by how much it grows up to a threshold of 1: 0.64 at the default of 0.5.
`python -m bench.overlaps` prints how many interruptions and listening noises pass each limit."""
SETTLED_MS = 416
"""Speech from which a hypothesis is more than a guess at the first word."""
OVER_SILENCE_MS = 320
"""Silence after which the overlap is over and is judged for good."""
SUSPICIOUS_WORDS = 3
"""Words that are enough to hold the agent, before the speech itself is long enough."""
ENOUGH_WORDS = 4
"""Words that are an interruption however short it was, in languages `turn_grab` does not know."""
SUSTAINED = 1.9
"""Speech with words must last this many times longer to stop the agent for good than to hold it."""
RELENTLESS = 4.0
"""Speech that lasts this many times longer stops the agent, unless it is for somebody else."""
BRIEF = 1.6
"""An overlap that lasted less than this many times what holds the agent was no interruption, in
languages `turn_grab` does not know. Listening noises last up to a second, interruptions longer."""
UNLIKELY = 0.6
"""Share of the likelihood that stops the agent below which it is not even held."""
WORDLESS_HOLD = 1.3
"""When nothing at all is understood, speech must last this many times longer to hold the agent …"""
WORDLESS_YIELD = 2.4
"""… and this many times longer to be an interruption, once it is over."""
ECHO_SHARE = 0.8
"""Share of the words that were the agent's own, for it to be an echo."""

_FLOOR_TAKERS = frozenset(
    {"no", "nope", "what", "why", "who", "when", "where", "how", "which", "hello", "help", "sorry"}
    | {"pardon", "huh", "repeat", "again"}
)
"""Words that are a whole interruption by themselves."""

_NAMING_CUES = ("form of address", "is on the phone", "to a pet")
"""Cues in words that name whom they are for."""


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
    away: float
    """How far the voice is from the user's usual one, see `voice.away`."""
    agent_words: str
    """What the agent has been saying lately."""
    language: str
    text_ms: int = 0
    """How much of the speech the hypothesis covers."""
    is_asked: bool = False
    """The agent has asked a question, and has hardly gone on since."""
    is_agent_heard: bool = True
    """Something of the reply was heard: else there is nothing to say anything in passing to."""


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
    longest = LONGEST_YIELD_MS - QUIETEST_YIELD_MS
    return round(QUIETEST_YIELD_MS + threshold * longest * YIELD_SLOPE)


def yield_likelihood(threshold: float) -> float:
    """How likely words must be to take the floor, at a threshold between 0 and 1."""
    return LEAST_LIKELIHOOD + LIKELIHOOD_PER_THRESHOLD * threshold


def wants_something(text: str, bare: str, speech_ms: int) -> bool:
    """Whether a few words ask for attention by themselves: "hello?", "stop", "my refund"."""
    if not _FLOOR_TAKERS.isdisjoint(bare.split()) or is_closing(bare):
        return True
    return turn_grab.probability(text, bare, speech_ms) >= yield_likelihood(0.5)


def _unless(is_over: bool, reason: str, final_reason: str | None = None) -> OverlapVerdict:
    """No interruption so far; nor any more, once it is over."""
    if is_over:
        return OverlapVerdict(Ruling.CARRY_ON, final_reason or reason)
    return OverlapVerdict(Ruling.DISREGARD, reason)


def _judge_words(
    evidence: OverlapEvidence, text: str, threshold: float, is_over: bool
) -> OverlapVerdict:
    words = text.split()
    if overlap_with(evidence.agent_words, text) >= ECHO_SHARE and len(words) >= 2:
        return _unless(is_over, "echo")
    if is_vocal_tic(text):
        return _unless(is_over, "vocal_tic")
    needed_ms = yield_ms(threshold)
    is_settled = is_over or evidence.text_ms >= min(needed_ms, SETTLED_MS)
    if is_settled and is_stop_command(text) and not _is_to_somebody_named(evidence, text):
        # Whoever says it, and however it sounds.
        return OverlapVerdict(Ruling.YIELD, "stop_command")
    if evidence.is_asked and is_short_answer(evidence.text):
        return OverlapVerdict(Ruling.YIELD if is_over else Ruling.LISTEN, "answer")
    if is_backchannel(text, evidence.language):
        return _unless(is_over, "backchannel")
    # What follows a question directly is judged by its words alone: it is the answer.
    gone = 0.0 if evidence.is_asked else evidence.away
    elsewhere = addressee.probability(evidence.text, text, evidence.language, gone)
    # While it may well be for somebody else, the rest of it is waited for.
    is_clear = is_over or elsewhere < addressee.RATHER_ELSEWHERE
    if elsewhere >= addressee.ELSEWHERE:
        return _unless(is_over, "aside")
    if is_over and evidence.is_asked:
        return OverlapVerdict(Ruling.YIELD, "answer")
    likelihood = _takes_floor(evidence, words, needed_ms) / yield_likelihood(threshold)
    if is_over:
        if likelihood >= 1.0:
            return OverlapVerdict(Ruling.YIELD, "words")
        return OverlapVerdict(Ruling.CARRY_ON, "in_passing")
    return _judge_beginning(evidence, words, needed_ms, likelihood if is_clear else 0.0)


def _is_to_somebody_named(evidence: OverlapEvidence, text: str) -> bool:
    """Whether what sounds like a stop command says itself that it is for somebody else: "hang on,
    mum, I'm on the phone"."""
    by_words = addressee.probability(evidence.text, text, evidence.language, away=0.0)
    if by_words < addressee.SURELY_ELSEWHERE:
        return False
    is_named = any(cues.has(name, text) for name in _NAMING_CUES)
    return is_named or cues.has_name(evidence.text.strip())


def _takes_floor(evidence: OverlapEvidence, words: list[str], needed_ms: int) -> float:
    """How likely these words are to take the floor: 0–1."""
    bare = " ".join(words)
    is_farewell = len(words) >= SUSPICIOUS_WORDS and is_closing(bare)
    if is_farewell or not evidence.is_agent_heard or _FLOOR_TAKERS.issuperset(words):
        return 1.0
    if evidence.language.startswith("en"):
        return turn_grab.probability(evidence.text, bare, evidence.speech_ms)
    is_brief = len(words) < ENOUGH_WORDS and evidence.speech_ms < needed_ms * BRIEF
    return 0.0 if is_brief and not _FLOOR_TAKERS.intersection(words) else 1.0


def _judge_beginning(
    evidence: OverlapEvidence, words: list[str], needed_ms: int, likelihood: float
) -> OverlapVerdict:
    """They are still speaking, and this much was understood. `likelihood`: of taking the floor,
    against what it takes to stop the agent."""
    is_relentless = evidence.text_ms >= needed_ms * RELENTLESS
    if is_relentless or (evidence.text_ms >= needed_ms * SUSTAINED and likelihood >= 1.0):
        return OverlapVerdict(Ruling.YIELD, "words")
    is_long = len(words) >= SUSPICIOUS_WORDS or evidence.speech_ms >= needed_ms
    is_suspicious = is_long and likelihood >= UNLIKELY
    return OverlapVerdict(Ruling.HOLD if is_suspicious else Ruling.LISTEN, "few_words")


def _judge_sound(evidence: OverlapEvidence, threshold: float, is_over: bool) -> OverlapVerdict:
    """Nothing was understood so far."""
    if evidence.away >= 1.0:
        return _unless(is_over, "aside")
    needed_ms = yield_ms(threshold)
    if is_over:
        if evidence.speech_ms >= needed_ms * WORDLESS_YIELD:
            return OverlapVerdict(Ruling.YIELD, "long_speech")
        return OverlapVerdict(Ruling.CARRY_ON, "no_words")
    if evidence.speech_ms >= needed_ms * WORDLESS_HOLD:
        return OverlapVerdict(Ruling.HOLD, "long_speech")
    return OverlapVerdict(Ruling.LISTEN, "short_speech")
