"""How long to wait before trying again: exponential, with jitter, all in seconds."""

import random
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 0.25
LONGEST_SECONDS = 8.0
LONGEST_RETRY_AFTER_SECONDS = 60.0
"""A server that asks for more is not waited for."""


def delay_seconds(attempt: int) -> float:
    """The wait after failure number `attempt` (0, 1, 2 …): 0.25·2^n, capped, and up to a quarter
    more at random, so that clients that failed together do not come back together."""
    wait = min(FIRST_SECONDS * 2.0 ** min(attempt, 10), LONGEST_SECONDS)
    return wait * (1 + random.random() / 4)


def retry_after_seconds(retry_after: str | None, date: str | None) -> float | None:
    """The seconds a `Retry-After` header asks for, or None where it cannot be read.

    RFC 9110, 10.2.3: a number of seconds, or a date, which is counted from the answer's own
    `Date`.
    """
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(retry_after)
        return max(0.0, (until - parsedate_to_datetime(date or "")).total_seconds())
    except (TypeError, ValueError):
        return None
