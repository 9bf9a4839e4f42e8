"""Rules that find what is written otherwise than it is said, and say it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """A stretch of text and how it is said."""

    start: int
    end: int
    spoken: str


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of thing is recognised and said."""

    pattern: re.Pattern[str]
    """Its group `it`, where it has one, is the thing; the rest is context."""
    say: Callable[[re.Match[str]], str | None]
    """None: not this kind of thing after all."""
    needs_figure: bool = False
    """It finds nothing in a text without a digit, `*` or `#`, and is not tried there."""


_FIGURE = re.compile("[0-9*#]")


def read(text: str, rules: Iterable[Rule], context: str = "") -> list[Reading]:
    """What the rules find, in order of place. An earlier rule wins over a later one.

    Rules about figures also look at `context`, the text directly before.
    """
    readings = []
    free = bytearray(b"\1") * len(text)
    has_figure = _FIGURE.search(text) is not None
    for rule in rules:
        if rule.needs_figure and not has_figure:
            continue
        before = context if rule.needs_figure else ""
        for found in rule.pattern.finditer(before + text):
            start, end = found.span("it" if "it" in rule.pattern.groupindex else 0)
            start, end = start - len(before), end - len(before)
            if start < 0 or start == end or 0 in free[start:end]:
                continue
            spoken = rule.say(found)
            if spoken is not None:
                readings.append(Reading(start, end, spoken))
                free[start:end] = bytes(end - start)
    return sorted(readings, key=lambda reading: reading.start)
