from nur_server.agents.tools import read_tools
from nur_server.opening.toolbox import agent_endpoints, endpoints
from nur_server.providers.http_tools import ToolPayload
from nur_server.store.accounts import DEFAULT_ACCOUNT
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


async def test_a_stored_sessions_tools_run_where_its_agent_says(server: Server) -> None:
    agent = await server.make_agent(
        tools=[LOOKUP, OWN], tool_url="https://shop.example/tools", tool_secret=SECRET
    )
    session = await server.make_session(agent["id"], context={"c": 1}, metadata={"m": 2})
    toolbox = server.services.toolbox

    shared = await toolbox.endpoint_for(session["id"], "lookup_order")
    assert shared is not None
    assert shared.url == "https://shop.example/tools"
    assert shared.payload is ToolPayload.WEBHOOK
    assert shared.signing_secret == SECRET
    assert (shared.context, shared.metadata) == ({"c": 1}, {"m": 2})

    own = await toolbox.endpoint_for(session["id"], "refund")
    assert own is not None
    assert (own.url, own.method) == ("https://shop.example/refund", "PUT")
    assert own.headers == (("X-Key", "s3cret"),)
    assert own.payload is ToolPayload.ARGUMENTS

    assert await toolbox.endpoint_for(session["id"], "unknown") is None
    assert await toolbox.endpoint_for("ses_unknown", "refund") is None
    await server.call("DELETE", f"/v1/agents/{agent['id']}")
    assert await toolbox.endpoint_for(session["id"], "refund") is None


async def test_what_a_socket_configured_comes_first(server: Server) -> None:
    agent = await server.make_agent(tools=[OWN])
    session = await server.make_session(agent["id"])
    toolbox = server.services.toolbox
    toolbox.open(session["id"], endpoints(read_tools([{**OWN, "name": "other"}])))
    assert await toolbox.endpoint_for(session["id"], "refund") is None
    assert await toolbox.endpoint_for(session["id"], "other") is not None
    toolbox.close(session["id"])
    toolbox.close(session["id"])
    assert await toolbox.endpoint_for(session["id"], "refund") is not None


async def test_tools_of_the_client_have_no_address(server: Server) -> None:
    made = await server.make_agent(tools=[LOOKUP])
    agent = await server.services.agents(DEFAULT_ACCOUNT).get(made["id"])
    assert agent_endpoints(agent) == {}
