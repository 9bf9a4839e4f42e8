"""Splits a streamed answer into clauses, so that speech starts early and sounds right.

The splitter looks at each place behind a mark once. It decides from the text before that place and
a bounded stretch behind it, and waits where that stretch has not arrived: however the input is cut
into pieces, the clauses are the same.
"""

import re
from enum import Enum, auto

FIRST_CHARACTERS = 12
"""A first clause of this many characters may end at a comma."""
FIRST_WORDS = 3
"""So may one of this many words."""
SOFT_CHARACTERS = 60
"""Later clauses end at a comma only from this length on."""
LONGEST_CHARACTERS = 200
"""A clause this long ends at the next space."""
UNBROKEN_CHARACTERS = 400
"""A clause this long ends anywhere: it has no space."""
BRACKET_CHARACTERS = 80
"""An open bracket holds a clause together no longer than this."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STOPS = frozenset(".!?؟۔।…")
_WIDE_STOPS = frozenset("。！？｡")
_SOFT_MARKS = frozenset(",;:،؛")
_WIDE_SOFT_MARKS = frozenset("、，；：")
_DASHES = frozenset("-–—")
_CLOSERS = frozenset("\"'”’»)]}*_~`」』）】》")
_QUOTES = frozenset("\"'”’»」』")
_OPENING_MARKS = frozenset("¿¡")
_BRACKETS = {"(": ")", "[": "]", "{": "}", "（": "）", "【": "】"}

_NEVER_LAST = _words(
    "dr mr mrs ms mx prof rev col maj capt lt sgt gov sen rep mt vs cf e.g i.e eg ie approx appt "
    "dept fig figs vol pp viz sra dra srta núm z.b d.h bzw ggf p.ej mme mlle"
)
"""Their point never ends a sentence."""
_BEFORE_FIGURES = _words(
    "no nos nr sec tel ext ch min max pg apt num jan feb mar apr jun jul aug sep sept oct nov dec"
)
"""Their point ends no sentence when a figure follows."""
_SELDOM_LAST = _words(
    "jr sr st ft ave blvd rd ln inc ltd co corp bros etc esq ph.d jan feb mar apr jun jul aug sep "
    "sept oct nov dec mon tue tues thu thur thurs fri"
)
"""Their point ends a sentence only when the next word looks like the start of one. So does that of
a single letter, and of letters and points: J. and U.S."""
_STARTERS = _words(
    "the a an i i'm i'll i've i'd it it's its this that that's these those there there's he he's "
    "she she's we we're we'll we've you you're you'll you've your they they're my our his her "
    "their is are was were do does did can could will would should shall may have has how what "
    "what's when where which who why please so but and or if in on at for to then also just let "
    "let's no yes ok okay thanks thank sorry sure great here here's after before once now all any "
    "some not as with from because since while however anything is"
)
_WORD = re.compile(r"[^\W_]")
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_LIST_MARKER = re.compile(r"\s*(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})\.")
_TOKEN = re.compile(r"[^\s(\[{\"'“‘«*_—–/¿¡]*\Z")
_LONGEST_WORD = 24
"""Characters of the next word that are waited for."""


class _Verdict(Enum):
    CUT = auto()
    CARRY_ON = auto()
    WAIT = auto()
    """The text behind the place decides, and has not arrived."""


class ClauseSplitter:
    """Cuts a model's streamed answer into clauses worth speaking on their own."""

    def __init__(self) -> None:
        self._held = ""
        """Text of the clause in the making, and what arrived behind it."""
        self._looked = 0
        """Characters of `_held` that end no clause."""
        self._is_first = True
        self._is_line_start = True
        """Whether the clause in the making begins a line."""
        self._is_complete = False
        """No more input follows."""
        self._closing = ""
        """The bracket that holds the clause together, by its other half."""
        self._closes_by = 0

    def feed(self, text: str) -> list[str]:
        """Clauses completed by this piece, in order. Joined, all output equals all input."""
        self._held += text
        return self._cut()

    def finish(self) -> list[str]:
        """What is left."""
        self._is_complete = True
        clauses = self._cut()
        if self._held:
            clauses.append(self._held)
        self._held, self._looked = "", 0
        return clauses

    def _cut(self) -> list[str]:
        clauses = []
        while self._looked < len(self._held):
            verdict, end = self._judge(self._looked)
            if verdict is _Verdict.WAIT:
                break
            self._looked = end
            if verdict is _Verdict.CUT:
                clauses.append(self._take(end))
        return clauses

    def _take(self, end: int) -> str:
        clause, self._held = self._held[:end], self._held[end:]
        self._looked = 0
        self._is_first = False
        self._is_line_start = clause.endswith("\n")
        self._closing = ""
        return clause

    def _judge(self, at: int) -> tuple[_Verdict, int]:
        """Whether the clause ends with the mark at `at`, and the place behind all that was judged.

        The verdict depends on no text behind what it looks at, except by waiting for it.
        """
        character = self._held[at]
        if character == "\n":
            self._closing = ""
            is_long = at + 1 >= UNBROKEN_CHARACTERS
            return self._verdict(is_long or self._has_words(at)), at + 1
        if character.isspace() and at >= LONGEST_CHARACTERS:
            return _Verdict.CUT, at
        if at + 1 >= UNBROKEN_CHARACTERS:
            return _Verdict.CUT, at + 1
        if character in _STOPS or character in _WIDE_STOPS:
            return self._judge_stop(at)
        if character in _SOFT_MARKS or character in _WIDE_SOFT_MARKS:
            return self._judge_soft_mark(at)
        if character in _DASHES:
            return self._judge_dash(at)
        self._judge_bracket(at)
        return _Verdict.CARRY_ON, at + 1

    @staticmethod
    def _verdict(is_end: bool) -> _Verdict:
        return _Verdict.CUT if is_end else _Verdict.CARRY_ON

    def _judge_bracket(self, at: int) -> None:
        character = self._held[at]
        if self._closing and (character == self._closing or at >= self._closes_by):
            self._closing = ""
        elif character in _BRACKETS and self._held[at - 1 : at] not in (":", ";"):
            self._closing = _BRACKETS[character]
            self._closes_by = at + BRACKET_CHARACTERS

    def _judge_stop(self, at: int) -> tuple[_Verdict, int]:
        stop_end = self._skip(at, _STOPS | _WIDE_STOPS)
        end = self._skip(stop_end, _CLOSERS)
        if end >= UNBROKEN_CHARACTERS:
            return _Verdict.CUT, UNBROKEN_CHARACTERS
        if not self._has_arrived(end):
            return _Verdict.WAIT, at
        stop, closers = self._held[at:stop_end], self._held[stop_end:end]
        is_wide = not _WIDE_STOPS.isdisjoint(stop)
        if not (is_wide or self._is_open(end)) or not self._has_words(at):
            verdict = _Verdict.CARRY_ON
        else:
            verdict = self._weigh_stop(at, stop, closers, end)
        if verdict is _Verdict.WAIT:
            return verdict, at
        self._judge_closers(stop_end, end)
        if self._holds_together(at):
            verdict = _Verdict.CARRY_ON
        return verdict, end

    def _weigh_stop(self, at: int, stop: str, closers: str, end: int) -> _Verdict:
        if stop == ".":
            verdict = self._weigh_point(at, end)
            if verdict is not _Verdict.CUT:
                return verdict
        trails_off = stop == "…" or stop.startswith("..")
        if not trails_off and _QUOTES.isdisjoint(closers):
            return _Verdict.CUT
        behind = self._visible(end)
        if behind is None:
            return _Verdict.WAIT
        if not behind.islower():
            return _Verdict.CUT
        return self._verdict(trails_off and self._is_worth_saying(end))

    def _weigh_point(self, at: int, end: int) -> _Verdict:
        """Whether a single point ends a sentence, or belongs to the word before it."""
        if self._is_list_marker(at):
            return _Verdict.CARRY_ON
        found = _TOKEN.search(self._held, 0, at)
        token = found[0].casefold() if found else ""
        if token in _NEVER_LAST:
            return _Verdict.CARRY_ON
        if token in _BEFORE_FIGURES:
            behind = self._visible(end)
            if behind is None:
                return _Verdict.WAIT
            if behind.isdigit():
                return _Verdict.CARRY_ON
        is_initial = len(token) == 1 and token.upper() != token
        if is_initial or token in _SELDOM_LAST or _DOTTED.fullmatch(token):
            word = self._next_word(end)
            if word is None:
                return _Verdict.WAIT
            return self._verdict(word == "" or (word[0].isupper() and word.lower() in _STARTERS))
        return _Verdict.CUT

    def _judge_soft_mark(self, at: int) -> tuple[_Verdict, int]:
        end = self._skip(at + 1, _CLOSERS)
        if end >= UNBROKEN_CHARACTERS:
            return _Verdict.CUT, UNBROKEN_CHARACTERS
        if not self._has_arrived(end):
            return _Verdict.WAIT, at
        is_mark = self._held[at] in _WIDE_SOFT_MARKS or self._is_open(end)
        if not is_mark or not self._is_worth_saying(at):
            self._judge_closers(at, end)
            return _Verdict.CARRY_ON, end
        if self._held[at - 1].isdigit():
            behind = self._visible(end)
            if behind is None:
                return _Verdict.WAIT, at
            is_mark = not behind.isdigit()
        self._judge_closers(at, end)
        return self._verdict(is_mark and not self._holds_together(at)), end

    def _judge_closers(self, at: int, end: int) -> None:
        if self._closing and self._closing in self._held[at:end]:
            self._closing = ""

    def _judge_dash(self, at: int) -> tuple[_Verdict, int]:
        end = self._skip(at, _DASHES)
        if end >= UNBROKEN_CHARACTERS:
            return _Verdict.CUT, UNBROKEN_CHARACTERS
        if not self._has_arrived(end):
            return _Verdict.WAIT, at
        before = self._held[at - 1 : at]
        is_mark = self._is_open(end) and (before.isspace() or self._held[at] != "-")
        if not is_mark or not self._is_worth_saying(at) or self._is_blank_line(at):
            return _Verdict.CARRY_ON, end
        behind = self._visible(end)
        if behind is None:
            return _Verdict.WAIT, at
        is_range = behind.isdigit() and self._held[:at].rstrip()[-1:].isdigit()
        return self._verdict(not is_range and not self._holds_together(at)), end

    def _skip(self, at: int, characters: frozenset[str]) -> int:
        """The place behind a run of `characters`, as far as a clause can reach."""
        reach = min(len(self._held), UNBROKEN_CHARACTERS)
        while at < reach and self._held[at] in characters:
            at += 1
        return at

    def _has_arrived(self, at: int) -> bool:
        return self._is_complete or at < len(self._held)

    def _is_open(self, at: int) -> bool:
        """Whether there is a space at `at`, or what stands for one. The end of all is none."""
        character = self._held[at : at + 1]
        return character.isspace() or character in _OPENING_MARKS

    def _visible(self, at: int) -> str | None:
        """The first character behind the space at `at`; empty at the end; None: not here yet."""
        reach = min(len(self._held), UNBROKEN_CHARACTERS)
        while at < reach and self._held[at].isspace():
            at += 1
        if at < len(self._held):
            return self._held[at] if at < UNBROKEN_CHARACTERS else ""
        return "" if self._is_complete else None

    def _next_word(self, at: int) -> str | None:
        """The word behind the space at `at`, bare; empty at the end; None: not here yet."""
        if not self._visible(at):
            return self._visible(at)
        rest = self._held[at:].lstrip()[:_LONGEST_WORD]
        word = re.split(r"[\s,.!?;:]", rest, maxsplit=1)[0]
        if word == rest and len(rest) < _LONGEST_WORD and not self._is_complete:
            return None
        return word.replace("’", "'").strip("\"'“”‘*_(¿¡") or "("

    def _has_words(self, end: int) -> bool:
        return _WORD.search(self._held, 0, end) is not None

    def _is_worth_saying(self, end: int) -> bool:
        """Whether the text before `end` is long enough to end at a comma."""
        text = self._held[:end].strip()
        wide = sum(character >= "⺀" for character in text)
        length = len(text) + 2 * wide
        if not self._is_first:
            return length >= SOFT_CHARACTERS
        is_long = length >= FIRST_CHARACTERS or len(text.split()) >= FIRST_WORDS
        return is_long and self._has_words(end)

    def _holds_together(self, at: int) -> bool:
        return bool(self._closing) and at < self._closes_by

    def _line_start(self, at: int) -> int | None:
        """Where the line of `at` begins. None: in an earlier clause."""
        newline = self._held.rfind("\n", 0, at)
        return newline + 1 if newline >= 0 or self._is_line_start else None

    def _is_list_marker(self, at: int) -> bool:
        start = self._line_start(at)
        return start is not None and _LIST_MARKER.fullmatch(self._held, start, at + 1) is not None

    def _is_blank_line(self, at: int) -> bool:
        start = self._line_start(at)
        return start is not None and not self._held[start:at].strip()
