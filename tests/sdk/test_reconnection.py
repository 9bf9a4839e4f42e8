"""When to connect again, decided without a connection."""

import pytest

from nur.closed import Closed
from nur.events import SessionError
from nur.reconnection import Outage, refusal


def waits(outage, now):
    """All waits from `now` on, if every attempt fails at once."""
    given = []
    while (wait := outage.next_wait(now)) is not None:
        given.append(wait)
        now += wait
    return given


def dropped(connected_at=0.0, now=100.0):
    outage = Outage(0.0, first_attempts=3)
    outage.connection_dropped(now, connected_at)
    return outage


def test_a_drop_is_tried_five_times_with_doubling_waits():
    given = waits(dropped(), 100.0)
    assert len(given) == 5
    for n, wait in enumerate(given):
        assert 0.25 * 2**n <= wait <= 0.3125 * 2**n


def test_an_outage_ends_after_25_seconds():
    outage = dropped()
    assert outage.next_wait(124.6) is not None
    assert outage.next_wait(124.7) is None


def test_a_first_connection_is_tried_as_often_as_asked_for():
    assert len(waits(Outage(0.0, first_attempts=1), 0.0)) == 0
    assert len(waits(Outage(0.0, first_attempts=3), 0.0)) == 2


def test_a_connection_that_did_not_last_is_part_of_the_outage():
    outage = dropped()
    waits(outage, 100.0)
    outage.connection_dropped(112.0, 110.0)
    assert outage.next_wait(112.0) is None
    outage.connection_dropped(130.0, 113.0)
    assert outage.next_wait(130.0) is not None


@pytest.mark.parametrize(
    "closed",
    [Closed(1000), Closed(1008), Closed(4404), Closed(4410), Closed(status=403)],
)
def test_these_ends_are_final(closed):
    assert refusal(closed, None) is not None


@pytest.mark.parametrize(
    "closed",
    [Closed(), Closed(1001), Closed(1006), Closed(1011), Closed(1013), Closed(status=502)],
)
def test_these_are_not(closed):
    assert refusal(closed, None) is None


def test_a_final_code_counts_however_the_connection_ended():
    error = SessionError(code="session_expired", message="an hour is over")
    refused = refusal(Closed(reason="broken"), error)
    assert refused is not None
    assert (refused.code, refused.message) == ("session_expired", "an hour is over")
