"""Fit the weights of `nur_server.conversation.addressee`, and say how well they tell.

    python -m bench.addressee

The sentences, 700 said to an agent and 700 to somebody else in the room, were written for this, by
somebody who had not read the scorecard. Logistic regression with a little shrinkage; the shares are
of sentences the weights were not fitted to (ten parts, each judged by the other nine).
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nur_server.conversation import addressee
from nur_server.conversation.words import normalise

PARTS = 10
SHRINKAGE = 1.0
STEPS = 30

Matrix = NDArray[np.float64]


def main() -> None:
    folder = Path(__file__).parent
    agent, others = (
        (folder / name).read_text().splitlines() for name in ("agent.txt", "others.txt")
    )
    seen = np.array([[1.0, *addressee.features(t, normalise(t))] for t in (*agent, *others)])
    is_other = np.array([0.0] * len(agent) + [1.0] * len(others))
    parts = np.random.default_rng(1).permutation(len(seen)) % PARTS
    told = np.zeros(len(seen))
    for part in range(PARTS):
        weights = fit(seen[parts != part], is_other[parts != part])
        told[parts == part] = likely(seen[parts == part], weights)
    print("probability from  of those to others  of those to the agent")
    for threshold in (0.5, 0.65, addressee.ELSEWHERE, addressee.SURELY_ELSEWHERE):
        caught, wrong = (float(np.mean(told[is_other == kind] >= threshold)) for kind in (1, 0))
        print(f"{threshold:16.2f}  {caught:18.1%}  {wrong:21.1%}")
    print()
    names = ("bias", *addressee.CUES, "name set off by a comma", "each word")
    for name, weight in zip(names, fit(seen, is_other), strict=True):
        print(f"{weight:6.1f}  {name}")


def fit(seen: Matrix, is_other: Matrix) -> Matrix:
    """Weights, by Newton's method; the bias, the first, is not shrunk."""
    weights = np.zeros(seen.shape[1])
    shrinkage = np.full(seen.shape[1], SHRINKAGE)
    shrinkage[0] = 0.0
    for _ in range(STEPS):
        told = likely(seen, weights)
        slope = seen.T @ (told - is_other) + shrinkage * weights
        curve = (seen.T * (told * (1 - told))) @ seen + np.diag(shrinkage)
        weights -= np.linalg.solve(curve, slope)
    return weights


def likely(seen: Matrix, weights: Matrix) -> Matrix:
    return 1 / (1 + np.exp(-(seen @ weights)))


if __name__ == "__main__":
    main()
