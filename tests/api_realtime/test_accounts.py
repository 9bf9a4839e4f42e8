"""Accounts have limits, and a closed one has no conversations."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from nur_server.store import belongings
from nur_server.store.accounts import Accounts
from nur_server.store.keys import Keys
from tests.api_realtime.conftest import Client, Serve, Server

OTHER = "acc_bakery"


async def key_of_other(server: Server) -> Mapping[str, str]:
    await Accounts(server.services.database).create(OTHER, "Bakery")
    key = await Keys(server.services.database, OTHER).create("first", ["*"])
    return {"Authorization": f"Bearer {key.secret}"}


@asynccontextmanager
async def ready(server: Server, headers: Mapping[str, str]) -> AsyncIterator[Client]:
    async with server.connect(headers=headers) as client:
        await client.update()
        await client.until("session.ready")
        yield client


async def test_an_account_has_so_many_live_sessions(server: Server) -> None:
    key = await key_of_other(server)
    await Accounts(server.services.database).change(OTHER, {"max_live_sessions": 1})
    token = (await server.http.post("/v1/tokens", json={}, headers=key)).json()["token"]
    async with ready(server, key) as first:
        for headers, query in ((key, ""), ({}, f"?token={token}")):
            async with server.connect(f"/v1/ws{query}", headers=headers) as client:
                await client.update()
                assert (await client.next())["code"] == "concurrency_exceeded"
                assert await client.closed() == 1013
        async with server.ready() as somebody_else:
            await somebody_else.send("reply.create")
            await somebody_else.until("reply.done", status="completed")
        await first.send("session.end")
        await first.closed()
    async with ready(server, key):
        pass


async def test_suspending_an_account_ends_its_sessions_and_lets_none_begin(serve: Serve) -> None:
    async with serve() as server:
        key = await key_of_other(server)
        agent = {"name": "a", "voice_id": "rachel_v2", "system_prompt": "x"}
        made = (await server.http.post("/v1/agents", json=agent, headers=key)).json()["id"]
        path = f"/v1/agents/{made}/sessions"
        waiting = (await server.http.post(path, headers=key)).json()
        address = waiting["websocket_url"].removeprefix(f"ws://{server.address}")
        async with server.ready() as untouched, ready(server, key) as client:
            await belongings.suspend(server.services.database, OTHER)
            await client.until("session.ended", reason="account_closed")
            async with server.connect(address) as late:
                assert (await late.next())["code"] == "unauthorized"
            async with server.connect(headers=key) as late:
                assert (await late.next())["code"] == "unauthorized"
            await untouched.send("reply.create")
            await untouched.until("reply.done", status="completed")


async def test_deleting_an_account_in_the_middle_of_a_conversation(serve: Serve) -> None:
    async with serve() as server:
        key = await key_of_other(server)
        async with ready(server, key) as client:
            services = server.services
            await client.send("reply.create")
            await belongings.erase(services.database, services.blobs, OTHER)
            assert await client.closed() == 1000
        async with server.ready() as somebody_else:
            await somebody_else.send("reply.create")
            await somebody_else.until("reply.done", status="completed")
