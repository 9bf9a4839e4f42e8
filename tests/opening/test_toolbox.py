"""Where the tools of a session run."""

from typing import Any

from nur_server.opening.plan import plan_for_agent, tool_endpoints
from nur_server.opening.toolbox import Toolbox
from nur_server.providers.http_tools import ToolEndpoint, ToolPayload
from nur_server.store.accounts import DEFAULT_ACCOUNT
from nur_server.store.sessions import find_session
from tests.api.conftest import LOOKUP, Server

OWN = {
    "name": "refund",
    "http": {
        "url": "https://shop.example/refund",
        "http_method": "PUT",
        "headers": {"X-Key": "s3cret"},
    },
}
SECRET = "whsec_" + "QUJD" * 8


async def endpoints_of(server: Server, agent_id: str, **session: Any) -> dict[str, ToolEndpoint]:
    agent = await server.services.agents(DEFAULT_ACCOUNT).get(agent_id)
    made = await server.make_session(agent_id, **session)
    record = await find_session(server.services.database, made["id"])
    return tool_endpoints(plan_for_agent(agent, record))


async def test_a_stored_sessions_tools_run_where_its_agent_says(server: Server) -> None:
    agent = await server.make_agent(
        tools=[LOOKUP, OWN], tool_url="https://shop.example/tools", tool_secret=SECRET
    )
    found = await endpoints_of(server, agent["id"], context={"c": 1}, metadata={"m": 2})

    shared = found["lookup_order"]
    assert shared.url == "https://shop.example/tools"
    assert shared.payload is ToolPayload.WEBHOOK
    assert shared.signing_secret == SECRET
    assert (shared.context, shared.metadata) == ({"c": 1}, {"m": 2})

    own = found["refund"]
    assert (own.url, own.method) == ("https://shop.example/refund", "PUT")
    assert own.headers == (("X-Key", "s3cret"),)
    assert own.payload is ToolPayload.ARGUMENTS


async def test_tools_of_the_client_have_no_address(server: Server) -> None:
    agent = await server.make_agent(tools=[LOOKUP])
    assert await endpoints_of(server, agent["id"]) == {}


async def test_a_session_has_its_own_addresses_until_it_is_over(server: Server) -> None:
    toolbox: Toolbox = server.services.toolbox
    refund = ToolEndpoint("https://shop.example/refund")
    toolbox.open("ses_1", {"refund": refund})
    assert await toolbox.endpoint_for("ses_1", "refund") is refund
    assert await toolbox.endpoint_for("ses_1", "unknown") is None
    assert await toolbox.endpoint_for("ses_2", "refund") is None
    toolbox.close("ses_1")
    toolbox.close("ses_1")
    assert await toolbox.endpoint_for("ses_1", "refund") is None
