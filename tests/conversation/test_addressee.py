"""Whom the words are for."""

import pytest

from nur_server.conversation.addressee import ELSEWHERE, SURELY_ELSEWHERE, probability
from nur_server.conversation.words import normalise


def elsewhere(text: str) -> float:
    return probability(text, normalise(text))


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


def test_a_very_long_text_costs_no_more_than_a_long_one() -> None:
    beginning = "Come here, sweetie, and put your shoes on. " * 10
    assert elsewhere(beginning) == elsewhere(beginning * 1000) >= SURELY_ELSEWHERE
