"""The OpenAPI document as TypeScript, for the client in `clients/js`.

`python -m nur_server.api.typescript` writes the file; a test says when that is due.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nur_server.api.app import create_app
from nur_server.providers.catalogue import Catalogue
from nur_server.settings import Settings

FILE = Path(__file__).parents[3] / "clients/js/src/api.ts"
HEAD = """\
// Written by `python -m nur_server.api.typescript` from the OpenAPI document. Do not edit.
"""
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean"}


def document() -> dict[str, Any]:
    """The OpenAPI document of this version."""
    return create_app(Settings(_env_file=None), catalogue=Catalogue.scripted()).openapi()


def typescript(described: Mapping[str, Any]) -> str:
    """Its schemas as types, and its operations by method and path."""
    schemas = described["components"]["schemas"]
    return "\n".join((HEAD, *_schemas(schemas), *_operations(described["paths"])))


def _schemas(schemas: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(schemas):
        yield f"export type {_name(name)} = {_type(schemas[name])};\n"


def _operations(paths: Mapping[str, Any]) -> Iterator[str]:
    yield "export interface Operations {"
    for path in sorted(paths):
        for method, operation in sorted(paths[path].items()):
            yield f"  {json.dumps(f'{method.upper()} {path}')}: {{"
            yield f"    given: {_given(operation)};"
            yield f"    answer: {_answer(operation)};"
            yield "  };"
    yield "}\n"


def _given(operation: Mapping[str, Any]) -> str:
    """Parameters and the fields of the body, together."""
    fields = [
        _field(found["name"], found["schema"], is_required=found.get("required", False))
        for found in operation.get("parameters", ())
        if found["in"] != "header"
    ]
    parts = [f"{{ {' '.join(fields)} }}"] if fields else []
    body = operation.get("requestBody")
    if body is not None:
        kind = _type(body["content"]["application/json"]["schema"])
        parts.append(kind if body.get("required") else f"Partial<{kind}>")
    return " & ".join(parts) or "Record<string, never>"


def _answer(operation: Mapping[str, Any]) -> str:
    for status, answer in sorted(operation["responses"].items()):
        if status.startswith("2"):
            content = answer.get("content", {}).get("application/json")
            return "null" if content is None else _type(content.get("schema", {}))
    return "unknown"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _name(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return _one_of(json.dumps(value) for value in schema["enum"])
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return _one_of(_type(part) for part in schema[name])
    if "allOf" in schema:
        return " & ".join(_type(part) for part in schema["allOf"])
    match schema.get("type"):
        case "array":
            return f"Array<{_type(schema.get('items', {}))}>"
        case "object":
            return _object(schema)
        case "null":
            return "null"
        case str(kind):
            return _PLAIN[kind]
        case _:
            return "unknown"


def _object(schema: Mapping[str, Any]) -> str:
    properties = schema.get("properties")
    if properties is None:
        others = schema.get("additionalProperties")
        return f"Record<string, {_type(others) if isinstance(others, dict) else 'unknown'}>"
    required = schema.get("required", ())
    fields = (_field(name, kind, is_required=name in required) for name, kind in properties.items())
    return f"{{ {' '.join(fields)} }}"


def _field(name: str, schema: Mapping[str, Any], *, is_required: bool) -> str:
    shown = name if name.isidentifier() else json.dumps(name)
    return f"{shown}{'' if is_required else '?'}: {_type(schema)};"


def _one_of(kinds: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(kinds))


def _name(name: str) -> str:
    """`Listing_AgentObject_` → `ListingAgentObject`."""
    return "".join(part for part in name.replace("-", "_").split("_") if part)


if __name__ == "__main__":
    FILE.write_text(typescript(document()))
