"""How deep the JSON may nest, and how wide it may be, that clients send.

What reads, stores and shows a value descends into it, each part with a limit of its own. A value
within this one passes them all, so that nothing is taken in that cannot be given back. Both are
counted in the text, before it is decoded: decoding is what a wide message is dear to.
"""

import numpy as np
from numpy.typing import NDArray

MAX_NESTING = 100
MAX_VALUES = 20_000
"""Values in one message of a socket, or in one body: twice what the schemas of a session's tools
may have."""

_QUOTE = ord('"')
_STEPS = np.zeros(256, dtype=np.int32)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
_BEGINNERS = np.zeros(256, dtype=np.bool_)
"""What a value follows: a comma, or the bracket that opens a list or an object."""
_BEGINNERS[list(b",[{")] = True


def is_too_deep(text: str | bytes, most: int = MAX_NESTING) -> bool:
    """Whether lists and objects of JSON lie more than `most` deep in one another."""
    data = _bytes(text)
    if data.count(b"[") + data.count(b"{") <= most:
        return False
    depth = np.cumsum(_STEPS[_outside_strings(data)])
    return int(depth.max(initial=0)) > most


def is_too_wide(text: str | bytes | bytearray, most: int = MAX_VALUES) -> bool:
    """Whether JSON holds more than `most` values."""
    data = _bytes(text)
    if 1 + data.count(b",") + data.count(b"[") + data.count(b"{") <= most:
        return False
    return 1 + int(np.count_nonzero(_BEGINNERS[_outside_strings(data)])) > most


def _outside_strings(data: bytes | bytearray) -> NDArray[np.uint8]:
    """The bytes of JSON that no string holds. A string that does not end goes to the end.

    In passes over the whole text, none of which stops at each string: a MiB of short strings takes
    as long as one string of a MiB.
    """
    if b"\\" in data:
        # Backslashes stand in strings alone, and pair from the left.
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    found = np.frombuffer(data, dtype=np.uint8)
    # The sum may overflow: only whether it is odd counts.
    quotes = np.cumsum(found == _QUOTE, dtype=np.uint8)
    is_outside: NDArray[np.bool_] = (quotes & 1) == 0
    return found[is_outside]


def _bytes(text: str | bytes | bytearray) -> bytes | bytearray:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
