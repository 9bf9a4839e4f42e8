"""Audio faster than real time is tolerated for a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.meter import (
    Admission,
    Allowance,
    AudioMeter,
    FrameMeter,
    MessageMeter,
)

BURST = Allowance(burst_seconds=5.0, rate=1.0)


def test_real_time_passes_for_ever() -> None:
    meter = AudioMeter(BURST, now=0.0)
    assert {meter.admit(0.02, i * 0.02) for i in range(100_000)} == {Admission.ADMITTED}


def test_a_client_whose_clock_is_fast_passes_for_ever() -> None:
    meter = AudioMeter(Allowance(), now=0.0)
    assert {meter.admit(0.0202, i * 0.02) for i in range(500_000)} == {Admission.ADMITTED}


def test_a_burst_passes_and_what_exceeds_it_does_not() -> None:
    meter = AudioMeter(BURST, now=0.0)
    assert [meter.admit(1.0, 0.0) for _ in range(5)] == [Admission.ADMITTED] * 5
    assert meter.admit(1.0, 0.0) is Admission.REFUSED
    assert meter.admit(1.0, 0.0) is Admission.REFUSED_AGAIN


def test_waiting_earns_room_again_and_the_next_excess_is_told_again() -> None:
    meter = AudioMeter(BURST, now=0.0)
    meter.admit(5.0, 0.0)
    assert meter.admit(1.0, 0.0) is Admission.REFUSED
    assert meter.admit(1.0, 1.0) is Admission.ADMITTED
    assert meter.admit(1.0, 1.0) is Admission.REFUSED


def test_a_message_longer_than_the_burst_never_passes() -> None:
    assert AudioMeter(BURST, now=0.0).admit(5.1, 1_000.0) is Admission.REFUSED


@given(steps=st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2)), max_size=200))
def test_never_more_than_time_and_burst_allow(steps: list[tuple[float, float]]) -> None:
    meter = AudioMeter(BURST, now=0.0)
    now = passed = 0.0
    for waited, seconds in steps:
        now += waited
        if meter.admit(seconds, now) is Admission.ADMITTED:
            passed += seconds
        assert passed <= now + BURST.burst_seconds + 1e-6


def test_what_a_player_reports_passes_for_ever() -> None:
    meter = MessageMeter(now=0.0)
    reports = {meter.admit(100, is_update=False, now=i * 0.02) for i in range(100_000)}
    assert reports == {Admission.ADMITTED}


def test_updates_pass_ten_in_a_row_and_then_one_every_two_seconds() -> None:
    meter = MessageMeter(now=0.0)
    outcomes = [meter.admit(0, is_update=True, now=0.0) for _ in range(11)]
    assert outcomes == [Admission.ADMITTED] * 10 + [Admission.REFUSED]
    assert meter.admit(0, is_update=True, now=2.0) is Admission.ADMITTED


def test_a_long_message_takes_longer() -> None:
    meter = MessageMeter(now=0.0)
    assert meter.admit(1024 * 1024, is_update=False, now=0.0) is Admission.ADMITTED
    assert meter.admit(1024 * 1024, is_update=False, now=0.0) is Admission.REFUSED


@pytest.mark.parametrize(
    ("size", "every_seconds"), [(960, 0.02), (8_000, 0.05), (128_000, 1.0), (50, 0.005)]
)
def test_audio_and_small_messages_are_never_kept_waiting(size: int, every_seconds: float) -> None:
    meter = FrameMeter(now=0.0)
    assert not any(meter.admit(size, i * every_seconds) for i in range(20_000))


@pytest.mark.parametrize("size", [1_000_000, 100_000, 10, 0])
def test_a_flood_is_read_at_the_rate_of_the_meter(size: int) -> None:
    meter, now, taken = FrameMeter(now=0.0), 0.0, 0
    while now < 60:
        now += meter.admit(size, now)
        taken += 1
    assert taken <= 500 * 69
    assert taken * size <= 69 * 512 * 1024 + size
