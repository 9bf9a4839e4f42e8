"""A tool's arguments against its schema. Both come from strangers, so the check fetches nothing and
ends soon.

JSON Schema 2020-12, with three differences. A `pattern` is matched in time that grows with the text
alone, by an engine without look-around and back-references. Each keyword that is applied is a step
of `MAX_STEPS`: references to references could ask for any number. And a `$schema` inside changes
nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from itertools import count
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema
from referencing import Registry

MAX_STEPS = 10_000
"""Keywords applied in one check: some 0.1 s."""
PATTERNS_KEPT = 512

Keyword = Callable[[Any, Any, Any, Any], Any]
"""An iterable of `ValidationError`s, or None."""


class TooMuchWork(Exception):
    """The check would take more than `MAX_STEPS`."""


def problems(schema: Mapping[str, Any], value: object) -> Iterator[str]:
    """What is wrong with `value`, for a model to mend. A `pattern` of an argument must match in
    full.

    Raises `TooMuchWork`, `ValueError` for a pattern that does not compile, and what the library
    does for a schema that leads nowhere.
    """
    plain = _without_dialects(schema)
    # The registry is there because without one the library fetches what a reference names.
    validator = _Validator(
        plain, format_checker=Draft202012Validator.FORMAT_CHECKER, registry=Registry()
    )
    with _counting():
        yield from map(_say, validator.iter_errors(value))
    given = value if isinstance(value, dict) else {}
    for name, argument in plain.get("properties", {}).items():
        pattern = argument.get("pattern") if isinstance(argument, dict) else None
        text = given.get(name)
        if pattern and isinstance(text, str) and not matches(rf"\A(?:{pattern})\z", text):
            yield f"{name}: {text!r} does not match {pattern!r} in full."


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` is found in `text`. Raises `ValueError` for one that does not compile."""
    return _compiled(pattern).isinstance_python(text)


def check_pattern(pattern: str) -> None:
    """Raises `ValueError` that says what is wrong with it."""
    _compiled(pattern)


@lru_cache(PATTERNS_KEPT)
def _compiled(pattern: str) -> SchemaValidator:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ValueError(reason.removeprefix("SchemaError: ").removeprefix("error: ")) from None


def _say(error: ValidationError) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "arguments"
    return f"{where}: {error.message}."


def _without_dialects(value: Any) -> Any:
    """The schema without its `$schema`s: another dialect's keywords are not those below."""
    if isinstance(value, Mapping):
        return {
            name: _without_dialects(inner)
            for name, inner in value.items()
            if name != "$schema" or not isinstance(inner, str)
        }
    return [_without_dialects(inner) for inner in value] if isinstance(value, list) else value


# Keywords

_steps: ContextVar[Iterator[int]] = ContextVar("steps")


@contextmanager
def _counting() -> Iterator[None]:
    token = _steps.set(count())
    try:
        yield
    finally:
        _steps.reset(token)


def _counted(keyword: Keyword) -> Keyword:
    def apply(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        if next(_steps.get()) >= MAX_STEPS:
            raise TooMuchWork(f"it takes more than {MAX_STEPS} steps")
        return keyword(validator, value, instance, schema)

    return apply


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, inner in patterns.items():
        for name, value in instance.items():
            if matches(pattern, name):
                yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, wanted: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items():
        if name in known or any(matches(pattern, name) for pattern in patterns):
            continue
        if wanted is False:
            yield ValidationError(f"there is no argument {name!r}")
        elif isinstance(wanted, dict):
            yield from validator.descend(value, wanted, path=name)


def _unique_items(
    validator: Any, wanted: bool, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if wanted and isinstance(instance, list):
        seen = {json.dumps(_as_json_sees_it(item), sort_keys=True) for item in instance}
        if len(seen) < len(instance):
            yield ValidationError("expected each item once")


def _as_json_sees_it(value: Any) -> Any:
    """1 and 1.0 are one number."""
    match value:
        case dict():
            return {name: _as_json_sees_it(inner) for name, inner in value.items()}
        case list():
            return [_as_json_sees_it(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


_OURS: Mapping[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
_LEFT_OUT = frozenset({"unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef"})
"""What the library does for them is neither counted nor bound to this schema."""
_Validator = validators.create(
    meta_schema={"$id": "nur:arguments"},
    validators={
        name: _counted(_OURS.get(name, keyword))
        for name, keyword in Draft202012Validator.VALIDATORS.items()
        if name not in _LEFT_OUT
    },
    type_checker=Draft202012Validator.TYPE_CHECKER,
)
