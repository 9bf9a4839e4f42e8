"""How deep the JSON may nest that clients send.

What reads, stores and shows a value descends into it, each part with a limit of its own. A value
within this one passes them all, so that nothing is taken in that cannot be given back.
"""

from collections.abc import Iterable
from typing import Any

MAX_NESTING = 100

Container = dict[str, Any] | list[Any]


def is_too_deep(value: object, most: int = MAX_NESTING) -> bool:
    """Whether lists and objects lie more than `most` deep in one another."""
    level = _containers([value])
    for _ in range(most):
        level = _containers(inner for outer in level for inner in _inside(outer))
    return bool(level)


def may_be_too_deep(text: str | bytes, most: int = MAX_NESTING) -> bool:
    """Whether JSON has brackets enough to be: most has not, and need not be looked into."""
    if isinstance(text, str):
        return text.count("[") + text.count("{") > most
    return text.count(b"[") + text.count(b"{") > most


def _containers(values: Iterable[object]) -> list[Container]:
    return [value for value in values if isinstance(value, dict | list)]


def _inside(value: Container) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value
