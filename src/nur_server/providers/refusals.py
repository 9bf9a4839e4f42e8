"""What a model server's refusal says: its words, when to come back, and what it is about.

The words are the vendor's: they are for the log and for the adapter that reads them, never for a
caller or a page.
"""

import json
import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from nur_server.clock import SystemClock

MAX_SAID_CHARACTERS = 500
WRONG_REQUEST = (400, 422)
"""Statuses that say that something in the request is wrong."""
SMALLEST_SHARE = 0.1
"""Two numbers that lie further apart than this are not the sizes of a prompt and a context."""
MAX_MENTIONS = 8
"""Faults of one refusal that are read."""

_SECRET = re.compile(r"\b(?:sk|pk|key|Bearer)[-_ ][\w\-*.]{6,}")
_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|size|window|limit)|maximum context|exceed\w* (?:the )?context"
    r"|maximum model length|context (?:the )?overflow|inputs`? tokens|max_model_len|n_ctx|num_ctx"
    r"|(?:prompt|input|request|message)s? (?:is|are) too (?:long|large)|request too large"
    r"|too many (?:input )?tokens|(?:input|prompt) (?:token count|tokens?|length) .{0,40}exceed"
    r"|exceed\w* .{0,40}(?:number of|token) ?(?:tokens|limit)|reduce the (?:length|size)"
    r"|string_above_max_length|input length|larger than the .{0,20}context",
    re.IGNORECASE | re.DOTALL,
)
_LIMIT_TOO_LARGE = re.compile(
    r"max_(?:completion_|new_|output_)?tokens\W{0,3} ?(?:\w+ ){0,2}too (?:large|big|high)"
    r"|max_(?:completion_)?tokens.{0,30}(?:exceed|less than or equal|at most|maximum value)",
    re.IGNORECASE,
)
_LOADING = re.compile(
    r"\bloading\b|still load|being loaded|warming up|starting up|is starting|not (?:yet )?ready"
    r"|initiali[sz]ing",
    re.IGNORECASE,
)
_PAID_UP = re.compile(r"insufficient[_ ]quota|exceeded your current quota|billing", re.IGNORECASE)
_NUMBER = re.compile(r"\d{3,}(?:,\d{3})*")


def said_in(body: bytes) -> str:
    """The fault as a server states it, without what it quotes of the request.

    Known shapes: OpenAI's `{"error": {"message", "param", "code"}}`, FastAPI's
    `{"detail": [{"loc", "type", "msg"}]}`, and plain text.
    """
    text = body.decode("utf-8", "replace")
    try:
        mentions = list(_mentions(json.loads(text)))
    except (ValueError, RecursionError):
        mentions = []
    return tidy("; ".join(mentions[:MAX_MENTIONS]) or text)


def tidy(text: str) -> str:
    """A vendor's words fit for a log: in one line, of bounded length, without keys."""
    return _SECRET.sub("…", " ".join(text.split()))[:MAX_SAID_CHARACTERS]


def _mentions(value: Any) -> Iterator[str]:
    """Each fault: where, which kind, in what words."""
    match value:
        case str():
            yield value
        case list():
            for item in value[:MAX_MENTIONS]:
                yield from _mentions(item)
        case dict():
            place = value.get("loc")
            if isinstance(place, list):
                place = ".".join(str(step) for step in place)
            words = [place or value.get("param"), value.get("code"), value.get("type")]
            words.append(value.get("message") or value.get("msg"))
            told = ": ".join(str(word) for word in words if isinstance(word, str | int))
            if told:
                yield told
            for key in ("error", "errors", "detail", "details"):
                yield from _mentions(value.get(key))
        case _:
            return


def names_field(said: str, name: str) -> bool:
    """Whether a refusal is about this field, or value, in whatever way it writes it."""
    words = "[ _-]?".join(map(re.escape, name.split("_")))
    return re.search(rf"(?<![^\W_]){words}(?![^\W_])", said, re.IGNORECASE) is not None


def is_too_long(said: str, status: int | None) -> bool:
    """Whether the prompt is longer than the model's context."""
    return status == 413 or bool(_TOO_LONG.search(said))


def is_limit_too_large(said: str) -> bool:
    """Whether the longest answer that was asked for is longer than the model may write."""
    return bool(_LIMIT_TOO_LARGE.search(said))


def allowed_share(said: str) -> float | None:
    """How much of the refused prompt would fit, where the refusal names both sizes.

    "… maximum context length is 8192 tokens. However, you requested 9000 tokens …" gives 0.91.
    """
    numbers = sorted({int(found.replace(",", "")) for found in _NUMBER.findall(said)})
    share = numbers[-2] / numbers[-1] if len(numbers) > 1 else 0.0
    return share if share >= SMALLEST_SHARE else None


def is_loading(said: str, status: int | None) -> bool:
    """Whether the server has the model, but not in memory yet."""
    return status in (None, 425, 500, 503) and bool(_LOADING.search(said))


def is_for_good(said: str) -> bool:
    """Whether asking again is of no use although the status says that the server is busy."""
    return bool(_PAID_UP.search(said))


def retry_after_seconds(response: httpx2.Response) -> float | None:
    """From `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3), or `retry-after-ms`."""
    milliseconds = response.headers.get("retry-after-ms", "")
    value = response.headers.get("retry-after", "").strip()
    for text, scale in ((milliseconds, 0.001), (value, 1.0)):
        if re.fullmatch(r"\d{1,9}(?:\.\d+)?", text):
            return float(text) * scale
    try:
        moment = parsedate_to_datetime(value)
        now = response.headers.get("date")
        since = parsedate_to_datetime(now) if now else SystemClock().now()
        return max(0.0, (moment - since).total_seconds())
    except (ValueError, TypeError, IndexError):
        return None
