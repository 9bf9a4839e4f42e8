"""What a tool's schema may ask of the server: each bound says which it is."""

from typing import Any

import pytest

from nur_server.agents.schema_checks import (
    MAX_CHARACTERS_IN_ALL,
    MAX_COMPILED,
    MAX_LIST,
    MAX_NESTING,
    MAX_PARTS,
    MAX_PATTERNS,
    MAX_REFERENCES,
    MAX_VALUES,
)
from nur_server.agents.tools import check_schemas, read_tools
from nur_server.conversation.patterns import MAX_BYTES, MAX_CHARACTERS
from nur_server.errors import InvalidRequest


def check(*several: dict[str, Any]) -> None:
    check_schemas(
        read_tools([{"name": f"t{i}", "parameters": schema} for i, schema in enumerate(several)])
    )


def schema(**keywords: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {}, **keywords}


def argument(inner: Any) -> dict[str, Any]:
    return schema(properties={"a": inner})


def nested(keyword: str, depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        inner = {keyword: [inner]} if keyword == "allOf" else {keyword: inner}
    return argument(inner)


MIXED = [value for i in range(MAX_LIST) for value in (i, str(i))]
CHAIN = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(MAX_REFERENCES + 1)}

BEYOND: dict[str, tuple[list[dict[str, Any]], str]] = {
    "names of patternProperties": (
        [schema(patternProperties={rf"\w{{200}}{i}": True for i in range(MAX_PATTERNS + 1)})],
        f"at most {MAX_PATTERNS} patterns",
    ),
    "a thousand of them": (
        [schema(patternProperties={rf"\w{{200}}{i}": True for i in range(1000)})],
        f"at most {MAX_PATTERNS} patterns",
    ),
    "patterns of arguments": (
        [schema(properties={f"p{i}": {"pattern": f"a{{{i + 10}}}"} for i in range(900)})],
        f"at most {MAX_PATTERNS} patterns",
    ),
    "patterns in several tools": (
        [schema(patternProperties={f"{i}x": True for i in range(30)})] * 4,
        f"at most {MAX_PATTERNS} patterns",
    ),
    "a long pattern": ([argument({"pattern": "a" * 500_000})], f"at most {MAX_CHARACTERS} char"),
    "a long name of patternProperties": (
        [argument({"patternProperties": {"a" * 1_001: True}})],
        f"at most {MAX_CHARACTERS} char",
    ),
    "a large pattern": ([argument({"pattern": r"(?:\p{L}{99}){99}"})], f"limit of {MAX_BYTES}"),
    "many large patterns": (
        [schema(patternProperties={rf"(?:[a-z]{{1,99}}x){{8}}{i}": True for i in range(99)})],
        f"at most {MAX_COMPILED} bytes",
    ),
    "a list of types": ([argument({"type": MIXED})], f"at most {MAX_LIST} items"),
    "an enum": ([argument({"enum": MIXED})], f"at most {MAX_LIST} items"),
    "a list of required names": ([schema(required=["a"] * 5_000)], f"at most {MAX_LIST} items"),
    "a chain of references": (
        [{**argument({"$ref": "#/$defs/d0"}), "$defs": CHAIN}],
        f"at most {MAX_REFERENCES} values of",
    ),
    "many arguments": (
        [schema(properties={f"p{i}": {} for i in range(MAX_PARTS)})],
        f"at most {MAX_PARTS} objects and lists",
    ),
    "many plain values": (
        [schema(properties={f"p{i}": True for i in range(MAX_VALUES)})],
        f"at most {MAX_VALUES} values and names",
    ),
    "a long text": (
        [argument({"description": "x" * (MAX_CHARACTERS_IN_ALL + 1)})],
        f"at most {MAX_CHARACTERS_IN_ALL} characters",
    ),
    "a long name": (
        [schema(properties={"x" * (MAX_CHARACTERS_IN_ALL + 1): {}})],
        f"at most {MAX_CHARACTERS_IN_ALL} characters",
    ),
    "depth of items": ([nested("items", 3_000)], f"nested at most {MAX_NESTING} deep"),
    "depth of allOf": ([nested("allOf", 3_000)], f"nested at most {MAX_NESTING} deep"),
    "depth of not": ([nested("not", 3_000)], f"nested at most {MAX_NESTING} deep"),
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_schema_beyond_a_bound_is_told_which(name: str) -> None:
    schemas, told = BEYOND[name]
    with pytest.raises(InvalidRequest) as refused:
        check(*schemas)
    assert told in refused.value.message


@pytest.mark.parametrize(
    "wrong",
    [
        argument({"allOf": [{"$ref": "#/properties/a"}]}),
        argument({"anyOf": [{"not": {"$ref": "#/properties/a"}}]}),
        {**argument({"$ref": "#/$defs/b"}), "$defs": {"b": {"if": {"$ref": "#/properties/a"}}}},
        argument({"dependentSchemas": {"b": {"$ref": "#/properties/a"}}}),
        argument({"$ref": "#/properties/a"}),
        argument({"$ref": "http://127.0.0.1:1/schema"}),
        argument({"$ref": "file:///etc/passwd"}),
        argument({"$ref": "other.json#/a"}),
    ],
)
def test_references_end_in_the_same_schema(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"'\$ref'"):
        check(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        argument({"pattern": "\ud800"}),
        schema(properties={"\ud800": {}}),
        argument({"minimum": float("inf")}),
        argument({"pattern": 7}),
        argument({"type": ["string", "text"]}),
        argument({"required": "yes", "enum": 3}),
    ],
)
def test_what_is_no_schema_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="expected a"):
        check(wrong)


@pytest.mark.parametrize(
    "fine",
    [
        argument({"pattern": r"^[A-Z]{2}-\d{4,8}$"}),
        argument({"pattern": r"^.{1,500}$"}),
        argument({"pattern": r"^[^\s@]{1,64}@[^\s@]{1,99}$"}),
        schema(patternProperties={rf"\w{{200}}{i}": True for i in range(20)}),
        argument({"enum": [str(i) for i in range(MAX_LIST)]}),
        {
            **argument({"$ref": "#/$defs/tree"}),
            "$defs": {"tree": {"properties": {"next": {"$ref": "#/$defs/tree"}}}},
        },
        argument({"$schema": "http://127.0.0.1:1/dialect", "$id": "http://127.0.0.1:1/id"}),
        schema(properties={f"p{i}": {"type": "string"} for i in range(200)}),
    ],
)
def test_what_people_write_is_taken(fine: dict[str, Any]) -> None:
    check(fine)
