"""Whether words take the floor."""

import pytest

from nur_server.turn_taking.interruption import yield_likelihood
from nur_server.turn_taking.turn_grab import probability
from nur_server.turn_taking.words import normalise


def takes_floor(text: str, speech_ms: int = 900) -> bool:
    return probability(text, normalise(text), speech_ms) >= yield_likelihood(0.5)


@pytest.mark.parametrize(
    "text",
    [
        "How much?",
        "To whom?",
        "Cancel it.",
        "My account number.",
        "Refund.",
        "I need a receipt.",
        "That's wrong.",
        "No, that's not right.",
        "That is too expensive.",
        "I think you misunderstood.",
        "The one with the leather soles and the buckle.",
    ],
)
def test_what_wants_something_takes_the_floor(text: str) -> None:
    assert takes_floor(text)


@pytest.mark.parametrize(
    "text", ["That's handy.", "Makes life easier.", "And?", "Of her.", "Whatever works.", "God."]
)
def test_what_is_said_in_passing_does_not(text: str) -> None:
    assert not takes_floor(text)


def test_the_longer_it_lasts_the_likelier_it_is() -> None:
    brief, long = (probability("the red ones", "the red ones", ms) for ms in (400, 1600))
    assert brief < long


def test_a_higher_threshold_takes_surer_words() -> None:
    needed = [yield_likelihood(threshold / 10) for threshold in range(1, 10)]
    assert needed == sorted(needed) and needed[0] < needed[-1] < 1.0
