from nur_server.api.ratelimits import GENERAL, RateLimits
from nur_server.clock import SystemClock


async def test_a_window_runs_out() -> None:
    limits = RateLimits(SystemClock(), {"agents": "2/hour"})
    outcomes = [await limits.count("agents", "key_1") for _ in range(3)]
    assert [allowed for _, allowed in outcomes] == [True, True, False]
    assert [allowance.remaining for allowance, _ in outcomes] == [1, 0, 0]
    assert outcomes[0][0].headers()["X-RateLimit-Limit"] == "2"


async def test_keys_and_groups_have_windows_of_their_own() -> None:
    limits = RateLimits(SystemClock(), {GENERAL: "1/hour"})
    assert (await limits.count("agents", "key_1"))[1]
    assert (await limits.count("agents", "key_2"))[1]
    assert (await limits.count("sessions", "key_1"))[1]
    assert not (await limits.count("agents", "key_1"))[1]


async def test_a_refusal_says_when_to_come_back() -> None:
    limits = RateLimits(SystemClock(), {"agents": "1/hour"})
    allowance, _ = await limits.count("agents", "key_1")
    refusal = limits.refusal(allowance, "agents")
    assert 1 <= refusal.retry_after_seconds <= 3600
    assert refusal.details == {"group": "agents", "limit": 1}
