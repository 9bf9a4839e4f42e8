import asyncio
from datetime import timedelta

import pytest

from nur_server.clock import ManualClock
from nur_server.errors import Conflict, InvalidRequest
from nur_server.store.engine import Database
from nur_server.store.idempotency import KEPT, LEASE, Idempotency, forget_old_keys
from nur_server.store.records import Claim, StoredResponse

from .samples import ACCOUNT, OTHER_ACCOUNT

ROUTE = "POST /v1/agents"
ANSWER = StoredResponse(201, {"content-type": "application/json"}, b'{"id": "agt_1"}')


@pytest.fixture
def requests(database: Database) -> Idempotency:
    return Idempotency(database, ACCOUNT)


async def claimed(requests: Idempotency, request_hash: str = "a") -> Claim:
    claim = await requests.begin("k", ROUTE, request_hash)
    assert isinstance(claim, Claim)
    return claim


async def test_a_repeated_request_is_given_the_first_answer(requests: Idempotency) -> None:
    assert await requests.finish(await claimed(requests), ANSWER)
    assert await requests.begin("k", ROUTE, "a") == ANSWER
    assert await requests.begin("k", ROUTE, "a") == ANSWER


async def test_the_same_key_with_another_body_is_refused(requests: Idempotency) -> None:
    claim = await claimed(requests)
    for _ in ("while it is carried out", "and afterwards"):
        with pytest.raises(InvalidRequest) as refused:
            await requests.begin("k", ROUTE, "b")
        assert (refused.value.code, refused.value.param) == (
            "idempotency_key_reused",
            "Idempotency-Key",
        )
        await requests.finish(claim, ANSWER)


async def test_a_request_at_the_same_time_waits_its_turn(requests: Idempotency) -> None:
    await claimed(requests)
    with pytest.raises(Conflict) as refused:
        await requests.begin("k", ROUTE, "a")
    assert (refused.value.code, refused.value.retryable) == ("idempotency_in_progress", True)


async def test_of_equal_requests_at_once_one_is_carried_out(requests: Idempotency) -> None:
    answers = await asyncio.gather(
        *(requests.begin("k", ROUTE, "a") for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(answer, Claim) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 7


async def test_a_key_counts_for_its_route_and_account(
    database: Database, requests: Idempotency
) -> None:
    await requests.finish(await claimed(requests), ANSWER)
    assert isinstance(await requests.begin("k", "DELETE /v1/agents/agt_1", "a"), Claim)
    assert isinstance(await Idempotency(database, OTHER_ACCOUNT).begin("k", ROUTE, "a"), Claim)


async def test_an_abandoned_key_is_free_again(requests: Idempotency) -> None:
    await requests.abandon(await claimed(requests))
    assert isinstance(await requests.begin("k", ROUTE, "b"), Claim)


async def test_abandoning_after_the_answer_changes_nothing(requests: Idempotency) -> None:
    claim = await claimed(requests)
    await requests.finish(claim, ANSWER)
    await requests.abandon(claim)
    assert await requests.begin("k", ROUTE, "a") == ANSWER


async def test_a_claim_whose_server_died_runs_out(
    requests: Idempotency, clock: ManualClock
) -> None:
    dead = await claimed(requests)
    clock.advance(LEASE.total_seconds())
    with pytest.raises(InvalidRequest):
        await requests.begin("k", ROUTE, "b")
    heir = await claimed(requests)
    assert not await requests.finish(dead, StoredResponse(500, {}, b""))
    await requests.abandon(dead)
    assert await requests.finish(heir, ANSWER)
    assert await requests.begin("k", ROUTE, "a") == ANSWER


async def test_an_answer_is_kept_for_a_day(requests: Idempotency, clock: ManualClock) -> None:
    await requests.finish(await claimed(requests), ANSWER)
    clock.advance((KEPT - timedelta(seconds=1)).total_seconds())
    assert await requests.begin("k", ROUTE, "a") == ANSWER
    clock.advance(1)
    assert isinstance(await requests.begin("k", ROUTE, "b"), Claim)


async def test_old_keys_are_forgotten(
    database: Database, requests: Idempotency, clock: ManualClock
) -> None:
    await requests.begin("old", ROUTE, "a")
    clock.advance(3600)
    await requests.begin("new", ROUTE, "a")
    clock.advance((KEPT - timedelta(hours=1)).total_seconds())
    assert await forget_old_keys(database) == 1
    assert await forget_old_keys(database) == 0


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_of_the_wrong_length_is_refused(requests: Idempotency, key: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await requests.begin(key, ROUTE, "a")
    assert refused.value.param == "Idempotency-Key"
