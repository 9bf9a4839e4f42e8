"""The operator's client against the real server."""

import io
import re
import zipfile

import pytest

from nur import AsyncNurClient, Conflict, NotFound, NurClient, Unauthorized
from nur.accounts import _AccountMethods, create_account, update_account
from nur_server.api.routes import operator as routes

from .live_server import running
from .test_against_server import operations_of

TOKEN = "operator-" + "x" * 32
AGENT = {"name": "Ada", "voice_id": "rachel_v2", "system_prompt": "Be brief."}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("nur"), TOKEN) as server:
        yield server


@pytest.fixture
def operator(server):
    with NurClient(TOKEN, server.url) as client:
        yield client


def test_an_account_from_its_making_to_its_end(server, operator):
    account = operator.accounts.create(name="Bakery", max_agents=1)
    assert (account.name, account.max_agents, account.max_live_sessions) == ("Bakery", 1, None)
    made = operator.accounts.create_key(account.id, name="first")
    assert made.name == "first" and made.scopes == ["*"]
    with NurClient(made.key, server.url) as client:
        agent = client.agents.create(**AGENT)
        with pytest.raises(Conflict, match="account"):
            client.agents.create(**AGENT)
        changed = operator.accounts.update(account.id, name="Baker", max_agents=None)
        assert (changed.name, changed.max_agents, changed.suspended) == ("Baker", None, False)
        client.agents.create(**AGENT)
        exported = zipfile.ZipFile(io.BytesIO(operator.accounts.export(account.id)))
        assert any(agent.id in exported.read(name).decode() for name in exported.namelist())
        assert operator.accounts.update(account.id, suspended=True).suspended
        with pytest.raises(Unauthorized):
            client.agents.get(agent.id)
        assert operator.accounts.update(account.id, suspended=False).suspended is False
        assert client.agents.get(agent.id).id == agent.id
        assert operator.accounts.erase(account.id).deleted
        with pytest.raises(Unauthorized):
            client.agents.list().page()
    with pytest.raises(NotFound):
        operator.accounts.get(account.id)


def test_accounts_are_listed_and_read(operator):
    made = [operator.accounts.create(name=f"Shop {n}").id for n in range(3)]
    listed = [account.id for account in operator.accounts.list(limit=2)]
    assert listed[:3] == made[::-1]
    assert operator.accounts.get(made[0]).name == "Shop 0"


def test_a_number_is_given_once(operator):
    one, other = (operator.accounts.create(name=name).id for name in "ab")
    operator.accounts.give_number(one, "+14155550123")
    operator.accounts.give_number(one, "+14155550123")
    with pytest.raises(Conflict):
        operator.accounts.give_number(other, "+14155550123")


def test_no_key_opens_accounts_and_the_operator_opens_nothing_else(server, operator):
    with NurClient(server.key, server.url) as client, pytest.raises(Unauthorized):
        client.accounts.list().page()
    with pytest.raises(Unauthorized):
        operator.agents.list().page()


async def test_the_awaited_client_does_the_same(server):
    async with AsyncNurClient(TOKEN, server.url) as operator:
        account = await operator.accounts.create(name="Café", max_live_sessions=0)
        assert (await operator.accounts.export(account.id)).startswith(b"PK")
        assert account.id in [each.id async for each in operator.accounts.list(limit=2)]


def test_what_is_not_given_is_not_sent():
    assert create_account(name="a").body == {"name": "a"}
    assert update_account("acc_1").body == {}
    assert update_account("acc_1", max_agents=None).body == {"max_agents": None}


def test_every_operation_has_a_method():
    offered = {
        (method, re.sub(r"{[^}]*}", "{}", f"/v1{route.path}"))
        for route in routes.router.routes
        for method in route.methods
    }
    assert operations_of(_AccountMethods) == offered
