"""Who may open a call's stream, how long and how often."""

import pytest

from nur_server.clock import ManualClock
from nur_server.errors import Forbidden
from nur_server.transports.carriers.tokens import StreamTokens


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def refused(tokens: StreamTokens, token: str) -> str:
    with pytest.raises(Forbidden) as caught:
        tokens.redeem(token)
    return caught.value.code


def test_a_token_names_its_call_once(clock: ManualClock) -> None:
    tokens = StreamTokens(clock)
    token = tokens.make("call_1", 30)
    assert tokens.redeem(token) == "call_1"
    assert refused(tokens, token) == "stream_token_used"


def test_each_token_is_another_one(clock: ManualClock) -> None:
    tokens = StreamTokens(clock)
    made = {tokens.make("call_1", 30) for _ in range(5)}
    assert len(made) == 5
    assert all("/" not in token for token in made)


def test_a_token_expires(clock: ManualClock) -> None:
    tokens = StreamTokens(clock)
    token = tokens.make("call_1", 30)
    clock.advance(31)
    assert refused(tokens, token) == "stream_token_expired"


def test_a_token_of_another_process_is_refused(clock: ManualClock) -> None:
    token = StreamTokens(clock).make("call_1", 30)
    assert refused(StreamTokens(clock), token) == "stream_token_invalid"


def test_nothing_in_a_token_can_be_changed(clock: ManualClock) -> None:
    tokens = StreamTokens(clock)
    token = tokens.make("call_1", 30)
    for at in range(len(token)):
        other = "0" if token[at] != "0" else "1"
        assert refused(tokens, token[:at] + other + token[at + 1 :]) == "stream_token_invalid"


@pytest.mark.parametrize("junk", ["", ".", "...", "call_1", "call_1.9999999999.x.", "é.1.2.3"])
def test_junk_is_refused(clock: ManualClock, junk: str) -> None:
    assert refused(StreamTokens(clock), junk) == "stream_token_invalid"
