"""How many requests a key may send, per group of operations."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter

from nur_server.clock import Clock
from nur_server.errors import RateLimited

GENERAL = "general"
RATE_LIMITS: Mapping[str, str] = {
    GENERAL: "1000/minute",
    "keys": "60/minute",
    "tokens": "300/minute",
    "voice-dial": "10/minute",
    "voice-session": "30/minute",
    "voice-status": "60/minute",
    "voice-list": "30/minute",
    "caller-ids": "10/minute",
    "sign-in": "30/minute",
}
"""Per key; `sign-in` per address of a client. A group that is not listed has a `general` allowance
of its own."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a window, as the `X-RateLimit-*` headers say it."""

    limit: int
    remaining: int
    reset_at: int
    """Seconds since the epoch."""

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_at),
        }


class RateLimits:
    """Counts in windows of fixed length: in `storage`, or else in this process's memory."""

    def __init__(
        self,
        clock: Clock,
        table: Mapping[str, str] = RATE_LIMITS,
        storage: Storage | None = None,
    ) -> None:
        self._clock = clock
        self._limits: dict[str, RateLimitItem] = {
            group: parse(text) for group, text in {**RATE_LIMITS, **table}.items()
        }
        self._limiter = FixedWindowRateLimiter(storage or MemoryStorage())

    async def count(self, group: str, who: str) -> tuple[Allowance, bool]:
        """Count one request of `who`: what is left, and whether it may go ahead."""
        limit = self._limits.get(group, self._limits[GENERAL])
        allowed = await self._limiter.hit(limit, group, who)
        window = await self._limiter.get_window_stats(limit, group, who)
        return Allowance(limit.amount, max(0, window.remaining), int(window.reset_time)), allowed

    def refusal(self, allowance: Allowance, group: str) -> RateLimited:
        """The error for a request that may not go ahead."""
        left = allowance.reset_at - self._clock.now().timestamp()
        seconds = min(max(left, 1.0), timedelta(hours=1).total_seconds())
        return RateLimited(
            f"expected at most {allowance.limit} requests to {group} in a window, got more; "
            f"wait {seconds:.0f} s",
            retry_after_seconds=seconds,
            details={"group": group, "limit": allowance.limit},
        )
