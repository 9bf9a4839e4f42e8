from typing import Any

import pytest

from nur_server.agents.tools import HIDDEN
from nur_server.opening.plan import plan_for_agent
from nur_server.opening.prepare import Identity, prepare
from nur_server.store.accounts import DEFAULT_ACCOUNT
from nur_server.store.records import AgentRecord
from tests.api.conftest import AGENT, LOOKUP, Server, Start

EVERYTHING = {
    **AGENT,
    "language": "es",
    "tools": [
        LOOKUP,
        {
            "type": "function",
            "function": {"name": "refund", "parameters": {"type": "object", "properties": {}}},
            "execution_mode": "hold",
            "timeout_seconds": 20,
        },
    ],
    "max_turns": 30,
    "llm_model": "qwen3.5-4b",
    "stt_model": "voxtral-realtime",
    "tts_model": "qwen3-tts",
    "first_message": "Thanks for calling. How can I help?",
    "interruption_threshold": 0.4,
    "context_window": 20,
    "tool_url": "https://shop.example/tools",
    "phone_numbers": ["+14155559999", "+4915112345678"],
    "metadata": {"team": "support", "tier": 2},
    "status": "paused",
    "turn_detection": {"type": "server_vad", "vad_threshold": 0.6, "min_silence": 300},
    "silence": {"reprompt_seconds": 8.0, "end_seconds": 60.0},
    "input": {"keyterms": ["Nur"], "format": {"encoding": "audio/pcmu", "sample_rate": 8000}},
    "output": {"volume": 80.0},
    "max_duration_seconds": 600.0,
    "goodbye": "Goodbye.",
    "apology": "Sorry.",
    "tool_filler": "",
    "tool_filler_seconds": 2.0,
    "hello_seconds": 1.5,
    "temperature": 0.3,
    "max_tokens": 200,
    "speed": 1.1,
}


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/agents/create", "/api/v1/agents"])
async def test_an_agent_is_created(server: Server, path: str) -> None:
    agent = await server.call("POST", path, 201, json={**AGENT, "tools": [LOOKUP]})
    assert agent["id"].startswith("agt_")
    assert agent["object"] == "agent"
    assert agent["status"] == "active"
    assert agent["language"] == "en"
    assert agent["max_turns"] == 50
    assert agent["context_window"] == 10
    assert agent["interruption_threshold"] == 0.5
    assert agent["tools"] == [LOOKUP]
    assert agent["created_at"].endswith("Z")
    assert isinstance(agent["created"], int)
    assert await server.call("GET", f"/v1/agents/{agent['id']}") == agent


async def test_every_field_is_stored_as_given(server: Server) -> None:
    made = await server.call("POST", "/v1/agents", 201, json=EVERYTHING)
    agent = await server.call("GET", f"/v1/agents/{made['id']}")
    for name, value in EVERYTHING.items():
        shown = agent[name]
        if isinstance(value, dict):
            shown = _without_nulls(shown)
        assert shown == value, name


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return value


async def test_a_session_runs_on_every_field(server: Server) -> None:
    made = await server.call("POST", "/v1/agents", 201, json={**EVERYTHING, "status": "active"})
    agent = await _stored(server, made["id"])
    identity = Identity(agent.account_id, "ses_1")
    prepared = prepare(plan_for_agent(agent), identity, server.services.catalogue)
    config = prepared.conversation
    assert config.greeting == EVERYTHING["first_message"]
    assert [tool.name for tool in config.tools] == ["lookup_order", "refund"]
    assert config.turn_detection.vad_threshold == 0.6
    assert config.turn_detection.min_silence_ms == 300
    assert config.silence.reprompt_seconds == 8.0
    assert config.max_duration_seconds == 600.0
    assert config.apology == "Sorry."
    assert prepared.listen.keyterms == ("Nur",)
    assert prepared.volume == 0.8
    assert prepared.speed == 1.1
    assert prepared.max_tokens == 200


async def _stored(server: Server, agent_id: str) -> AgentRecord:
    return await server.services.agents(DEFAULT_ACCOUNT).get(agent_id)


async def test_greeting_is_the_first_message(server: Server) -> None:
    agent = await server.make_agent(greeting="Hi!")
    assert agent["first_message"] == agent["greeting"] == "Hi!"
    error = await server.refuse(
        "POST", "/v1/agents", 422, json={**AGENT, "greeting": "Hi!", "first_message": "Hello!"}
    )
    assert "two different" in error["message"]


async def test_a_voice_may_be_an_object(server: Server) -> None:
    body = {name: value for name, value in AGENT.items() if name != "voice_id"}
    body["voice"] = {"voice_id": "wren"}
    made = await server.call("POST", "/v1/agents", 201, json=body)
    assert made["voice_id"] == "wren"
    path = f"/v1/agents/{made['id']}"
    changed = await server.call("PATCH", path, 200, json={"voice": {"voice_id": "rowan"}})
    assert changed["voice_id"] == "rowan"
    for wrong in ({"voice": {}}, {"voice": {"id": "wren"}}, {"voice": "wren"}):
        refused = await server.refuse("PATCH", path, 422, json=wrong)
        assert "voice" in refused["message"]


async def test_null_is_the_default(server: Server) -> None:
    nothing = {name: None for name in EVERYTHING if name not in AGENT}
    agent = await server.make_agent(**nothing)
    plain = await server.make_agent()
    same = set(plain) - {"id", "created", "created_at", "updated_at"}
    assert {name: agent[name] for name in same} == {name: plain[name] for name in same}


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"name": None}, "name", "invalid_parameter"),
        ({"name": "  "}, "name", "invalid_parameter"),
        ({"name": "x" * 201}, "name", "invalid_parameter"),
        ({"system_prompt": ""}, "system_prompt", "invalid_parameter"),
        ({"voice_id": "nobody"}, "voice_id", "invalid_parameter"),
        ({"voice_id": 7}, "voice_id", "invalid_parameter"),
        ({"llm_model": "gpt-99"}, "llm_model", "unknown_model"),
        ({"stt_model": "ears"}, "stt_model", "unknown_model"),
        ({"tts_model": "mouth"}, "tts_model", "unknown_model"),
        ({"language": "english"}, "language", "invalid_parameter"),
        ({"language": "xx"}, "language", "invalid_parameter"),
        ({"language": "xx-US"}, "language", "invalid_parameter"),
        ({"language": ""}, "language", "invalid_parameter"),
        ({"input": {"language_codes": ["de", "zz"]}},
         "input.language_codes[1]", "invalid_parameter"),
        ({"max_turns": 0}, "max_turns", "invalid_parameter"),
        ({"max_turns": "30"}, "max_turns", "invalid_parameter"),
        ({"interruption_threshold": 1.01}, "interruption_threshold", "invalid_parameter"),
        ({"context_window": 0}, "context_window", "invalid_parameter"),
        ({"tool_url": "http://shop.example/t"}, "tool_url", "invalid_parameter"),
        ({"tool_url": "https://169.254.169.254/"}, "tool_url", None),
        ({"phone_numbers": ["4155559999"]}, "phone_numbers[0]", "invalid_parameter"),
        ({"phone_numbers": ["+0155559999"]}, "phone_numbers[0]", "invalid_parameter"),
        ({"phone_numbers": ["+1415555999912345"]}, "phone_numbers[0]", "invalid_parameter"),
        ({"phone_numbers": ["+14155559999"] * 2}, "phone_numbers", "invalid_parameter"),
        ({"metadata": {str(i): i for i in range(21)}}, "metadata", "invalid_parameter"),
        ({"metadata": {"k": "x" * 5000}}, "metadata", "invalid_parameter"),
        ({"metadata": ["a"]}, "metadata", "invalid_parameter"),
        ({"status": "deleted"}, "status", "invalid_parameter"),
        ({"tools": {"name": "t"}}, "tools", "invalid_parameter"),
        ({"tools": [{"name": "t", "parameters": {"type": "object", "properties": 1}}]},
         "tools[0].parameters.properties", "invalid_parameter"),
        ({"tools": [{"name": "t", "http": {"url": "https://10.0.0.1/"}}]},
         "tools[0].http.url", None),
        ({"tools": [{"name": "t", "http": {"url": "https://x.example", "headers": {"K": HIDDEN}}}]},
         "tools[0].http.headers", "invalid_parameter"),
        ({"tool_secret": "short"}, "tool_secret", "invalid_parameter"),
        ({"tool_secret": HIDDEN}, "tool_secret", "invalid_parameter"),
        ({"turn_detection": {"min_silence": 500, "max_silence": 500}},
         "turn_detection", "invalid_parameter"),
        ({"turn_detection": {"treshold": 1}}, "turn_detection.treshold", "unknown_parameter"),
        ({"input": {"format": {"encoding": "audio/pcmu", "sample_rate": 16000}}},
         "input.format", "invalid_parameter"),
        ({"sytem_prompt": "x"}, "sytem_prompt", "unknown_parameter"),
    ],
)  # fmt: skip
async def test_a_bad_field_is_named(
    server: Server, changes: dict[str, Any], param: str, code: str | None
) -> None:
    error = await server.refuse("POST", "/v1/agents", 422, json={**AGENT, **changes})
    assert error["param"] == param
    assert code is None or error["code"] == code
    assert error["type"] == "invalid_request_error"
    assert (await server.call("GET", "/v1/agents"))["total"] == 0


async def test_every_problem_is_listed(server: Server) -> None:
    body = {"name": "", "voice_id": "claire", "max_turns": -1, "tools": [{"name": "!"}], "x": 1}
    error = await server.refuse("POST", "/v1/agents", 422, json=body)
    listed = {problem["param"]: problem["code"] for problem in error["details"]["errors"]}
    assert listed == {
        "name": "invalid_parameter",
        "system_prompt": "missing_parameter",
        "max_turns": "invalid_parameter",
        "tools[0].name": "invalid_parameter",
        "x": "unknown_parameter",
    }


async def test_an_unconfigured_model_is_a_warning(server: Server) -> None:
    agent = await server.make_agent(llm_model="qwen3.5-4b")
    assert agent["llm_model"] == "qwen3.5-4b"
    (warning,) = agent["warnings"]
    assert "qwen3.5-4b" in warning


async def test_fields_without_effect_are_a_warning(server: Server) -> None:
    agent = await server.make_agent(input={"voice_focus_threshold": 0.5, "keyterms": ["Nur"]})
    focus, hints = agent["warnings"]
    assert focus.startswith("input.voice_focus_threshold ")
    assert hints.startswith("input.keyterms ")
    session = await server.make_session(agent["id"])
    assert session["warnings"] == agent["warnings"]


async def test_private_tool_addresses_where_they_are_allowed(start: Start) -> None:
    async with start(allow_private_urls=True) as server:
        agent = await server.make_agent(tool_url="http://127.0.0.1:9000/tools")
        assert agent["tool_url"] == "http://127.0.0.1:9000/tools"


# Reading


async def test_agents_are_listed_newest_first(server: Server) -> None:
    made = [(await server.make_agent(name=f"Agent {i}"))["id"] for i in range(5)]
    page = await server.call("GET", "/v1/agents?limit=2")
    assert [agent["id"] for agent in page["data"]] == [made[4], made[3]]
    assert page["agents"] == page["data"]
    assert (page["object"], page["total"], page["limit"], page["offset"]) == ("list", 5, 2, 0)
    assert page["has_more"] is True
    assert page["response_metadata"]["next_cursor"] == page["next_cursor"]

    second = await server.call("GET", f"/v1/agents?limit=2&offset=4&cursor={page['next_cursor']}")
    assert [agent["id"] for agent in second["data"]] == [made[2], made[1]]
    last = await server.call("GET", "/v1/agents?limit=2&offset=4")
    assert [agent["id"] for agent in last["data"]] == [made[0]]
    assert (last["has_more"], last["next_cursor"]) == (False, None)


async def test_agents_are_listed_by_status(server: Server) -> None:
    await server.make_agent()
    paused = await server.make_agent(status="paused")
    page = await server.call("GET", "/v1/agents?status=paused")
    assert [agent["id"] for agent in page["data"]] == [paused["id"]]


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("offset=-1", "offset"),
     ("cursor=nonsense", "cursor"), ("status=gone", "status")],
)  # fmt: skip
async def test_a_bad_window_is_named(server: Server, query: str, param: str) -> None:
    assert (await server.refuse("GET", f"/v1/agents?{query}", 422))["param"] == param


@pytest.mark.parametrize("agent_id", ["agt_unknown", "create", "%00", "%F0%9F%8E%A4"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
async def test_an_unknown_agent(server: Server, method: str, agent_id: str) -> None:
    body = {"json": AGENT} if method in ("PATCH", "PUT") else {}
    error = await server.refuse(method, f"/v1/agents/{agent_id}", 404, **body)
    assert error["type"] == "not_found_error"
    assert error["param"] == "agent_id"


# Changing


async def test_patch_merges(server: Server) -> None:
    made = await server.call("POST", "/v1/agents", 201, json=EVERYTHING)
    agent = await server.call(
        "PATCH",
        f"/v1/agents/{made['id']}",
        json={
            "name": "Renamed",
            "first_message": None,
            "metadata": {"tier": None, "region": "eu"},
            "turn_detection": {"vad_threshold": 0.7},
            "silence": None,
            "tools": [],
        },
    )
    assert agent["name"] == "Renamed"
    assert agent["first_message"] is None
    assert agent["metadata"] == {"team": "support", "region": "eu"}
    assert agent["turn_detection"]["vad_threshold"] == 0.7
    assert agent["turn_detection"]["min_silence"] == 300
    assert agent["silence"] is None
    assert agent["tools"] == []
    assert agent["system_prompt"] == EVERYTHING["system_prompt"]
    assert agent["phone_numbers"] == EVERYTHING["phone_numbers"]
    assert await server.call("GET", f"/v1/agents/{made['id']}") == agent


async def test_patch_checks_the_whole(server: Server) -> None:
    agent = await server.make_agent(turn_detection={"min_silence": 400})
    path = f"/v1/agents/{agent['id']}"
    error = await server.refuse("PATCH", path, 422, json={"turn_detection": {"max_silence": 300}})
    assert error["param"] == "turn_detection"
    error = await server.refuse("PATCH", path, 422, json={"name": None})
    assert error["param"] == "name"
    assert await server.call("GET", path) == agent


async def test_put_replaces(server: Server) -> None:
    made = await server.call("POST", "/v1/agents", 201, json=EVERYTHING)
    path = f"/v1/agents/{made['id']}"
    agent = await server.call("PUT", path, json={**AGENT, "name": "New"})
    assert agent["name"] == "New"
    assert agent["tools"] == []
    assert agent["metadata"] == {}
    assert agent["status"] == "active"
    assert agent["turn_detection"] is None
    error = await server.refuse("PUT", path, 422, json={"name": "Only a name"})
    assert error["code"] == "missing_parameter"


async def test_what_was_read_may_be_sent_back(server: Server) -> None:
    made = await server.call("POST", "/v1/agents", 201, json=EVERYTHING)
    path = f"/v1/agents/{made['id']}"
    again = await server.call("PUT", path, json=made)
    assert {**again, "updated_at": made["updated_at"]} == made


async def test_secrets_are_hidden_and_kept(server: Server) -> None:
    secret = "whsec_" + "QUJD" * 8
    tool = {
        "name": "refund",
        "http": {"url": "https://shop.example/refund", "headers": {"X-Key": "s3cret"}},
    }
    made = await server.make_agent(tools=[tool], tool_secret=secret)
    path = f"/v1/agents/{made['id']}"
    assert made["tool_secret"] == HIDDEN
    assert made["tools"][0]["http"]["headers"] == {"X-Key": HIDDEN}
    await server.call("PUT", path, json=made)
    await server.call("PATCH", path, json={"name": "Renamed"})
    stored = await _stored(server, made["id"])
    assert stored.tools[0]["http"]["headers"] == {"X-Key": "s3cret"}
    assert stored.settings["tool_secret"] == secret


async def test_a_number_answers_for_one_agent(server: Server) -> None:
    await server.make_agent(phone_numbers=["+14155559999"])
    other = await server.make_agent()
    error = await server.refuse(
        "PATCH", f"/v1/agents/{other['id']}", 409, json={"phone_numbers": ["+14155559999"]}
    )
    assert error["code"] == "phone_number_taken"
    assert error["type"] == "conflict_error"


# Deleting


async def test_delete_is_for_good(server: Server) -> None:
    agent = await server.make_agent()
    session = await server.make_session(agent["id"])
    path = f"/v1/agents/{agent['id']}"
    assert await server.call("DELETE", path) == {
        "id": agent["id"],
        "object": "agent",
        "deleted": True,
        "status": "deleted",
    }
    await server.refuse("GET", path, 404)
    await server.refuse("DELETE", path, 404)
    await server.refuse("POST", f"{path}/sessions", 404, json={})
    ended = await server.call("GET", f"/v1/sessions/{session['id']}")
    assert (ended["status"], ended["ended_reason"]) == ("ended", "agent_deleted")
    assert ended["agent_id"] == agent["id"]


async def test_delete_ends_live_sessions(server: Server) -> None:
    agent = await server.make_agent()
    session = await server.make_session(agent["id"])
    stored = await _stored(server, agent["id"])
    identity = Identity(stored.account_id, session["id"])
    live = server.services.live
    live.start(prepare(plan_for_agent(stored), identity, server.services.catalogue))
    await server.call("DELETE", f"/v1/agents/{agent['id']}")
    assert live.get(session["id"]) is None
    ended = await server.call("GET", f"/v1/sessions/{session['id']}")
    assert (ended["status"], ended["ended_reason"]) == ("ended", "agent_deleted")


async def test_a_language_that_is_none_is_refused_with_the_valid_ones(server: Server) -> None:
    error = await server.refuse("POST", "/v1/agents", 422, json={**AGENT, "language": "xx"})
    assert "'xx'" in error["message"] and "de" in error["details"]["languages"]
    agent = await server.make_agent()
    changed = {"language": "klingon"}
    await server.refuse("PATCH", f"/v1/agents/{agent['id']}", 422, json=changed)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("pt-BR", "pt-BR"), ("pt_br", "pt-BR"), ("ES-419", "es-419"), ("EN", "en"), ("iw", "he")],
)
async def test_a_language_is_taken_in_any_form_of_its_tag(
    server: Server, given: str, kept: str
) -> None:
    agent = await server.make_agent(language=given, input={"language_codes": [given]})
    assert agent["language"] == kept
    assert agent["input"]["language_codes"] == [kept]
