"""Who may begin a session, and who is told to come again."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from nur_server.api.errors import error_response, ws_error
from nur_server.errors import NurError, RateLimited, Unavailable
from nur_server.session.places import (
    LOOKS,
    MAX_LAG_SECONDS,
    MAX_RECOGNITIONS,
    MAX_WRITES,
    RETRY_SECONDS,
    Bounds,
    Gauge,
    Places,
    Strain,
)
from nur_server.session.setup import SessionAccess


@dataclass
class Setup:
    """What a place is taken by."""

    account_id: str
    access: SessionAccess = field(default_factory=SessionAccess)


def live(*whose: tuple[str, str | None]) -> Any:
    return [Setup(account, SessionAccess(key)) for account, key in whose]


def refusal(places: Places, taken: Any, account: str, key: str | None = None) -> NurError:
    with pytest.raises(NurError) as refused:
        places.require(taken, account, key)
    return refused.value


def test_every_place_taken() -> None:
    places = Places(Bounds(all=2))
    places.require(live(("a", "k")), "a", "k")
    error = refusal(places, live(("a", "k"), ("b", None)), "c")
    assert (error.code, error.status) == ("at_capacity", 503)
    assert error_response(error, "req").headers["Retry-After"] == f"{RETRY_SECONDS:g}"


def test_an_account_has_its_own_bound() -> None:
    places = Places(Bounds(of_account=2))
    taken = live(("a", "k1"), ("a", None), ("b", "k3"))
    error = refusal(places, taken, "a", "k4")
    assert isinstance(error, RateLimited)
    assert error.code == "concurrency_exceeded"
    assert ws_error(error)[0] == "concurrency_exceeded"
    places.require(taken, "b", "k3")
    places.require(taken, "c")


def test_a_key_has_its_own_bound() -> None:
    places = Places(Bounds(of_key=1))
    taken = live(("a", "k1"), ("a", None), ("b", "k2"))
    assert refusal(places, taken, "a", "k1").code == "concurrency_exceeded"
    places.require(taken, "a", "k2")
    places.require(taken, "a", None)
    places.require(taken, "b", "k1")


@pytest.mark.parametrize(
    ("what", "most"),
    [("lag", MAX_LAG_SECONDS), ("recogniser", MAX_RECOGNITIONS), ("database", MAX_WRITES)],
)
def test_a_server_that_is_behind_lets_nobody_in(what: str, most: float) -> None:
    values = {"lag": 0.0, "recogniser": 0.0, "database": 0.0}
    gauges = [
        Gauge("speech waits", lambda: values["recogniser"], MAX_RECOGNITIONS),
        Gauge("writes wait", lambda: values["database"], MAX_WRITES),
    ]
    places = Places(strain=Strain(gauges))

    def look(times: int) -> None:
        for _ in range(times):
            places.strain.look(values["lag"])

    look(LOOKS)
    places.require([], "a")
    values[what] = most + 1
    look(LOOKS // 2)
    # A hiccup refuses nobody.
    places.require([], "a")
    look(1)
    error = refusal(places, [], "a")
    assert isinstance(error, Unavailable)
    assert error.code == "at_capacity"
    assert "in progress" in error.message
    values[what] = most
    look(LOOKS // 2 + 1)
    places.require([], "a")
