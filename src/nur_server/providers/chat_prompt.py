"""The prompt in the shape that the strictest chat servers and templates take.

Gemma's and Mistral's templates, Qwen 3.5's, Mistral's and Anthropic's servers each refuse some
prompts that others take. What all of them take is:

- one system message, in front;
- then the user's and the assistant's words by turns, from the user on;
- every tool call directly followed by its one result, and the assistant behind the results;
- the user's words or a tool's result at the end.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nur_server.conversation.actions import ModelMessage, ToolCallMessage
from nur_server.conversation.events import Role
from nur_server.text.joining import joined

NO_RESULT = '{"error": "no result is known for this call"}'
OPENING = "[The conversation begins.]"
"""Stands for the user where the agent speaks first."""
GO_ON = "[Go on.]"
"""Stands for the user where the agent is to speak on of itself."""
NOTHING_SAID = "…"
"""Stands for the agent between a tool's result and the user's next words. It is not speakable, so a
model that copies it says nothing."""
SHORT_ID_CHARACTERS = 9
"""The length of a call's id that Mistral's servers ask for, letters and digits alone."""


@dataclass(frozen=True, slots=True)
class PromptShape:
    """What a server cannot take, beyond the rules above."""

    has_system: bool = True
    """False: the system prompt stands in front of the user's first words."""
    has_tools: bool = True
    """False: tool calls and results are told in the user's words."""
    has_long_ids: bool = True
    """False: ids of calls are nine letters and digits."""


def chat_messages(
    messages: Iterable[ModelMessage], shape: PromptShape | None = None
) -> list[dict[str, Any]]:
    """The messages as they go to a server."""
    return _Prompt(tuple(messages), shape or PromptShape()).shaped()


class _Prompt:
    """A prompt under construction."""

    def __init__(self, messages: tuple[ModelMessage, ...], shape: PromptShape) -> None:
        self._messages = messages
        self._shape = shape
        self._results = {m.tool_call_id: m.content for m in messages if m.role is Role.TOOL}
        self._shaped: list[dict[str, Any]] = []

    def shaped(self) -> list[dict[str, Any]]:
        for message in self._messages:
            self._add(message)
        if not self._shaped:
            self._user_says(OPENING)
        elif self._follows_words_of("assistant"):
            self._user_says(GO_ON)
        system = "\n\n".join(
            m.content for m in self._messages if m.role is Role.SYSTEM and m.content
        )
        if not system:
            return self._shaped
        if self._shape.has_system:
            return [{"role": "system", "content": system}, *self._shaped]
        first, *rest = self._shaped
        return [{**first, "content": f"{system}\n\n{first['content']}"}, *rest]

    def _add(self, message: ModelMessage) -> None:
        match message.role:
            case Role.SYSTEM | Role.TOOL:
                return
            case Role.USER if message.content:
                self._user_says(message.content)
            case Role.ASSISTANT if message.tool_calls and self._shape.has_tools:
                self._agent_calls(message)
            case Role.ASSISTANT:
                if message.content:
                    self._agent_says(message.content)
                for call in message.tool_calls:
                    self._user_says(self._told(call))
            case _:
                return

    def _user_says(self, text: str) -> None:
        if self._follows_words_of("user"):
            self._shaped[-1]["content"] += f"\n{text}"
            return
        if self._shaped and self._shaped[-1]["role"] == "tool":
            self._agent_says(NOTHING_SAID)
        self._shaped.append({"role": "user", "content": text})

    def _agent_says(self, text: str) -> None:
        if self._follows_words_of("assistant"):
            self._shaped[-1]["content"] = joined(self._shaped[-1]["content"], text)
            return
        self._begin()
        self._shaped.append({"role": "assistant", "content": text})

    def _agent_calls(self, message: ModelMessage) -> None:
        text = message.content
        if self._follows_words_of("assistant"):
            text = joined(self._shaped.pop()["content"], text)
        self._begin()
        calls = [self._call(call) for call in message.tool_calls]
        self._shaped.append({"role": "assistant", "content": text, "tool_calls": calls})
        for call in message.tool_calls:
            self._shaped.append(
                {
                    "role": "tool",
                    "tool_call_id": self._id(call.call_id),
                    "content": self._result(call),
                }
            )

    def _begin(self) -> None:
        if not self._shaped:
            self._user_says(OPENING)

    def _follows_words_of(self, role: str) -> bool:
        return bool(self._shaped) and self._shaped[-1]["role"] == role

    def _call(self, call: ToolCallMessage) -> dict[str, Any]:
        function = {"name": call.name, "arguments": call.arguments or "{}"}
        return {"id": self._id(call.call_id), "type": "function", "function": function}

    def _told(self, call: ToolCallMessage) -> str:
        arguments = call.arguments or "{}"
        return f"[The tool {call.name} was called with {arguments}. It said: {self._result(call)}]"

    def _result(self, call: ToolCallMessage) -> str:
        return self._results.get(call.call_id) or NO_RESULT

    def _id(self, call_id: str) -> str:
        if self._shape.has_long_ids:
            return call_id
        return hashlib.sha256(call_id.encode()).hexdigest()[:SHORT_ID_CHARACTERS]
