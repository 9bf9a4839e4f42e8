"""Rules that find what is written otherwise than it is said, and say it."""

import re
from collections.abc import Callable, Iterable, Sequence
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


def read(text: str, rules: Iterable[Rule], taken: Sequence[Reading] = ()) -> list[Reading]:
    """What the rules find, in order of place. An earlier rule, and `taken`, wins over a later."""
    readings = list(taken)
    free = bytearray(b"\1") * len(text)
    for reading in readings:
        free[reading.start : reading.end] = bytes(reading.end - reading.start)
    has_figure = _FIGURE.search(text) is not None
    for rule in rules:
        if rule.needs_figure and not has_figure:
            continue
        for found in rule.pattern.finditer(text):
            start, end = found.span("it" if "it" in rule.pattern.groupindex else 0)
            if start == end or 0 in free[start:end]:
                continue
            spoken = rule.say(found)
            if spoken is not None:
                readings.append(Reading(start, end, spoken))
                free[start:end] = bytes(end - start)
    return sorted(readings, key=lambda reading: reading.start)
