"""The shape of prompts: what the strictest templates and servers take."""

import itertools
from typing import Any

import pytest

from nur_server.conversation.actions import ModelMessage, ToolCallMessage
from nur_server.conversation.events import Role
from nur_server.providers.chat_prompt import (
    GO_ON,
    NOTHING_SAID,
    OPENING,
    PromptShape,
    chat_messages,
)

SYSTEM = ModelMessage(Role.SYSTEM, "Be kind.")
GREETING = ModelMessage(Role.ASSISTANT, "Welcome.")
QUESTION = ModelMessage(Role.USER, "Is it there?")
CALL = ModelMessage(Role.ASSISTANT, "Let me look.", (ToolCallMessage("call_1", "look", "{}"),))
RESULT = ModelMessage(Role.TOOL, "yes", tool_call_id="call_1")
ANSWER = ModelMessage(Role.ASSISTANT, "It is.")
EMPTY = ModelMessage(Role.ASSISTANT, "")


def assert_strict(shaped: list[dict[str, Any]]) -> None:
    """What Gemma's, Mistral's and Qwen 3.5's templates and Anthropic's servers demand."""
    roles = [message["role"] for message in shaped]
    assert "system" not in roles[1:]
    talk = [message for message in shaped if message["role"] != "system"]
    assert talk[0]["role"] == "user"
    assert talk[-1]["role"] in ("user", "tool")
    spoken = [m["role"] for m in talk if m["role"] != "tool" and "tool_calls" not in m]
    assert all(one != other for one, other in itertools.pairwise(spoken)), spoken
    behind = [other["role"] for one, other in itertools.pairwise(talk) if one["role"] == "tool"]
    assert "user" not in behind
    asked = [call["id"] for message in talk for call in message.get("tool_calls", ())]
    assert asked == [message["tool_call_id"] for message in talk if message["role"] == "tool"]
    assert all(message["content"] or "tool_calls" in message for message in talk)


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (SYSTEM,),
        (GREETING,),
        (SYSTEM, GREETING, QUESTION),
        (SYSTEM, QUESTION, ANSWER),
        (SYSTEM, QUESTION, QUESTION),
        (SYSTEM, GREETING, GREETING, QUESTION),
        (SYSTEM, QUESTION, SYSTEM, QUESTION),
        (CALL, RESULT),
        (QUESTION, CALL, RESULT, QUESTION),
        (QUESTION, CALL, RESULT, CALL, RESULT),
        (QUESTION, GREETING, CALL, RESULT, ANSWER, QUESTION),
        (QUESTION, CALL, QUESTION),
        (QUESTION, RESULT, EMPTY, QUESTION),
        (QUESTION, CALL, RESULT, QUESTION, ANSWER),
    ],
)
@pytest.mark.parametrize(
    "shape",
    [PromptShape(), PromptShape(has_system=False), PromptShape(False, False, False)],
    ids=["usual", "no system", "nothing"],
)
def test_every_prompt_fits_the_strictest_template(
    messages: tuple[ModelMessage, ...], shape: PromptShape
) -> None:
    assert_strict(chat_messages(messages, shape))


def test_a_prompt_that_fits_stays_as_it_is() -> None:
    shaped = chat_messages((SYSTEM, QUESTION, CALL, RESULT, ANSWER, QUESTION))
    assert [(m["role"], m["content"]) for m in shaped] == [
        ("system", "Be kind."),
        ("user", "Is it there?"),
        ("assistant", "Let me look."),
        ("tool", "yes"),
        ("assistant", "It is."),
        ("user", "Is it there?"),
    ]


def test_what_is_missing_is_put_in() -> None:
    assert chat_messages((GREETING,)) == [
        {"role": "user", "content": OPENING},
        {"role": "assistant", "content": "Welcome."},
        {"role": "user", "content": GO_ON},
    ]
    between = chat_messages((QUESTION, CALL, RESULT, QUESTION))[3]
    assert between == {"role": "assistant", "content": NOTHING_SAID}


def test_every_call_in_a_prompt_has_exactly_one_result() -> None:
    calls = (ToolCallMessage("a", "one", "{}"), ToolCallMessage("b", "two", ""))
    shaped = chat_messages(
        (
            ModelMessage(Role.TOOL, "orphan", tool_call_id="z"),
            ModelMessage(Role.USER, "Look."),
            ModelMessage(Role.ASSISTANT, "", calls),
            ModelMessage(Role.USER, "And?"),
            ModelMessage(Role.TOOL, "late", tool_call_id="a"),
        )
    )
    roles = [message["role"] for message in shaped]
    assert roles == ["user", "assistant", "tool", "tool", "assistant", "user"]
    assert [call["function"]["arguments"] for call in shaped[1]["tool_calls"]] == ["{}"] * 2
    assert (shaped[2]["tool_call_id"], shaped[2]["content"]) == ("a", "late")
    assert shaped[3]["tool_call_id"] == "b"
    assert "no result" in shaped[3]["content"]


def test_a_server_without_a_system_role_gets_it_in_the_users_words() -> None:
    shaped = chat_messages((SYSTEM, GREETING, QUESTION), PromptShape(has_system=False))
    assert shaped[0] == {"role": "user", "content": f"Be kind.\n\n{OPENING}"}


def test_a_server_without_tools_is_told_of_calls_in_words() -> None:
    shaped = chat_messages((QUESTION, CALL, RESULT), PromptShape(has_tools=False))
    assert [message["role"] for message in shaped] == ["user", "assistant", "user"]
    assert shaped[-1]["content"] == "[The tool look was called with {}. It said: yes]"


def test_ids_of_calls_can_be_nine_letters_and_digits() -> None:
    shaped = chat_messages((QUESTION, CALL, RESULT), PromptShape(has_long_ids=False))
    (made,) = {shaped[1]["tool_calls"][0]["id"], shaped[2]["tool_call_id"]}
    assert len(made) == 9 and made.isalnum()
