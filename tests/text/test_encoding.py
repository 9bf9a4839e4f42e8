"""Text from outside."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis.strategies import characters
from hypothesis.strategies import text as texts

from nur_server.text.encoding import (
    encodable,
    read_json,
    well_formed,
    well_formed_json,
    write_json,
)


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


# JSON text


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        (r'{"a": "\ud800"}', r'{"a": "\ufffd"}'),
        (r'{"\uDFFF": "\u0000"}', r'{"\ufffd": "\ufffd"}'),
        (r'["\ud83d\ude00"]', r'["\ud83d\ude00"]'),
        (r'["\ud83d\ud83d\ude00\ude00"]', r'["\ufffd\ud83d\ude00\ufffd"]'),
        (r'["\\ud800", "\\\\u0000"]', r'["\\ud800", "\\\\u0000"]'),
        (r'["\\\ud800"]', r'["\\\ufffd"]'),
        (r'["\u00e9\u000a\n"]', r'["\u00e9\u000a\n"]'),
        ('["\ud800", "\\ud800', '["\ufffd", "\\ufffd'),
        (r"no JSON \ud800 \u000", r"no JSON \ufffd \u000"),
        ("", ""),
    ],
)
def test_escapes_are_made_harmless_and_nothing_else_changes(text: str, harmless: str) -> None:
    assert well_formed_json(text) == harmless


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1, -2.5, true, null]", [1, -2.5, True, None]),
        ("[NaN, Infinity, -Infinity, 1e999]", [None] * 4),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2.0**64),
        ("-9223372036854775808", -(2**63)),
        ("-9223372036854775809", -(2.0**63)),
        ("1" + "0" * 400, None),
        (r'{"a": "\ud800"}', {"a": "\ufffd"}),
    ],
)
def test_what_is_read_can_be_written_by_any_writer(text: str, value: Any) -> None:
    found = read_json(text)
    assert found == value
    assert orjson.loads(orjson.dumps(found)) == value


@given(texts(characters()))
def test_any_text_goes_through_json_and_can_be_encoded(said: str) -> None:
    read = read_json(write_json({said: [said]}))
    assert read == {well_formed(said): [well_formed(said)]}
    orjson.dumps(read)
