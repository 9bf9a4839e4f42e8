"""`{{name}}` and `{{name|default}}` in prompts and opening lines."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_PLACEHOLDER = re.compile(r"\{\{([^{}|]*)(?:\|([^{}]*))?\}\}")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A template with its variables filled in."""

    text: str
    missing: tuple[str, ...]
    """Variables that had neither a value nor a default, once each, in order of appearance."""


def render(template: str, *sources: Mapping[str, Any]) -> Rendered:
    """Fill in `template` from the first of `sources` that has a value.

    A name is looked up as it stands, then as a path (`customer.name`). Text goes in as it is, other
    values as JSON; null counts as missing. A value that itself contains `{{…}}` is not rendered
    again, so that what callers give cannot read other variables.
    """
    missing: dict[str, None] = {}

    def fill(match: re.Match[str]) -> str:
        name, default = match[1].strip(), match[2]
        if not name:
            return match[0]
        value = _find(name, sources)
        if value is not None:
            return _as_text(value)
        if default is not None:
            return default.strip()
        missing[name] = None
        return ""

    return Rendered(_PLACEHOLDER.sub(fill, template), tuple(missing))


def missing_warnings(missing: Iterable[str]) -> tuple[str, ...]:
    """What a client is told about variables that were left empty."""
    return tuple(
        f"{{{{{name}}}}} has no value in context or metadata and was left empty"
        for name in dict.fromkeys(missing)
    )


def _find(name: str, sources: Iterable[Mapping[str, Any]]) -> Any:
    for source in sources:
        value = source.get(name)
        if value is None:
            value = _follow(source, name.split("."))
        if value is not None:
            return value
    return None


def _follow(source: Any, path: list[str]) -> Any:
    for part in path:
        if not isinstance(source, Mapping):
            return None
        source = source.get(part)
    return source


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
