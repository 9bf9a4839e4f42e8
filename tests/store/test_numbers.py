import pytest

from nur_server.clock import ManualClock
from nur_server.errors import Conflict, NotFound, RateLimited
from nur_server.store.agents import Agents
from nur_server.store.engine import Database
from nur_server.store.numbers import (
    CODE_EVERY,
    CODE_LIFE,
    MOST_ATTEMPTS,
    CallerIds,
    PhoneNumbers,
    Route,
    find_route,
)

from .samples import ACCOUNT, OTHER_ACCOUNT, agent

ONE, TWO = "+14155552671", "+14155559999"


@pytest.fixture
def numbers(database: Database) -> PhoneNumbers:
    return PhoneNumbers(database, ACCOUNT)


@pytest.fixture
def caller_ids(database: Database) -> CallerIds:
    return CallerIds(database, ACCOUNT)


async def test_a_number_is_imported_and_assigned(database: Database, numbers: PhoneNumbers) -> None:
    agents = Agents(database, ACCOUNT)
    first, second = await agents.create(agent()), await agents.create(agent())
    made = await numbers.create(ONE, label="Front desk", termination_uri="sip:a@b")
    assert (made.number, made.agent_id, made.label) == (ONE, None, "Front desk")
    assert (await numbers.assign(ONE, first.id)).agent_id == first.id
    assert (await agents.get(first.id)).phone_numbers == (ONE,)
    assert (await numbers.assign(ONE, second.id)).agent_id == second.id
    assert (await agents.get(first.id)).phone_numbers == ()
    assert (await numbers.assign(ONE, None)).agent_id is None
    assert (await numbers.get(ONE)).is_imported


async def test_numbers_named_in_agents_are_listed_too(
    database: Database, numbers: PhoneNumbers
) -> None:
    named = await Agents(database, ACCOUNT).create(agent(phone_numbers=(TWO,)))
    await numbers.create(ONE)
    assert [(n.number, n.is_imported, n.agent_id) for n in await numbers.list()] == [
        (ONE, True, None),
        (TWO, False, named.id),
    ]
    assert await PhoneNumbers(database, OTHER_ACCOUNT).list() == ()


async def test_a_number_belongs_to_one_account(database: Database, numbers: PhoneNumbers) -> None:
    await numbers.create(ONE)
    for account in (ACCOUNT, OTHER_ACCOUNT):
        with pytest.raises(Conflict) as refused:
            await PhoneNumbers(database, account).create(ONE)
        assert refused.value.code == "phone_number_conflict"
    with pytest.raises(NotFound):
        await PhoneNumbers(database, OTHER_ACCOUNT).get(ONE)


async def test_a_number_needs_an_agent_of_its_account(
    database: Database, numbers: PhoneNumbers
) -> None:
    theirs = await Agents(database, OTHER_ACCOUNT).create(agent())
    with pytest.raises(NotFound):
        await numbers.create(ONE, agent_id=theirs.id)
    with pytest.raises(NotFound):
        await numbers.get(ONE)


async def test_a_number_that_is_given_up_routes_no_longer(
    database: Database, numbers: PhoneNumbers
) -> None:
    stored = await Agents(database, ACCOUNT).create(agent())
    await numbers.create(ONE, agent_id=stored.id)
    await numbers.delete(ONE)
    assert await find_route(database, ONE) is None
    with pytest.raises(NotFound):
        await numbers.delete(ONE)


async def test_who_is_reached_at_a_number(database: Database, numbers: PhoneNumbers) -> None:
    ours = await Agents(database, ACCOUNT).create(agent(phone_numbers=(ONE,)))
    assert await find_route(database, ONE) == Route(ACCOUNT, ours.id)
    await Agents(database, OTHER_ACCOUNT).create(agent(phone_numbers=(ONE,)))
    assert await find_route(database, ONE) is None, "two accounts name it"
    await numbers.create(ONE)
    assert await find_route(database, ONE) == Route(ACCOUNT, ours.id), "one of them has it"
    await Agents(database, ACCOUNT).delete(ours.id)
    assert await find_route(database, ONE) == Route(ACCOUNT, None)
    assert await find_route(database, TWO) is None


async def test_a_caller_id_is_verified(caller_ids: CallerIds, clock: ManualClock) -> None:
    waiting = await caller_ids.expect_code(ONE, "hash", "twilio")
    assert (waiting.verified_at, waiting.attempts_left) == (None, MOST_ATTEMPTS)
    assert (await caller_ids.note_call(ONE, "call_1")).call_id == "call_1"
    assert await caller_ids.verify(ONE, "other") is None
    assert (await caller_ids.get(ONE)).attempts_left == MOST_ATTEMPTS - 1
    verified = await caller_ids.verify(ONE, "hash")
    assert verified is not None
    assert (verified.verified_at, verified.verified_over) == (clock.now(), "twilio")
    assert await caller_ids.verify(ONE, "hash") is None, "a code is good for one time"
    assert (await caller_ids.list()) == (await caller_ids.get(ONE),)


async def test_guesses_run_out(caller_ids: CallerIds) -> None:
    await caller_ids.expect_code(ONE, "hash", "twilio")
    for _ in range(MOST_ATTEMPTS):
        assert await caller_ids.verify(ONE, "wrong") is None
    assert await caller_ids.verify(ONE, "hash") is None


async def test_codes_run_out_and_come_again(caller_ids: CallerIds, clock: ManualClock) -> None:
    await caller_ids.expect_code(ONE, "hash", "twilio")
    with pytest.raises(RateLimited):
        await caller_ids.expect_code(ONE, "second", "twilio")
    clock.advance(CODE_EVERY.total_seconds())
    await caller_ids.expect_code(ONE, "second", "twilio")
    assert await caller_ids.verify(ONE, "hash") is None
    clock.advance(CODE_LIFE.total_seconds())
    assert await caller_ids.verify(ONE, "second") is None


async def test_a_verified_number_stays_so_while_it_is_verified_again(
    caller_ids: CallerIds, clock: ManualClock
) -> None:
    await caller_ids.expect_code(ONE, "hash", "twilio")
    await caller_ids.verify(ONE, "hash")
    again = await caller_ids.expect_code(ONE, "second", "twilio")
    assert again.verified_at is not None
    await caller_ids.forget_code(ONE)
    assert (await caller_ids.get(ONE)).code_expires_at is None


async def test_caller_ids_of_one_account_are_no_other_s(
    database: Database, caller_ids: CallerIds
) -> None:
    await caller_ids.expect_code(ONE, "hash", "twilio")
    theirs = CallerIds(database, OTHER_ACCOUNT)
    with pytest.raises(NotFound):
        await theirs.verify(ONE, "hash")
    with pytest.raises(NotFound):
        await theirs.delete(ONE)
    await caller_ids.delete(ONE)
    with pytest.raises(NotFound):
        await caller_ids.get(ONE)
