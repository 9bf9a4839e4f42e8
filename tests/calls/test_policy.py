from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from nur_server.calls.numbers import read_number
from nur_server.calls.policy import CallPolicy, check_schedule
from nur_server.errors import Forbidden, InvalidRequest, RateLimited
from nur_server.settings import Settings
from nur_server.store.call_records import (
    Usage,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def check(policy: CallPolicy, number: str, *, is_simulated: bool = False) -> None:
    policy.check_destination(
        read_number(number, "to_number"), "to_number", is_simulated=is_simulated
    )


@pytest.mark.parametrize("number", ["+14155559999", "+442079460958", "+919876543210"])
def test_usual_countries_are_open(number: str) -> None:
    check(CallPolicy(), number)


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        ("+18765551234", "NUR_CALL_COUNTRIES"),
        ("+5355555555", "NUR_CALL_COUNTRIES"),
        ("+19005551234", "NUR_CALL_PREMIUM"),
        ("+447012345678", "NUR_CALL_PREMIUM"),
        ("+881612345678", "NUR_CALL_SATELLITE"),
        ("+80012345678", "NUR_CALL_SATELLITE"),
    ],
)
def test_what_may_cost_a_fortune_is_closed(number: str, hint: str) -> None:
    with pytest.raises(Forbidden) as refused:
        check(CallPolicy(), number)
    assert refused.value.code == "destination_blocked"
    assert hint in refused.value.message


def test_opening_every_country_opens_neither_premium_nor_satellite() -> None:
    everywhere = CallPolicy(countries=frozenset({"*"}))
    check(everywhere, "+18765551234")
    for number in ("+19005551234", "+881612345678"):
        with pytest.raises(Forbidden):
            check(everywhere, number)


def test_what_the_operator_opens_is_open() -> None:
    policy = CallPolicy(
        countries=frozenset({"JM", "US"}), allows_premium=True, allows_satellite=True
    )
    for number in ("+18765551234", "+19005551234", "+881612345678"):
        check(policy, number)
    with pytest.raises(Forbidden):
        check(policy, "+442079460958")


def test_fictional_numbers_are_for_simulated_calls() -> None:
    check(CallPolicy(countries=frozenset()), "+15550100", is_simulated=True)
    with pytest.raises(InvalidRequest):
        check(CallPolicy(), "+15550100")


@pytest.mark.parametrize(
    ("usage", "code"),
    [
        (Usage(2, 0, 0), "too_many_calls"),
        (Usage(0, 3, 0), "calls_per_second_exceeded"),
        (Usage(0, 0, 60), "call_minutes_used_up"),
    ],
)
def test_caps(usage: Usage, code: str) -> None:
    policy = CallPolicy(calls_per_second=3, concurrent_calls=2, minutes_per_day=60)
    with pytest.raises(RateLimited) as refused:
        policy.check_usage(usage)
    assert refused.value.code == code
    assert refused.value.retry_after_seconds > 0
    policy.check_usage(Usage(1, 2, 59))


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(seconds=-1), timedelta(days=367)])
def test_times_that_cannot_be_scheduled(offset: timedelta) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_schedule(NOW + offset, NOW)
    assert refused.value.param == "scheduled_at"


def test_a_time_to_come() -> None:
    check_schedule(NOW + timedelta(seconds=1), NOW)


def test_the_operator_s_settings() -> None:
    settings = Settings(
        _env_file=None,
        call_countries="us, jm",  # type: ignore[arg-type]
        call_premium=True,
        calls_per_second=1,
        calls_at_a_time=2,
        call_minutes_per_day=3,
        caller_ids="+14155559999",  # type: ignore[arg-type]
    )
    assert CallPolicy.of(settings) == CallPolicy(
        countries=frozenset({"US", "JM"}),
        allows_premium=True,
        calls_per_second=1,
        concurrent_calls=2,
        minutes_per_day=3,
        trusted_caller_ids=frozenset({"+14155559999"}),
    )
    assert CallPolicy.of(Settings(_env_file=None)) == CallPolicy()


@pytest.mark.parametrize(
    "values", [{"call_countries": "USA"}, {"call_countries": "+1"}, {"caller_ids": "4155559999"}]
)
def test_settings_that_cannot_be_used(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, **values)  # type: ignore[arg-type]
