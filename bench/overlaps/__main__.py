"""Fit the weights of `turn_taking.addressee` and `turn_taking.turn_grab`; say how well they tell.

    python -m bench.overlaps

The sentences were written for this by people who had not read the scorecard: for the agent
(`agent.txt`, and `brief.txt` of one to four words), for somebody else in the room (`others.txt`),
and in passing (`passing.txt`: listening noises in words, and self-talk). Logistic regression with a
little shrinkage; the shares are of sentences the weights were not fitted to (ten parts, each judged
by the other nine). How long a sentence lasts is how long the demonstration's caller takes to say
it.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nur_server.cli.line import RATE
from nur_server.cli.voices import speak
from nur_server.turn_taking import addressee, turn_grab
from nur_server.turn_taking.backchannels import is_backchannel, is_vocal_tic
from nur_server.turn_taking.interruption import yield_likelihood
from nur_server.turn_taking.phrases import normalise

PARTS = 10
SHRINKAGE = 1.0
STEPS = 30
SENTENCE_WEIGHT = 0.4
"""Of a sentence to the agent against a brief one, for the floor: brief ones are hard to tell."""

Matrix = NDArray[np.float64]


def main() -> None:
    fit_addressee()
    asyncio.run(fit_floor())


def fit_addressee() -> None:
    agent, others = [*sentences("agent"), *sentences("brief")], sentences("others")
    seen = np.array([[1.0, *addressee.features(t, normalise(t))] for t in (*agent, *others)])
    is_other = np.array([0.0] * len(agent) + [1.0] * len(others))
    told = judged_by_the_others(seen, is_other, np.ones(len(seen)))
    print(f"For somebody else: {len(others)} sentences; to the agent: {len(agent)}")
    print("probability from  of those to others  of those to the agent")
    for threshold in (0.5, 0.65, addressee.ELSEWHERE, addressee.SURELY_ELSEWHERE):
        show(threshold, told[is_other == 1], told[is_other == 0])
    names = ("bias", *addressee.WEIGHTS, "name set off by a comma", "each word")
    show_weights(names, fit(seen, is_other, np.ones(len(seen))))


async def fit_floor() -> None:
    """What `is_backchannel` and `is_vocal_tic` know is let pass before the floor is asked."""
    passing = [text for text in sentences("passing") if not is_let_pass(text)]
    brief, agent = sentences("brief"), sentences("agent")
    texts = (*passing, *brief, *agent)
    lengths = [len(samples) * 1000 // RATE for samples in await speak(texts)]
    rows = zip(texts, lengths, strict=True)
    seen = np.array([[1.0, *turn_grab.features(t, normalise(t), ms)] for t, ms in rows])
    takes = np.array([0.0] * len(passing) + [1.0] * (len(brief) + len(agent)))
    worth = np.array([1.0] * (len(passing) + len(brief)) + [SENTENCE_WEIGHT] * len(agent))
    told = judged_by_the_others(seen, takes, worth)
    of_brief = told[len(passing) : len(passing) + len(brief)]
    print(
        f"\nTakes the floor: {len(brief)} brief sentences, {len(agent)} others; not: {len(passing)}"
    )
    print("probability from            of brief ones        of those in passing   of other ones")
    for threshold in (0.5, 0.6, yield_likelihood(0.5)):
        show(threshold, of_brief, told[: len(passing)], told[len(passing) + len(brief) :])
    names = ("bias", *turn_grab.WEIGHTS, "question", "stop", "a sentence", "each second")
    show_weights(names, fit(seen, takes, worth))


def is_let_pass(text: str) -> bool:
    bare = normalise(text)
    return is_backchannel(bare, "en") or is_vocal_tic(bare)


def sentences(name: str) -> list[str]:
    return (Path(__file__).parent / f"{name}.txt").read_text().splitlines()


def judged_by_the_others(seen: Matrix, wanted: Matrix, worth: Matrix) -> Matrix:
    """The probability of each row, by weights that were fitted without its part."""
    parts = np.random.default_rng(1).permutation(len(seen)) % PARTS
    told = np.zeros(len(seen))
    for part in range(PARTS):
        others = parts != part
        weights = fit(seen[others], wanted[others], worth[others])
        told[~others] = likely(seen[~others], weights)
    return told


def fit(seen: Matrix, wanted: Matrix, worth: Matrix) -> Matrix:
    """Weights, by Newton's method; the bias, the first, is not shrunk."""
    weights = np.zeros(seen.shape[1])
    shrinkage = np.full(seen.shape[1], SHRINKAGE)
    shrinkage[0] = 0.0
    for _ in range(STEPS):
        told = likely(seen, weights)
        slope = seen.T @ (worth * (told - wanted)) + shrinkage * weights
        curve = (seen.T * (worth * told * (1 - told))) @ seen + np.diag(shrinkage)
        weights -= np.linalg.solve(curve, slope)
    return weights


def likely(seen: Matrix, weights: Matrix) -> Matrix:
    return 1 / (1 + np.exp(-(seen @ weights)))


def show(threshold: float, *groups: Matrix) -> None:
    shares = (float(np.mean(group >= threshold)) for group in groups)
    print(f"{threshold:16.2f}  " + "  ".join(f"{share:18.1%}" for share in shares))


def show_weights(names: Sequence[str], weights: Matrix) -> None:
    print()
    for name, weight in zip(names, weights, strict=True):
        print(f"{weight:6.1f}  {name}")


if __name__ == "__main__":
    main()
