"""Classifies words over the agent: do they take the turn, or are they a remark in passing?

Told from what they are and how long they last; `python -m bench.overlaps` fits the weights to short
interruptions and listening noises written for it. English.
"""

import math

from nur_server.turn_taking import cues
from nur_server.turn_taking.stop_words import is_stop_command

WEIGHTS = {
    "business": 2.5,
    "takes the floor": 1.0,
    "own matter": 0.7,
    "objection": 1.3,
    "assessment": -1.0,
}
"""Weight of each cue, in log-odds for taking the turn. All weights here are fitted by
`python -m bench.overlaps`."""
QUESTION_WEIGHT = 1.9
"""Weight of a question of two words and more, in log-odds. Noises are recognised as "And?"."""
STOP_WEIGHT = 1.0
"""Weight of words that ask the agent to stop, in log-odds."""
SENTENCE_WEIGHT = 2.2
"""Weight of an utterance of `SENTENCE_WORDS` and more, in log-odds."""
SENTENCE_WORDS = 6
SECOND_WEIGHT = 0.4
"""Weight of each second of speech, up to `MOST_SECONDS`, in log-odds."""
MOST_SECONDS = 2.0
BIAS = 0.1


def features(text: str, bare: str, speech_ms: int) -> list[float]:
    """What they are judged by, in the order of the weights; `bare` is the text's bare words, case
    folded."""
    return [
        *(float(cues.has(name, bare)) for name in WEIGHTS),
        float(" " in bare and ("?" in text or cues.has("question", bare))),
        float(is_stop_command(bare)),
        float(bare.count(" ") + 1 >= SENTENCE_WORDS),
        min(speech_ms / 1000, MOST_SECONDS),
    ]


def probability(text: str, bare: str, speech_ms: int) -> float:
    """That `text`, whose bare words are `bare`, takes the floor: 0–1."""
    weights = (
        *WEIGHTS.values(),
        QUESTION_WEIGHT,
        STOP_WEIGHT,
        SENTENCE_WEIGHT,
        SECOND_WEIGHT,
    )
    found = features(text, bare, speech_ms)
    points = BIAS + sum(w * f for w, f in zip(weights, found, strict=True))
    return 1 / (1 + math.exp(-points))
