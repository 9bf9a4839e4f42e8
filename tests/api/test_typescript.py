"""The types of the JavaScript client against the OpenAPI document."""

from typing import Any

import pytest

from nur_server.api.typescript import FILE, _type, document, typescript


@pytest.mark.skipif(
    not FILE.exists(), reason="needs clients/js, which an installed package has not"
)
def test_the_types_are_those_of_this_version() -> None:
    assert FILE.read_text() == typescript(document()), "run python -m nur_server.api.typescript"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"const": "agent"}, '"agent"'),
        ({"enum": ["a", None]}, '"a" | null'),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}, {"type": "null"}]}, "number | null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/A_B_"}}, "Array<AB>"),
        (
            {"type": "object", "additionalProperties": {"type": "boolean"}},
            "Record<string, boolean>",
        ),
        ({"type": "object", "properties": {"a-b": {}}, "required": ["a-b"]}, '{ "a-b": unknown; }'),
        ({}, "unknown"),
    ],
)
def test_a_schema_is_a_type(schema: dict[str, Any], expected: str) -> None:
    assert _type(schema) == expected
