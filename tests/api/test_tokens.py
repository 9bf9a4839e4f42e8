from datetime import timedelta

import jwt
import pytest

from nur_server.api.tokens import AUDIENCE, ISSUER, Tokens
from nur_server.clock import ManualClock
from nur_server.errors import Unauthorized

SECRET = b"s" * 32


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tokens(clock: ManualClock) -> Tokens:
    return Tokens(SECRET, clock, single_use=False)


def test_a_token_says_whose_it_is(tokens: Tokens, clock: ManualClock) -> None:
    token, made = tokens.make("acc_1", "key_1", expires_in_seconds=60, max_session_seconds=600)
    claims = tokens.verify(token)
    assert claims == made
    assert claims.account_id == "acc_1"
    assert claims.key_id == "key_1"
    assert claims.max_session_seconds == 600
    assert claims.expires_at == clock.now() + timedelta(seconds=60)


def test_a_token_runs_out(tokens: Tokens, clock: ManualClock) -> None:
    token, _ = tokens.make("acc_1", "key_1", expires_in_seconds=60)
    clock.advance(59.9)
    tokens.verify(token)
    clock.advance(0.1)
    with pytest.raises(Unauthorized) as caught:
        tokens.verify(token)
    assert caught.value.code == "token_expired"


def test_a_forged_token_is_refused(tokens: Tokens, clock: ManualClock) -> None:
    foreign, _ = Tokens(b"x" * 32, clock, single_use=False).make("a", "k", expires_in_seconds=60)
    payload = {"iss": ISSUER, "aud": AUDIENCE, "sub": "a", "jti": "t", "exp": 2e9}
    unsigned = jwt.encode(payload, None, algorithm="none")
    incomplete = jwt.encode(payload, SECRET, algorithm="HS256")
    elsewhere = jwt.encode({**payload, "aud": "other"}, SECRET, algorithm="HS256")
    for token in (foreign, unsigned, incomplete, elsewhere, "", "a.b.c", "not a token"):
        with pytest.raises(Unauthorized) as caught:
            tokens.verify(token)
        assert caught.value.code == "invalid_token"


def test_a_token_may_be_redeemed_again(tokens: Tokens) -> None:
    token, claims = tokens.make("acc_1", "key_1", expires_in_seconds=60)
    assert tokens.redeem(token) == tokens.redeem(token) == claims


def test_a_single_use_token_opens_one_session(clock: ManualClock) -> None:
    tokens = Tokens(SECRET, clock, single_use=True)
    token, claims = tokens.make("acc_1", "key_1", expires_in_seconds=60)
    other, _ = tokens.make("acc_1", "key_1", expires_in_seconds=60)
    assert tokens.redeem(token) == claims
    with pytest.raises(Unauthorized) as caught:
        tokens.redeem(token)
    assert caught.value.code == "token_used"
    tokens.redeem(other)
