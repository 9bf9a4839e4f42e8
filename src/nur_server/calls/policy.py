"""What may be called, and how much: the stand against toll fraud.

Everything is closed that is not opened: countries by a list, premium and satellite ranges one by
one. What an account may use up is counted in the database, so it holds over all nodes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from nur_server.calls.numbers import Number, NumberKind
from nur_server.errors import Forbidden, InvalidRequest, RateLimited
from nur_server.settings import Settings
from nur_server.store.call_records import (
    Usage,
)

EVERYWHERE = "*"
USUAL_COUNTRIES = frozenset((
    "US", "CA", "MX", "BR", "GB", "GG", "JE", "IM", "IE", "AT", "BE", "BG", "CH", "CY", "CZ", "DE",
    "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IS", "IT", "LT", "LU", "LV", "MT", "NL", "NO",
    "PL", "PT", "RO", "SE", "SI", "SK", "AU", "NZ", "IL", "IN", "JP", "KR", "SG",
))  # fmt: skip
"""Where calls may go unless told otherwise: places with few numbers that pay their callers."""
FARTHEST_SCHEDULE = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What one server allows."""

    countries: frozenset[str] = USUAL_COUNTRIES
    """ISO 3166-1 alpha-2; `*` for any."""
    allows_premium: bool = False
    allows_satellite: bool = False
    """And the other numbers of no country."""
    calls_per_second: int = 5
    """Placed, per account."""
    concurrent_calls: int = 50
    """Outbound and not over, per account."""
    minutes_per_day: int = 3_000
    """Minutes begun since midnight UTC, per account: what the account can cost in a day."""
    trusted_caller_ids: frozenset[str] = frozenset()
    """Numbers the operator vouches for: every account may show them."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What the operator has set."""
        return cls(
            countries=frozenset(settings.call_countries) or USUAL_COUNTRIES,
            allows_premium=settings.call_premium,
            allows_satellite=settings.call_satellite,
            calls_per_second=settings.calls_per_second,
            concurrent_calls=settings.calls_at_a_time,
            minutes_per_day=settings.call_minutes_per_day,
            trusted_caller_ids=frozenset(settings.caller_ids),
        )

    def check_destination(self, number: Number, param: str, *, is_simulated: bool) -> None:
        """`is_simulated`: nothing leaves this machine, so fictional numbers can be reached.

        Raises `InvalidRequest` for a fictional number, `Forbidden` (`destination_blocked`) for one
        that is closed.
        """
        match number.kind:
            case NumberKind.FICTIONAL if not is_simulated:
                raise InvalidRequest(
                    f"{param}: expected a number that can be reached, got the fictional "
                    f"{number.e164}",
                    code="invalid_phone_number",
                    param=param,
                )
            case NumberKind.FICTIONAL:
                return
            case NumberKind.PREMIUM if not self.allows_premium:
                raise _blocked(number, param, "a premium-rate number", "NUR_CALL_PREMIUM")
            case NumberKind.SATELLITE | NumberKind.GLOBAL if not self.allows_satellite:
                raise _blocked(number, param, f"a {number.kind} number", "NUR_CALL_SATELLITE")
        if number.country is None or EVERYWHERE in self.countries:
            return
        if number.country not in self.countries:
            raise _blocked(number, param, f"one in {number.country}", "NUR_CALL_COUNTRIES")

    def check_usage(self, usage: Usage) -> None:
        """Raises `RateLimited` where one more call is too many."""
        if usage.under_way >= self.concurrent_calls:
            raise RateLimited(
                f"expected fewer than {self.concurrent_calls} outbound calls at a time, "
                f"{usage.under_way} are under way; wait for one to end",
                code="too_many_calls",
                retry_after_seconds=5,
            )
        if usage.minutes_today >= self.minutes_per_day:
            raise RateLimited(
                f"expected at most {self.minutes_per_day} minutes of calls in a day, "
                f"{usage.minutes_today} have begun since midnight UTC; wait, or raise "
                "NUR_CALL_MINUTES_PER_DAY",
                code="call_minutes_used_up",
                retry_after_seconds=3600,
            )
        if usage.placed_last_second >= self.calls_per_second:
            raise RateLimited(
                f"expected at most {self.calls_per_second} calls in a second; wait a second",
                code="calls_per_second_exceeded",
                retry_after_seconds=1,
            )


def check_schedule(scheduled_at: datetime, now: datetime) -> None:
    """Raises `InvalidRequest` for a time that has passed, or is out of all proportion."""
    if scheduled_at <= now:
        raise InvalidRequest(
            f"scheduled_at: expected a time to come, got {scheduled_at.isoformat()}; "
            "leave it out to call at once",
            code="schedule_in_past",
            param="scheduled_at",
        )
    if scheduled_at > now + FARTHEST_SCHEDULE:
        raise InvalidRequest(
            f"scheduled_at: expected a time within {FARTHEST_SCHEDULE.days} days, "
            f"got {scheduled_at.isoformat()}",
            param="scheduled_at",
        )


def _blocked(number: Number, param: str, what: str, setting: str) -> Forbidden:
    return Forbidden(
        f"{param}: expected a number this server may call, got {what}, {number.e164}; "
        f"the operator can open it with {setting}",
        code="destination_blocked",
        param=param,
        details={"country": number.country, "kind": number.kind.value},
    )
