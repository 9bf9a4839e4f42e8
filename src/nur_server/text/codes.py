"""Figures that are a name, not an amount: phone numbers, codes, ids, rooms, seats, flights.

In every language they are spoken digit by digit and letter by letter. A name is known by its shape
(leading zeros, groups as of a phone number, letters among the digits) or by a word beside it.
"""

import re
from collections.abc import Callable
from functools import lru_cache, partial

from nur_server.text.english_measures import UNIT
from nur_server.text.lexicon import Lexicon, lexicon
from nur_server.text.rules import Rule
from nur_server.text.spelling import FEWEST_SPELLED_DIGITS, Speller

SHORTEST_PHONE = 7
LONGEST_PHONE = 15
"""Digits of a phone number: local numbers have at least seven, and ITU-T E.164 allows fifteen."""
SHORTEST_LOGIN_CODE = 4
LONGEST_LOGIN_CODE = 8
"""Digits of a one-time code: RFC 4226 asks for six to eight, and banks send four."""
LONG_RUN = 7
"""Digits of a run without separators that is a name by itself: amounts of that size are written
with separators, or end in zeros."""
CARD_DIGITS = frozenset(range(13, 20))
"""Digits of a payment card's number (ISO/IEC 7812)."""
LONGEST_REMARK = 80
"""Characters between a word for a code and "is" with the code: one clause of a sentence."""
CARD_GROUP = 4
"""Fewest digits of a group of such a number, its last one apart: 4-4-4-4, or 4-6-5."""
LONGEST_PREFIX = 4
"""Capitals that stand apart and still belong to a code: "BA 249", "INV 0042"."""

_LINKING = r"\s:#,'\"“”«»„(（：、，=-"
"""Characters that may stand between a word for a code and the code, beside words."""
_NARROW = r"\s:#'\"“”«»„(（："
"""The same for places: no mark that ends a clause."""
_JOINT = r"(?:\s?[,&/、，]\s?|,?\s[^\W\d_]{1,4}\s|と|和|및\s?)"
"""What may stand between the members of a list: "14K and 14L"."""
_TOKEN = r"(?:[A-Z]{1,4}[ -]?)?[0-9]+[A-Z]{0,3}(?:[-/_][0-9A-Z]+)*"
_CODE = rf"{_TOKEN}(?: [0-9]+)*"
_SEAT = r"[0-9]{1,4}-?(?:[A-Z]|[a-z](?=[\s.,;:!?)]|\Z))"
_NUMBERED = r"(?:[A-Z][A-Z0-9]{0,2}[ -]?)?[0-9]{2,5}[A-Z]?"
_MEMBER = re.compile(r"[0-9A-Z][0-9A-Za-z_/-]*")
_DATE = re.compile(
    r"(?:0?[1-9]|[12][0-9]|3[01])(?P<mark>[-./])(?:0?[1-9]|[12][0-9]|3[01])(?P=mark)"
    r"(?:19|20)?[0-9]{2}"
    r"|(?:19|20)[0-9]{2}[-./](?:0?[1-9]|1[0-2])[-./](?:0?[1-9]|[12][0-9]|3[01])"
)
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?P<mark>[ .])[0-9]{3}(?:(?P=mark)[0-9]{3})*")
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_AMOUNT = re.compile(
    rf"[0-9]+(?:{UNIT}|st|nd|rd|th|s|[kKmMbB]|bn|am|pm|[AP]M|er|e|ème|º|ª)|[0-9]+(?:x[0-9]+)+"
)
_ACRONYMS = "US|UK|EU|AM|PM|TV|OK|AD|BC|CE|IT|HR|PC|VR|AI|UN|IS|OF|TO|IN|AT|ON|OR|BY"
"""Two capitals before a number that are no airline, prefix or state."""
_AMOUNT_WORD = re.compile(
    "(?i:balance|total|amount|price|cost|fee|sum|worth|weigh|average|score|points|saldo|guthaben"
    "|betrag|preis|kosten|gesamt|montant|solde|prix|somme|coût|importe|precio|costo|coste|prezzo"
    "|somma|valor|preço|quantia|сумм|баланс|цена|стоимость|итого|остат|余额|总|金额|价|残高|合計"
    "|金額|値段|잔액|합계|금액|가격|शेष|कुल|राशि|मूल्य|bedrag|prijs|totaal|kwot|cena|belopp|pris)"
)
"""In a remark between a word for a code and figures: the figures are an amount."""
_IS = "is|are|was|will be|ist|war|est|es|son|è|é|это|jest|to|är|是|为|が|は|가|이|है"
"""Between figures and a word for a code that follows them: "4829 is your code"."""
_CHANGE = re.compile(r"(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")
_KEY = re.compile(r"[*#]|[0-9]+")


@lru_cache(maxsize=64)
def code_rules(language: str) -> tuple[Rule, ...]:
    """How names in figures are said in a language (ISO 639-1, with or without a region)."""
    words = lexicon(language)
    return _Codes(words, Speller(language, words.slash, words.underscore)).rules()


class _Codes:
    """The rules of one language."""

    def __init__(self, words: Lexicon, speller: Speller) -> None:
        self._words = words
        self._speller = speller
        # Chinese, Japanese and Korean write their words directly beside figures.
        letter = r"[^\W_]" if words.is_apart else "[0-9A-Za-z]"
        space = r"\s" if words.is_spaced else r"\s?"
        link, code = words.link, words.code
        self._alone = rf"(?<!{letter})(?<![_-])"
        self._alone_end = rf"(?!{letter}|[_-])"
        self._start = rf"(?<!{letter})(?<![_.,:/$€£¥₹+-])"
        self._end = (
            rf"(?!{letter}|[.,:][0-9]|[/-][0-9A-Z]|\s?[%°€$£¥₹])(?!{space}(?i:{words.counted}))"
        )
        links = rf"(?:[{_LINKING}]*(?i:{link}|{code}|{words.phone})){{0,4}}[{_LINKING}]{{0,4}}"
        narrow = rf"(?:[{_NARROW}]*(?i:{link})){{0,3}}[{_NARROW}]{{0,3}}"
        self._after_code = rf"(?i:{code}){links}"
        self._far_after_code = (
            rf"(?i:{code})(?!\s(?:of|de|von|di|van)\b)"
            rf"(?P<between>[^.!?。！？0-9]{{0,{LONGEST_REMARK}}}?){space}(?i:{_IS})[{_LINKING}]{{0,4}}"
        )
        self._after_place = rf"(?i:{words.place}){narrow}"
        self._after_any = rf"(?i:{words.place}|{words.line}|{code}){narrow}"
        self._after_line = rf"(?i:{words.line})[\s#:]*(?:(?i:{link})[\s#:]*)?"
        self._dialled = re.compile(
            rf"(?i:{words.phone}|{code})(?:[{_LINKING}]*(?i:{link})){{0,3}}[{_LINKING}]*\Z"
        )
        self._login = re.compile(rf"(?i:{words.login})")

    def rules(self) -> tuple[Rule, ...]:
        return (
            *self._keys_and_hashes(),
            *self._of_known_shape(),
            *self._beside_words(),
            *self._mixed_with_letters(),
        )

    def _keys_and_hashes(self) -> tuple[Rule, ...]:
        hashed = r"(?:[A-Z]+-?)?[0-9][0-9A-Z]*(?:-[0-9A-Z]+)*"
        return (
            self._rule(r"(?<![\w*#])(?P<it>[*#]+[0-9]+(?:[*#]+[0-9]*)+|\*+[0-9]+)", self._keys),
            self._rule(r"(?<![\w*#])(?P<it>[0-9]+[*#]+)(?![\w*#])", self._keys),
            self._rule(rf"(?<!\w)(?P<it>#\s?{hashed}){self._alone_end}", self._hash),
            self._rule(r"(?<![A-Za-z])(?P<it>[*#])", self._keys),
        )

    def _of_known_shape(self) -> tuple[Rule, ...]:
        start, end = self._alone, self._alone_end
        uuid = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
        iban = r"[A-Z]{2}[0-9]{2}(?:[ -]?[0-9A-Z]{4}){2,7}(?:[ -]?(?=[A-Z]*[0-9])[0-9A-Z]{1,4})?"
        postcode = r"[A-Z]{1,2}[0-9][0-9A-Z]? [0-9][A-Z]{2}|[A-Z][0-9][A-Z] [0-9][A-Z][0-9]"
        phone = (
            r"(?:\+[0-9]{1,3}[\s./-]?)?(?:\([0-9]{1,5}\)[\s./-]?)?"
            r"[0-9]{1,8}(?:[\s./-]{1,2}[0-9]{2,8}){1,6}|\+[0-9]{7,15}"
        )
        return (
            self._rule(
                r"(?<![\w.])(?P<it>(?:[0-9]{1,3}\.){3}[0-9]{1,3})(?![\w]|\.[0-9])",
                self._ip_address,
            ),
            self._rule(rf"{start}(?P<it>{uuid}){end}", self._spell),
            self._rule(rf"{start}(?P<it>{iban}){end}", self._bank_account),
            self._rule(rf"{start}(?P<it>{postcode}){end}", self._spell),
            self._rule(rf"{start}(?<![.,$€£¥+(/:])(?P<it>{phone}){self._end}", self._phone),
            self._rule(rf"{self._start}(?P<it>0[0-9]+(?:-[0-9]+)*){self._end}", self._code),
            self._rule(rf"{start}(?P<it>[0-9]+(?:-[0-9]+){{2,}}){end}", self._hyphenated),
            self._rule(
                rf"{start}(?P<it>(?:[0-9A-Fa-f]{{2}}[:-]){{5}}[0-9A-Fa-f]{{2}}){end}", self._spell
            ),
        )

    def _beside_words(self) -> tuple[Rule, ...]:
        start, end = self._start, self._end
        run = rf"{start}(?P<it>[0-9]{{{FEWEST_SPELLED_DIGITS},}}(?:-[0-9]+)*)"
        login = rf"[0-9]{{{SHORTEST_LOGIN_CODE},{LONGEST_LOGIN_CODE}}}"
        is_a_code = rf"\s?(?i:{_IS})\s?(?:[^\W\d_]+\s){{0,4}}?(?i:{self._words.code})"
        return (
            self._rule(
                rf"{self._after_any}{start}(?P<it>{_several(_SEAT)}){self._alone_end}", self._place
            ),
            self._rule(f"{self._after_code}{start}(?P<it>{_several(_CODE)}){end}", self._code),
            self._rule(
                f"{self._far_after_code}{start}(?P<it>{_several(_CODE)}){end}", self._far_code
            ),
            self._rule(f"{self._after_place}{start}(?P<it>{_several(_TOKEN)}){end}", self._place),
            self._rule(f"{self._after_line}{start}(?P<it>{_NUMBERED}){end}", self._place),
            self._rule(rf"{run}(?={is_a_code}(?!\s(?:of|de|von)\b))", self._code),
            self._rule(rf"{run}(?=\s?(?i:{self._words.behind}))", self._code),
            self._rule(rf"{start}(?P<it>{login}){end}", self._login_code),
        )

    def _mixed_with_letters(self) -> tuple[Rule, ...]:
        start, end = self._alone, self._alone_end
        has_digit = "(?=[A-Za-z]*[0-9])[A-Za-z0-9]+"
        capitals = r"(?=[0-9/_-]*[A-Z])(?=(?:[A-Z/_-]*[0-9]){3})[A-Z0-9]+(?:[-/_][A-Z0-9]+)*"
        return (
            self._rule(
                rf"{start}(?P<it>(?!(?:{_ACRONYMS}) )[A-Z]{{2}} [0-9]{{3,4}}){self._end}",
                self._spell,
            ),
            self._rule(rf"{start}[A-Z]{{2}} (?P<it>[0-9]{{5}}(?:-[0-9]{{4}})?){end}", self._spell),
            self._rule(
                rf",\s(?P<it>[0-9]{{5}}){self._end}(?= [A-ZÄÖÜÉÈÀÁÍÓÚ][^\W\d_]+)", self._spell
            ),
            self._rule(rf"{start}(?P<it>{capitals}){end}", self._mixed),
            self._rule(
                rf"{start}(?<![.@])(?P<it>{has_digit}(?:-{has_digit})*){end}(?!@|\.[0-9A-Za-z])",
                self._either_case,
            ),
            self._rule(rf"{self._start}(?P<it>[0-9]{{{LONG_RUN},}}){self._end}", self._long_run),
        )

    def _rule(self, pattern: str, say: Callable[[re.Match[str]], str | None]) -> Rule:
        return Rule(re.compile(pattern), partial(self._apart, say), needs_figure=True)

    def _apart(
        self, say: Callable[[re.Match[str]], str | None], found: re.Match[str]
    ) -> str | None:
        """Figures are set apart from letters that are written without spaces."""
        spoken = say(found)
        return spoken if spoken is None or self._words.is_apart else f" {spoken} "

    def _spell(self, found: re.Match[str]) -> str:
        return self._speller.spell(found["it"])

    def _keys(self, found: re.Match[str]) -> str:
        """Keys of a telephone."""
        names = {"*": self._words.star, "#": self._words.pound}
        keys = _KEY.findall(found["it"])
        spoken = " ".join(names.get(key) or self._speller.digits(key) for key in keys)
        is_beside_word = found.string[: found.start("it")][-1:].isalnum()
        return f" {spoken}" if is_beside_word else spoken

    def _hash(self, found: re.Match[str]) -> str:
        """A number sign: "#5" is a count, "#4521" a name."""
        name = found["it"].lstrip("#").strip()
        is_count = name.isdigit() and len(name) <= FEWEST_SPELLED_DIGITS and name[0] != "0"
        said = self._speller.count(name) if is_count else self._speller.spell(name)
        return f"{self._words.number} {said}".strip()

    def _ip_address(self, found: re.Match[str]) -> str:
        return f" {self._words.dot} ".join(map(self._speller.digits, found["it"].split(".")))

    def _bank_account(self, found: re.Match[str]) -> str | None:
        """An IBAN, in groups of four as it is printed (ISO 13616)."""
        bare = re.sub(r"[ -]", "", found["it"])
        if sum(character.isdigit() for character in bare) < len(bare) // 2:
            return None
        groups = [bare[at : at + 4] for at in range(0, len(bare), 4)]
        return ", ".join(map(self._speller.spell, groups))

    def _phone(self, found: re.Match[str]) -> str | None:
        text = found["it"]
        groups = re.findall(r"[0-9]+", text)
        count = sum(map(len, groups))
        is_dialled = self._dialled.search(found.string, 0, found.start("it")) is not None
        if _DATE.fullmatch(text) or (_THOUSANDS.fullmatch(text) and not is_dialled):
            return None
        spoken = ", ".join(map(self._speller.grouped, groups))
        if count in CARD_DIGITS and min(map(len, groups[:-1]), default=0) >= CARD_GROUP:
            return spoken
        is_marked = text[0] in "+(0" or "(" in text
        is_usual = len(groups[0]) <= 4 and all(2 <= len(group) <= 4 for group in groups[1:])
        is_years = len(groups) == 2 and len(groups[0]) == 4 and not is_dialled
        is_linked = is_usual and not is_years and re.search(r"[-.]", text) is not None
        if not SHORTEST_PHONE <= count <= LONGEST_PHONE:
            return None
        if not (is_marked or is_linked or is_dialled):
            return None
        return f"{self._words.plus} {spoken}" if text[0] == "+" else spoken

    def _hyphenated(self, found: re.Match[str]) -> str | None:
        """An ISBN or the like. "1-2-3" is a count."""
        it = found["it"]
        is_long = sum(map(str.isdigit, it)) >= LONG_RUN
        return self._speller.spell(it) if is_long and not _DATE.fullmatch(it) else None

    def _code(self, found: re.Match[str]) -> str | None:
        """A code. One or two digits without a leading zero stay a number."""
        it = found["it"]
        if _AMOUNT.fullmatch(it) or _DATE.fullmatch(it) or _is_short_number(it):
            return None
        return _each(it, self._speller.spell)

    def _far_code(self, found: re.Match[str]) -> str | None:
        """A code behind a remark: "the code for the door is 4829". A balance is an amount."""
        return None if _AMOUNT_WORD.search(found["between"]) else self._code(found)

    def _place(self, found: re.Match[str]) -> str | None:
        """A room, seat or line: a short number is said as one, letters are spelled."""
        it = found["it"]
        if _is_short_number(it):
            return None
        return _each(it, partial(self._speller.spell, is_short_number=True))

    def _login_code(self, found: re.Match[str]) -> str | None:
        """A bare run of digits in a sentence about logging in."""
        if self._login.search(found.string) is None or _YEAR.fullmatch(found["it"]):
            return None
        return self._speller.grouped(found["it"])

    def _mixed(self, found: re.Match[str]) -> str | None:
        return None if _AMOUNT.fullmatch(found["it"]) else self._speller.spell(found["it"])

    def _either_case(self, found: re.Match[str]) -> str | None:
        """Letters of either case among digits: "xK7pQ2". "mp3" and "24h" are words."""
        it = found["it"]
        if it.isdigit() or all(map(_AMOUNT.fullmatch, it.split("-"))):
            return None
        figures = sum(character.isdigit() for character in it)
        is_name = not it[0].isdigit() and figures >= FEWEST_SPELLED_DIGITS
        is_mixed = len(_CHANGE.findall(it)) >= 2 and figures >= 2
        return self._speller.spell(it) if is_name or is_mixed else None

    def _long_run(self, found: re.Match[str]) -> str | None:
        it = found["it"]
        return None if it.endswith("000") else self._speller.grouped(it)


def _several(member: str) -> str:
    return f"{member}(?:{_JOINT}{member})*"


def _is_short_number(text: str) -> bool:
    return text.isdigit() and len(text) < FEWEST_SPELLED_DIGITS and text[0] != "0"


def _each(text: str, spell: Callable[[str], str]) -> str:
    """Each member of a list spelled; the words between them as they stand."""

    def say(found: re.Match[str]) -> str:
        member = found[0]
        is_prefix = member.isupper() and len(member) <= LONGEST_PREFIX
        return spell(member) if is_prefix or any(map(str.isdigit, member)) else member

    return _MEMBER.sub(say, text)
