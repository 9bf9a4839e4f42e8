"""Numbers as English words: cardinals, ordinals, years, decimals and digit strings."""

import re


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SMALL = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = _words("_ _ twenty thirty forty fifty sixty seventy eighty ninety")
_SCALES = ("thousand", "million", "billion", "trillion")
_LARGEST = 10 ** (3 * (len(_SCALES) + 1))
"""Numbers from this value on are spoken digit by digit: no scale word above trillion is in use."""
_LONGEST_NUMBER = 15
"""Most digits of a number spoken as one: those below `_LARGEST`."""
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(number: int) -> str:
    """1234 → "one thousand two hundred thirty-four"."""
    if number < 0:
        return f"minus {cardinal(-number)}"
    if number >= _LARGEST:
        return digits(str(number))
    words = []
    for scale in range(len(_SCALES), -1, -1):
        group = number // 1000**scale % 1000
        if group:
            words.append(_below_thousand(group))
            words.extend(_SCALES[scale - 1 : scale] if scale else ())
    return " ".join(words) or "zero"


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{SMALL[hundreds]} hundred"] if hundreds else []
    if rest:
        words.append(below_hundred(rest))
    return " ".join(words)


def below_hundred(number: int) -> str:
    if number < len(SMALL):
        return SMALL[number]
    tens, ones = divmod(number, 10)
    return f"{_TENS[tens]}-{SMALL[ones]}" if ones else _TENS[tens]


def ordinal(number: int) -> str:
    """21 → "twenty-first"."""
    words = cardinal(number)
    stem = re.split(r"[ -]", words)[-1]
    if stem in _ORDINALS:
        last = _ORDINALS[stem]
    else:
        last = f"{stem[:-1]}ieth" if stem.endswith("y") else f"{stem}th"
    return words[: len(words) - len(stem)] + last


def digits(text: str) -> str:
    """Its figures one by one, without regard to anything between them."""
    return " ".join(SMALL[int(character)] for character in text if character in "0123456789")


def year(number: int) -> str:
    """1984 → "nineteen eighty-four", 2005 → "two thousand five"."""
    century, rest = divmod(number, 100)
    if number < 1000 or number > 9999 or (century % 10 == 0 and rest < 10):
        return cardinal(number)
    if rest == 0:
        return f"{below_hundred(century)} hundred"
    tail = f"oh {SMALL[rest]}" if rest < 10 else below_hundred(rest)
    return f"{below_hundred(century)} {tail}"


def quantity(text: str) -> str:
    """ "1,200.50" → "one thousand two hundred point five zero"; "007" digit by digit."""
    whole, _, fraction = text.replace(",", "").partition(".")
    if len(whole) > _LONGEST_NUMBER or (len(whole) > 1 and whole[0] == "0"):
        words = grouped_digits(whole)
    else:
        words = cardinal(int(whole)) if whole else ""
    return f"{words} point {digits(fraction)}".strip() if fraction else words


def grouped_digits(text: str) -> str:
    """Digit by digit, with pauses where people make them: "5550199" → "five five five, zero …"."""
    return ", ".join(map(digits, digit_groups(text)))


def digit_groups(text: str) -> list[str]:
    """A run of digits cut where people pause when they read it out."""
    sizes = _GROUPS.get(len(text)) or _even_groups(len(text))
    groups, start = [], 0
    for size in sizes:
        groups.append(text[start : start + size])
        start += size
    return groups


_GROUPS = {5: (5,), 7: (3, 4), 8: (4, 4), 10: (3, 3, 4), 11: (1, 3, 3, 4), 16: (4, 4, 4, 4)}
"""Sizes of the groups by length: as ZIP codes, phone numbers and card numbers are usually read."""


def _even_groups(length: int) -> list[int]:
    """Threes, with a four at the end instead of a single digit."""
    if length <= 4:
        return [length]
    threes, rest = divmod(length, 3)
    return [3] * (threes - 1) + [4] if rest == 1 else [3] * threes + ([rest] if rest else [])
