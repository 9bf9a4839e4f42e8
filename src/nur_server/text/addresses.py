"""How e-mail addresses, web addresses and file names are said."""

import re
from functools import lru_cache, partial

from nur_server.text.lexicon import lexicon
from nur_server.text.markup import EMAIL, FILE_NAME, WEB_ADDRESS
from nur_server.text.rules import Rule
from nur_server.text.spelling import FEWEST_SPELLED_DIGITS, Speller

_NOT_ADDRESSES = frozenset({"e.g.", "i.e.", "a.m", "p.m", "e.g", "i.e"})
_MARK = re.compile(r"([@.\-_+/:?=&#~%,;!$])")
_MIXED = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]+")


@lru_cache(maxsize=64)
def address_rules(language: str) -> tuple[Rule, ...]:
    """The rules for a language (ISO 639-1, with or without a region)."""
    words = lexicon(language)
    marks = {
        "@": words.at,
        ".": words.dot,
        "-": words.dash,
        "_": words.underscore,
        "+": words.plus,
        "/": words.slash,
        "#": words.pound,
        "=": words.equals,
        "?": words.question_mark,
        ":": words.colon,
        "&": words.ampersand,
    }
    say = partial(_say, marks=marks, speller=Speller(language, words.slash, words.underscore))
    return (Rule(EMAIL, say), Rule(FILE_NAME, say), Rule(WEB_ADDRESS, say))


def _say(found: re.Match[str], marks: dict[str, str], speller: Speller) -> str | None:
    if found[0].lower() in _NOT_ADDRESSES:
        return None
    spoken = [marks.get(part, _piece(part, speller)) for part in _MARK.split(found[0]) if part]
    return " ".join(filter(None, spoken))


def _piece(piece: str, speller: Speller) -> str:
    """What stands between two marks: a word as it is, a code character by character."""
    if piece.isdecimal() and piece.isascii():
        return speller.number(piece)
    digits = sum(character.isdigit() for character in piece)
    is_code = digits >= FEWEST_SPELLED_DIGITS and _MIXED.fullmatch(piece)
    if is_code and not piece[: -digits or None].isalpha():
        return speller.spell(piece)
    return "" if _MARK.fullmatch(piece) else piece
