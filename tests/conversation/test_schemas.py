"""Arguments against a tool's schema: in bounded time, and with nothing fetched."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nur_server.conversation.patterns import check_pattern
from nur_server.conversation.schemas import MAX_MATCHED, MAX_STEPS, TooMuchWork, problems


def told(schema: dict[str, Any], value: object) -> list[str]:
    return list(problems({"type": "object", **schema}, value))


def argument(schema: Any, value: object) -> list[str]:
    return told({"properties": {"x": schema}}, {"x": value})


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and what it was asked for."""
    asked: list[str] = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"type": "string"}')

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("reference", ["$ref", "$dynamicRef", "$recursiveRef"])
def test_no_reference_makes_the_server_fetch_anything(reference: str) -> None:
    with listening() as (address, asked):
        schema = {"properties": {"x": {reference: f"{address}/secret"}}}
        try:
            told(schema, {"x": 7})
        except Exception as error:
            assert "secret" in str(error)
    assert asked == []


@pytest.mark.parametrize("keyword", ["pattern", "patternProperties", "additionalProperties"])
def test_a_pattern_takes_time_with_the_text_alone(keyword: str) -> None:
    evil, text = "^(a+)+$", "a" * 50_000 + "!"
    match keyword:
        case "pattern":
            assert argument({"type": "string", "pattern": evil}, text)
        case "patternProperties":
            assert not argument({"patternProperties": {evil: False}}, {text: 1})
        case _:
            strict = {"patternProperties": {evil: {}}, "additionalProperties": False}
            assert argument(strict, {text: 1})


@pytest.mark.parametrize("pattern", ["(?=a)b", r"(a)\1", "(", "(?:(?:a{1,1000}){1,1000}){1,1000}"])
def test_a_pattern_that_may_take_longer_is_none(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"not supported|ECMA-262|limit of"):
        check_pattern(pattern)


@pytest.mark.parametrize("dialect", [None, "http://json-schema.org/draft-07/schema#"])
def test_references_to_references_are_followed_for_a_while(dialect: str | None) -> None:
    places: dict[str, Any] = {"d0": {"type": "string"}}
    for i in range(1, 24):
        places[f"d{i}"] = {"allOf": [{"$ref": f"#/$defs/d{i - 1}"}] * 2}
        if dialect:
            places[f"d{i}"]["$schema"] = dialect
    schema = {"properties": {"x": {"$ref": "#/$defs/d23"}}, "$defs": places}
    with pytest.raises(TooMuchWork, match=str(MAX_STEPS)):
        told(schema, {"x": "s"})


def test_items_are_compared_as_json() -> None:
    once = {"type": "array", "uniqueItems": True}
    assert not argument(once, [{"n": i} for i in range(5_000)])
    assert not argument(once, [1, True, "1", [1], None])
    assert argument(once, [{"a": 1, "b": [1.0]}, {"b": [1], "a": 1}])


def test_arguments_beyond_those_named() -> None:
    assert told({"additionalProperties": False}, {"y": 1}) == [
        "arguments: there is no argument 'y'."
    ]
    numbers = {"properties": {"x": {}}, "additionalProperties": {"type": "integer"}}
    assert not told(numbers, {"x": "text", "y": 1})
    assert told(numbers, {"y": "text"}) == ["y: 'text' is not of type 'integer'."]


def test_a_pattern_of_an_argument_matches_in_full_and_further_in_anywhere() -> None:
    assert argument({"pattern": "a|ab"}, "ab") == []
    assert argument({"pattern": "[0-9]+"}, "12\n") == [
        "x: '12\\n' does not match '[0-9]+' in full."
    ]
    assert argument({"items": {"pattern": "[0-9]"}}, ["a1b"]) == []


NUMBERS = list(range(15_000))
MUCH: dict[str, tuple[Any, Any]] = {
    "items compared many times": ({"allOf": [{"uniqueItems": True}] * 1_000}, NUMBERS),
    "values shown many times": ({"anyOf": [{"type": "string"}] * 1_000}, NUMBERS),
    "a text shown many times": ({"anyOf": [{"type": "array"}] * 1_000}, {"b": ["x" * 90_000]}),
    "items looked through many times": ({"allOf": [{"items": True}] * 1_000}, NUMBERS),
    "names": (
        {"propertyNames": {"allOf": [{"maxLength": 9}] * 100}},
        {str(i): 1 for i in range(9_000)},
    ),
    "formats": ({"allOf": [{"format": "regex"}] * 1_000}, "(?:a|b)" * 12_000),
    "a large pattern on a long text": ({"pattern": "[ab]*a[ab]{700}c"}, "ab" * 45_000),
    "many patterns": (
        {"patternProperties": {f"[ab]*a[ab]{{50}}{i}": True for i in range(100)}},
        {"ab" * 3_000: 1},
    ),
}


@pytest.mark.parametrize("name", MUCH)
def test_a_check_that_takes_too_much_is_given_up(name: str) -> None:
    schema, value = MUCH[name]
    with pytest.raises(TooMuchWork, match="more than"):
        argument(schema, value)


def test_the_verdict_is_the_same_again() -> None:
    pattern = {"pattern": "[ab]*a[ab]{60}c"}
    text = "ab" * (MAX_MATCHED // 5)
    assert argument(pattern, text) == argument(pattern, text)
    with pytest.raises(TooMuchWork):
        argument(pattern, text * 3)
    assert argument(pattern, text) == argument(pattern, text)


@pytest.mark.parametrize(
    ("wanted", "right", "wrong"),
    [
        ("date", "2026-11-30", "30 November"),
        ("email", "a@b.example", "a at b"),
        ("ipv4", "127.0.0.1", "127.0.0.256"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("regex", "a|b", "("),
    ],
)
def test_formats(wanted: str, right: str, wrong: str) -> None:
    assert argument({"format": wanted}, right) == []
    assert argument({"format": wanted}, wrong) == [f"x: {wrong!r} is not a {wanted!r}."]
    assert argument({"format": "of another kind"}, wrong) == []
    assert argument({"format": wanted}, 7) == []
