"""Text from outside, made into text that can be encoded, stored and sent.

Two kinds of characters cannot: half a character (a lone surrogate) has no UTF-8, and PostgreSQL
stores no NUL. Model servers that cut their output between two bytes or two UTF-16 units produce
the first; both can be written as escapes in JSON. JSON also holds numbers that not every reader and
writer on the way can.
"""

import json
import math
import re
from typing import Any

REPLACEMENT = "\ufffd"
_HARMFUL = re.compile("[\x00\ud800-\udfff]")
_SUSPECT = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")
_ESCAPE = re.compile(
    r"""\\(?:
        u[dD][89abAB][0-9a-fA-F]{2} \\u[dD][c-fC-F][0-9a-fA-F]{2}  # a whole character
        | u(?P<harmful> [dD][89a-fA-F][0-9a-fA-F]{2} | 0000)
        | .
    )""",
    re.VERBOSE | re.DOTALL,
)
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
"""Whole numbers beyond these are not taken by every JSON writer."""


def well_formed(text: str) -> str:
    """`text` with each lone surrogate and each NUL replaced by U+FFFD; the two halves of one
    character are joined."""
    if _HARMFUL.search(text) is None:
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\0", REPLACEMENT)


def well_formed_json(text: str) -> str:
    """JSON text, `well_formed` as it stands and once its escapes are read. Nothing else changes,
    and what is no JSON is taken, too."""
    text = well_formed(text)
    if _SUSPECT.search(text) is None:
        return text
    return _ESCAPE.sub(lambda found: r"\ufffd" if found["harmful"] else found[0], text)


def read_json(text: str) -> Any:
    """The value of JSON text, such that any JSON writer can write it again: its text is
    `well_formed`, whole numbers beyond 64 bits are fractions, and those that are not finite are
    None.

    Raises `ValueError` for text that is no JSON, `RecursionError` for too deep a value.
    """
    return json.loads(
        well_formed_json(text), parse_int=_whole, parse_float=_finite, parse_constant=_finite
    )


def reread_json(text: str) -> Any:
    """The same for what was written here, where whole numbers stay as they are."""
    return json.loads(well_formed_json(text), parse_float=_finite, parse_constant=_finite)


def write_json(value: Any) -> str:
    """JSON text that is `well_formed` once it is read. Raises as `json.dumps` does."""
    return well_formed_json(json.dumps(value))


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


def _whole(digits: str) -> int | float | None:
    value = int(digits)
    return value if _SMALLEST <= value <= _LARGEST else _finite(digits)


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None
