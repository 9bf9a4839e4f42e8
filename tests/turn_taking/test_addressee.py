"""Whom the words are for."""

import pytest

from nur_server.turn_taking.addressee import ELSEWHERE, probability
from nur_server.turn_taking.words import normalise


def elsewhere(text: str) -> float:
    return probability(text, normalise(text), "en", 0.0)


@pytest.mark.parametrize(
    "text",
    [
        "Come here, sweetie.",
        "Daddy's on the phone, darling.",
        "Get off the bed, Luna!",
        "Thanks, just leave it by the door.",
        "I'll call you back later, Steve.",
        "Have you brushed your teeth yet?",
        "Bye, love, see you tonight.",
    ],
)
def test_remarks_to_somebody_else_are_told(text: str) -> None:
    assert elsewhere(text) >= ELSEWHERE


@pytest.mark.parametrize(
    "text",
    [
        "How much is the annual plan?",
        "I want to change my appointment.",
        "Can you send that to my email?",
        "That's not what I ordered.",
        "You already told me that.",
        "My mum's name is on the account.",
        "Hello? Are you still there?",
        "No, the other one.",
        "Is breakfast included?",
        "",
    ],
)
def test_what_is_for_the_agent_is_left_to_it(text: str) -> None:
    assert elsewhere(text) < ELSEWHERE


def test_of_a_long_text_the_beginning_alone_is_looked_at() -> None:
    """So that a text of minutes costs no more than a sentence."""
    beginning = "How much is the annual plan? " * 10
    assert elsewhere(beginning + "Come here, sweetie, put your shoes on.") == elsewhere(beginning)
    assert elsewhere("Come here, sweetie. " + beginning) > elsewhere(beginning)
