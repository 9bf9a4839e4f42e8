"""A tool's arguments against its schema. Both come from strangers, so the check fetches nothing and
ends soon: every bound here counts work, so that a replay comes to the same verdict.

JSON Schema 2020-12, with three differences. A `pattern` is one of `conversation/patterns.py`. A
check that exceeds one of the bounds of `Budget` is given up. And neither `$schema` nor `$id` inside
changes anything.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import jsonschema_rs
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from referencing import Registry

from nur_server.conversation.patterns import compiled

MAX_STEPS = 5_000
"""Keywords applied in one check: some 0.1 s. References to references could ask for any number."""
MAX_VISITED = 100_000
"""Values that those keywords look at, compare or show, in one check: some 0.05 s."""
MAX_MATCHED = 200_000
"""Characters matched against patterns in one check, times the pattern's cost: at most 0.2 s."""
COMPILING = 200
"""Characters that compiling a pattern counts for, once in a check, times its cost."""
CHARACTERS_PER_VALUE = 50
"""A text counts as one value for so many characters."""
FORMATS = frozenset({"date", "email", "idn-email", "idn-hostname", "ipv4", "ipv6", "regex", "uuid"})
"""The values of `format` that are checked; any other is taken for a remark."""

Keyword = Callable[[Any, Any, Any, Any], Any]
"""An iterable of `ValidationError`s, or None."""


class TooMuchWork(Exception):
    """The check would exceed one of its bounds. The message says which."""


def problems(schema: Mapping[str, Any], value: object) -> Iterator[str]:
    """What is wrong with `value`, for a model to mend. A `pattern` of an argument must match in
    full.

    Raises `TooMuchWork`, `ValueError` for a pattern that does not compile, and what the library
    does for a schema that leads nowhere.
    """
    plain = without_dialects(schema)
    # The registry is there because without one the library fetches what a reference names.
    validator = _Validator(plain, registry=Registry())
    with _counting(value):
        yield from map(_say, validator.iter_errors(value))
        given = value if isinstance(value, dict) else {}
        for name, argument in plain.get("properties", {}).items():
            pattern = argument.get("pattern") if isinstance(argument, dict) else None
            text = given.get(name)
            if pattern and isinstance(text, str) and not _matches(pattern, text, in_full=True):
                yield f"{name}: {text!r} does not match {pattern!r} in full."


def without_dialects(value: Any) -> Any:
    """The schema without `$schema` and `$id`: another dialect's keywords are not those below, and
    references lead to places of this schema alone."""
    if isinstance(value, Mapping):
        return {
            name: without_dialects(inner)
            for name, inner in value.items()
            if name not in ("$schema", "$id") or not isinstance(inner, str)
        }
    return [without_dialects(inner) for inner in value] if isinstance(value, list) else value


def _say(error: ValidationError) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "arguments"
    return f"{where}: {error.message}."


# What a check may take


class Budget:
    """Counts the work of one check against its bounds."""

    def __init__(self, value: object) -> None:
        self._steps = self._visited = self._matched = 0
        self._compiled: set[str] = set()
        self._sizes: dict[int, int] = {}
        _measure(value, self._sizes)

    def step(self, instance: object, wanted: object) -> None:
        """A keyword is applied. Raises `TooMuchWork`."""
        self._steps += 1
        self._visited += self._size(instance)
        self._visited += len(wanted) if isinstance(wanted, list | dict | str) else 0
        if self._steps > MAX_STEPS:
            raise TooMuchWork(f"it takes more than {MAX_STEPS} steps")
        if self._visited > MAX_VISITED:
            raise TooMuchWork(f"it looks at more than {MAX_VISITED} values")

    def match(self, pattern: str, characters: int, cost: int) -> None:
        """So many characters are matched against a pattern. Raises `TooMuchWork`."""
        compiling = 0 if pattern in self._compiled else COMPILING
        self._compiled.add(pattern)
        self._matched += (compiling + characters + 1) * cost
        if self._matched > MAX_MATCHED:
            raise TooMuchWork(
                f"it matches more than {MAX_MATCHED} characters against patterns; shorten the text"
            )

    def _size(self, instance: object) -> int:
        if isinstance(instance, str):
            return 1 + len(instance) // CHARACTERS_PER_VALUE
        return self._sizes.get(id(instance), 1)


def _measure(value: object, sizes: dict[int, int]) -> int:
    """How many values lie in this one; those of its lists and objects are noted by identity."""
    if isinstance(value, str):
        return 1 + len(value) // CHARACTERS_PER_VALUE
    if not isinstance(value, dict | list):
        return 1
    inside: list[object] = [*value, *value.values()] if isinstance(value, dict) else value
    size = 1 + sum(_measure(inner, sizes) for inner in inside)
    sizes[id(value)] = size
    return size


_budget: ContextVar[Budget] = ContextVar("budget")


@contextmanager
def _counting(value: object) -> Iterator[None]:
    token = _budget.set(Budget(value))
    try:
        yield
    finally:
        _budget.reset(token)


def _matches(pattern: str, text: str, *, in_full: bool = False) -> bool:
    found = compiled(pattern, in_full=in_full)
    _budget.get().match(pattern, len(text), found.cost)
    return found.matches(text)


# Keywords


def _counted(keyword: Keyword) -> Keyword:
    def apply(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _budget.get().step(instance, value)
        return keyword(validator, value, instance, schema)

    return apply


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, inner in patterns.items():
        for name, value in instance.items():
            if _matches(pattern, name):
                yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, wanted: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items():
        if name in known or any(_matches(pattern, name) for pattern in patterns):
            continue
        if wanted is False:
            yield ValidationError(f"there is no argument {name!r}")
        elif isinstance(wanted, dict):
            yield from validator.descend(value, wanted, path=name)


def _unique_items(
    validator: Any, wanted: bool, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    # The other library compares each item with each.
    if wanted and isinstance(instance, list) and not _each_once.is_valid(instance):
        yield ValidationError("expected each item once")


_each_once = jsonschema_rs.Draft202012Validator({"uniqueItems": True})


def _format(validator: Any, wanted: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if wanted in FORMATS and isinstance(instance, str) and not _of(wanted).is_valid(instance):
        yield ValidationError(f"{instance!r} is not a {wanted!r}")


@cache
def _of(wanted: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"format": wanted}, validate_formats=True)


_OURS: Mapping[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
    "format": _format,
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
