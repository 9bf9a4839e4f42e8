"""Joins texts as their script is written: Chinese, Japanese and Thai have no space in between."""

import re

_CHARACTERS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u312f\u3400-\u9fff\uf900-\ufaff"
    "\uff00-\uff9f\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese and Khmer; the marks, syllables and characters of Chinese and Japanese, and
their wide forms."""
_UNSPACED = re.compile(f"[{_CHARACTERS}]")


def gap(before: str, after: str) -> str:
    """What stands between two texts that are joined: a space, or nothing.

    Nothing where either is empty, begins or ends with space already, or is written without spaces
    on its side of the joint.
    """
    if not before or not after or before[-1].isspace() or after[0].isspace():
        return ""
    return "" if _UNSPACED.match(before[-1]) or _UNSPACED.match(after[0]) else " "


def joined(*texts: str) -> str:
    """The texts one behind the other, each without surrounding space."""
    whole = ""
    for text in texts:
        stripped = text.strip()
        whole += gap(whole, stripped) + stripped
    return whole


def gap_as_written(before: str, after: str) -> str:
    """What stands between two pieces of one text when each loses its surrounding space.

    A space stays where the text has one. A line's end is a space, but not in Chinese and Japanese.
    """
    space = before[len(before.rstrip()) :] + after[: len(after) - len(after.lstrip())]
    if space and ("\n" not in space or not _is_east_asian(before, after)):
        return " "
    return gap(before.rstrip(), after.lstrip())


def _is_east_asian(before: str, after: str) -> bool:
    ends = before.rstrip()[-1:] + after.lstrip()[:1]
    return any(_UNSPACED.match(end) and end >= "\u3000" for end in ends)
