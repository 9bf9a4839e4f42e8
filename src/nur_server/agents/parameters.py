"""A tool's `parameters`, a map of arguments or a JSON Schema, as the JSON Schema of an object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nur_server.agents.refusals import refuse, wrong

MAX_DEPTH = 32
"""How deep the schema of one argument may nest."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """A tool's arguments as they were read; `schema_checks.check_schemas` has not seen them."""

    schema: dict[str, Any]
    where: str = "parameters"
    """Their path, for errors."""
    is_map: bool = False
    """They were given as a map of arguments: paths are without `properties`."""


def read_parameters(raw: object, where: str) -> Parameters:
    """JSON Schema of an object, whatever the shape. Raises `InvalidRequest`."""
    if raw is None:
        return Parameters({"type": "object", "properties": {}}, where)
    if not isinstance(raw, Mapping):
        raise wrong(where, "an object: a map of arguments, or a JSON Schema", raw)
    is_map = not _is_schema(raw)
    schema = _from_map(raw, where) if is_map else _from_schema(raw, where)
    return Parameters(schema, where, is_map)


def _is_schema(raw: Mapping[str, Any]) -> bool:
    """Whether this is a JSON Schema rather than a map of arguments.

    An argument may itself be called `type` or `properties`; its value is then an object with a
    `type` of its own.
    """
    if isinstance(raw.get("type"), str | list) or isinstance(raw.get("required"), list):
        return True
    if "$ref" in raw or "$schema" in raw:
        return True
    if "properties" not in raw:
        return False
    properties = raw["properties"]
    return not (isinstance(properties, Mapping) and isinstance(properties.get("type"), str))


def _from_schema(raw: Mapping[str, Any], where: str) -> dict[str, Any]:
    kind = raw.get("type", "object")
    if kind != "object":
        raise wrong(f"{where}.type", "'object'", kind)
    properties = raw.get("properties")
    if properties is not None and not isinstance(properties, Mapping):
        raise wrong(f"{where}.properties", "an object with one schema per argument", properties)
    schema = _without_required_flags(raw, where, 0)
    return {**schema, "type": "object", "properties": schema.get("properties") or {}}


def _from_map(raw: Mapping[str, Any], where: str) -> dict[str, Any]:
    for name, argument in raw.items():
        if not isinstance(argument, Mapping):
            raise wrong(
                f"{where}.{name}",
                "an argument such as {'type': 'string', 'required': true}",
                argument,
            )
    return _without_required_flags({"type": "object", "properties": raw}, where, 0)


def _without_required_flags(schema: Mapping[str, Any], where: str, depth: int) -> dict[str, Any]:
    """The schema with `required: true` of each property moved to its object's `required` list."""
    if depth > MAX_DEPTH:
        raise refuse(where, f"expected a schema nested at most {MAX_DEPTH} deep")
    result = {key: value for key, value in schema.items() if value is not None}
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        required = list(schema["required"]) if isinstance(schema.get("required"), list) else []
        clean: dict[str, Any] = {}
        for name, value in properties.items():
            clean[name] = value
            if isinstance(value, Mapping):
                flag = value.get("required")
                inner = {
                    k: v for k, v in value.items() if not isinstance(flag, bool) or k != "required"
                }
                clean[name] = _without_required_flags(inner, f"{where}.{name}", depth + 1)
                if flag is True and name not in required:
                    required.append(name)
        result["properties"] = clean
        if required:
            result["required"] = required
    items = schema.get("items")
    if isinstance(items, Mapping):
        inner = {k: v for k, v in items.items() if k != "required" or not isinstance(v, bool)}
        result["items"] = _without_required_flags(inner, where, depth + 1)
    return result
