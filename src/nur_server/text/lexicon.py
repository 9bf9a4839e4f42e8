"""Words of each language that tell a name written in figures from an amount, and words for signs.

Phrases are set apart by commas; a star stands for the rest of a word, so `*nummer` is also
`Bestellnummer`.
"""

import re
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache

from nur_server.text.lexicon_words import WORDS

_WRITTEN_TOGETHER = "\u2e80"
"""From this character on (Chinese, Japanese, Korean) words have no boundary to look for."""
_NOWHERE = r"(?!)"
_PARTS = ("code", "phone", "place", "line", "behind", "link", "login", "counted")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What is known of one language. Each pattern matches one phrase, in any case."""

    code: str
    """A word after which figures are a name: code, PIN, order number."""
    phone: str
    """A word after which figures are a telephone number."""
    place: str
    """A word after which figures are a place: room, seat, gate, apartment."""
    line: str
    """A word directly behind which figures are a name: flight, bus, row, class."""
    behind: str
    """A word that, directly behind figures, makes a name of them."""
    link: str
    """A word that may stand between such a word and the figures: is, number."""
    login: str
    """A word of a sentence about logging in: in it a bare run of figures is a code."""
    counted: str
    """A word after figures that makes them an amount: euros, people, days."""
    star: str
    pound: str
    number: str
    """How `#` before a number is said."""
    plus: str
    at: str
    dot: str
    dash: str
    underscore: str
    slash: str
    colon: str
    equals: str
    question_mark: str
    ampersand: str
    is_spaced: bool
    """Whether words are set apart by spaces."""
    is_apart: bool
    """Whether figures are set apart from the words beside them."""


@lru_cache(maxsize=64)
def lexicon(language: str) -> Lexicon:
    """The lexicon of a language (ISO 639-1, with or without a region).

    Each also knows the English words, which texts in other languages use: PIN, code, gate. A
    language without an entry has those alone.
    """
    primary, _, region = language.lower().replace("_", "-").partition("-")
    own = {**WORDS.get(primary, {}), **WORDS.get(f"{primary}-{region}", {})}
    shared = WORDS["en" if primary in ("en", "") else "*"]
    patterns = {part: _pattern(own.get(part, ""), shared.get(part, "")) for part in _PARTS}
    signs = {**WORDS["signs"], **shared, **own}
    return Lexicon(
        **patterns,
        **{sign: signs[sign] for sign in WORDS["signs"]},
        is_spaced=primary not in ("zh", "ja", "th"),
        is_apart=primary not in ("zh", "ja", "th", "ko"),
    )


def _pattern(own: str, shared: str) -> str:
    """A regular expression for any of the phrases; for none it matches nowhere."""
    phrases = {phrase.strip() for phrase in f"{own},{shared}".split(",") if phrase.strip()}
    joined = {phrase for phrase in phrases if any(c >= _WRITTEN_TOGETHER for c in phrase)}
    apart = _either(phrases - joined)
    return rf"(?:(?<!\w)(?:{apart})(?![^\W\d_])|{_either(joined)})"


def _either(phrases: Set[str]) -> str:
    ordered = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    return "|".join(map(_phrase, ordered)) or _NOWHERE


def _phrase(phrase: str) -> str:
    return re.escape(phrase).replace(r"\*", r"\w*").replace(r"\ ", r"[\s-]")
