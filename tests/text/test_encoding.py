"""Text from outside."""

from typing import Any

import orjson
import pytest

from nur_server.text.encoding import encodable, well_formed


@pytest.mark.parametrize("text", ["", "plain", "Grüße, 世界", "😀", "\x01\t\n\x7f", "\ufffd"])
def test_whole_text_is_left_alone(text: str) -> None:
    assert well_formed(text) is text


def test_half_a_character_is_replaced() -> None:
    assert well_formed("Hi \ud83d!") == "Hi \ufffd!"
    assert well_formed("\ude00") == "\ufffd"


def test_two_halves_that_belong_together_become_one() -> None:
    assert well_formed("Hi \ud83d\ude00!") == "Hi 😀!"


def test_nul_which_postgresql_cannot_store_is_replaced() -> None:
    assert well_formed("a\0b\ud83d\ude00\ude00\0") == "a\ufffdb😀\ufffd\ufffd"


@pytest.mark.parametrize(
    "value",
    [
        "\ud800",
        {"\udfff": 1},
        {"a": [{"b": ["\ud83d", None, 1.5, True]}]},
        ["\0", {"\0": "\0"}],
        ("\ud800",),
    ],
)
def test_any_json_becomes_encodable(value: Any) -> None:
    written = orjson.dumps(encodable(value))
    assert b"\\u0000" not in written


def test_a_value_without_harm_stays_the_same() -> None:
    value = {"a": [1, 2.5, None, True, {"b": "😀"}]}
    assert encodable(value) == value
