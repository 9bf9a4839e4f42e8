"""Keeping a model's thinking out of what is spoken, whatever family it is of.

Models mark their thinking in the text where their server does not part it for them. The marks are
those of the families' chat templates.
"""

import re
from enum import Enum, auto

_TAGS = (
    "think", "thinking", "thought", "thoughts", "reasoning", "reason", "reflection", "analysis",
    "scratchpad", "inner_monologue", "internal_monologue", "seed:think", "ant_thinking",
    "antthinking",
)  # fmt: skip
THOUGHTS = (
    *((f"<{tag}>", f"</{tag}>") for tag in _TAGS),
    ("[think]", "[/think]"),  # Magistral
    ("[thinking]", "[/thinking]"),
    ("[reasoning]", "[/reasoning]"),
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<|think|>", "<|/think|>"),
    ("<|thinking|>", "<|/thinking|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|start_thinking|>", "<|end_thinking|>"),  # Command
    ("<|channel>thought", "<channel|>"),  # Gemma
    ("<start_of_thought>", "<end_of_thought>"),
    ("<unused94>", "<unused95>"),  # MedGemma
    ("here is my thought process:", "here is my response:"),  # Granite
    ("here's my thought process:", "here's my response:"),
)
"""Pairs of marks, in lower case: what stands between them is thought."""
SILENT_CHANNELS = tuple(f"<|channel|>{name}" for name in ("analysis", "commentary", "thought"))
"""Of gpt-oss: what is in these channels is for nobody's ears."""
SPOKEN_CHANNEL = "<|channel|>final"
DROPPED = (
    "<|start|>assistant", "<|start|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>",
    "<|channel|>", "<|constrain|>json",
    "<answer>", "</answer>", "<response>", "</response>", "<|start_response|>",
    "<|end_response|>", "<|begin_of_solution|>", "<|end_of_solution|>", "<|channel>final",
    "<|channel>", "<|im_start|>assistant", "<|im_end|>", "<|eot_id|>", "<end_of_turn>",
    "<|endoftext|>", "<|start_of_role|>assistant<|end_of_role|>", "<|end_of_text|>",
)  # fmt: skip
"""Marks that stand around the answer itself."""
BARE_ANALYSIS = re.compile(r"\s*analysis(?=[A-Z\"'])")
"""How gpt-oss's thinking begins where a server has stripped its marks: the channel's name glued to
the first word."""
BARE_FINAL = "assistantfinal"


class _Place(Enum):
    ANSWER = auto()
    THOUGHT = auto()


class _Mark(Enum):
    OPENS = auto()
    CLOSES = auto()
    DROPPED = auto()


_MARKS: dict[str, _Mark] = {
    **dict.fromkeys(DROPPED, _Mark.DROPPED),
    **{opening: _Mark.OPENS for opening, _ in THOUGHTS},
    **{closing: _Mark.CLOSES for _, closing in THOUGHTS},
    **dict.fromkeys(SILENT_CHANNELS, _Mark.OPENS),
    SPOKEN_CHANNEL: _Mark.CLOSES,
}
_LONGEST_FIRST = sorted(_MARKS, key=len, reverse=True)
_ANY_MARK = re.compile("|".join(map(re.escape, _LONGEST_FIRST)), re.IGNORECASE)
_BARE_MARKS = re.compile(f"{_ANY_MARK.pattern}|{BARE_FINAL}", re.IGNORECASE)
_BEGINNINGS = frozenset(
    mark[:length] for mark in (*_MARKS, BARE_FINAL) for length in range(1, len(mark))
)
_LONGEST = max(map(len, _MARKS))


class ThoughtFilter:
    """Takes thoughts, and marks around the answer, out of text that arrives in pieces.

    A thought that is never closed lasts to the end. White space at the start of the answer and
    behind a thought goes too.
    """

    def __init__(self, *, begins_in_thought: bool = False) -> None:
        """`begins_in_thought`: the template has opened the thought in the prompt, so that only
        its end is in the answer. An answer without that end is spoken whole."""
        self._place = _Place.ANSWER
        self._held = ""
        self._trims = True
        self._is_bare = False
        """The marks themselves are missing: gpt-oss behind a server that strips them."""
        self._has_begun = False
        self._kept = "" if begins_in_thought else None
        """What is an answer only if no thought ends behind it."""
        self.closed_unopened = False
        """A thought ended that had not begun in the answer."""

    def feed(self, text: str) -> str:
        """What may be spoken of the text so far and was not handed out yet."""
        self._held += text
        if not self._has_begun and not self._begin():
            return ""
        spoken = ""
        while (found := self._marks.search(self._held)) is not None:
            if self._held[found.start() :].lower() in _BEGINNINGS:
                break
            spoken += self._pass(found)
        else:
            ready = len(self._held) - self._unfinished_mark()
            spoken += self._said(self._held[:ready])
            self._held = self._held[ready:]
        return spoken

    def finish(self) -> str:
        """What was held back because it might have become a mark."""
        spoken = ""
        self._has_begun = True
        while (found := self._marks.search(self._held)) is not None:
            spoken += self._pass(found)
        spoken += self._said(self._held)
        kept, self._held, self._kept = self._kept, "", None
        return self._said(kept or "") + spoken

    @property
    def _marks(self) -> re.Pattern[str]:
        return _BARE_MARKS if self._is_bare else _ANY_MARK

    def _begin(self) -> bool:
        """Look at the first characters. False: too few have come to tell."""
        bare = self._held.lstrip()
        if len(bare) <= len("analysis") and "analysis".startswith(bare):
            return False
        self._has_begun = True
        if (found := BARE_ANALYSIS.match(self._held)) is not None:
            self._is_bare = True
            self._place = _Place.THOUGHT
            self._held = self._held[found.end() :]
        return True

    def _pass(self, found: re.Match[str]) -> str:
        """Go past a mark; what was said in front of it."""
        mark = found[0].lower()
        kind = _MARKS.get(mark, _Mark.CLOSES)
        spoken = self._said(self._held[: found.start()])
        self._held = self._held[found.end() :]
        if mark.startswith("here") and not self._is_heading(kind):
            return spoken + self._said(found[0])
        if kind is _Mark.OPENS:
            kept, self._kept = self._kept, None
            spoken = self._said(kept or "") + spoken
            self._place = _Place.THOUGHT
        elif kind is _Mark.CLOSES:
            if self._place is _Place.ANSWER and mark.startswith(("</", "[/", "◁/")):
                self.closed_unopened = True
            self._kept = None
            self._place = _Place.ANSWER
            self._trims = True
        return spoken

    def _is_heading(self, kind: _Mark) -> bool:
        """Whether words that may be a mark are one: at the start, or behind a thought."""
        return self._trims if kind is _Mark.OPENS else self._place is _Place.THOUGHT

    def _unfinished_mark(self) -> int:
        """How many characters at the end may be the beginning of a mark."""
        tail = self._held[-_LONGEST:].lower()
        return next(
            (size for size in range(len(tail), 0, -1) if tail[-size:] in _BEGINNINGS),
            0,
        )

    def _said(self, text: str) -> str:
        if self._place is _Place.THOUGHT:
            return ""
        if self._kept is not None:
            self._kept += text
            return ""
        if self._trims:
            text = text.lstrip()
        self._trims = self._trims and not text
        return text
