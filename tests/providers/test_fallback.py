"""A second model for when the first fails before it said anything."""

import asyncio
from dataclasses import replace

import pytest

from nur_server.conversation.actions import ModelMessage
from nur_server.conversation.config import ToolSpec
from nur_server.conversation.events import Role
from nur_server.errors import ProviderRejected, ProviderUnreachable
from nur_server.ports import ReplyRequest, TextDelta
from nur_server.providers.fallback import FallbackModel
from nur_server.providers.scripted import Fail, Say, ScriptedLanguageModel

HELLO = ReplyRequest((ModelMessage(Role.USER, "Hello"),))
LOST = Fail(ProviderUnreachable("lost", provider="first"))
REFUSED = Fail(ProviderRejected("no such model", provider="first"))


async def said(model: FallbackModel) -> str:
    parts = [part async for part in model.reply(HELLO)]
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


async def test_the_first_answers_while_it_can() -> None:
    second = ScriptedLanguageModel([])
    assert await said(FallbackModel(ScriptedLanguageModel(["one"]), second)) == "one"
    assert second.requests == []


@pytest.mark.parametrize("failure", [LOST, REFUSED])
async def test_the_second_answers_when_the_first_said_nothing(failure: Fail) -> None:
    model = FallbackModel(ScriptedLanguageModel([[failure]]), ScriptedLanguageModel(["two"]))
    assert await said(model) == "two"


async def test_a_sentence_begun_is_never_begun_again() -> None:
    second = ScriptedLanguageModel(["two"])
    model = FallbackModel(ScriptedLanguageModel([[Say("Your order"), LOST]]), second)
    with pytest.raises(ProviderUnreachable):
        await said(model)
    assert second.requests == []


async def test_both_failing_raises_the_second_failure() -> None:
    last = ProviderRejected("quota", provider="second")
    model = FallbackModel(ScriptedLanguageModel([[LOST]]), ScriptedLanguageModel([[Fail(last)]]))
    with pytest.raises(ProviderRejected, match="quota"):
        await said(model)


async def test_a_dead_model_is_left_alone_for_a_while() -> None:
    first = ScriptedLanguageModel([[LOST], "back"])
    model = FallbackModel(first, ScriptedLanguageModel(lambda _: "two"), rest_seconds=0.05)
    assert await said(model) == "two"
    assert await said(model) == "two"
    assert len(first.requests) == 1
    await asyncio.sleep(0.06)
    assert await said(model) == "back"


async def test_a_refusal_is_no_reason_to_rest() -> None:
    first = ScriptedLanguageModel([[REFUSED], "one"])
    model = FallbackModel(first, ScriptedLanguageModel(["two"]))
    assert [await said(model), await said(model)] == ["two", "one"]


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (False, False)])
async def test_tools_are_sent_to_those_that_call_them(first: bool, second: bool) -> None:
    one = ScriptedLanguageModel([[LOST]], calls_tools=first)
    other = ScriptedLanguageModel(["two"], calls_tools=second)
    model = FallbackModel(one, other)
    tools = (ToolSpec("lookup", "", {}),)
    assert [part async for part in model.reply(replace(HELLO, tools=tools))]
    assert model.capabilities.calls_tools is (first or second)
    assert [bool(asked.requests[0].tools) for asked in (one, other)] == [first, second]
