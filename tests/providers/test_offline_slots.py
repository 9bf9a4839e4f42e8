"""Arguments read out of speech."""

from typing import Any

import pytest

from nur_server.conversation.config import ToolSpec
from nur_server.providers.offline_slots import (
    first_missing,
    is_speakable,
    number_runs,
    question_for,
    read_arguments,
    tokens,
)


def tool(required: str = "", /, **properties: dict[str, Any]) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "required": required.split()}
    return ToolSpec("a_tool", "A tool", schema)


EMAIL = {"type": "string", "format": "email"}
STRING, INTEGER, NUMBER, BOOLEAN = ({"type": t} for t in ("string", "integer", "number", "boolean"))


@pytest.mark.parametrize(
    ("said", "digits"),
    [
        ("one two three four", "1234"),
        ("1234", "1234"),
        ("12 34", "1234"),
        ("twelve thirty four", "1234"),
        ("double five oh nine", "5509"),
        ("triple seven", "777"),
        ("nineteen eighty four", "1984"),
        ("forty-two", "42"),
        ("B one two", "B12"),
        ("A B one two", "AB12"),
        ("ABC-123", "ABC123"),
        ("two hundred and five", "205"),
        ("three thousand four hundred", "3400"),
        ("1,234", "1234"),
    ],
)
def test_spoken_codes_are_written_as_codes(said: str, digits: str) -> None:
    found = read_arguments(tool("order_id", order_id=STRING), f"It is order {said}, please.")
    assert found == {"order_id": digits}


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("four", 4),
        ("twenty five", 25),
        ("one hundred and ten", 110),
        ("two thousand and six", 2006),
        ("two million", 2_000_000),
        ("three point five", 3.5),
        ("19.99", 19.99),
    ],
)
def test_spoken_quantities_are_numbers(said: str, value: float) -> None:
    assert read_arguments(tool("amount", amount=NUMBER), f"I need {said}.") == {"amount": value}


@pytest.mark.parametrize("said", ["this one", "one moment", "which one of them", "another one"])
def test_one_is_not_always_a_number(said: str) -> None:
    assert number_runs(tokens(said)) == []
    assert read_arguments(tool("order_id", order_id=STRING), f"I mean {said}.") == {}


def test_a_lone_one_is_no_code_unless_it_was_asked_for() -> None:
    spec = tool("order_id", order_id=STRING)
    assert read_arguments(spec, "I have one question") == {}
    assert read_arguments(spec, "One.", asked="order_id") == {"order_id": "1"}


def test_each_number_goes_to_the_parameter_named_before_it() -> None:
    spec = tool("quantity order_id", quantity=INTEGER, order_id=STRING)
    expected = {"quantity": 2, "order_id": "5678"}
    assert read_arguments(spec, "quantity two for order five six seven eight") == expected
    assert read_arguments(spec, "For order 5678 I want 2.") == expected


@pytest.mark.parametrize(
    ("schema", "said", "found"),
    [
        ({"enum": ["small", "medium", "large"]}, "a large one please", "large"),
        ({"enum": ["extra_large", "large"]}, "extra large", "extra_large"),
        ({"enum": ["in_store", "online"]}, "I bought it online", "online"),
        ({"enum": [1, 2]}, "two of them", 2),
        ({"enum": ["small", "large"]}, "a medium one", None),
        (
            {"type": "string", "format": "email"},
            "it's jane dot doe at example dot com",
            "jane.doe@example.com",
        ),
        (EMAIL, "Jane@Example.com", "jane@example.com"),
        ({"type": "string", "format": "date"}, "on 2026-12-24 please", "2026-12-24"),
        ({"type": "integer", "minimum": 1, "maximum": 8}, "for nine", None),
        ({"type": "integer"}, "two point five", None),
        ({"type": "string", "pattern": "[A-Z]{2}"}, "de", "DE"),
        ({"type": "string", "pattern": "[A-Z]{2}"}, "germany", None),
    ],
)
def test_values_keep_to_their_schema(schema: dict[str, Any], said: str, found: Any) -> None:
    expected = {} if found is None else {"value": found}
    assert read_arguments(tool("value", value=schema), said, asked="value") == expected


@pytest.mark.parametrize(
    ("name", "said", "found"),
    [
        ("city", "What's the weather in New York today?", "New York"),
        ("city", "what is the weather in paris tomorrow", "paris"),
        ("destination", "A flight from Berlin to Rome", "Rome"),
        ("origin", "A flight from Berlin to Rome", "Berlin"),
        ("name", "My name is Jane Doe and I want a table", "Jane Doe"),
        ("date", "tomorrow at seven pm please", "tomorrow"),
        ("time", "tomorrow at seven pm please", "seven pm"),
        ("when", "tomorrow at seven pm please", "tomorrow at seven pm"),
        ("date", "on the third of May", "the third of May"),
        ("date", "next friday evening", "next friday evening"),
        ("query", "search for running shoes", "running shoes"),
        ("colour", "The colour is dark green.", "dark green"),
        ("colour", "I want shoes", None),
    ],
)
def test_phrases_are_taken_where_they_are_clear(name: str, said: str, found: str | None) -> None:
    expected = {} if found is None else {name: found}
    assert read_arguments(tool(name, **{name: STRING}), said) == expected


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("Jane Doe.", "Jane Doe"),
        ("It's Jane Doe", "Jane Doe"),
        ("Um, my name is Jane Doe.", "Jane Doe"),
        ("That would be Jane.", "Jane"),
    ],
)
def test_an_answer_is_the_value_without_its_lead_in(said: str, found: str) -> None:
    assert read_arguments(tool("name", name=STRING), said, asked="name") == {"name": found}


@pytest.mark.parametrize(
    ("said", "asked", "found"),
    [
        ("Yes please.", "gift_wrap", True),
        ("No, thanks.", "gift_wrap", False),
        ("Hm.", "gift_wrap", None),
        ("With gift wrap", None, True),
        ("without gift wrap", None, False),
        ("Yes please.", None, None),
    ],
)
def test_yes_and_no(said: str, asked: str | None, found: bool | None) -> None:
    expected = {} if found is None else {"gift_wrap": found}
    assert read_arguments(tool("gift_wrap", gift_wrap=BOOLEAN), said, asked) == expected


def test_questions_name_the_parameter_and_its_choices() -> None:
    spec = tool(
        "order_id size wrap", order_id=STRING, size={"enum": ["s", "extra_large"]}, wrap=BOOLEAN
    )
    assert question_for(spec, "order_id") == "What is the order ID?"
    assert question_for(spec, "size") == "What is the size: s or extra large?"
    assert question_for(spec, "wrap") == "Wrap, yes or no?"
    assert first_missing(spec, {"order_id": "1"}) == "size"
    assert first_missing(tool(), {}) is None


def test_a_tool_that_needs_an_object_cannot_be_spoken_to() -> None:
    assert not is_speakable(tool("cart", cart={"type": "object"}))
    assert not is_speakable(tool("unheard_of"))
    assert is_speakable(tool("", cart={"type": "object"}))
