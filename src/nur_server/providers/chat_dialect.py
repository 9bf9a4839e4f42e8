"""What one chat server takes of a request for one of its models, learned from its refusals.

Servers refuse fields they do not know (`stream_options`), that a model lacks (`tools`), or that
have another name by now (`max_tokens`). What was refused by name is left out or renamed, and what
was refused without a name is looked for among the fields that an answer can do without.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from nur_server.conversation.actions import ModelMessage
from nur_server.conversation.config import ToolSpec
from nur_server.ports import ReplyRequest
from nur_server.providers.chat_prompt import PromptShape, chat_messages
from nur_server.providers.refusals import WRONG_REQUEST, names_field

LIMIT, NEWER_LIMIT = "max_tokens", "max_completion_tokens"
FIELDS = (
    "stream_options",
    "chat_template_kwargs",
    "parallel_tool_calls",
    "tool_choice",
    LIMIT,
    NEWER_LIMIT,
    "temperature",
)
"""What an answer can do without, in the order in which it is given up."""
NICETIES = frozenset({"stream_options", "chat_template_kwargs", "parallel_tool_calls"})
"""Given up together where a server does not say what it refuses."""
TUNING = frozenset({LIMIT, NEWER_LIMIT, "temperature"})
"""Given up next."""
NEVER_THE_REQUEST = (401, 402, 403, 408, 429)

_REFUSES = re.compile(
    r"not support|unsupport|un(?:known|recognized|expected|permitted)|extra|forbidden"
    r"|not (?:permitted|allowed|implemented|available|enabled|a valid)|only the default|deprecated"
    r"|requires|invalid (?:field|param|argument)|doesn'?t support|no endpoints? found",
    re.IGNORECASE,
)
_TOOLS = re.compile(
    r"(?<!\w)(?:tools|function[ _-]?call\w*|tool[ _-](?:use|calls?|calling|choice))(?!\w)", re.I
)
_ONE_TOOL = re.compile(r"tools?\W{0,2}\d|function\W{1,3}(?:parameters|name)|schema", re.IGNORECASE)
"""A fault of one tool's declaration: no reason to take all tools away."""
_SYSTEM_ROLE = re.compile(
    r"system.{0,24}(?:not supported|unsupported|not allowed|role|message)|(?:not|n't) .{0,24}system"
    r"|developer instruction",
    re.IGNORECASE,
)
_TOOL_ROLE = re.compile(r"role\W{0,3}tool|tool\W{0,3} role|tool messages?|roles? must alt", re.I)
_ROLES = re.compile(r"alternat|\brole", re.IGNORECASE)
_CALL_ID = re.compile(r"(?:tool|function)[ _]?call[ _]?ids?|length of 9", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """What is left out of requests, and how their prompts are shaped."""

    left_out: frozenset[str] = frozenset()
    limit: str = LIMIT
    """What the longest answer is called."""
    shape: PromptShape = field(default_factory=PromptShape)

    def payload(
        self, model: str, request: ReplyRequest, messages: tuple[ModelMessage, ...]
    ) -> dict[str, Any]:
        """The body of a chat-completions request with this prompt."""
        payload: dict[str, Any] = {
            "model": model,
            "messages": chat_messages(messages, self.shape),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.tools:
            payload["tools"] = [_tool(tool) for tool in request.tools]
            payload["tool_choice"] = "auto"
        if request.temperature is not None:
            payload["temperature"] = request.temperature
        if request.max_tokens is not None:
            payload[self.limit] = request.max_tokens
        payload["chat_template_kwargs"] = {"enable_thinking": False}
        return {name: value for name, value in payload.items() if name not in self.left_out}

    def conceding(
        self, payload: dict[str, Any], said: str, status: int | None
    ) -> "ChatDialect | None":
        """The dialect that meets a refusal of `payload`. None: there is nothing left to give up.

        `said`: the server's words; `status` is None for an error within a stream.
        """
        if status in NEVER_THE_REQUEST:
            return None
        is_wrong_request = status in WRONG_REQUEST
        if not is_wrong_request and not _REFUSES.search(said):
            return None
        named = next((name for name in FIELDS if name in payload and names_field(said, name)), None)
        if named is not None:
            return self._without(named)
        if "tools" in payload and _refuses_tools(said):
            return self._without("tools")
        shape = self._shape_for(payload, said)
        if shape is not None:
            return replace(self, shape=shape)
        for group in (NICETIES, TUNING) if is_wrong_request else ():
            if refused := group & payload.keys():
                return replace(self, left_out=self.left_out | refused)
        return None

    def _without(self, name: str) -> "ChatDialect":
        if name == LIMIT:
            return replace(self, limit=NEWER_LIMIT)
        if name == "tools":
            shape = replace(self.shape, has_tools=False)
            return replace(self, left_out=self.left_out | {"tools", "tool_choice"}, shape=shape)
        return replace(self, left_out=self.left_out | {name})

    def _shape_for(self, payload: dict[str, Any], said: str) -> PromptShape | None:
        roles = {message["role"] for message in payload["messages"]}
        shape = self.shape
        if "tool" in roles and _CALL_ID.search(said) and shape.has_long_ids:
            return replace(shape, has_long_ids=False)
        if "tool" in roles and _TOOL_ROLE.search(said):
            return replace(shape, has_tools=False)
        if "system" in roles and _SYSTEM_ROLE.search(said):
            return replace(shape, has_system=False)
        if not _ROLES.search(said):
            return None
        if "tool" in roles:
            return replace(shape, has_tools=False)
        return replace(shape, has_system=False) if "system" in roles else None


def _refuses_tools(said: str) -> bool:
    return bool(_TOOLS.search(said) and _REFUSES.search(said) and not _ONE_TOOL.search(said))


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    }
