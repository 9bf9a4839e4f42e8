"""Strips internal content from model output: thoughts, tool calls, JSON, code, stage directions."""

import re
from enum import Enum, auto

from nur_server.text.joining import gap


class _Mode(Enum):
    TEXT = auto()
    UNTIL_MARK = auto()
    """In a fence, a tag's content or a stage direction: until the mark that closes it."""
    NESTED = auto()
    """In JSON or a call: until its brackets balance."""
    SILENT = auto()
    """Nothing of the response can be spoken any more."""


_TAGS = (
    r"think|thinking|thought|reasoning|reflection|scratchpad|analysis|tool_calls?|tool_use"
    r"|tool_responses?|tool_results?|tools?|function_calls?|function_results?|functions?|invoke"
    r"|parameters?|script|style|svg"
)
_ACTION = (
    r"(?:smil|laugh|chuckl|sigh|nod|paus|grin|giggl|wink|whisper|shrug|gasp|cough|sniff|wav|clap"
    r"|exhal|inhal|yawn|groan|blush|frown|smirk|snicker|snort|mumbl|bow|lean|gestur|ponder|beam"
    r"|typ|hum|tilt|rais|roll|scratch|stutter|hesitat|cheer|applaud|mutter|cackl)"
    r"(?:e?s|p?ing|ing)"
    r"|clear(?:s|ing) (?:\w+ )?throat|tak(?:es|ing) a (?:\w+ )?breath|looks (?:\w+ ){0,2}\w+"
    r"|sigh|pause|silence|laughter|applause|chuckle|laugh|giggle|music|beat|deep breath|thinking"
)
_MANNER = r"(?:(?:\w+ly|a|an|the|long|short|brief|soft|warm|deep|slight|small|little|light) ){0,2}"
_REMARKS = (
    r"(?:I cut you off|While you spoke I said|Somebody here said|The conversation begins|Go on\.\]"
    r"|pressed [0-9*#]|The tool \w+ was called)"
)
"""How remarks begin that stand in a prompt in square brackets; models are known to repeat them."""
_OPENING = re.compile(
    r"(?P<fence>```+|~~~+)"
    rf"|(?P<tag><\s?(?P<name>{_TAGS})\b[^<>]*(?P<tag_end>>|\Z))"
    r"|(?P<rest>\[TOOL_CALLS\]|<\|python_tag\|>|<\|tool_calls?\w*\|>|<｜tool)"
    rf"|(?P<remark>\[(?={_REMARKS}))"
    r"|(?P<template>\{\{[^{}\n]*\}\})"
    r"|(?P<json>\{(?=\s*(?:[\"'“}]|\w+\s*:|\Z))|\[(?=\s*(?:[{\"]|\Z)))"
    r"|(?P<call>\b(?:(?:functions?|tools?|multi_tool_use|default_api)\.\w+|[a-z]\w*_\w+)\()"
    r"|(?<![\w*])(?P<stage>\*{1,3}|\[|\(|(?<!_)_)"
    rf"(?=\s?{_MANNER}(?:{_ACTION})\b)",
    re.IGNORECASE,
)
_STAGE_ENDS = {"*": "*", "[": "]", "(": ")", "_": "_"}
_LONGEST_STAGE = 120
"""Characters of a stage direction that goes on in the next clause."""
_BRACKET = re.compile(r"[{}\[\]()\"\\]")


class InternalContent:
    """Strips what is not for the user from one response, clause by clause."""

    def __init__(self) -> None:
        self._mode = _Mode.TEXT
        self._mark = ""
        self._is_stage = False
        self._depth = 0
        self._in_string = False

    def visible(self, text: str) -> str:
        """What of the clause is for the user."""
        shown, at = [], 0
        while at < len(text):
            match self._mode:
                case _Mode.TEXT:
                    piece, at = self._show(text, at)
                    shown.append(piece)
                case _Mode.UNTIL_MARK:
                    at = self._skip_to_mark(text, at)
                case _Mode.NESTED:
                    at = self._skip_nested(text, at)
                case _Mode.SILENT:
                    at = len(text)
        visible = ""
        for piece in shown:
            visible += gap(visible, piece) + piece
        return visible

    def _show(self, text: str, at: int) -> tuple[str, int]:
        """The text up to the next thing to hide, and the place where that starts."""
        found = _OPENING.search(text, at)
        while found is not None and not self._hide(found):
            found = _OPENING.search(text, found.end())
        if found is None:
            return text[at:], len(text)
        return text[at : found.start()], found.end()

    def _hide(self, found: re.Match[str]) -> bool:
        """Whether it opens something to hide; if so the mode is set."""
        match found.lastgroup if found["tag"] is None else "tag":
            case "fence":
                self._until(found["fence"][:3])
            case "tag":
                if not found["tag"].endswith("/>"):
                    self._until(f"</{found['name']}")
            case "rest":
                self._mode = _Mode.SILENT
            case "template":
                pass
            case "json" | "call" | "remark":
                self._mode, self._depth, self._in_string = _Mode.NESTED, 1, False
            case _:
                return self._hide_stage(found)
        return True

    def _hide_stage(self, found: re.Match[str]) -> bool:
        """A stage direction is closed near by, or, between stars, in the next clause."""
        end = _STAGE_ENDS[found["stage"][0]]
        start = found.end()
        closed = found.string.find(end, start, start + _LONGEST_STAGE)
        direction = found.string[start : closed if closed >= 0 else len(found.string)]
        is_brief = end == "*" or len(direction.split()) <= 4
        if not is_brief or (closed < 0 and end != "*"):
            return False
        if found.string[closed + 1 : closed + 2] == "(" and end == "]":
            return False
        self._until(end)
        self._is_stage = True
        return True

    def _until(self, mark: str) -> None:
        self._mode, self._mark, self._is_stage = _Mode.UNTIL_MARK, mark, False

    def _skip_to_mark(self, text: str, at: int) -> int:
        closed = text.lower().find(self._mark.lower(), at)
        if closed < 0:
            if self._is_stage and at == 0:
                self._mode = _Mode.TEXT
                return at
            return len(text)
        self._mode = _Mode.TEXT
        end = closed + len(self._mark)
        if self._mark.startswith("<"):
            behind = text.find(">", end)
            return behind + 1 if behind >= 0 else len(text)
        while text[end : end + 1] == self._mark[0] and self._mark[0] in "*`~":
            end += 1
        return end

    def _skip_nested(self, text: str, at: int) -> int:
        for found in _BRACKET.finditer(text, at):
            character = found[0]
            if self._is_escaped(text, found.start()):
                continue
            if character == '"':
                self._in_string = not self._in_string
            elif not self._in_string and character in "{[(":
                self._depth += 1
            elif not self._in_string and character in "}])":
                self._depth -= 1
                if self._depth == 0:
                    self._mode = _Mode.TEXT
                    return found.end()
        return len(text)

    @staticmethod
    def _is_escaped(text: str, at: int) -> bool:
        before = text[:at]
        return (len(before) - len(before.rstrip("\\"))) % 2 == 1
