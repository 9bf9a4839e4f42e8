"""Tool results as sentences."""

import json
from typing import Any

import pytest

from nur_server.providers.offline_report import FAILED, report


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"status": "shipped", "eta": "Tuesday"}, "The status is shipped, the eta is Tuesday."),
        ({"order_id": "12", "status": "shipped"}, "The status is shipped."),
        ({"order_id": "12"}, "The order ID is 12."),
        ({"in_stock": True}, "In stock: yes."),
        ({"total": 19.0, "note": None}, "The total is 19."),
        ({"state": "in_transit"}, "The state is in transit."),
        ({"items": ["tea", "milk"]}, "The items are tea and milk."),
        ({"items": ["tea"]}, "The items is tea."),
        ({"result": "All good"}, "All good."),
        ({"data": {"status": "open"}}, "The status is open."),
        ({"address": {"street": "Elm", "city": "Bonn"}}, "The address is Elm Bonn."),
        ({"error": "not found"}, "That did not work: not found."),
        ({"error": {"message": "no such order"}}, "That did not work: no such order."),
        ({}, "That is done."),
        ([], "I found nothing."),
        (["a", "b", "c", "d"], "I found 4: a, b, c and 1 more."),
        ([{"id": 7, "name": "Tea"}, {"id": 8, "name": "Milk"}], "I found 2: Tea and Milk."),
        ([{"status": "open"}], "The status is open."),
        (True, "Yes."),
        (21, "21."),
        ("It shipped.", "It shipped."),
        (None, "That is done."),
    ],
)
def test_json_becomes_a_sentence(value: Any, said: str) -> None:
    assert report(json.dumps(value)) == said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("it is sunny", "It is sunny."),
        ("Sunny!\n\nSay it warmly.", "Sunny!"),
        ('{"status": "open"}\n\nSay it warmly.', "The status is open."),
        ("", "That is done."),
        ("x" * 1000, "I have an answer, but it is too long to read out."),
        ('{"a": "b', "I have an answer, but it is too long to read out."),
    ],
)
def test_text_is_said_as_it_stands(content: str, said: str) -> None:
    assert report(content) == said


def test_no_more_than_a_few_fields_are_said() -> None:
    assert report(json.dumps({f"f{i}": i for i in range(9)})).count(" is ") == 4


@pytest.mark.parametrize(
    "content",
    [
        '{"ok": false, "error": "there is no order 9999."}',
        '{"error": "KeyError: \'day\'"}',
        '{"error": {"message": "psycopg.OperationalError: connection refused"}}',
        '{"error": "timeout"}',
        "LookupError: there is no order 9999.",
        "The tool answered with status 500.",
        "AttributeError: 'NoneType' object has no attribute 'x'",
    ],
)
def test_nothing_of_an_exception_is_said(content: str) -> None:
    assert report(content) == FAILED


def test_a_reason_in_plain_words_is_said() -> None:
    assert report('{"error": "there are no tables left"}') == (
        "That did not work: there are no tables left."
    )
