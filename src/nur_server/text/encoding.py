"""Text from outside, made into text that can be encoded, stored and sent.

Two kinds of characters cannot: half a character (a lone surrogate) has no UTF-8, and PostgreSQL
stores no NUL. Model servers that cut their output between two bytes or two UTF-16 units produce
the first; both can be written as escapes in JSON.
"""

import re
from typing import Any

REPLACEMENT = "\ufffd"
_HARMFUL = re.compile("[\x00\ud800-\udfff]")


def well_formed(text: str) -> str:
    """`text` with each lone surrogate and each NUL replaced by U+FFFD; the two halves of one
    character are joined."""
    if _HARMFUL.search(text) is None:
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\0", REPLACEMENT)


def encodable(value: Any) -> Any:
    """A JSON value with all its text, names included, `well_formed`.

    Raises `RecursionError` for a value that is nested too deeply to be walked through.
    """
    match value:
        case str():
            return well_formed(value)
        case dict():
            return {encodable(name): encodable(held) for name, held in value.items()}
        case list() | tuple():
            return [encodable(each) for each in value]
        case _:
            return value
