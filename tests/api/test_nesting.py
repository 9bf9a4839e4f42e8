"""Depth and width of JSON, counted in its text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.api.nesting import MAX_NESTING, MAX_VALUES, is_too_deep, is_too_wide


def depth_of(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (isinstance(value, dict | list)) + max(map(depth_of, inside), default=0)


def width_of(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(width_of, inside))


VALUES = st.recursive(
    st.text(alphabet='[]{}",\\a') | st.integers() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='[]{}",\\a'), inner),
)


@given(VALUES, st.integers(0, 5))
def test_depth_is_that_of_the_value(value: Any, most: int) -> None:
    assert is_too_deep(json.dumps(value), most) is (depth_of(value) > most)


@given(VALUES, st.integers(1, 20))
def test_no_wide_value_passes(value: Any, most: int) -> None:
    if width_of(value) > 2 * most:
        assert is_too_wide(json.dumps(value), most)
    if 2 * width_of(value) < most:
        assert not is_too_wide(json.dumps(value), most)


@pytest.mark.parametrize(
    ("text", "is_deep"),
    [
        ("[" * MAX_NESTING + "]" * MAX_NESTING, False),
        ("[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1), True),
        ('{"a":' * (MAX_NESTING + 1) + "1" + "}" * (MAX_NESTING + 1), True),
        ("[" * 1_000_000, True),
        ("[" + "[]," * 300_000 + "[]]", False),
        ('{"a":"' + "[" * 1_000_000 + '"}', False),
        ('{"a":"' + r"\"[" * 300_000 + '"}', False),
        ('{"a":"' + r"\"[" * 300_000, False),
        ('{"a":"' + "\\" * 500_001 + "[" * 500_000, False),
        ('"' * 700_001 + "[" * 300_000, False),
        ("]" * 500 + "[" * 400, False),
        ("[" + ",".join(['{"a":1}'] * 130_000) + "]", False),
        ("[" + ",".join([r'"\\"'] * 150_000) + "]", False),
        (r'["\"",' * (MAX_NESTING + 1), True),
        (r'["\\",' * (MAX_NESTING + 1), True),
        (r'["\\\"[",' * MAX_NESTING, False),
    ],
)
def test_texts_of_a_mebibyte(text: str, is_deep: bool) -> None:
    # Work that grew with the square of the length would exceed the time-out of every test.
    assert is_too_deep(text) is is_deep
    assert is_too_deep(text.encode()) is is_deep


@pytest.mark.parametrize(
    ("text", "is_wide"),
    [
        ("[" + ",".join(["1"] * MAX_VALUES) + "]", True),
        ("[" + ",".join(["[]"] * MAX_VALUES) + "]", True),
        ("[" + ",".join(["{}"] * (MAX_VALUES // 3)) + "]", False),
        ('{"type":"input.audio","audio":"' + "A" * 1_000_000 + '"}', False),
        ('{"content":"' + "," * 1_000_000 + '"}', False),
        ('{"content":"' + "[{," * 300_000 + '"}', False),
        ("[" + ",".join(['{"a":1}'] * 130_000) + "]", True),
        ("[" + ",".join([r'"\",\\"'] * (MAX_VALUES + 1)) + "]", True),
        ("[" + ",".join([r'"\",\\"'] * (MAX_VALUES - 1)) + "]", False),
    ],
)
def test_width(text: str, is_wide: bool) -> None:
    assert is_too_wide(text) is is_wide
