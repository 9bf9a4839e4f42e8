"""A session's id is a name: only its secret, its resume token or its account's key open it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from nur_server.api.entry import Entrance
from nur_server.api.tokens import ResumeTokens
from nur_server.store.accounts import Accounts
from nur_server.store.keys import Keys
from tests.api_realtime.conftest import Client, Serve, Server, eventually, id_of


def bearer(credential: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {credential}"}


async def key_of_another_account(server: Server) -> str:
    await Accounts(server.services.database).create("acc_other", "other")
    return (await Keys(server.services.database, "acc_other").create("k", ["*"])).secret


async def token_of(server: Server, key: str | None = None) -> str:
    headers = {} if key is None else bearer(key)
    answer = await server.http.get("/v1/token?expires_in_seconds=60", headers=headers)
    token: str = answer.json()["token"]
    return token


@asynccontextmanager
async def held(server: Server) -> AsyncIterator[tuple[Client, dict[str, Any], str]]:
    """A stored session with its client: the connection, its session.ready and its path."""
    path = await server.make_session(await server.make_agent())
    async with server.connect(path) as client:
        yield client, await client.until("session.ready"), path


async def refused(server: Server, path: str, headers: Mapping[str, str], code: str) -> None:
    async with server.connect(path, headers=headers) as thief:
        assert (await thief.next())["code"] == code
        assert await thief.closed() == 1008


async def resumed(
    server: Server, session_id: str, headers: Mapping[str, str], query: str = "", **fields: Any
) -> str:
    """The code of the error that a `session.resume` is answered with, or `session.ready`."""
    async with server.connect(f"/v1/ws{query}", headers=headers) as client:
        await client.send("session.resume", session_id=session_id, **fields)
        answer = await client.next()
        kind: str = answer.get("code") or answer["type"]
        return kind


# The address


async def test_the_address_is_shown_once_and_only_its_hash_is_stored(server: Server) -> None:
    agent_id = await server.make_agent()
    made = await server.post(f"/v1/agents/{agent_id}/sessions")
    secret = made["websocket_url"].rpartition("/")[2]
    assert secret.startswith("ssk_") and len(secret) == 68
    for path in (
        f"/v1/sessions/{made['id']}",
        "/v1/sessions",
        f"/v1/agents/{agent_id}/sessions",
        f"/v1/sessions/{made['id']}/transcript",
    ):
        assert secret not in json.dumps(await server.get(path))
    assert (await server.get(f"/v1/sessions/{made['id']}"))["websocket_url"] is None
    ended = await server.post(f"/v1/sessions/{made['id']}/end")
    assert ended["websocket_url"] is None
    async with server.services.database.read() as session:
        rows = await session.execute(text("SELECT * FROM sessions"))
        assert secret not in str(rows.mappings().all())


async def test_an_answer_that_is_given_again_has_the_address_and_is_not_stored_in_clear(
    server: Server,
) -> None:
    path = f"/v1/agents/{await server.make_agent()}/sessions"
    first, again = [
        await server.http.post(path, headers={"Idempotency-Key": "one"}) for _ in range(2)
    ]
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    async with server.services.database.read() as session:
        kept = await session.scalar(text("SELECT body FROM idempotency_keys"))
    assert first.json()["id"].encode() not in bytes(kept)


@pytest.mark.parametrize("tail", ["", "/x", "/ssk_" + "0" * 64, "/nur_" + "0" * 64, "?token=x"])
async def test_who_knows_the_id_alone_does_not_take_the_session_over(
    server: Server, tail: str
) -> None:
    async with held(server) as (victim, ready, _):
        async with server.connect(f"/v1/sessions/{ready['session_id']}{tail}") as thief:
            assert (await thief.closed()) in (1008, 1006)
            assert all(message["type"] == "session.error" for message in thief.seen)
        await victim.send("reply.create")
        await victim.until("reply.done", status="completed")


async def test_who_knows_the_id_alone_does_not_begin_the_session(server: Server) -> None:
    path = await server.make_session(await server.make_agent())
    other = await server.make_session(await server.make_agent())
    secret_of_other = other.rpartition("/")[2]
    await refused(server, f"/v1/sessions/{id_of(path)}", {}, "unauthorized")
    await refused(server, f"/v1/sessions/{id_of(path)}/{secret_of_other}", {}, "unauthorized")
    async with server.connect(path) as client:
        assert (await client.next())["type"] == "session.ready"


@pytest.mark.parametrize("scope", ["sessions:read", "calls:read", "webhooks:read"])
async def test_a_key_that_may_only_read_does_not_enter(server: Server, scope: str) -> None:
    key = (await server.post("/v1/api-keys", name="reader", scopes=[scope]))["key"]
    async with held(server) as (victim, ready, path):
        await refused(server, f"/v1/sessions/{id_of(path)}", bearer(key), "session_forbidden")
        assert await resumed(server, ready["session_id"], bearer(key)) == "session_forbidden"
        await victim.send("session.end")
        assert (await victim.until("session.ended"))["reason"] == "client_ended"


async def test_a_key_of_the_account_enters_by_the_id(server: Server) -> None:
    key = (await server.post("/v1/api-keys", name="door", scopes=["sessions:connect"]))["key"]
    path = await server.make_session(await server.make_agent())
    async with server.connect(f"/v1/sessions/{id_of(path)}", headers=bearer(key)) as client:
        ready = await client.until("session.ready")
        await server.vanish(client)
    assert await resumed(server, ready["session_id"], bearer(server.key)) == "session.ready"


async def test_a_key_of_another_account_enters_nothing(server: Server) -> None:
    other = await key_of_another_account(server)
    async with held(server) as (_, ready, path):
        await refused(server, f"/v1/sessions/{id_of(path)}", bearer(other), "session_forbidden")
        assert await resumed(server, ready["session_id"], bearer(other)) == "session_forbidden"
        stolen = await token_of(server, other)
        assert await resumed(server, ready["session_id"], {}, f"?token={stolen}") == (
            "session_forbidden"
        )


# Coming back


async def test_a_resume_token_comes_back_in_the_header_the_query_and_the_message(
    server: Server,
) -> None:
    async with server.ready() as client:
        ready = client.seen[-1]
        await server.vanish(client)
    id, token = ready["session_id"], ready["resume_token"]
    assert await resumed(server, id, bearer(token)) == "session.ready"
    assert await resumed(server, id, {}, f"?token={token}") == "session.ready"
    async with server.connect(f"/v1/sessions/{id}", headers=bearer(token)) as client:
        assert (await client.next())["type"] == "session.ready"
    other = await key_of_another_account(server)
    assert await resumed(server, id, bearer(other), resume_token=token) == "session.ready"


async def test_a_resume_token_is_good_for_its_own_session_alone(server: Server) -> None:
    async with server.ready() as one, server.ready() as two:
        mine, theirs = one.seen[-1], two.seen[-1]
        token = mine["resume_token"]
        assert await resumed(server, theirs["session_id"], bearer(token)) == "unauthorized"
        forged = token.replace(mine["session_id"], theirs["session_id"])
        assert await resumed(server, theirs["session_id"], bearer(forged)) == "unauthorized"
        async with server.connect(headers=bearer(token)) as client:
            await client.update()
            assert (await client.next())["code"] == "unauthorized"


@pytest.mark.parametrize("token", ["", "rsm_", "rsm_ses_1.", "ssk_", "ssk_" + "0" * 64, "é"])
def test_no_odd_proof_opens_a_session(token: str) -> None:
    entrance = Entrance("ses_1", "acc_1", None, None)
    assert not entrance._is_proof(token, ResumeTokens())


async def test_a_browser_token_comes_back_to_its_own_session_only(server: Server) -> None:
    mine, another = await token_of(server), await token_of(server)
    async with server.connect(f"/v1/ws?token={mine}", headers={}) as client:
        await client.update()
        session_id = (await client.until("session.ready"))["session_id"]
        await server.vanish(client)
    assert await resumed(server, session_id, {}, f"?token={another}") == "session_forbidden"
    assert await resumed(server, session_id, {}, f"?token={mine}") == "session.ready"


class Noon:
    """A clock whose day can be moved."""

    def __init__(self) -> None:
        self.later = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def monotonic(self) -> float:
        import time

        return time.monotonic()


async def test_expired_credentials_open_and_resume_nothing(serve: Serve) -> None:
    clock = Noon()
    async with serve(clock=clock) as server:
        ends = (clock.now() + timedelta(minutes=5)).isoformat()
        key = (await server.post("/v1/api-keys", name="brief", expires_at=ends))["key"]
        token = await token_of(server)
        async with server.connect(headers=bearer(key)) as one:
            await one.update()
            ready = await one.until("session.ready")
            clock.later = timedelta(minutes=10)
            for headers, query in ((bearer(key), ""), ({}, f"?token={token}")):
                got = await resumed(server, ready["session_id"], headers, query)
                assert got == "unauthorized"
            got = await resumed(
                server, ready["session_id"], {}, f"?token={token}",
                resume_token=ready["resume_token"],
            )  # fmt: skip
            assert got == "session.ready"


# Revoked


async def test_revoking_a_key_ends_what_it_has_opened(server: Server) -> None:
    key = await server.post("/v1/api-keys", name="leaked")
    waiting = (
        await server.http.post(
            f"/v1/agents/{await server.make_agent()}/sessions", headers=bearer(key["key"])
        )
    ).json()
    token = await token_of(server, key["key"])
    async with (
        server.ready() as untouched,
        server.connect(headers=bearer(key["key"])) as by_key,
        server.connect(f"/v1/ws?token={token}", headers={}) as by_token,
    ):
        readies = []
        for client in (by_key, by_token):
            await client.update()
            readies.append(await client.until("session.ready"))
        assert (await server.http.delete(f"/v1/api-keys/{key['id']}")).status_code == 200
        for client, ready in zip((by_key, by_token), readies, strict=True):
            await client.until("session.ended", reason="key_revoked")
            assert await client.closed() == 1000
            proof = ready["resume_token"]
            assert await resumed(server, ready["session_id"], bearer(proof)) == "session_expired"
        await untouched.send("reply.create")
        await untouched.until("reply.done", status="completed")
    address = waiting["websocket_url"].removeprefix(f"ws://{server.address}")
    async with server.connect(address) as client:
        assert (await client.next())["code"] == "session_expired"


async def test_a_server_may_be_set_to_leave_the_sessions_of_a_revoked_key(serve: Serve) -> None:
    async with serve(revoking_ends_sessions=False) as server:
        key = await server.post("/v1/api-keys", name="leaked")
        agent_id = await server.make_agent()
        made = await server.http.post(f"/v1/agents/{agent_id}/sessions", headers=bearer(key["key"]))
        async with server.connect(headers=bearer(key["key"])) as client:
            await client.update()
            ready = await client.until("session.ready")
            await server.http.delete(f"/v1/api-keys/{key['id']}")
            await client.send("reply.create")
            await client.until("reply.done", status="completed")
            assert await resumed(server, ready["session_id"], bearer(key["key"])) == "unauthorized"
        address = made.json()["websocket_url"].removeprefix(f"ws://{server.address}")
        await refused(server, address, {}, "unauthorized")


async def test_a_key_in_the_address_is_refused(server: Server) -> None:
    await refused(server, f"/v1/ws?token={server.key}", {}, "unauthorized")
    path = await server.make_session(await server.make_agent())
    at_id = f"/v1/sessions/{id_of(path)}"
    await refused(server, f"{at_id}?token={server.key}", {}, "unauthorized")
    async with server.connect(f"/v1/ws?token={server.key}", headers=bearer(server.key)) as client:
        assert (await client.next())["code"] == "unauthorized"
    await eventually(lambda: not len(server.services.live))
