"""The operator makes, limits and erases accounts; an account has what it proved or was given."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from nur_server.settings import Settings
from tests.api.conftest import AGENT, Server, Start

TOKEN = "operator-" + "x" * 32
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
ACCOUNTS = "/v1/operator/accounts"
NUMBER = "+15550142"


async def make_account(server: Server, **fields: Any) -> tuple[str, Mapping[str, str]]:
    """Its id, and the header of a key of it."""
    body = {"name": "Bakery", **fields}
    made = await server.call("POST", ACCOUNTS, 201, json=body, headers=OPERATOR)
    key = await server.call("POST", f"{ACCOUNTS}/{made['id']}/keys", 201, headers=OPERATOR)
    return made["id"], {"Authorization": f"Bearer {key['key']}"}


ROUTES = [
    ("GET", ACCOUNTS),
    ("POST", ACCOUNTS),
    ("GET", f"{ACCOUNTS}/acc_default"),
    ("PATCH", f"{ACCOUNTS}/acc_default"),
    ("DELETE", f"{ACCOUNTS}/acc_default"),
    ("GET", f"{ACCOUNTS}/acc_default/export"),
    ("POST", f"{ACCOUNTS}/acc_default/keys"),
    ("PUT", f"{ACCOUNTS}/acc_default/phone-numbers/{NUMBER}"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_no_key_opens_the_operator_s_part(start: Start, method: str, path: str) -> None:
    async with start(operator_token=TOKEN) as server:
        for credential in (server.key, "", "x", TOKEN[:-1], TOKEN + "x", "é"):
            headers = {"Authorization": f"Bearer {credential}".encode()}
            answer = await server.client.request(method, path, headers=headers)
            assert answer.status_code == 401, answer.text


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_the_setting_it_is_closed(server: Server, method: str, path: str) -> None:
    for headers in ({}, OPERATOR, {"Authorization": "Bearer "}):
        answer = await server.client.request(method, path, headers=headers)
        assert answer.status_code == 401


def test_a_guessable_operator_token_is_refused() -> None:
    with pytest.raises(ValueError, match="operator_token"):
        Settings(_env_file=None, operator_token="short")


async def test_an_account_is_made_listed_and_limited(start: Start) -> None:
    async with start(operator_token=TOKEN) as server:
        account_id, key = await make_account(server, max_agents=1)
        listed = await server.call("GET", ACCOUNTS, headers=OPERATOR)
        assert [one["id"] for one in listed["data"]] == [account_id, "acc_default"]
        await server.call("POST", "/v1/agents", 201, json=AGENT, headers=key)
        error = await server.refuse("POST", "/v1/agents", 409, json=AGENT, headers=key)
        assert error["code"] == "account_limit_reached"
        path = f"{ACCOUNTS}/{account_id}"
        changed = await server.call("PATCH", path, json={"max_agents": None}, headers=OPERATOR)
        assert (changed["max_agents"], changed["suspended"]) == (None, False)
        await server.call("POST", "/v1/agents", 201, json=AGENT, headers=key)
        assert (await server.call("GET", "/v1/agents"))["total"] == 0


async def test_the_keys_and_tokens_of_a_suspended_account_open_nothing(start: Start) -> None:
    async with start(operator_token=TOKEN) as server:
        account_id, key = await make_account(server)
        path = f"{ACCOUNTS}/{account_id}"
        await server.call("PATCH", path, json={"suspended": True}, headers=OPERATOR)
        await server.refuse("GET", "/v1/agents", 401, headers=key)
        await server.call("PATCH", path, json={"suspended": False}, headers=OPERATOR)
        await server.call("GET", "/v1/agents", headers=key)
        await server.refuse(
            "PATCH", f"{ACCOUNTS}/acc_default", 409, json={"suspended": True}, headers=OPERATOR
        )


async def test_everything_of_an_account_is_exported_and_erased(start: Start) -> None:
    async with start(operator_token=TOKEN) as server:
        account_id, key = await make_account(server)
        mine = await server.call(
            "POST", "/v1/agents", 201, json={**AGENT, "name": "Of the bakery"}, headers=key
        )
        made = await server.call("POST", f"/v1/agents/{mine['id']}/sessions", 201, headers=key)
        theirs = await server.make_agent(name="Somebody else's")
        services = server.services
        async with services.database.write() as session:
            await session.execute(
                text(
                    "INSERT INTO recordings (id, account_id, session_id, node_id, status, "
                    "lost_seconds, created_at) VALUES ('rec_1', :account, :session, 'node', "
                    "'ready', 0, '2026-01-01 00:00:00')"
                ),
                {"account": account_id, "session": made["id"]},
            )
        blob = Path(services.settings.data_dir) / f"recordings/{account_id}/rec_1.flac"
        blob.parent.mkdir(parents=True)
        blob.write_bytes(b"fLaC")
        answer = await server.client.get(f"{ACCOUNTS}/{account_id}/export", headers=OPERATOR)
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            kept = {name: archive.read(name) for name in archive.namelist()}
        assert json.loads(kept["agents.jsonl"])["name"] == "Of the bakery"
        assert json.loads(kept["sessions.jsonl"])["id"] == made["id"]
        assert kept["recordings/rec_1.flac"] == b"fLaC"
        everything = b"".join(kept.values())
        assert b"Somebody else" not in everything and b"secret_hash" not in everything
        await server.call("DELETE", f"{ACCOUNTS}/{account_id}", headers=OPERATOR)
        await server.refuse("GET", "/v1/agents", 401, headers=key)
        await server.refuse("GET", f"{ACCOUNTS}/{account_id}", 404, headers=OPERATOR)
        assert not blob.exists()
        for table in ("accounts", "api_keys", "agents", "sessions", "recordings"):
            column = "id" if table == "accounts" else "account_id"
            async with services.database.read() as session:
                left = await session.scalar(
                    text(f"SELECT count(*) FROM {table} WHERE {column} = :account"),
                    {"account": account_id},
                )
            assert left == 0, table
        await server.call("GET", f"/v1/agents/{theirs['id']}")
        await server.refuse("DELETE", f"{ACCOUNTS}/acc_default", 409, headers=OPERATOR)


# Phone numbers


async def test_a_number_that_is_not_proven_is_nobody_s_to_claim(start: Start) -> None:
    async with start(operator_token=TOKEN) as server:
        _, key = await make_account(server)
        named = {**AGENT, "phone_numbers": [NUMBER]}
        agent = await server.call("POST", "/v1/agents", 201, json=AGENT, headers=key)
        for method, path, body in (
            ("POST", "/v1/phone-numbers", {"phone_number": NUMBER}),
            ("POST", "/v1/phone-numbers/import", {"phone_number": NUMBER}),
            ("POST", "/v1/agents", named),
            ("PATCH", f"/v1/agents/{agent['id']}", {"phone_numbers": [NUMBER]}),
            ("PUT", f"/v1/agents/{agent['id']}", named),
        ):
            error = await server.refuse(method, path, 403, json=body, headers=key)
            assert error["code"] == "phone_number_not_proven"
        await server.call("POST", "/v1/phone-numbers", 201, json={"phone_number": NUMBER})


async def test_a_number_that_is_proven_or_given_is_claimed(start: Start) -> None:
    async with start(operator_token=TOKEN) as server:
        account_id, key = await make_account(server)
        _, rival = await make_account(server)
        asked = {"phone_number": NUMBER}
        begun = await server.call("POST", "/v1/caller-ids", 201, json=asked, headers=key)
        code = begun["code"]
        await server.call(
            "POST", f"/v1/caller-ids/{NUMBER}/verify", json={"code": code}, headers=key
        )
        await server.call("POST", "/v1/phone-numbers", 201, json=asked, headers=key)
        await server.refuse("POST", "/v1/phone-numbers", 403, json=asked, headers=rival)
        given = "+15550143"
        path = f"{ACCOUNTS}/{account_id}/phone-numbers/{given}"
        for _ in range(2):
            await server.call("PUT", path, headers=OPERATOR)
        named = {**AGENT, "phone_numbers": [given]}
        await server.call("POST", "/v1/agents", 201, json=named, headers=key)
