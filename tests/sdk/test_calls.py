"""Calls and numbers through the client, against the real server and its simulated carrier."""

import time

import pytest

from nur import AsyncNurClient, Conflict, Forbidden, InvalidRequest, NotFound, NurClient

from .live_server import running

BUSY, SOMEBODY = "+15550101", "+15550102"
OURS = "+14155552671"
LATER, LATER_STILL = "2027-01-01T09:30:00+02:00", "2027-01-02T07:30:00Z"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("calls")) as server:
        yield server


@pytest.fixture
def client(server):
    with NurClient(server.key, server.url) as client:
        yield client


@pytest.fixture
def agent(client):
    return client.agents.create(name="A", voice_id="hazel", system_prompt="Be brief.")


def over(client, call_id):
    for _ in range(200):
        call = client.calls.get(call_id)
        if call.ended_at is not None:
            return call
        time.sleep(0.05)
    raise AssertionError(f"expected {call_id} to end")


def test_a_call_is_placed_and_followed(client, agent):
    call = client.calls.create(agent_id=agent.id, phone_number=BUSY, context={"name": "Ada"})
    assert (call.status, call.context) == ("initiating", {"name": "Ada"})
    ended = over(client, call.id)
    assert (ended.status, ended.ended_reason, ended.error) == ("failed", "busy", "busy")
    assert client.voice.status(call.session_id).status == "failed"
    assert client.voice.get(call.id).transcript == []
    assert client.voice.transcript(call.id).messages == []
    assert next(iter(client.calls.list(status="failed"))).id == call.id
    assert [c.id for c in client.agents.calls.list(agent.id)] == [call.id]
    assert next(iter(client.voice.list(agent_id=agent.id))).call_id == call.id


def test_a_scheduled_call_is_moved_and_canceled(client, agent):
    call = client.agents.calls.create(agent.id, SOMEBODY, scheduled_at=LATER)
    assert call.status == "scheduled"
    assert client.calls.move(call.id, scheduled_at=LATER_STILL).scheduled_at.startswith(
        "2027-01-02"
    )
    assert client.calls.end(call.id).status == "canceled"
    with pytest.raises(Conflict):
        client.calls.move(call.id, scheduled_at=LATER)


def test_dialling_and_hanging_up(client, agent):
    session = client.voice.dial(agent_id=agent.id, to_number=SOMEBODY, from_number="+15550199")
    assert session.direction == "outbound"
    assert client.voice.end(session.session_id).status == "canceled"


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        ("12", InvalidRequest, "invalid_phone_number"),
        ("+19005551234", Forbidden, "destination_blocked"),
    ],
)
def test_numbers_that_cannot_be_called(client, agent, number, error, code):
    with pytest.raises(error) as refused:
        client.calls.create(agent_id=agent.id, phone_number=number)
    assert refused.value.code == code


def test_a_number_of_ones_own(client, agent):
    made = client.phone_numbers.create(OURS, agent_id=agent.id, label="Desk")
    assert (made.agent_id, made.label) == (agent.id, "Desk")
    assert client.phone_numbers.unassign(OURS).agent_id is None
    assert client.phone_numbers.assign(OURS, agent_id=agent.id).agent_id == agent.id
    assert [number.id for number in client.phone_numbers.list()] == [OURS]
    assert client.phone_numbers.delete(OURS).deleted
    with pytest.raises(NotFound):
        client.phone_numbers.get(OURS)


def test_a_caller_id_is_verified(client):
    begun = client.caller_ids.create(OURS)
    assert begun.status == "pending"
    assert begun.code not in repr(begun)
    verified = client.caller_ids.verify(OURS, code=begun.code)
    assert verified.status == "verified"
    assert client.caller_ids.get(OURS) == next(iter(client.caller_ids.list()))
    assert client.caller_ids.delete(OURS).id == OURS


async def test_the_same_awaited(server, agent):
    async with AsyncNurClient(server.key, server.url) as client:
        call = await client.calls.create(
            agent_id=agent.id, phone_number=SOMEBODY, scheduled_at=LATER
        )
        assert (await client.calls.end(call.id)).status == "canceled"
        assert [c.id async for c in client.agents.calls.list(agent.id)] == [call.id]
