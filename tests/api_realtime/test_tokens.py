"""A browser's token opens what it names, where it may, so many times."""

from typing import Any

import pytest

from tests.api_realtime.conftest import Client, Server, id_of

SHOP = "https://shop.example"


async def make(server: Server, **fields: Any) -> str:
    token: str = (await server.post("/v1/tokens", **fields))["token"]
    return token


async def answer(client: Client) -> str:
    """`ready`, or the code of the error."""
    while True:
        message = await client.next()
        if message["type"] == "session.ready":
            return "ready"
        if message["type"] == "session.error":
            return str(message["code"])


async def opened(server: Server, token: str, origin: str | None = None, **session: Any) -> str:
    headers = {} if origin is None else {"Origin": origin}
    async with server.connect(f"/v1/ws?token={token}", headers=headers) as client:
        await client.update(**session)
        return await answer(client)


async def test_a_token_opens_the_agents_it_names_and_nothing_else(server: Server) -> None:
    mine, other = await server.make_agent(), await server.make_agent()
    token = await make(server, agent_ids=[mine])
    assert await opened(server, token, agent_id=mine) == "ready"
    assert await opened(server, token, agent_id=other) == "session_forbidden"
    assert await opened(server, token, agent_id="agt_0") == "session_forbidden"
    assert await opened(server, token) == "session_forbidden"
    assert await opened(server, token, system_prompt="Be mine.") == "session_forbidden"
    listed = (await server.get(f"/v1/token?expires_in_seconds=60&agent_id={mine}"))["token"]
    assert await opened(server, listed, agent_id=mine) == "ready"
    assert await opened(server, listed, agent_id=other) == "session_forbidden"
    unnamed = await make(server)
    assert await opened(server, unnamed, agent_id=other) == "ready"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"agent_ids": ["agt_0"]}, 404),
        ({"agent_ids": []}, 422),
        ({"allowed_origins": ["https://shop.example/path"]}, 422),
        ({"allowed_origins": ["shop.example"]}, 422),
        ({"allowed_origins": ["*"]}, 422),
        ({"max_live_sessions": 0}, 422),
    ],
)
async def test_a_token_that_cannot_be_meant_is_refused(
    server: Server, fields: dict[str, Any], status: int
) -> None:
    assert (await server.http.post("/v1/tokens", json=fields)).status_code == status


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (SHOP, "ready"),
        ("https://SHOP.example", "ready"),
        ("http://shop.example", "session_forbidden"),
        ("https://shop.example.evil.example", "session_forbidden"),
        ("https://evil.example", "session_forbidden"),
        ("null", "session_forbidden"),
        (None, "session_forbidden"),
    ],
)
async def test_a_token_and_an_agent_may_be_bound_to_pages(
    server: Server, origin: str | None, expected: str
) -> None:
    bound = await make(server, allowed_origins=["https://shop.example:443"])
    if expected == "ready":
        assert await opened(server, bound, origin) == expected
    else:
        async with server.connect(
            f"/v1/ws?token={bound}", headers={"Origin": origin} if origin else {}
        ) as client:
            assert await answer(client) == expected
    agent_id = await server.make_agent(allowed_origins=[SHOP])
    assert await opened(server, await make(server), origin, agent_id=agent_id) == expected
    path = await server.make_session(agent_id)
    headers = {"Origin": origin} if origin else {}
    async with server.connect(path, headers=headers) as client:
        assert await answer(client) == expected
    async with server.connect(
        f"/v1/sessions/{id_of(path)}", headers={"Authorization": f"Bearer {server.key}"}
    ) as client:
        assert await answer(client) == "ready"


async def test_who_comes_back_from_another_page_is_refused(server: Server) -> None:
    path = await server.make_session(await server.make_agent(allowed_origins=[SHOP]))
    async with server.connect(path, headers={"Origin": SHOP}) as client:
        ready = await client.until("session.ready")
        resume = {"session_id": ready["session_id"], "resume_token": ready["resume_token"]}
        async with server.connect(
            f"/v1/ws?token={await make(server)}", headers={"Origin": "https://evil.example"}
        ) as thief:
            await thief.send("session.resume", **resume)
            assert await answer(thief) == "session_forbidden"
        async with server.connect(path, headers={"Origin": "https://evil.example"}) as thief:
            assert await answer(thief) == "session_forbidden"
        await client.send("reply.create")
        await client.until("reply.done", status="completed")


async def test_a_token_has_so_many_live_sessions(server: Server) -> None:
    token, other = await make(server, max_live_sessions=2), await make(server)
    quiet = {"input": {"type": "text"}, "output": {"type": "text"}}
    address = f"/v1/ws?token={token}"
    async with server.connect(address, headers={}) as one:
        await one.update(**quiet)
        assert await answer(one) == "ready"
        async with server.connect(address, headers={}) as two:
            await two.update(**quiet)
            assert await answer(two) == "ready"
            async with server.connect(address, headers={}) as three:
                await three.update(**quiet)
                assert await answer(three) == "concurrency_exceeded"
                assert await three.closed() == 1013
            assert await opened(server, other) == "ready"
            await two.send("session.end")
            await two.closed()
        assert await opened(server, token, **quiet) == "ready"
