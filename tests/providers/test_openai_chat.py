"""The chat adapter against servers that behave, and servers that do not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx2
import pytest
from servers import Exchange, Handler, running

from nur_server.conversation.actions import ModelMessage
from nur_server.conversation.config import ToolSpec
from nur_server.conversation.events import Role
from nur_server.errors import (
    ProviderError,
    ProviderGarbled,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
)
from nur_server.ports import ReplyEnd, ReplyPart, ReplyRequest, TextDelta, ToolCallDelta
from nur_server.providers.fallback import FallbackModel
from nur_server.providers.http import ModelServer, model_client
from nur_server.providers.openai_chat import OpenAIChat
from nur_server.providers.scripted import ScriptedLanguageModel

LOOKUP = ToolSpec(
    "lookup_order",
    "Look up order status by ID",
    {"type": "object", "properties": {"order_id": {"type": "string"}}},
)
HELLO = ReplyRequest((ModelMessage(Role.SYSTEM, "Be kind."), ModelMessage(Role.USER, "Hello")))


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with model_client(2.0) as client:
        yield client


def chunk(content: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    if content is not None:
        delta["content"] = content
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(index: int | None = 0, **function: str) -> dict[str, Any]:
    """A delta of one tool call; `id` is the call's, the rest the function's."""
    made: dict[str, Any] = {"function": {k: v for k, v in function.items() if k != "id"}}
    if index is not None:
        made["index"] = index
    if "id" in function:
        made["id"] = function["id"]
    return chunk(tool_calls=[made])


def speaks(*chunks: object, done: bool = True) -> Handler:
    async def handler(exchange: Exchange) -> None:
        await exchange.events(*chunks, done=done)

    return handler


async def ask(
    client: httpx2.AsyncClient,
    *handlers: Handler,
    request: ReplyRequest = HELLO,
    chunk_seconds: float = 2.0,
) -> list[ReplyPart]:
    async with running(*handlers) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "m"), client, chunk_seconds=chunk_seconds)
        return [part async for part in chat.reply(request)]


def text_of(parts: list[ReplyPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


def calls_of(parts: list[ReplyPart]) -> list[tuple[str, str, str]]:
    return [(p.call_id, p.name, p.arguments) for p in parts if isinstance(p, ToolCallDelta)]


def assert_closed_once(parts: list[ReplyPart], reason: str) -> None:
    ends = [part for part in parts if isinstance(part, ReplyEnd)]
    assert [end.finish_reason for end in ends] == [reason]
    assert parts[-1] is ends[0]


async def test_an_answer_streams_with_its_usage(client: httpx2.AsyncClient) -> None:
    parts = await ask(
        client,
        speaks(
            chunk(role="assistant"),
            chunk("Hi"),
            chunk(""),
            chunk(" there."),
            chunk(finish="stop"),
            {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}},
        ),
    )
    assert parts == [TextDelta("Hi"), TextDelta(" there."), ReplyEnd("stop", 7, 3)]


async def test_the_request_is_what_servers_document(client: httpx2.AsyncClient) -> None:
    request = ReplyRequest(HELLO.messages, (LOOKUP,), temperature=0.3, max_tokens=64)
    async with running(speaks(chunk("x", "stop"))) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "qwen3.5-4b", "sk-1"), client)
        _ = [part async for part in chat.reply(request)]
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == "Bearer sk-1"
    assert asked.json == {
        "model": "qwen3.5-4b",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hello"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "lookup_order",
                    "description": "Look up order status by ID",
                    "parameters": LOOKUP.parameters,
                },
            }
        ],
        "tool_choice": "auto",
        "temperature": 0.3,
        "max_tokens": 64,
        "chat_template_kwargs": {"enable_thinking": False},
    }


async def test_an_answer_may_end_with_its_body_alone(client: httpx2.AsyncClient) -> None:
    for answer in (speaks(chunk("Hi.", "stop"), done=False), speaks(chunk("Hi."))):
        parts = await ask(client, answer)
        assert text_of(parts) == "Hi."
        assert_closed_once(parts, "stop")


async def test_a_server_that_stays_open_after_the_end_does_not_hold_it_up(
    client: httpx2.AsyncClient,
) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        await exchange.event(chunk("Hi.", "stop"))
        await exchange.hang()

    parts = await ask(client, handler, chunk_seconds=60)
    assert text_of(parts) == "Hi."
    assert_closed_once(parts, "stop")


async def test_a_server_that_does_not_stream_is_understood(client: httpx2.AsyncClient) -> None:
    async def handler(exchange: Exchange) -> None:
        message = {"role": "assistant", "content": "Hi."}
        choice = {"message": message, "finish_reason": "length"}
        await exchange.answer(json.dumps({"choices": [choice]}))

    parts = await ask(client, handler)
    assert text_of(parts) == "Hi."
    assert_closed_once(parts, "length")


# Thinking


async def test_thoughts_are_never_spoken(client: httpx2.AsyncClient) -> None:
    parts = await ask(
        client,
        speaks(
            chunk(reasoning="Let me see."),
            chunk(reasoning_content="Hm."),
            chunk("<th"),
            chunk("ink>They greet"),
            chunk(" me.</thi"),
            chunk("nk>\n\nHello"),
            chunk(" you.", "stop"),
        ),
    )
    assert text_of(parts) == "Hello you."


async def test_a_strict_server_is_asked_without_the_thinking_switch(
    client: httpx2.AsyncClient,
) -> None:
    async def strict(exchange: Exchange) -> None:
        if "chat_template_kwargs" in exchange.asked.json:
            await exchange.answer('{"error": "Unrecognized argument"}', status=400)
        else:
            await exchange.events(chunk("Hi.", "stop"))

    async with running(strict) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "m"), client)
        for _ in range(2):
            assert text_of([part async for part in chat.reply(HELLO)]) == "Hi."
    assert ["chat_template_kwargs" in asked.json for asked in server.asked] == [True, False, False]


# Tools


async def test_a_call_split_over_many_deltas_is_put_together(client: httpx2.AsyncClient) -> None:
    parts = await ask(
        client,
        speaks(
            chunk("One moment."),
            call(id="c1", name="lookup_order", arguments=""),
            call(arguments='{"order'),
            call(arguments='_id": "12'),
            call(arguments='34"}'),
            chunk(finish="tool_calls"),
        ),
    )
    assert text_of(parts) == "One moment."
    assert calls_of(parts) == [("c1", "lookup_order", '{"order_id": "1234"}')]
    assert_closed_once(parts, "tool_calls")


async def test_parallel_calls_are_kept_apart(client: httpx2.AsyncClient) -> None:
    parts = await ask(
        client,
        speaks(
            call(0, id="a", name="one", arguments='{"x":'),
            call(1, id="b", name="two", arguments='{"y":'),
            call(0, arguments="1}"),
            call(1, arguments="2}"),
            chunk(finish="tool_calls"),
        ),
    )
    assert calls_of(parts) == [("a", "one", '{"x":1}'), ("b", "two", '{"y":2}')]


async def test_calls_all_numbered_zero_are_kept_apart_by_id(client: httpx2.AsyncClient) -> None:
    parts = await ask(
        client,
        speaks(
            call(0, id="a", name="one", arguments="{}"),
            call(0, id="b", name="two", arguments="{}"),
            chunk(finish="stop"),
        ),
    )
    assert calls_of(parts) == [("a", "one", "{}"), ("b", "two", "{}")]
    assert_closed_once(parts, "tool_calls")


async def test_calls_without_index_or_id_get_their_own(client: httpx2.AsyncClient) -> None:
    answer = speaks(
        call(None, name="one", arguments='{"x":'),
        call(None, arguments="1}"),
        call(None, name="two"),
        chunk(finish="tool_calls"),
    )
    ids = set()
    for _ in range(2):
        calls = calls_of(await ask(client, answer))
        assert [call[1:] for call in calls] == [("one", '{"x":1}'), ("two", "{}")]
        ids |= {call[0] for call in calls}
    assert len(ids) == 4


async def test_half_a_call_is_no_call(client: httpx2.AsyncClient) -> None:
    half = call(id="a", name="one", arguments='{"x":')
    for calls in (half, call(id="a", name="one")):
        with pytest.raises(ProviderGarbled, match="whole tool call"):
            await ask(client, speaks(calls))
        with pytest.raises(ProviderUnreachable, match="without an end"):
            await ask(client, speaks(calls, done=False))


# Failures


@pytest.mark.parametrize(
    "body",
    [
        "<html>Welcome to nginx</html>",
        'data: {"choi\n\n',
        "data: [1]\n\n",
        'data: {"x": 1}\n\n',
        "",
    ],
    ids=["html", "truncated", "array", "no choices", "empty"],
)
async def test_garbage_is_called_garbage(client: httpx2.AsyncClient, body: str) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(body, kind="text/event-stream")

    with pytest.raises(ProviderGarbled):
        await ask(client, handler)


async def test_a_web_page_is_no_model(client: httpx2.AsyncClient) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer("<html></html>", kind="text/html")

    with pytest.raises(ProviderGarbled, match="text/html"):
        await ask(client, handler)


async def test_json_cut_in_the_middle_of_an_answer_is_garbled(client: httpx2.AsyncClient) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        await exchange.event(chunk("Hi"))
        await exchange.piece('data: {"choices": [{"del')
        await exchange.end()

    with pytest.raises(ProviderGarbled) as caught:
        await ask(client, handler)
    assert not caught.value.retryable


async def test_a_server_dying_mid_sentence_keeps_what_was_said(client: httpx2.AsyncClient) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        await exchange.event(chunk("Your order is"))
        exchange.die()

    async with running(handler) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "m"), client)
        heard: list[ReplyPart] = []
        with pytest.raises(ProviderUnreachable) as caught:
            async for part in chat.reply(HELLO):
                heard += [part]
    assert heard == [TextDelta("Your order is")]
    assert not caught.value.retryable
    assert len(server.asked) == 1


async def test_a_server_dying_before_a_word_is_asked_again(client: httpx2.AsyncClient) -> None:
    async def dies(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        exchange.die()

    parts = await ask(client, dies, speaks(chunk("Hi.", "stop")))
    assert text_of(parts) == "Hi."


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_server_is_asked_again(client: httpx2.AsyncClient, status: int) -> None:
    async def busy(exchange: Exchange) -> None:
        await exchange.answer("{}", status=status)

    assert text_of(await ask(client, busy, speaks(chunk("Hi.", "stop")))) == "Hi."


async def test_a_server_busy_for_good_is_given_up(client: httpx2.AsyncClient) -> None:
    async def busy(exchange: Exchange) -> None:
        await exchange.answer("{}", status=503)

    with pytest.raises(ProviderRejected) as caught:
        await ask(client, busy)
    assert caught.value.retryable


@pytest.mark.parametrize("status", [401, 404])
async def test_a_refusal_is_final(client: httpx2.AsyncClient, status: int) -> None:
    async def refuses(exchange: Exchange) -> None:
        await exchange.answer('{"error": "model m not found"}', status=status)

    async with running(refuses) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "m"), client)
        with pytest.raises(ProviderRejected, match=str(status)):
            _ = [part async for part in chat.reply(HELLO)]
    assert len(server.asked) == 1


async def test_an_error_inside_the_stream_is_reported(client: httpx2.AsyncClient) -> None:
    for chunks in (
        [chunk("Hi"), {"error": {"message": "out of memory"}}],
        [chunk("Hi"), chunk(finish="error")],
        [chunk("Hi"), {"error": "out of memory"}, chunk(finish="stop")],
    ):
        with pytest.raises(ProviderRejected, match="reported an error") as caught:
            await ask(client, speaks(*chunks))
        assert "memory" not in caught.value.message


@pytest.mark.parametrize("words", [0, 1])
async def test_a_hanging_server_times_out(client: httpx2.AsyncClient, words: int) -> None:
    async def hangs(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        for _ in range(words):
            await exchange.event(chunk("Hi"))
        await exchange.hang()

    with pytest.raises(ProviderTimeout):
        await ask(client, hangs, chunk_seconds=0.05)


async def test_a_slow_server_is_waited_for_piece_by_piece(client: httpx2.AsyncClient) -> None:
    async def slow(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        for _ in range(10):
            await asyncio.sleep(0.05)
            await exchange.event(chunk("a"))
        await exchange.event("[DONE]")
        await exchange.end()

    assert text_of(await ask(client, slow, chunk_seconds=0.4)) == "a" * 10


async def test_closing_the_answer_ends_the_generation(client: httpx2.AsyncClient) -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        await exchange.event(chunk("word "))
        await exchange.hang()

    async with running(endless) as server:
        reply = OpenAIChat(ModelServer(server.base_url, "m"), client).reply(HELLO)
        async with aclosing(reply):
            assert await anext(reply) == TextDelta("word ")
        async with asyncio.timeout(2):
            await server.exchanges[0].was_aborted.wait()


async def test_nobody_there(client: httpx2.AsyncClient) -> None:
    async with running() as server:
        url = server.base_url
    with pytest.raises(ProviderError) as caught:
        _ = [part async for part in OpenAIChat(ModelServer(url, "m"), client).reply(HELLO)]
    assert caught.value.code == "provider_unreachable"
    assert caught.value.provider == "m"


# Streams as they are


async def test_a_reason_to_finish_is_not_the_end(client: httpx2.AsyncClient) -> None:
    for done in (True, False):
        parts = await ask(
            client,
            speaks(
                chunk("We open ", "stop"),
                chunk("at seven ", "stop"),
                chunk("in the morning.", "stop"),
                done=done,
            ),
        )
        assert text_of(parts) == "We open at seven in the morning."
        assert_closed_once(parts, "stop")


async def test_words_and_calls_may_come_behind_the_reason(client: httpx2.AsyncClient) -> None:
    async def late(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        await exchange.event(chunk("We open", "stop"))
        await asyncio.sleep(0.2)
        await exchange.event(chunk(" at seven."))
        await exchange.event(call(id="a", name="one", arguments="{}"))
        await exchange.event({"choices": [], "usage": {"prompt_tokens": 7}})
        await exchange.end()

    parts = await ask(client, late)
    assert text_of(parts) == "We open at seven."
    assert calls_of(parts) == [("a", "one", "{}")]
    assert parts[-1] == ReplyEnd("tool_calls", 7, None)


async def test_a_server_known_to_stay_open_is_not_waited_for_again(
    client: httpx2.AsyncClient,
) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        await exchange.event(chunk("Hi.", "stop"))
        await exchange.hang()

    async with running(handler) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "m"), client)
        _ = [part async for part in chat.reply(HELLO)]
        async with asyncio.timeout(1.5):
            assert text_of([part async for part in chat.reply(HELLO)]) == "Hi."


async def test_a_stream_that_stops_without_an_end_is_a_failure(client: httpx2.AsyncClient) -> None:
    for answer in (
        speaks(chunk("We open"), done=False),
        speaks(chunk("We open"), {"choices": [], "usage": {"prompt_tokens": 7}}, done=False),
        speaks(chunk("We open"), call(id="a", name="one", arguments="{}"), done=False),
    ):
        with pytest.raises(ProviderUnreachable, match="without an end") as caught:
            await ask(client, answer)
        assert not caught.value.retryable


@pytest.mark.parametrize(
    "chunks",
    [
        [{"id": "c", "choices": None}, chunk("We open at seven."), chunk(finish="stop")],
        [{"id": "c", "choices": []}, {}, None, chunk("We open at seven.", "stop")],
        [{"choices": [{"index": 0, "delta": None}]}, chunk("We open at seven.", "stop")],
        [chunk("We open at seven."), {"choices": [{"index": 1, "delta": {"content": "No."}}]}],
        [{"choices": [{"index": 0, "text": "We open at seven.", "finish_reason": "stop"}]}],
        [chunk(content=[{"type": "text", "text": "We open "}]), chunk(content=["at seven."])],
        [
            chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]),
            chunk(content=[{"type": "reasoning", "text": "Hm."}]),
            chunk(content={"type": "output_text", "text": "We open at seven."}),
        ],
        [chunk(refusal="We open "), chunk(refusal="at seven.")],
        [chunk(content=[{"type": "refusal", "refusal": "We open at seven."}])],
        [chunk("", reasoning="a", reasoning_content="b", thinking="c"), chunk("We open at seven.")],
    ],
)
async def test_answers_of_every_shape_are_understood(
    client: httpx2.AsyncClient, chunks: list[Any]
) -> None:
    assert text_of(await ask(client, speaks(*chunks))) == "We open at seven."


async def test_a_thought_the_template_opened_is_learned(client: httpx2.AsyncClient) -> None:
    answer = speaks(chunk("They want hours."), chunk("</think>At seven.", "stop"))
    async with running(answer) as server:
        chat = OpenAIChat(ModelServer(server.base_url, "m"), client)
        _ = [part async for part in chat.reply(HELLO)]
        assert text_of([part async for part in chat.reply(HELLO)]) == "At seven."


async def test_a_model_that_loads_is_waited_for(client: httpx2.AsyncClient) -> None:
    async def loading(exchange: Exchange) -> None:
        await exchange.answer('{"error": {"message": "Loading model", "code": 503}}', status=503)

    parts = await ask(client, loading, loading, speaks(chunk("Hi.", "stop")), chunk_seconds=30)
    assert text_of(parts) == "Hi."


async def test_a_busy_server_with_a_stand_in_is_not_waited_for(client: httpx2.AsyncClient) -> None:
    async def busy(exchange: Exchange) -> None:
        await exchange.answer("{}", status=429, Retry_After="1")

    async def loading(exchange: Exchange) -> None:
        await exchange.answer('{"error": "Loading model"}', status=503)

    for handler in (busy, loading):
        async with running(handler) as server:
            chat = OpenAIChat(ModelServer(server.base_url, "m"), client)
            model = FallbackModel(chat, ScriptedLanguageModel(["Hello."]))
            assert text_of([part async for part in model.reply(HELLO)]) == "Hello."
        assert len(server.asked) == 1
