"""How a name written in figures and letters is spelled out, in any language."""

import re

from nur_server.text import english_numbers, other_languages

FEWEST_SPELLED_DIGITS = 3
"""Digits from which the number of a room, a bus or an order is spoken digit by digit. One or two
are a number to everybody: "gate fourteen", "platform nine"."""
SPELLED_LETTERS = 3
"""Letters of a group that are always spelled ("ORD"). A longer group that stands apart and can be
pronounced is a word ("ORDER")."""
_FIGURES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
_KEEPS_FIGURES = frozenset({"ja", "ko"})
"""`num2words` has one name for each of their digits where people use several, by what is counted.
Figures set apart are read as people do."""
_VOWEL = re.compile(r"[AEIOUYaeiouy]")
_PART = re.compile(r"[^\W_]+")
_GROUP = re.compile(r"[^\W\d_]+|[0-9]+")


class Speller:
    """Spells in one language (ISO 639-1, with or without a region).

    In a language whose digits have no known names, figures are set apart by spaces: every
    synthesiser says those one by one.
    """

    def __init__(self, language: str, slash: str = "slash", underscore: str = "") -> None:
        primary = re.split(r"[-_]", language.lower(), maxsplit=1)[0]
        self._is_english = primary in ("en", "")
        self._code = None if primary in _KEEPS_FIGURES else other_languages.code_of(language)
        self._marks = {"/": slash, "_": underscore}

    def digits(self, text: str) -> str:
        """The digits one by one, without regard to what stands between them."""
        names = self._names()
        return " ".join(names[int(character)] for character in text if character in _FIGURES)

    def grouped(self, text: str) -> str:
        """The digits one by one, with pauses where people make them."""
        return ", ".join(map(self.digits, english_numbers.digit_groups(text)))

    def number(self, text: str) -> str:
        """A short number as a name: "14" is a number, "304" and "04" are spelled."""
        if len(text) >= FEWEST_SPELLED_DIGITS or (len(text) > 1 and text[0] == "0"):
            return self.grouped(text)
        return self.count(text)

    def count(self, text: str) -> str:
        """A whole number in words, or as a figure where its words are not known."""
        if self._is_english:
            return english_numbers.cardinal(int(text))
        return text if self._code is None else other_languages.cardinal(int(text), self._code)

    def spell(self, text: str, *, is_short_number: bool = False) -> str:
        """An id, character by character, its groups set apart by pauses; words in it are kept.

        With `is_short_number` one or two digits are said as a number: "B12", "14K".
        """
        spoken, end = "", 0
        for part in _PART.finditer(text):
            gap = text[end : part.start()]
            if spoken:
                mark = self._marks.get(gap)
                spoken += f" {mark} " if mark else ", "
            spoken += self._spell_part(part[0], is_short_number)
            end = part.end()
        return spoken

    def _spell_part(self, part: str, is_short_number: bool) -> str:
        if len(part) > SPELLED_LETTERS and part.isalpha() and _VOWEL.search(part):
            return part
        groups = []
        for group in _GROUP.findall(part):
            if not group.isdigit():
                groups.append(" ".join(group.upper()))
            elif is_short_number:
                groups.append(self.number(group))
            else:
                groups.append(self.grouped(group))
        return " ".join(groups)

    def _names(self) -> tuple[str, ...]:
        if self._is_english:
            return english_numbers.SMALL
        if self._code is None:
            return _FIGURES
        code = self._code
        return tuple(other_languages.cardinal(digit, code) for digit in range(10))
