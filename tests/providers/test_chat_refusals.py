"""A chat server's refusals are met: fields are left out, prompts are shortened."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest
from servers import Exchange, Handler, ScriptedServer, running

from nur_server.conversation.actions import ModelMessage, ToolCallMessage
from nur_server.conversation.config import ToolSpec
from nur_server.conversation.events import Role
from nur_server.errors import ProviderRejected
from nur_server.ports import ReplyRequest, TextDelta
from nur_server.providers.http import ModelServer, model_client
from nur_server.providers.openai_chat import OpenAIChat
from nur_server.providers.refusals import is_loading, is_too_long, retry_after_seconds, said_in

TOOL = ToolSpec("look", "Looks.", {"type": "object", "properties": {}})
QUESTION = ModelMessage(Role.USER, "When do you open?")
REQUEST = ReplyRequest(
    (ModelMessage(Role.SYSTEM, "Be kind."), QUESTION), (TOOL,), temperature=0.3, max_tokens=64
)
CALLED = (
    QUESTION,
    ModelMessage(Role.ASSISTANT, "", (ToolCallMessage("call_1", "look", "{}"),)),
    ModelMessage(Role.TOOL, "at seven", tool_call_id="call_1"),
)

Refuses = Callable[[dict[str, Any]], tuple[int, Any] | None]


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with model_client(2.0) as client:
        yield client


def strict(refuses: Refuses) -> Handler:
    async def handler(exchange: Exchange) -> None:
        refusal = refuses(exchange.asked.json)
        if refusal is not None:
            await exchange.answer(json.dumps(refusal[1]), status=refusal[0])
            return
        choice = {"index": 0, "delta": {"content": "At seven."}, "finish_reason": "stop"}
        await exchange.events({"choices": [choice]})

    return handler


async def asked_twice(
    client: httpx2.AsyncClient, refuses: Refuses, request: ReplyRequest = REQUEST
) -> ScriptedServer:
    """The server, once it has answered two questions. The second one it must not refuse."""
    async with running(strict(refuses)) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "m"), client)
        for _ in range(2):
            parts = [part async for part in chat.reply(request)]
            assert [part.text for part in parts if isinstance(part, TextDelta)] == ["At seven."]
        assert refuses(server.asked[-2].json) is None, "what was refused is remembered"
    return server


def openai(message: str, param: str | None = None, code: str | None = None) -> Any:
    kind = "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@pytest.mark.parametrize(
    ("field", "status", "body"),
    [
        (
            "stream_options", 422,
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "x",
                         "input": {"include_usage": True}}]},
        ),
        ("stream_options", 400, openai("Unrecognized request argument: stream_options")),
        ("stream_options", 500, {"error": "unknown field `stream_options`"}),
        ("max_tokens", 400, openai("Unsupported parameter: 'max_tokens' is not supported with "
                                   "this model. Use 'max_completion_tokens'.", "max_tokens")),
        ("temperature", 400, openai("Unsupported value: 'temperature' does not support 0.3 with "
                                    "this model. Only the default (1) value is supported.")),
        ("tools", 400, openai("registry.ollama.ai/library/gemma:2b does not support tools")),
        ("tools", 404, openai("No endpoints found that support tool use.")),
        ("tool_choice", 422, {"detail": [{"type": "extra_forbidden", "loc": ["tool_choice"]}]}),
        ("chat_template_kwargs", 400, {"error": "Bad request"}),
        ("stream_options", 422, {"message": "invalid body"}),
        ("temperature", 400, "no"),
    ],
)  # fmt: skip
async def test_a_refused_field_is_left_out_from_then_on(
    client: httpx2.AsyncClient, field: str, status: int, body: Any
) -> None:
    server = await asked_twice(client, lambda told: (status, body) if field in told else None)
    assert len(server.asked) <= 5
    assert field not in server.asked[-1].json


async def test_the_longest_answer_goes_by_its_newer_name(client: httpx2.AsyncClient) -> None:
    body = openai("max_tokens is not supported; use max_completion_tokens", "max_tokens")
    server = await asked_twice(client, lambda told: (400, body) if "max_tokens" in told else None)
    assert server.asked[-1].json["max_completion_tokens"] == 64
    assert len(server.asked) == 3


async def test_several_fields_may_be_refused_one_after_the_other(
    client: httpx2.AsyncClient,
) -> None:
    banned = ("stream_options", "temperature", "max_tokens", "max_completion_tokens", "tools")

    def refuses(told: dict[str, Any]) -> tuple[int, Any] | None:
        name = next((name for name in banned if name in told), None)
        return (400, openai(f"Unknown parameter: '{name}'.", name)) if name else None

    server = await asked_twice(client, refuses)
    assert len(server.asked) == 7


@pytest.mark.parametrize(
    ("is_refused", "message"),
    [
        (lambda roles: "system" in roles, "System role not supported"),
        (lambda roles: "tool" in roles, "Conversation roles must alternate user/assistant/..."),
        (lambda roles: "tool" in roles, "Input should be 'user' or 'assistant' (role: tool)"),
    ],
)
async def test_a_role_a_template_lacks_is_told_in_the_users_words(
    client: httpx2.AsyncClient, is_refused: Callable[[set[str]], bool], message: str
) -> None:
    def refuses(told: dict[str, Any]) -> tuple[int, Any] | None:
        roles = {message["role"] for message in told["messages"]}
        return (400, openai(message)) if is_refused(roles) else None

    request = ReplyRequest((ModelMessage(Role.SYSTEM, "Be kind."), *CALLED))
    server = await asked_twice(client, refuses, request)
    told = json.dumps(server.asked[-1].json["messages"])
    assert "Be kind." in told and "at seven" in told


async def test_ids_of_calls_are_shortened_where_a_server_insists(
    client: httpx2.AsyncClient,
) -> None:
    def refuses(told: dict[str, Any]) -> tuple[int, Any] | None:
        ids = [m["tool_call_id"] for m in told["messages"] if m["role"] == "tool"]
        said = "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9."
        return (400, openai(said)) if any(len(one) != 9 for one in ids) else None

    await asked_twice(client, refuses, ReplyRequest(CALLED))


@pytest.mark.parametrize(("status", "message"), [
    (400, "Invalid content: blocked by policy"),
    (401, "temperature is unsupported without a key"),
    (400, "Invalid schema for function 'look': tools[0].function.parameters is not supported"),
])  # fmt: skip
async def test_other_refusals_are_final_and_nothing_is_remembered(
    client: httpx2.AsyncClient, status: int, message: str
) -> None:
    async with running(strict(lambda _: (status, openai(message)))) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "m"), client)
        for _ in range(2):
            with pytest.raises(ProviderRejected):
                _ = [part async for part in chat.reply(REQUEST)]
    assert len(server.asked) <= 6
    asked = server.asked[len(server.asked) // 2].json
    assert asked == server.asked[0].json, "a refusal that no other form met changes nothing"


# Prompts that are too long

TOO_LONG = [
    (400, openai("This model's maximum context length is 9000 tokens. However, you requested "
                 "15000 tokens.", code="context_length_exceeded")),
    (400, {"error": {"code": 400, "type": "exceed_context_size_error",
                     "message": "request exceeds the available context size (15000 > 9000)"}}),
    (400, openai("prompt is too long: 15000 tokens > 9000 maximum")),
    (413, "Payload Too Large"),
    (422, {"error": "`inputs` tokens + `max_new_tokens` must be <= 9000"}),
    (500, openai("The input is longer than the model's context length")),
    (400, openai("The input token count exceeds the maximum number of tokens allowed")),
]  # fmt: skip


def size_of(told: dict[str, Any]) -> int:
    return sum(len(message["content"]) for message in told["messages"])


@pytest.mark.parametrize(("status", "body"), TOO_LONG)
async def test_a_prompt_that_is_too_long_is_shortened(
    client: httpx2.AsyncClient, status: int, body: Any
) -> None:
    result = ModelMessage(Role.TOOL, "line of the report " * 800, tool_call_id="call_1")
    request = ReplyRequest((*CALLED[:2], result, QUESTION))
    async with running(
        strict(lambda told: (status, body) if size_of(told) > 9_000 else None)
    ) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "m"), client)
        parts = [part async for part in chat.reply(request)]
    assert parts[0] == TextDelta("At seven.")
    assert len(server.asked) <= 3
    last = server.asked[-1].json
    assert last["messages"][-1]["content"] == QUESTION.content
    assert "stream_options" in last, "no field is to blame"


async def test_a_prompt_that_never_fits_is_given_up(client: httpx2.AsyncClient) -> None:
    request = ReplyRequest((ModelMessage(Role.SYSTEM, "x" * 50_000), QUESTION))
    async with running(
        strict(lambda _: (400, openai("prompt is too long: 15000 tokens > 9000 maximum")))
    ) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "m"), client)
        with pytest.raises(ProviderRejected):
            _ = [part async for part in chat.reply(request)]
    assert len(server.asked) <= 6


async def test_a_longest_answer_beyond_the_context_is_left_to_the_server(
    client: httpx2.AsyncClient,
) -> None:
    said = "'max_tokens' is too large: 64. This model's maximum context length is 60 tokens"
    server_of = strict(lambda told: (400, openai(said)) if "max_tokens" in told else None)
    async with running(server_of) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "m"), client)
        _ = [part async for part in chat.reply(REQUEST)]
        assert len(server.asked) == 2
        assert server.asked[0].json["messages"] == server.asked[1].json["messages"]


# Reading refusals


def test_only_the_fault_is_read_and_nothing_it_quotes() -> None:
    body = {"detail": [{"loc": ["body", "x"], "type": "extra_forbidden", "msg": "No.",
                        "input": "what the caller said"}]}  # fmt: skip
    assert said_in(json.dumps(body).encode()) == "body.x: extra_forbidden: No."
    assert said_in(b"<h1>Bad</h1>\n gateway") == "<h1>Bad</h1> gateway"
    assert "sk-abc" not in said_in(b'{"error": "Incorrect API key: sk-abcdef123456"}')


@pytest.mark.parametrize(
    "said", ["Loading model", "Model m is currently loading", "warming up", "not ready"]
)
def test_a_server_that_loads_is_known(said: str) -> None:
    assert is_loading(said, 503)
    assert not is_loading("overloaded", 503)
    assert not is_loading(said, 404)


def test_a_refused_field_is_no_long_prompt() -> None:
    assert not is_too_long("Unsupported parameter: 'max_tokens'", 400)


def response(**headers: str) -> httpx2.Response:
    return httpx2.Response(429, headers={k.replace("_", "-"): v for k, v in headers.items()})


def test_when_to_come_back_is_seconds_or_a_date() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    later = format_datetime(moment + timedelta(seconds=4), usegmt=True)
    assert retry_after_seconds(response(retry_after="2")) == 2
    assert retry_after_seconds(response(retry_after="0.5")) == 0.5
    assert retry_after_seconds(response(retry_after_ms="250", retry_after="1")) == 0.25
    assert (
        retry_after_seconds(response(retry_after=later, date=format_datetime(moment, usegmt=True)))
        == 4
    )
    assert retry_after_seconds(response(retry_after=format_datetime(moment, usegmt=True))) == 0
    for unclear in ("", "soon", "-1"):
        assert retry_after_seconds(response(retry_after=unclear)) is None
