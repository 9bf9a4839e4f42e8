"""Text normalisation: prepares a model's text for the transcript and for a synthesiser.

Markup and everything internal is stripped (`written`), then the rest is put into words (`spoken`).
Each word of the written text is aligned with its place in the spoken one.
"""

import re
from collections.abc import Set
from dataclasses import dataclass, replace

from nur_server.text import numbers
from nur_server.text.addresses import address_rules
from nur_server.text.english_dates import final_point
from nur_server.text.joining import gap_as_written
from nur_server.text.markup import MarkupFilter, can_be_said
from nur_server.text.rules import Reading, Rule, read


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of a clause and where its speech is."""

    text: str
    """As it stands in `SpokenClause.written`, without surrounding space."""
    written_end: int
    """Offset in `SpokenClause.written` just behind it."""
    spoken_start: int
    """Offset in `SpokenClause.spoken` where its speech starts."""
    spoken_end: int


@dataclass(frozen=True, slots=True)
class SpokenClause:
    """One clause, twice: for the eye and for the ear."""

    written: str
    """What the transcript and the history show: no markup, numbers as written. Without
    surrounding space: clauses are joined by their `gap`."""
    spoken: str
    """What the synthesiser is given. None of ``*_#<>{}[]|` `` is in it."""
    words: tuple[SpokenWord, ...]
    """Aligned, in order, covering all of `written`. A word that is not said has an empty span."""
    gap: str = ""
    """What stands between this clause and the one before: a space, or nothing."""


LONGEST_CONTEXT = 120
"""Characters of the clause before that may say what the figures of a clause are."""
LONGEST_BARE_NAME = 40
"""Characters of a clause that is a code and nothing else: an IBAN in groups of four has at most 42,
and those met have 27."""
_SENTENCE_END = re.compile(r"[.!?。！？]\s*\Z")
_BARE_NAME = re.compile(r"[\s0-9A-Z+()#./-]+")


class TextNormaliser:
    """Prepares the clauses of one response, in order, for the transcript and the synthesiser."""

    def __init__(self, language: str = "en", internal_ids: Set[str] = frozenset()) -> None:
        """`internal_ids` are neither shown nor said."""
        self._rules = _rules(language)
        self._markup = MarkupFilter(internal_ids)
        self._before = ""
        """The clauses before of the same sentence, as shown."""
        self._raw = ""
        """The last clause that was spoken and all text since, as the model wrote it."""

    def clause(self, text: str) -> SpokenClause | None:
        """The clause to speak and to show. None: nothing of it can be spoken."""
        written = self._markup.strip(text)
        context = self._context(written)
        spoken = _say(written, self._rules, context) if can_be_said(written) else None
        if spoken is None or not can_be_said(spoken.spoken):
            self._raw += text if self._raw else ""
            return None
        between = gap_as_written(self._raw, text) if self._raw else ""
        self._before = f"{context}{written}"[-LONGEST_CONTEXT:]
        self._raw = text
        return replace(spoken, gap=between)

    def _context(self, written: str) -> str:
        """What the clause before says about this one: "Your code for today," "4829".

        Another sentence says something only about a clause that is a code and nothing else.
        """
        if _SENTENCE_END.search(self._before) is None:
            return f"{self._before} " if self._before else ""
        is_bare = len(written) <= LONGEST_BARE_NAME and _BARE_NAME.fullmatch(written)
        return f"{self._before.rstrip(' .。!！')}: " if is_bare else ""


# In words

_STREETS = {
    "St": "Street",
    "Dr": "Drive",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Ln": "Lane",
    "Ct": "Court",
    "Pl": "Place",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Sq": "Square",
}
_TITLES = {
    "Dr": "Doctor",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Prof": "Professor",
    "Gen": "General",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "Capt": "Captain",
    "Lt": "Lieutenant",
    "Sgt": "Sergeant",
    "Col": "Colonel",
    "Rev": "Reverend",
    "St": "Saint",
    "Mt": "Mount",
    "Ft": "Fort",
}
_SHORT_FORMS = {
    "e.g.": "for example",
    "eg.": "for example",
    "i.e.": "that is",
    "ie.": "that is",
    "etc.": "et cetera",
    "etc": "et cetera",
    "vs.": "versus",
    "vs": "versus",
    "approx.": "approximately",
    "dept.": "department",
    "appt.": "appointment",
    "appts.": "appointments",
    "govt.": "government",
    "est.": "established",
    "misc.": "miscellaneous",
    "incl.": "including",
    "excl.": "excluding",
    "max.": "maximum",
    "min.": "minimum",
    "avg.": "average",
    "tel.": "telephone",
    "ext.": "extension",
    "vol.": "volume",
    "fig.": "figure",
    "et al.": "and others",
    "jr.": "Junior",
    "sr.": "Senior",
    "inc.": "Incorporated",
    "ltd.": "Limited",
    "corp.": "Corporation",
    "co.": "Company",
    "ave.": "Avenue",
    "blvd.": "Boulevard",
    "rd.": "Road",
    "apt.": "apartment",
    "a.m.": "AM",
    "p.m.": "PM",
    "w/o": "without",
    "w/": "with",
    "n/a": "not available",
    "c/o": "care of",
    "and/or": "and or",
    "c#": "C sharp",
    "f#": "F sharp",
    "c++": "C plus plus",
}
_SIGNS = {
    "&": "and",
    "@": "at",
    "%": "percent",
    "=": "equals",
    "×": "times",
    "÷": "divided by",
    "≈": "about",
    "±": "plus or minus",
    "§": "section",
    "№": "number",
    "°": "degrees",
    "≠": "is not",
    "∞": "infinity",
    "€": "euros",
    "£": "pounds",
    "$": "dollars",
    "#": "number",
}


def _street(found: re.Match[str]) -> str:
    return _STREETS[found["it"].rstrip(".")] + final_point(found)


def _title(found: re.Match[str]) -> str:
    return _TITLES[found[0].rstrip(".")]


def _short_form(found: re.Match[str]) -> str | None:
    letters = found[0].rstrip(".")
    if letters.isalpha() and letters.isupper():
        return None
    return _SHORT_FORMS[found[0].lower()] + final_point(found)


def _either(mapping: dict[str, str]) -> str:
    return "|".join(map(re.escape, sorted(mapping, key=len, reverse=True)))


_ENGLISH_FIRST = (
    Rule(
        re.compile(
            rf"\b[0-9]+[A-Za-z]?(?: [NSEW]\.?)?(?: [A-Z0-9][\w'’]*){{1,3}} "
            rf"(?P<it>(?:{_either(_STREETS)})\b\.?)(?!\w)"
        ),
        _street,
    ),
    Rule(
        re.compile(rf"\b[A-Z][\w'’]+ (?P<it>(?:{_either(_STREETS)})\b\.?)(?=\Z|[,;!?)]|\s+[a-z])"),
        _street,
    ),
    Rule(re.compile(rf"\b(?:{_either(_TITLES)})\b\.?(?=\s+[A-Z])"), _title),
    Rule(re.compile(r"\b[Nn]os?\.(?=\s?[0-9])"), lambda found: "number"),
)
_ENGLISH_LAST = (
    Rule(re.compile(rf"(?<![\w/.])(?:{_either(_SHORT_FORMS)})(?!\w)", re.IGNORECASE), _short_form),
    Rule(re.compile(r"(?<=[a-z])/(?=[a-z])|(?<=[\w)]) / (?=[\w(])"), lambda found: " or "),
    Rule(re.compile(r"~\s?(?=[$€£]?\w)"), lambda found: "about "),
    Rule(re.compile(r"\^2\b"), lambda found: " squared"),
    Rule(re.compile(r"(?<=\w)\s?\+\s(?=\w)|(?<=\w)\s\+\s?(?=\w)"), lambda found: " plus "),
    Rule(
        re.compile(rf"\s?(?P<sign>[{''.join(map(re.escape, _SIGNS))}])\s?"),
        lambda found: f" {_SIGNS[found['sign']]} ",
    ),
    Rule(re.compile(r"/"), lambda found: " "),
)
_LEFT_OVER = (Rule(re.compile(r"[*_#<>{}\[\]|`~^\\]+"), lambda found: " "),)


def _rules(language: str) -> tuple[Rule, ...]:
    primary = re.split(r"[-_]", language.lower(), maxsplit=1)[0] or "en"
    addresses, figures = address_rules(language), numbers.rules(language)
    if primary != "en":
        return (*addresses, *figures, *_LEFT_OVER)
    return (*addresses, *_ENGLISH_FIRST, *figures, *_ENGLISH_LAST, *_LEFT_OVER)


# Alignment

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0002ffff"
_WORD = re.compile(rf"[{_IDEOGRAPHS}][^\w\s]*|[^\s{_IDEOGRAPHS}]+")


@dataclass(frozen=True, slots=True)
class _Segment:
    """A stretch of the written text and its place in the spoken one."""

    start: int
    end: int
    spoken_start: int
    spoken: str
    is_verbatim: bool


def _say(written: str, rules: tuple[Rule, ...], context: str) -> SpokenClause:
    segments, spoken = _segments(written, read(written, rules, context))
    return SpokenClause(written, spoken, _align(written, segments, spoken))


def _segments(written: str, readings: list[Reading]) -> tuple[list[_Segment], str]:
    segments: list[_Segment] = []
    spoken = ""

    def add(start: int, end: int, text: str, is_verbatim: bool) -> None:
        nonlocal spoken
        kept = text.lstrip(" ") if not spoken or spoken.endswith(" ") else text
        if is_verbatim:
            start += len(text) - len(kept)
        segments.append(_Segment(start, end, len(spoken), kept, is_verbatim))
        spoken += kept

    at = 0
    for reading in readings:
        add(at, reading.start, written[at : reading.start], True)
        add(reading.start, reading.end, reading.spoken, False)
        at = reading.end
    add(at, len(written), written[at:], True)
    return segments, spoken.rstrip(" ")


def _align(written: str, segments: list[_Segment], spoken: str) -> tuple[SpokenWord, ...]:
    places = [found.span() for found in _WORD.finditer(written)]
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    first = 0
    for segment in segments:
        while first < len(places) and places[first][1] <= segment.start:
            first += 1
        last = first
        while last < len(places) and places[last][0] < segment.end:
            last += 1
        for number, (start, end) in _shares(segment, places[first:last]):
            starts.setdefault(first + number, start)
            ends[first + number] = end
    words, at = [], 0
    for number, (start, end) in enumerate(places):
        begin = min(max(at, starts.get(number, at)), len(spoken))
        at = min(max(begin, ends.get(number, begin)), len(spoken))
        words.append(SpokenWord(written[start:end], end, begin, at))
    return tuple(words)


def _shares(segment: _Segment, places: list[tuple[int, int]]) -> list[tuple[int, tuple[int, int]]]:
    """What part of the segment's speech belongs to each of the words at `places`."""
    if segment.is_verbatim:
        shift = segment.spoken_start - segment.start
        return [
            (number, (max(start, segment.start) + shift, min(end, segment.end) + shift))
            for number, (start, end) in enumerate(places)
        ]
    tokens = [found.span() for found in re.finditer(r"\S+", segment.spoken)]
    shares = []
    for number in range(len(places)):
        mine = tokens[
            number * len(tokens) // len(places) : (number + 1) * len(tokens) // len(places)
        ]
        if mine:
            span = (segment.spoken_start + mine[0][0], segment.spoken_start + mine[-1][1])
            shares.append((number, span))
    return shares
