"""Regular expressions of strangers: each compiles within a bound, and matches in time that grows
with the text alone.

The engine is the one of `jsonschema-rs` (Rust's `regex`): the syntax of ECMA-262, without
look-around and back-references.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

MAX_CHARACTERS = 1_000
"""Of one pattern, as it is written."""
SIZES = (10_000, 100_000, 1_000_000)
"""Bytes a compiled pattern may take: each is of the smallest size that holds it. The last compiles
in some 20 ms; `.{1,500}` needs it. For each 10,000 bytes a character of a text takes 1 µs to match,
at worst."""
MAX_BYTES = SIZES[-1]
KEPT_BYTES = 8 * MAX_BYTES
"""Compiled patterns that stay in memory. Matching may need as much again."""

_HAS_LOOK_AROUND = re.compile(r"\(\?<?[=!]|\\[1-9]|\\k<")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern. It is found anywhere in a text."""

    size: int
    """One of `SIZES`."""
    engine: Draft202012Validator

    @property
    def cost(self) -> int:
        """Of matching one character, where a pattern of the smallest size has a cost of 1."""
        return self.size // SIZES[0]

    def matches(self, text: str) -> bool:
        return self.engine.is_valid(text)


def check_pattern(pattern: str) -> int:
    """How large it is once compiled: one of `SIZES`.

    Raises `ValueError` that says what is wrong with it, or which bound it exceeds.
    """
    if len(pattern) > MAX_CHARACTERS:
        raise ValueError(f"it has {len(pattern)} characters, and at most {MAX_CHARACTERS} may be")
    if not _is_regular_expression(pattern):
        raise ValueError("it is not a regular expression of ECMA-262")
    return _compile(_in_full(pattern)).size


def compiled(pattern: str, *, in_full: bool = False) -> Pattern:
    """`in_full`: it must match the whole text. Raises `ValueError` as `check_pattern` does."""
    return _kept.get(_in_full(pattern) if in_full else pattern)


def matches(pattern: str, text: str, *, in_full: bool = False) -> bool:
    """Whether `pattern` is found in `text`. Raises `ValueError` for one that does not compile."""
    return compiled(pattern, in_full=in_full).matches(text)


def _in_full(pattern: str) -> str:
    return f"^(?:{pattern})$"


def _compile(pattern: str) -> Pattern:
    for size in SIZES:
        limits = RegexOptions(size_limit=size, dfa_size_limit=size)
        try:
            return Pattern(size, Draft202012Validator({"pattern": pattern}, pattern_options=limits))
        except (ValidationError, ValueError):
            continue
    raise ValueError(_reason(pattern))


def _is_regular_expression(pattern: str) -> bool:
    try:
        return _syntax.is_valid(pattern)
    except ValueError:
        return False


def _reason(pattern: str) -> str:
    if not _is_regular_expression(pattern):
        return "it is not a regular expression of ECMA-262"
    if _HAS_LOOK_AROUND.search(pattern):
        return "look-around and back-references are not supported"
    return f"it is larger than the limit of {MAX_BYTES} bytes once compiled; repeat less in it"


class _Kept:
    """The patterns used last, up to `KEPT_BYTES` of them."""

    def __init__(self) -> None:
        self._patterns: OrderedDict[str, Pattern] = OrderedDict()
        self._bytes = 0

    def get(self, pattern: str) -> Pattern:
        found = self._patterns.pop(pattern, None)
        if found is None:
            found = _compile(pattern)
            self._bytes += found.size
        self._patterns[pattern] = found
        while self._bytes > KEPT_BYTES:
            _, oldest = self._patterns.popitem(last=False)
            self._bytes -= oldest.size
        return found


_kept = _Kept()
_syntax = Draft202012Validator({"format": "regex"}, validate_formats=True)
