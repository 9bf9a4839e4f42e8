"""Text from outside."""

import pytest

from nur_server.session.text import well_formed


@pytest.mark.parametrize("text", ["", "plain", "Grüße, 世界", "😀", "\x00\n"])
def test_whole_text_is_left_alone(text: str) -> None:
    assert well_formed(text) is text


def test_half_a_character_is_replaced() -> None:
    assert well_formed("Hi \ud83d!") == "Hi \ufffd!"
    assert well_formed("\ude00") == "\ufffd"


def test_two_halves_that_belong_together_become_one() -> None:
    assert well_formed("Hi \ud83d\ude00!") == "Hi 😀!"
