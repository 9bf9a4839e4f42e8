"""Arguments of a tool, read out of what somebody said.

Speech gives numbers as words ("order one two three four", "double five") and nothing in the order
of the schema. A value is taken where it is clear what it is; what is missing is asked for.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from nur_server.conversation.config import ToolSpec
from nur_server.conversation.patterns import matches
from nur_server.providers.offline_text import key, listed, plain_name, word_set, words

_FIRST_TWENTY = """zero one two three four five six seven eight nine ten eleven twelve thirteen
    fourteen fifteen sixteen seventeen eighteen nineteen"""
_UNITS = {word: value for value, word in enumerate(_FIRST_TWENTY.split())} | {"oh": 0}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
_REPEATS = {"double": 2, "triple": 3, "treble": 3}
_NOT_A_NUMBER_BEFORE = word_set("this that which another the any no every each")
_NOT_A_NUMBER_AFTER = word_set("moment second minute of more thing time")

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[A-Za-z]+(?:'[a-z]+)?")


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        return self.text.lower()

    @property
    def is_digits(self) -> bool:
        return self.text[0].isdigit()

    @property
    def is_number(self) -> bool:
        return self.is_digits or self.word in _UNITS or self.word in _TENS


@dataclass(frozen=True, slots=True)
class NumberRun:
    """Numbers said in a row."""

    digits: str
    """As a code: `1234`, `AB12`."""
    value: float | None
    """As a quantity; None for a code with letters."""
    first: int
    """Index of its first token."""
    end: int
    """Index behind its last token."""
    is_weak: bool = False
    """A lone `one`, which may be no number at all."""


def tokens(text: str) -> list[Token]:
    return [Token(m[0], m.start(), m.end()) for m in _TOKEN.finditer(text)]


def number_runs(said: list[Token]) -> list[NumberRun]:
    """All numbers in what was said, in order."""
    runs: list[NumberRun] = []
    at = 0
    while at < len(said):
        run = _run(said, at)
        if run is None:
            at += 1
        else:
            runs.append(run)
            at = run.end
    return runs


def _run(said: list[Token], at: int) -> NumberRun | None:
    digits, groups, end = "", [], at
    while end < len(said):
        count, spoken, value = _group(said, end)
        if not count:
            break
        digits += spoken
        groups.append(value)
        end += count
    if not any(value is not None for value in groups):
        return None
    alone = end == at + 1 and said[at].word == "one"
    before = said[at - 1].word if at else ""
    after = said[end].word if end < len(said) else ""
    if alone and (before in _NOT_A_NUMBER_BEFORE or after in _NOT_A_NUMBER_AFTER):
        return None
    value = None
    if len(groups) == 1:
        value = groups[0]
    elif all(group is not None for group in groups) and "." not in digits:
        value = float(int(digits))
    return NumberRun(digits, value, at, end, is_weak=alone)


def _group(said: list[Token], at: int) -> tuple[int, str, float | None]:
    """The group at a place: how many tokens it takes, how it is written, what it is worth.

    A letter belongs to a code where a number is beside it, and is worth None.
    """
    token = said[at]
    if token.word in _REPEATS and at + 1 < len(said):
        digit = said[at + 1]
        if digit.word in _UNITS and _UNITS[digit.word] < 10:
            return 2, str(_UNITS[digit.word]) * _REPEATS[token.word], 0.0
    if token.is_digits:
        plain = token.text.replace(",", "")
        return 1, plain, float(plain) if plain.count(".") < 2 else None
    if token.word in _UNITS or token.word in _TENS:
        return _cardinal(said, at)
    if _is_code_letter(said, at):
        return 1, token.text.upper(), None
    return 0, "", None


def _cardinal(said: list[Token], at: int) -> tuple[int, str, float | None]:
    """`forty two` → 42, `two hundred and five` → 205, `three point five` → 3.5."""
    total, part, end = 0, 0, at
    count, part = _below_hundred(said, at)
    end += count
    while end < len(said) and said[end].word in _SCALES:
        scale = _SCALES[said[end].word]
        end += 1
        if scale == 100:
            part *= scale
        else:
            total, part = total + part * scale, 0
        skip = 1 if end < len(said) and said[end].word == "and" else 0
        count, more = _below_hundred(said, end + skip)
        if count:
            part, end = part + more, end + skip + count
    value = total + part
    decimals = _decimals(said, end)
    if decimals:
        return end + 1 + len(decimals) - at, f"{value}.{decimals}", float(f"{value}.{decimals}")
    is_oh = said[at].word == "oh"
    return end - at, "0" if is_oh else str(value), float(value)


def _below_hundred(said: list[Token], at: int) -> tuple[int, int]:
    if at >= len(said):
        return 0, 0
    word = said[at].word
    if word in _UNITS:
        return 1, _UNITS[word]
    if word in _TENS:
        after = _UNITS.get(said[at + 1].word, 0) if at + 1 < len(said) else 0
        return (2, _TENS[word] + after) if 0 < after < 10 else (1, _TENS[word])
    return 0, 0


def _decimals(said: list[Token], at: int) -> str:
    """The digits behind a spoken `point`."""
    digits = ""
    if at < len(said) and said[at].word == "point":
        for token in said[at + 1 :]:
            if _UNITS.get(token.word, 10) > 9:
                break
            digits += str(_UNITS[token.word])
    return digits


def _is_code_letter(said: list[Token], at: int) -> bool:
    """Whether a token is a letter of a code: single letters beside a number, or capitals."""
    text = said[at].text
    neighbours = [said[i] for i in (at - 1, at + 1) if 0 <= i < len(said)]
    if len(text) == 1 and text not in ("a", "i", "A", "I"):
        return any(t.is_number or len(t.text) == 1 for t in neighbours)
    if text == "A" and at + 1 < len(said):
        return len(said[at + 1].text) == 1 and not said[at + 1].is_number
    beside_digits = at + 1 < len(said) and said[at + 1].is_digits
    touches = beside_digits and said[at + 1].start - said[at].end <= 1
    return text.isupper() and text != "I" and len(text) <= 4 and touches


class Kind(Enum):
    """What sort of value a parameter takes."""

    CHOICE = "choice"
    BOOLEAN = "boolean"
    NUMBER = "number"
    CODE = "code"
    EMAIL = "email"
    WHEN = "when"
    PLACE = "place"
    PERSON = "person"
    QUERY = "query"
    TEXT = "text"
    UNSPEAKABLE = "unspeakable"


_KIND_WORDS = {
    Kind.EMAIL: "email mail",
    Kind.WHEN: "date day time when datetime appointment",
    Kind.CODE: "id number code phone zip postal postcode pin account reference ref sku tracking",
    Kind.PLACE: "city location place destination origin country town address street region",
    Kind.PERSON: "name customer person guest patient caller",
    Kind.QUERY: "query question search text message topic keyword term note reason subject",
}


def kind_of(name: str, schema: Mapping[str, Any]) -> Kind:
    """What sort of value a parameter takes, by its schema and then its name."""
    if isinstance(schema.get("enum"), list):
        return Kind.CHOICE
    match schema.get("type", "string"):
        case "boolean":
            return Kind.BOOLEAN
        case "integer" | "number":
            return Kind.NUMBER
        case "string":
            pass
        case _:
            return Kind.UNSPEAKABLE
    match schema.get("format"):
        case "date" | "time" | "date-time":
            return Kind.WHEN
        case "email":
            return Kind.EMAIL
        case _:
            pass
    own = set(words(plain_name(name)))
    return next((kind for kind, w in _KIND_WORDS.items() if own & set(w.split())), Kind.TEXT)


_ORDER = (Kind.EMAIL, Kind.WHEN, Kind.CHOICE, Kind.CODE, Kind.NUMBER)
"""Which parameters choose first; the rest follows in the schema's order."""


def properties(tool: ToolSpec) -> dict[str, Mapping[str, Any]]:
    found = tool.parameters.get("properties")
    return (
        {n: s for n, s in found.items() if isinstance(s, dict)} if isinstance(found, dict) else {}
    )


def required(tool: ToolSpec) -> list[str]:
    names = tool.parameters.get("required")
    return [str(name) for name in names] if isinstance(names, list) else []


def is_speakable(tool: ToolSpec) -> bool:
    """Whether every required argument can be said at all."""
    own = properties(tool)
    return all(
        name in own and kind_of(name, own[name]) is not Kind.UNSPEAKABLE for name in required(tool)
    )


def read_arguments(tool: ToolSpec, text: str, asked: str | None = None) -> dict[str, Any]:
    """The arguments somebody gave by saying `text`.

    `asked` is the parameter they were just asked for: what they say is then the value, with less
    to make it clear.
    """
    reader = _Reader(text)
    own = properties(tool)
    order = {kind: place for place, kind in enumerate(_ORDER)}
    names = sorted(own, key=lambda name: order.get(kind_of(name, own[name]), len(order)))
    if asked in own:
        names = [asked]
    needed = required(tool)
    found = {
        name: value
        for name in names
        if (value := reader.read(name, own[name], name == asked, name in needed)) is not None
    }
    return {name: found[name] for name in own if name in found}


def first_missing(tool: ToolSpec, arguments: Mapping[str, Any]) -> str | None:
    """The first required parameter without a value."""
    return next((name for name in required(tool) if name not in arguments), None)


def question_for(tool: ToolSpec, name: str) -> str:
    """How to ask for a parameter."""
    schema = properties(tool).get(name, {})
    said = plain_name(name)
    match kind_of(name, schema):
        case Kind.CHOICE:
            return f"What is the {said}: {listed([plain_value(v) for v in schema['enum']], 'or')}?"
        case Kind.BOOLEAN:
            return f"{said.capitalize()}, yes or no?"
        case _:
            return f"What is the {said}?"


def plain_value(value: object) -> str:
    return plain_name(value) if isinstance(value, str) and "_" in value else str(value)


_EMAIL = re.compile(
    r"([\w.+-]+(?:\s+(?:dot|underscore|dash)\s+[\w+-]+)*)\s*(?:@|\bat\b)\s*"
    r"([\w-]+(?:\s*(?:\.|\bdot\b)\s*[\w-]+)+)",
    re.I,
)
_DAY = (
    r"(?:(?:the\s+)?day after tomorrow|today|tonight|tomorrow(?:\s+(?:morning|afternoon|evening|"
    r"night))?|(?:(?:this|next|coming)\s+)?(?:mon|tues|wednes|thurs|fri|satur|sun)day(?:\s+(?:"
    r"morning|afternoon|evening|night))?|(?:next|this)\s+(?:week|weekend|month)|\d{4}-\d\d-\d\d|"
    r"(?:the\s+)?[\w-]+(?:st|nd|rd|th)\s+(?:of\s+)?(?:MONTH)|(?:MONTH)\s+(?:the\s+)?[\w-]+)"
).replace(
    "MONTH", "january|february|march|april|may|june|july|august|september|october|november|december"
)
_CLOCK = (
    r"(?:noon|midnight|(?:\d{1,2}(?::\d\d)?|ONE)(?:\s+(?:thirty|fifteen|forty[ -]five))?\s*"
    r"(?:a\.?m\.?|p\.?m\.?|o'clock)|half past ONE|\d{1,2}:\d\d)"
).replace("ONE", "(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)")
_WHEN = re.compile(
    rf"\b{_DAY}(?:,?\s+(?:at\s+)?{_CLOCK})?|\b{_CLOCK}(?:\s+(?:on\s+)?{_DAY})?", re.I
)
_ONLY_CLOCK, _ONLY_DAY = re.compile(rf"\b{_CLOCK}", re.I), re.compile(rf"\b{_DAY}", re.I)
_LEAD_IN = re.compile(
    r"^(?:(?:uh|um|er|well|oh|yes|yeah|sure|okay|ok|so|please)\b[,.]?\s*)*"
    r"(?:(?:it's|it is|that's|that is|that would be|it would be|this is|i'm|i am|my|the)\s+"
    r"(?:(?:[\w ]+?)\s+is\s+)?)?",
    re.I,
)
_CAPTURE_END = (
    r"(?=\s+(?:today|tonight|tomorrow|please|on|at|by|with|and|next|this|right|now|from|to|for|in|"
    r"is|are|or|if|because)\b|[.,;!?]|\s*$)"
)
_YES = re.compile(
    r"\b(?:yes|yeah|yep|sure|please do|of course|correct|right|true|definitely)\b", re.I
)
_NO = re.compile(r"\b(?:no|nope|not|don't|without|false|never)\b", re.I)


def _written(part: str) -> str:
    """Half of a spoken mail address: `jane dot doe` → `jane.doe`."""
    marks = {"dot": ".", "underscore": "_", "dash": "-"}
    return "".join(marks.get(word, word) for word in part.lower().split())


class _Reader:
    """One utterance, from which each number is taken once."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("’", "'").strip()
        self._tokens = tokens(self._text)
        self._runs = number_runs(self._tokens)

    def read(
        self, name: str, schema: Mapping[str, Any], is_asked: bool, is_required: bool
    ) -> Any | None:
        match kind_of(name, schema):
            case Kind.CHOICE:
                return self._choice(schema["enum"])
            case Kind.BOOLEAN:
                return self._boolean(name, is_asked)
            case Kind.NUMBER:
                return self._number(name, schema, is_asked or is_required)
            case Kind.CODE:
                return self._matching(self._code(name, is_asked), schema)
            case Kind.EMAIL:
                return self._email()
            case Kind.WHEN:
                return self._when(name)
            case Kind.PLACE | Kind.PERSON | Kind.QUERY | Kind.TEXT as kind:
                return self._matching(self._phrase(name, kind, is_asked, is_required), schema)
            case Kind.UNSPEAKABLE:
                return None

    def _choice(self, values: list[Any]) -> Any | None:
        said = {key(token.word) for token in self._tokens}
        numbers = {run.value for run in self._runs}
        fits = [
            value
            for value in values
            if (
                isinstance(value, str)
                and value
                and {key(w) for w in words(plain_name(value))} <= said
            )
            or (isinstance(value, int | float) and float(value) in numbers)
        ]
        return max(fits, key=lambda value: len(str(value)), default=None)

    def _boolean(self, name: str, is_asked: bool) -> bool | None:
        if is_asked:
            if _NO.search(self._text):
                return False
            return True if _YES.search(self._text) else None
        own = {key(word) for word in words(plain_name(name))}
        said = {key(token.word) for token in self._tokens}
        return not _NO.search(self._text) if own <= said else None

    def _number(self, name: str, schema: Mapping[str, Any], is_wanted: bool) -> int | float | None:
        run = self._take(name, [run for run in self._runs if run.value is not None], is_wanted)
        if run is None or run.value is None:
            return None
        value = run.value
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        if not low <= value <= high or (schema.get("type") == "integer" and value % 1):
            return None
        return int(value) if schema.get("type") == "integer" or not value % 1 else value

    def _code(self, name: str, is_asked: bool) -> str | None:
        strong = [run for run in self._runs if is_asked or not run.is_weak]
        run = self._take(name, sorted(strong, key=lambda run: -len(run.digits)), True)
        return run.digits if run is not None else None

    def _take(self, name: str, among: list[NumberRun], is_wanted: bool) -> NumberRun | None:
        """The number that follows the parameter's own name, or else the first of `among`."""
        own = {key(word) for word in words(plain_name(name))}
        named = [run for run in among if own & {key(w) for w in self._before(run)}]
        run = next(iter(named or (among if is_wanted else [])), None)
        if run is not None:
            self._runs.remove(run)
        return run

    def _before(self, run: NumberRun) -> list[str]:
        return [token.word for token in self._tokens[max(0, run.first - 3) : run.first]]

    def _email(self) -> str | None:
        found = _EMAIL.search(self._text)
        if found is None:
            return None
        return "@".join(_written(part) for part in found.groups())

    def _when(self, name: str) -> str | None:
        own = set(words(plain_name(name)))
        pattern = _WHEN
        if "time" in own and "date" not in own:
            pattern = _ONLY_CLOCK
        elif own & {"date", "day"} and "time" not in own:
            pattern = _ONLY_DAY
        found = pattern.search(self._text)
        return found[0] if found is not None else None

    def _phrase(self, name: str, kind: Kind, is_asked: bool, is_required: bool) -> str | None:
        if is_asked:
            return _LEAD_IN.sub("", self._text).strip(" .!?,") or None
        own = plain_name(name)
        named = self._captured(rf"\b{re.escape(own)}\s+(?:is|was|of|called|named)?\s*:?")
        if named:
            return named
        match kind:
            case Kind.PLACE:
                leads = {"origin": "from", "from": "from", "destination": "to", "to": "to"}
                lead = next((leads[w] for w in words(own) if w in leads), "in|for|near|at|to")
                return self._captured(rf"\b(?:{lead})\s+(?:the\s+(?:city|town)\s+of\s+)?")
            case Kind.PERSON:
                return self._captured(r"\b(?:my name is|name is|i'm|i am|called|this is|under)\s+")
            case Kind.QUERY if is_required:
                return self._captured(r"\b(?:for|about)\s+") or self._text.strip(" .!?")
            case _:
                return None

    def _captured(self, lead: str) -> str | None:
        """The words behind `lead`: the capitalised ones, or up to where a phrase ends."""
        capitals = re.search(rf"(?i:{lead})\s*([A-Z][\w'-]*(?:\s+[A-Z][\w'-]*){{0,3}})", self._text)
        if capitals is not None:
            return capitals[1]
        found = re.search(
            rf"{lead}\s*([\w'-]+(?:\s+[\w'-]+){{0,3}}?){_CAPTURE_END}", self._text, re.I
        )
        return found[1].strip() if found is not None else None

    @staticmethod
    def _matching(value: str | None, schema: Mapping[str, Any]) -> str | None:
        """The value where it keeps to the schema's `pattern`, in capitals if need be."""
        pattern = schema.get("pattern")
        if value is None or not isinstance(pattern, str):
            return value
        try:
            return next(
                (v for v in (value, value.upper()) if matches(pattern, v, in_full=True)), None
            )
        except ValueError:
            return value
