"""Numbers as words in languages other than English, by `num2words`."""

import re
from functools import lru_cache, partial

from nur_server.text.rules import Rule

MOST_DIGITS = 9
"""Digits of the longest number given to `num2words`: with longer ones some of its languages hang
(measured with version 0.5.14)."""
_SPELLED_OUT = frozenset(
    {
        "ar",
        "ca",
        "cs",
        "da",
        "de",
        "es",
        "fa",
        "fi",
        "fr",
        "he",
        "hu",
        "id",
        "is",
        "it",
        "ja",
        "ko",
        "lt",
        "lv",
        "nl",
        "no",
        "pl",
        "pt",
        "pt_BR",
        "ro",
        "ru",
        "sk",
        "sl",
        "sr",
        "sv",
        "th",
        "uk",
        "vi",
    }
)
"""Languages whose whole numbers below 10⁹ `num2words` is known to say; with others it may hang."""
_POINTS = {"de": "Komma", "es": "coma", "fr": "virgule", "it": "virgola", "nl": "komma"} | {
    "pt": "vírgula",
    "pt_BR": "vírgula",
}
_PERCENT = {"de": "Prozent", "es": "por ciento", "fr": "pour cent", "it": "per cento"} | {
    "nl": "procent",
    "pt": "por cento",
    "pt_BR": "por cento",
}
_ORDINAL_POINT = frozenset(
    {"cs", "da", "de", "fi", "hu", "is", "lt", "lv", "no", "pl", "sk", "sl", "sr"}
)
"""Languages that write an ordinal as a figure with a point: "3. Mai". Synthesisers know it, and
`num2words` would make a cardinal and the end of a sentence of it."""
_NUMBER = re.compile(
    r"(?<![\w.,:/+-])(?P<whole>[0-9]{1,3}(?:[. ][0-9]{3})+|[0-9]+)(?:,(?P<fraction>[0-9]+))?"
    r"(?P<percent>\s?%)?(?![^\W_]|[.,:/-][0-9])"
)
_ORDINAL_END = re.compile(r"\. [^\W\d_]")


def code_of(language: str) -> str | None:
    """The name under which `num2words` knows a language (ISO 639-1, with or without a region)."""
    primary, _, region = language.replace("-", "_").partition("_")
    codes = (f"{primary.lower()}_{region.upper()}", primary.lower())
    return next((code for code in codes if code in _SPELLED_OUT), None)


def number_rules(language: str) -> tuple[Rule, ...]:
    """How plain numbers and percentages are said; none in a language that is not known."""
    code = code_of(language)
    return () if code is None else (Rule(_NUMBER, partial(_say, code=code)),)


@lru_cache(maxsize=4096)
def cardinal(number: int, code: str) -> str:
    """The number in words, in a language by the name that `code_of` gives it."""
    # Imported late: most servers speak English only, and it loads the rules of sixty languages.
    import num2words  # type: ignore[import-untyped]  # it ships no types

    is_hundreds = code == "de" and 1100 <= number < 2000
    return str(num2words.num2words(number, lang=code, to="year" if is_hundreds else "cardinal"))


def _say(found: re.Match[str], code: str) -> str | None:
    whole, fraction = re.sub(r"[. ]", "", found["whole"]), found["fraction"]
    is_grouped = whole != found["whole"]
    has_more = is_grouped or fraction or found["percent"]
    if len(whole) > MOST_DIGITS or (has_more and code not in _POINTS):
        return None
    if code in _ORDINAL_POINT and not has_more and len(whole) <= 2 and _is_ordinal(found):
        return None
    words = cardinal(int(whole), code)
    if fraction:
        words += f" {_POINTS[code]} {' '.join(cardinal(int(d), code) for d in fraction)}"
    return f"{words} {_PERCENT[code]}" if found["percent"] else words


def _is_ordinal(found: re.Match[str]) -> bool:
    return _ORDINAL_END.match(found.string, found.end()) is not None
