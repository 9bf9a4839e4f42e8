"""How deep the JSON may nest, and how wide it may be, that clients send.

What reads, stores and shows a value descends into it, each part with a limit of its own. A value
within this one passes them all, so that nothing is taken in that cannot be given back. Both are
counted in the text, before it is decoded: decoding is what a wide message is dear to.
"""

import re

import numpy as np

MAX_NESTING = 100
MAX_VALUES = 20_000
"""Values in one message of a socket: twice what the schemas of a session's tools may have."""

_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A JSON string; one that does not end goes to the end. Possessive: each byte is looked at once."""
_BRACKETS = b"[]{}"
_OTHERS = bytes(set(range(256)) - set(_BRACKETS))
_STEPS = np.zeros(256, dtype=np.int32)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1


def is_too_deep(text: str | bytes, most: int = MAX_NESTING) -> bool:
    """Whether lists and objects of JSON lie more than `most` deep in one another."""
    data = _bytes(text)
    if data.count(b"[") + data.count(b"{") <= most:
        return False
    brackets = _TEXT.sub(b"", data).translate(None, _OTHERS)
    if not brackets:
        return False
    depth = np.cumsum(_STEPS[np.frombuffer(brackets, dtype=np.uint8)])
    return int(depth.max()) > most


def is_too_wide(text: str | bytes, most: int = MAX_VALUES) -> bool:
    """Whether JSON holds more than `most` values."""
    data = _bytes(text)
    if _values(data) <= most:
        return False
    return _values(_TEXT.sub(b'""', data)) > most


def _values(data: bytes) -> int:
    """At most so many: each follows a comma, or opens a list or an object."""
    return 1 + data.count(b",") + data.count(b"[") + data.count(b"{")


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
