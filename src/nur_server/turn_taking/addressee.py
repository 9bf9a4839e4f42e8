"""Estimates whether words are for the agent or for another person in the room.

Told from the words and the voice together. Cues in the words speak for the one or the other, each
with its weight; `python -m bench.overlaps` fits the weights to sentences written for it, English
ones. The voice tells that it is somebody further away, or that the user has turned away.
"""

import math

from nur_server.turn_taking import cues
from nur_server.turn_taking.words import is_closing

RATHER_ELSEWHERE = 0.5
"""Probability from which all of it is waited for before the agent stops."""
ELSEWHERE = 0.78
"""Probability from which it is taken for a remark to somebody else."""
SURELY_ELSEWHERE = 0.9
"""The same by the words alone, for a stop command: "hang on, mum, I'm on the phone"."""
LOOKED_AT = 200
"""Characters; who is spoken to shows at the beginning."""

WEIGHTS = {
    "form of address": 1.8,
    "is on the phone": 1.3,
    "puts off": 1.0,
    "to a pet": 1.5,
    "command": 0.9,
    "what is theirs": 2.1,
    "you": 1.3,
    "you, of a business": -0.6,
    "place": 0.5,
    "household": 0.7,
    "thanks": 1.5,
    "greeting": 0.9,
    "noise": 0.6,
    "family": 0.6,
    "others": 0.8,
    "in answer": 0.1,
    "about oneself": -0.7,
    "question": -0.6,
    "business": -0.9,
    "takes the floor": -0.7,
    "please": -0.4,
}
"""Weight of each cue, in log-odds for another person. Fitted by `python -m bench.overlaps`."""
NAME_WEIGHT = 1.4
WORD_WEIGHT = 0.1
"""Weight of each word, up to `MOST_WORDS`, in log-odds. Fitted by `bench.overlaps`."""
MOST_WORDS = 8
BIAS = -1.0
UNKNOWN_WORDS = -2.0
"""What is taken for words that do not tell, in log-odds: people mostly speak to the agent."""
STRAYING_AWAY = 0.6
"""How far the user's voice may stray from the usual and mean nothing."""
AWAY_WEIGHT = 8.0
"""Of a voice that is further away by 1: words that are plainly for the agent outweigh it, others
not."""
FURTHEST_AWAY = 2.0


def features(text: str, bare: str) -> list[float]:
    """What the words are judged by, in the order of `WEIGHTS`, then a name, then the length in
    words; `bare` is the text's bare words, case folded."""
    text, bare = text[:LOOKED_AT].strip(), bare[:LOOKED_AT]
    return [
        *(float(cues.has(name, bare)) for name in WEIGHTS),
        float(cues.has_name(text)),
        float(min(bare.count(" ") + 1, MOST_WORDS)),
    ]


def probability(text: str, bare: str, language: str, away: float) -> float:
    """That `text`, whose bare words are `bare`, is not for the agent: 0–1.

    `away`: how far the voice is from the user's usual one, see `voice.away`.
    """
    points = UNKNOWN_WORDS
    if language.startswith("en") and not is_closing(bare):
        weights = (*WEIGHTS.values(), NAME_WEIGHT, WORD_WEIGHT)
        points = BIAS + sum(w * f for w, f in zip(weights, features(text, bare), strict=True))
    points += AWAY_WEIGHT * max(0.0, min(away, FURTHEST_AWAY) - STRAYING_AWAY)
    return 1 / (1 + math.exp(-points))
