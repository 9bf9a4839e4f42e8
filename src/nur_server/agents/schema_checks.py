"""What a tool's JSON Schema may ask of this server: bounds, and whether it is a schema at all.

`check_bounds` looks at all tools together and takes some milliseconds whatever it is given.
`check_schemas` compiles: it runs outside the event loop (`agents/vetting.py`), and within the
bounds it takes at most some 0.2 s.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

from nur_server.agents.parameters import MAX_DEPTH, Parameters
from nur_server.agents.refusals import refuse
from nur_server.conversation.patterns import MAX_CHARACTERS, check_pattern
from nur_server.conversation.schemas import without_dialects

MAX_PARTS = 2_000
"""Objects and lists in the parameters of all tools together."""
MAX_VALUES = 10_000
"""Values and names in the parameters of all tools together."""
MAX_CHARACTERS_IN_ALL = 200_000
"""Of names and texts in the parameters of all tools together."""
MAX_LIST = 1_000
"""Items of one list, such as an `enum`: some checks compare each with each."""
MAX_PATTERNS = 100
"""Values of `pattern` and names of `patternProperties` in all tools together."""
MAX_COMPILED = 4_000_000
"""Bytes of the compiled patterns of all tools together: some 0.1 s."""
MAX_REFERENCES = 200
"""Values of `$ref` in all tools together."""
MAX_NESTING = 4 * MAX_DEPTH
"""Lists and objects in one another, counted from `parameters`."""

_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
"""Keywords that apply schemas to the same value."""


@dataclass(slots=True)
class _Counts:
    """What was found so far."""

    parts: int = 0
    values: int = 0
    characters: int = 0
    patterns: int = 0
    references: int = 0

    def check(self) -> None:
        """Raises `InvalidRequest` where there are too many."""
        for found, most, kind in (
            (self.parts, MAX_PARTS, "objects and lists"),
            (self.values, MAX_VALUES, "values and names"),
            (self.characters, MAX_CHARACTERS_IN_ALL, "characters in names and texts"),
            (self.patterns, MAX_PATTERNS, "patterns (names of 'patternProperties' included)"),
            (self.references, MAX_REFERENCES, "values of '$ref'"),
        ):
            if found > most:
                raise refuse(
                    "tools",
                    f"expected parameters with at most {most} {kind} in all tools together, got "
                    "more; leave out what the model does not need",
                )


def check_bounds(parameters: Iterable[object]) -> None:
    """Check the `parameters` of all tools, as they were given. Raises `InvalidRequest` that says
    which bound they exceed."""
    counts = _Counts()
    level: list[object] = list(parameters)
    for _ in range(MAX_NESTING):
        if not level:
            return
        level = [inner for value in level for inner in _counted(value, counts)]
        counts.values += len(level)
        counts.check()
    if any(isinstance(value, Mapping | list) for value in level):
        raise refuse("tools", f"expected parameters nested at most {MAX_NESTING} deep, got more")


def _counted(value: object, counts: _Counts) -> Iterable[object]:
    """Count a value, and give those inside it. Raises `InvalidRequest` once they are too many."""
    if isinstance(value, str):
        counts.characters += len(value)
        return ()
    if isinstance(value, dict | Mapping):
        counts.parts += 1
        counts.values += len(value)
        counts.check()
        counts.characters += sum(map(len, map(str, value)))
        for _, pattern in _patterns(value):
            counts.patterns += 1
            _check_length(pattern)
        counts.references += isinstance(value.get("$ref"), str)
        return value.values()
    if not isinstance(value, list):
        return ()
    counts.parts += 1
    counts.check()
    if len(value) > MAX_LIST:
        raise refuse(
            "tools", f"expected lists of at most {MAX_LIST} items in parameters, got {len(value)}"
        )
    return value


def _patterns(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keyword and the pattern."""
    pattern, names = value.get("pattern"), value.get("patternProperties")
    if isinstance(pattern, str):
        yield "pattern", pattern
    if isinstance(names, dict | Mapping):
        yield from (("patternProperties", name) for name in names)


def _check_length(pattern: str) -> None:
    if len(pattern) > MAX_CHARACTERS:
        raise refuse(
            "tools",
            f"expected patterns of at most {MAX_CHARACTERS} characters in parameters, got one of "
            f"{len(pattern)}",
        )


# Compiling


def check_schemas(several: Iterable[Parameters]) -> None:
    """Check schemas that are within the bounds: each is one, its patterns compile, and its
    references lead to a place in it. Nothing is fetched.

    Raises `InvalidRequest` with the path of the wrong part as its `param`.
    """
    size = 0
    for parameters in several:
        size += _check_schema(parameters)
        if size > MAX_COMPILED:
            raise refuse(
                "tools",
                f"expected patterns of at most {MAX_COMPILED} bytes once compiled in all tools "
                "together, got more; repeat less in them",
            )


def _check_schema(parameters: Parameters) -> int:
    """The bytes of its compiled patterns."""
    schema, where = parameters.schema, parameters.where
    try:
        jsonschema_rs.meta.validate(without_dialects(schema))
    except jsonschema_rs.ValidationError as error:
        path = [str(part) for part in error.instance_path]
        if parameters.is_map and path[:1] == ["properties"]:
            path = path[1:]
        raise refuse(
            ".".join([where, *path]), f"expected a valid JSON Schema: {error.message[:300]}"
        ) from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise refuse(where, f"expected a valid JSON Schema: {str(error)[:300]}") from None
    inspection = _Inspection(schema)
    try:
        inspection.look_at(schema["properties"] if parameters.is_map else schema, where)
    except RecursionError:
        raise refuse(where, "expected shorter chains of '$ref'") from None
    return inspection.size


class _Inspection:
    """One look through a schema, at what its meta-schema does not know."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.size = 0
        """Bytes of the compiled patterns."""
        self._schema = schema
        self._ending: set[int] = set()
        """Schemas that end, by identity."""
        self._known: dict[str, bool] = {}
        """References that were followed, and whether they lead to a schema."""

    def look_at(self, value: Any, where: str, depth: int = 0) -> None:
        if depth > MAX_NESTING:
            raise refuse(where, f"expected a schema nested at most {MAX_NESTING} deep")
        if isinstance(value, list):
            for inner in value:
                self.look_at(inner, where, depth + 1)
        if not isinstance(value, Mapping):
            return
        reference = value.get("$ref")
        if isinstance(reference, str) and not self._leads_to_a_schema(reference):
            raise refuse(
                where, f"expected '$ref' to lead to a part of the same schema, got {reference!r}"
            )
        if isinstance(reference, str) and not self._ends(value, set()):
            raise refuse(where, f"expected '$ref' to end, but {reference!r} applies itself again")
        for foreign in ("$dynamicRef", "$recursiveRef"):
            if isinstance(value.get(foreign), str):
                raise refuse(where, f"expected '$ref' to name other parts, got {foreign!r}")
        for key, pattern in _patterns(value):
            if self.size <= MAX_COMPILED:
                self.size += _size_of(pattern, f"{where}.{key}")
        for key, inner in value.items():
            self.look_at(inner, f"{where}.{key}", depth + 1)

    def _ends(self, schema: object, above: set[int]) -> bool:
        """Whether applying a schema to a value ends: it applies itself to values inside alone."""
        if not isinstance(schema, Mapping) or id(schema) in self._ending:
            return True
        if id(schema) in above:
            return False
        above.add(id(schema))
        ends = all(self._ends(inner, above) for inner in self._applied_in_place(schema))
        above.remove(id(schema))
        if ends:
            self._ending.add(id(schema))
        return ends

    def _applied_in_place(self, schema: Mapping[str, Any]) -> Iterator[object]:
        if isinstance(schema.get("$ref"), str):
            yield _at(self._schema, schema["$ref"])
        for keyword in _IN_PLACE:
            inner = schema.get(keyword)
            if keyword == "dependentSchemas" and isinstance(inner, Mapping):
                yield from inner.values()
            elif isinstance(inner, list):
                yield from inner
            else:
                yield inner

    def _leads_to_a_schema(self, reference: str) -> bool:
        """Whether a reference, and those it leads to, end in a schema."""
        followed: list[str] = []
        while reference not in self._known:
            # A reference that leads back to itself meets this and ends nowhere.
            self._known[reference] = False
            followed.append(reference)
            target = _at(self._schema, reference)
            if isinstance(target, Mapping) and isinstance(target.get("$ref"), str):
                reference = target["$ref"]
                continue
            self._known[reference] = isinstance(target, Mapping | bool)
        found = self._known[reference]
        self._known.update(dict.fromkeys(followed, found))
        return found


def _at(schema: Mapping[str, Any], reference: str) -> object:
    """What a JSON pointer leads to; None where it leads nowhere."""
    if not reference.startswith("#/"):
        return None
    target: Any = schema
    for part in reference.removeprefix("#/").split("/"):
        target = _inside(target, unquote(part).replace("~1", "/").replace("~0", "~"))
    return target


def _inside(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    is_place = isinstance(value, list) and name.isdecimal() and len(name) < 6
    return value[int(name)] if is_place and int(name) < len(value) else None


def _size_of(pattern: str, where: str) -> int:
    try:
        return check_pattern(pattern)
    except ValueError as error:
        raise refuse(
            where, f"expected a regular expression, got {pattern[:80]!r}: {error}"
        ) from None
