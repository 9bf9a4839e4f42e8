"""Both clients against a transport that answers in place."""

import json
import subprocess
import sys

import httpx2
import pytest

from nur import AsyncNurClient, MissingKey, NotFound, NurClient, Unavailable

AGENT = {"id": "agt_1", "name": "Ada", "voice_id": "claire", "system_prompt": "Be brief."}
SESSION = {
    "session_id": "ses_1",
    "agent_id": "agt_1",
    "websocket_url": "ws://nur.test/v1/sessions/ses_1",
    "created_at": "2026-01-01T00:00:00Z",
    "expires_at": "2026-01-01T01:00:00Z",
    "status": "active",
}


class Recorder:
    """Answers with what it was given, in order, and keeps the requests."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        status, body, *headers = self.answers.pop(0)
        return httpx2.Response(status, json=body, headers=headers[0] if headers else {})

    @property
    def body(self):
        return json.loads(self.requests[-1].content)

    @property
    def asked(self):
        return [f"{each.method} {each.url.raw_path.decode()}" for each in self.requests]

    def sync_client(self, **options):
        http = httpx2.Client(transport=httpx2.MockTransport(self))
        return NurClient("nur_k", "http://nur.test", http_client=http, **options)

    def async_client(self, **options):
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self))
        return AsyncNurClient("nur_k", "http://nur.test", http_client=http, **options)


def page_of(*names, cursor=None):
    agents = [{**AGENT, "name": name} for name in names]
    return 200, {
        "object": "list",
        "data": agents,
        "total": 3,
        "has_more": cursor is not None,
        "next_cursor": cursor,
    }


# Where the key and the address come from


def test_a_missing_key_says_where_to_get_one(monkeypatch):
    monkeypatch.delenv("NUR_API_KEY", raising=False)
    with pytest.raises(MissingKey, match="NUR_API_KEY"):
        NurClient()


def test_key_and_address_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("NUR_API_KEY", "nur_env")
    monkeypatch.setenv("NUR_BASE_URL", "https://nur.example/")
    with NurClient() as client:
        assert client.base_url == "https://nur.example"


def test_the_default_address_is_this_machine(monkeypatch):
    monkeypatch.delenv("NUR_BASE_URL", raising=False)
    with NurClient("nur_k") as client:
        assert client.base_url == "http://127.0.0.1:8080"


def test_a_base_url_may_end_in_v1():
    recorder = Recorder((200, AGENT))
    http = httpx2.Client(transport=httpx2.MockTransport(recorder))
    NurClient("nur_k", "http://nur.test/v1/", http_client=http).agents.get("agt_1")
    assert recorder.asked == ["GET /v1/agents/agt_1"]


@pytest.mark.parametrize("options", [{"base_url": "nur.test"}, {"timeout": 0}, {"max_retries": -1}])
def test_options_that_cannot_be_used_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        NurClient("nur_k", **options)


def test_the_key_is_not_shown():
    assert "nur_secret" not in repr(NurClient("nur_secret")._options)


# Resources


def test_an_agent_is_created_as_in_the_quickstart():
    recorder = Recorder((201, {**AGENT, "tools": [], "brand_new_field": 7}))
    agent = recorder.sync_client().agents.create(
        name="Ada", voice_id="claire", system_prompt="Be brief.", language="en", max_turns=3
    )
    assert recorder.asked == ["POST /v1/agents"]
    assert recorder.body == {
        "name": "Ada",
        "voice_id": "claire",
        "system_prompt": "Be brief.",
        "language": "en",
        "max_turns": 3,
    }
    assert agent.id == "agt_1"
    assert agent.brand_new_field == 7


def test_a_session_is_created_under_its_agent():
    recorder = Recorder((201, SESSION))
    session = recorder.sync_client().agents.sessions.create(
        agent_id="agt_1", initial_message="Hello!"
    )
    assert recorder.asked == ["POST /v1/agents/agt_1/sessions"]
    assert recorder.body == {"initial_message": "Hello!"}
    assert session.websocket_url == SESSION["websocket_url"]


def test_an_update_sends_only_what_changes_and_null_where_asked():
    recorder = Recorder((200, AGENT))
    recorder.sync_client().agents.update("agt_1", first_message=None)
    assert recorder.body == {"first_message": None}


def test_every_other_method_asks_what_it_should():
    recorder = Recorder(
        (200, AGENT),
        (200, {"id": "agt_1", "deleted": True}),
        (200, SESSION),
        (200, {**SESSION, "status": "ended"}),
        (200, {"session_id": "ses_1", "turns": [{"speaker": "user", "text": "hi"}]}),
        (201, {"id": "key_1", "key": "nur_new"}),
        (200, {"id": "key_1"}),
        (201, {"token": "t", "expires_at": "2026-01-01T00:00:00Z"}),
    )
    client = recorder.sync_client()
    client.agents.replace("agt_1", name="B", voice_id="v", system_prompt="p")
    assert client.agents.delete("agt_1").deleted
    assert client.sessions.get("ses_1").status == "active"
    assert client.sessions.end("ses_1").status == "ended"
    assert client.sessions.transcript("ses_1").turns[0].text == "hi"
    assert client.keys.create(name="kiosk", scopes=["*"]).key == "nur_new"
    client.keys.revoke("key_1")
    assert client.tokens.create(expires_in_seconds=5).token == "t"
    assert recorder.asked == [
        "PUT /v1/agents/agt_1",
        "DELETE /v1/agents/agt_1",
        "GET /v1/sessions/ses_1",
        "POST /v1/sessions/ses_1/end",
        "GET /v1/sessions/ses_1/transcript",
        "POST /v1/api-keys",
        "DELETE /v1/api-keys/key_1",
        "POST /v1/tokens",
    ]


def test_secrets_are_not_shown():
    recorder = Recorder((201, {"id": "key_1", "key": "nur_new", "secret": "nur_new"}))
    assert "nur_new" not in repr(recorder.sync_client().keys.create(name="kiosk"))


# Lists


def test_a_list_goes_on_over_its_pages():
    recorder = Recorder(page_of("a", "b", cursor="c1"), page_of("c"))
    agents = recorder.sync_client().agents.list(limit=2)
    assert [agent.name for agent in agents] == ["a", "b", "c"]
    assert recorder.asked == ["GET /v1/agents?limit=2", "GET /v1/agents?limit=2&cursor=c1"]


def test_a_list_is_read_no_further_than_it_is_asked_for():
    recorder = Recorder(page_of("a", "b", cursor="c1"))
    assert next(iter(recorder.sync_client().agents.list())).name == "a"
    assert len(recorder.requests) == 1


def test_one_page_can_be_taken():
    recorder = Recorder(page_of("a", cursor="c1"))
    page = recorder.sync_client().agents.list(limit=1).page()
    assert (page.total, page.has_more, page.next_cursor) == (3, True, "c1")
    assert page.data[0].name == "a"


def test_a_server_that_repeats_its_cursor_ends_the_list():
    recorder = Recorder(page_of("a", cursor="c1"), page_of("b", cursor="c1"))
    assert [agent.name for agent in recorder.sync_client().agents.list()] == ["a", "b"]


def test_the_other_lists_ask_where_they_should():
    empty = (200, {"object": "list", "data": [], "has_more": False})
    recorder = Recorder(*[empty] * 5)
    client = recorder.sync_client()
    lists = [
        client.voices.list(language="en"),
        client.models.list(kind="llm"),
        client.keys.list(),
        client.sessions.list(status="active"),
        client.agents.sessions.list("agt_1"),
    ]
    assert [list(each) for each in lists] == [[]] * 5
    assert recorder.asked == [
        "GET /v1/voices?language=en",
        "GET /v1/models?kind=llm",
        "GET /v1/api-keys",
        "GET /v1/sessions?status=active",
        "GET /v1/agents/agt_1/sessions",
    ]


# The asynchronous client


async def test_the_async_client_is_awaited():
    recorder = Recorder((201, AGENT), (201, SESSION))
    async with recorder.async_client() as client:
        agent = await client.agents.create(name="A", voice_id="v", system_prompt="p")
        session = await client.agents.sessions.create(agent_id=agent.id)
    assert session.session_id == "ses_1"
    assert recorder.asked == ["POST /v1/agents", "POST /v1/agents/agt_1/sessions"]


async def test_async_lists_go_on_over_their_pages():
    recorder = Recorder(page_of("a", cursor="c1"), page_of("b"), page_of("a", cursor="c1"))
    async with recorder.async_client() as client:
        assert [agent.name async for agent in client.agents.list()] == ["a", "b"]
        assert (await client.agents.list().page()).has_more


async def test_async_calls_are_retried():
    recorder = Recorder((503, {}, {"Retry-After": "0"}), (200, AGENT))
    async with recorder.async_client() as client:
        assert (await client.agents.get("agt_1")).name == "Ada"
    assert len(recorder.requests) == 2


# Errors and retries


def test_calls_are_retried():
    recorder = Recorder((503, {}, {"Retry-After": "0"}), (201, SESSION))
    recorder.sync_client().agents.sessions.create(agent_id="agt_1")
    keys = [each.headers["Idempotency-Key"] for each in recorder.requests]
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_errors_reach_the_caller():
    recorder = Recorder((404, {"error": {"code": "agent_not_found", "message": "no such agent"}}))
    with pytest.raises(NotFound, match="no such agent") as caught:
        recorder.sync_client().agents.get("agt_9")
    assert caught.value.code == "agent_not_found"


def test_retries_can_be_switched_off_for_one_call():
    recorder = Recorder((503, {}))
    with pytest.raises(Unavailable):
        recorder.sync_client().with_options(max_retries=0).agents.get("agt_1")


# Weight


def test_importing_the_sdk_loads_nothing_heavy():
    heavy = {"numpy", "fastapi", "starlette", "sqlalchemy", "onnxruntime", "nur_server", "wsproto"}
    code = f"import sys, nur; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
