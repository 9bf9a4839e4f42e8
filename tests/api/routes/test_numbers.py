from urllib.parse import quote

import pytest

from tests.api.conftest import Server, Start
from tests.api.routes.test_calls import telephony

OURS, OTHER = "+14155552671", "+442079460958"


async def test_a_number_is_imported_assigned_and_given_up(server: Server) -> None:
    agent = await server.make_agent()
    body = {"phone_number": OURS, "label": "Front desk"}
    made = await server.call("POST", "/v1/phone-numbers/import", 201, json=body)
    assert (made["id"], made["phone_number"], made["agent_id"]) == (OURS, OURS, None)
    assert (made["label"], made["imported"]) == ("Front desk", True)
    path = f"/v1/phone-numbers/{quote(OURS)}"
    assigned = await server.call("PUT", f"{path}/agent", json={"agent_id": agent["id"]})
    assert assigned["agent_id"] == agent["id"]
    read = await server.call("GET", f"/v1/agents/{agent['id']}")
    assert read["phone_numbers"] == [OURS]
    assert (await server.call("DELETE", f"{path}/agent"))["agent_id"] is None
    assert (await server.call("GET", path)) == made
    assert await server.call("DELETE", path) == {"id": OURS, "deleted": True}
    await server.refuse("GET", path, 404)


async def test_numbers_are_listed(server: Server) -> None:
    agent = await server.make_agent(phone_numbers=[OTHER])
    await server.call("POST", "/v1/phone-numbers", 201, json={"phone_number": OURS})
    listed = await server.call("GET", "/v1/phone-numbers")
    assert [(n["id"], n["imported"]) for n in listed["phone_numbers"]] == [
        (OURS, True),
        (OTHER, False),
    ]
    assert listed["data"][1]["agent_id"] == agent["id"]
    first = await server.call("GET", "/v1/phone-numbers", params={"limit": 1})
    rest = await server.call("GET", "/v1/phone-numbers", params={"cursor": first["next_cursor"]})
    assert [n["id"] for n in (*first["data"], *rest["data"])] == [OURS, OTHER]


async def test_numbers_that_are_refused(server: Server) -> None:
    for number in ("555", "+1 415", "+14155550"):
        error = await server.refuse("POST", "/v1/phone-numbers", 422, json={"phone_number": number})
        assert error["param"] == "phone_number"
    await server.call("POST", "/v1/phone-numbers", 201, json={"phone_number": OURS})
    error = await server.refuse("POST", "/v1/phone-numbers", 409, json={"phone_number": OURS})
    assert error["code"] == "phone_number_conflict"
    path = f"/v1/phone-numbers/{quote(OURS)}/agent"
    error = await server.refuse("PUT", path, 404, json={"agent_id": "agt_none"})
    assert error["code"] == "agent_not_found"


async def test_a_caller_id_is_verified_and_used(start: Start) -> None:
    async with start(telephony=telephony()) as server:
        agent = await server.make_agent()
        call = {"agent_id": agent["id"], "to_number": "+15550100", "from_number": OURS}
        await server.refuse("POST", "/v1/calls", 422, json=call)
        begun = await server.call("POST", "/v1/caller-ids", 201, json={"phone_number": OURS})
        assert (begun["status"], begun["attempts_left"]) == ("pending", 5)
        spoken = await server.call("GET", f"/v1/calls/{begun['call_id']}")
        assert (spoken["purpose"], spoken["to_number"]) == ("verification", OURS)
        path = f"/v1/caller-ids/{quote(OURS)}"
        assert (await server.call("GET", path))["code"] is None, "it is shown once"
        error = await server.refuse("POST", f"{path}/verify", 422, json={"code": "no"})
        assert error["code"] == "verification_failed"
        verified = await server.call("POST", f"{path}/verify", json={"code": begun["code"]})
        assert (verified["status"], verified["verified_over"]) == ("verified", "loopback")
        await server.call("POST", "/v1/calls", 201, json=call)
        listed = await server.call("GET", "/v1/caller-ids")
        assert [c["id"] for c in listed["caller_ids"]] == [OURS]
        await server.call("DELETE", path)
        await server.refuse("POST", "/v1/calls", 422, json=call)


@pytest.mark.parametrize(
    ("number", "status"), [("12", 422), ("+19005551234", 403), ("+5355555555", 403)]
)
async def test_caller_ids_that_are_refused(server: Server, number: str, status: int) -> None:
    await server.refuse("POST", "/v1/caller-ids", status, json={"phone_number": number})
    assert (await server.call("GET", "/v1/caller-ids"))["total"] == 0


async def test_codes_cannot_be_asked_for_in_a_row(start: Start) -> None:
    async with start(telephony=telephony()) as server:
        body = {"phone_number": OURS}
        await server.call("POST", "/v1/caller-ids", 201, json=body)
        error = await server.refuse("POST", "/v1/caller-ids", 429, json=body)
        assert error["code"] == "verification_too_soon"
