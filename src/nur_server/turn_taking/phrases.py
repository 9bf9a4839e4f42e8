"""Pieces of text as bare words, and lexicons of phrases. The base of the other word lists here."""

import re
import unicodedata
from collections.abc import Sequence

LONGEST_PHRASE = 7
"""Words of the longest phrase that a pattern of `consists_of` matches."""

_APOSTROPHES = "'’‘ʼ`´"
_ASCII_WORDS = str.maketrans(
    {chr(code): " " for code in range(128) if not chr(code).isalnum()} | dict.fromkeys("'`", "")
)


def normalise(text: str) -> str:
    """Return the bare words, case folded, without punctuation, set apart by single spaces."""
    return _bare(text)


def _bare(text: str, keep: str = "") -> str:
    folded = text.casefold()
    if folded.isascii() and not keep:
        return " ".join(folded.translate(_ASCII_WORDS).split())
    folded = unicodedata.normalize("NFKC", folded).casefold()
    return " ".join("".join(_bare_character(character, keep) for character in folded).split())


def _bare_character(character: str, keep: str) -> str:
    if character in _APOSTROPHES:
        return keep
    return character if unicodedata.category(character)[0] in "LNM" else " "


def tokens(text: str) -> list[str]:
    """The words with their inner apostrophes: `i'm`, `don't`."""
    return [stripped for word in _bare(text, "'").split() if (stripped := word.strip("'"))]


def phrases(text: str) -> frozenset[tuple[str, ...]]:
    """A lexicon from phrases set apart by commas."""
    return frozenset(tuple(normalise(phrase).split()) for phrase in text.split(","))


def words_of(text: str) -> frozenset[str]:
    """Return a lexicon of words set apart by spaces."""
    return frozenset(text.split())


def primary(language: str) -> str:
    """Return the language of a tag without its region: "pt-BR" → "pt"."""
    return re.split(r"[-_]", language.casefold(), maxsplit=1)[0]


def consists_of(
    words: Sequence[str],
    lexicon: frozenset[tuple[str, ...]],
    pattern: re.Pattern[str] | None = None,
) -> bool:
    """Whether the words are nothing but phrases of the lexicon or of the pattern, in a row.

    The pattern is tried on up to `LONGEST_PHRASE` words.
    """

    def is_phrase(start: int, end: int) -> bool:
        phrase = words[start:end]
        if tuple(phrase) in lexicon:
            return True
        return pattern is not None and pattern.fullmatch(" ".join(phrase)) is not None

    longest = max(max(map(len, lexicon)), LONGEST_PHRASE)
    reachable = [True] + [False] * len(words)
    for end in range(1, len(words) + 1):
        reachable[end] = any(
            reachable[start] and is_phrase(start, end)
            for start in range(max(0, end - longest), end)
        )
        if not any(reachable[max(0, end + 1 - longest) : end + 1]):
            return False
    return bool(words) and reachable[-1]


def without_accents(text: str) -> str:
    """Return the text without the marks above and below its letters."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character))
