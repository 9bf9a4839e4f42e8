"""A language model behind an OpenAI-compatible chat server: vLLM, SGLang, llama.cpp, Ollama, …

Servers differ: some send no `[DONE]`, no usage, no tool-call ids or indices, or refuse fields they
do not know. What all of them share is relied on, the rest is taken where it comes.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import httpx2

from nur_server.conversation.config import ToolSpec
from nur_server.errors import ProviderError, ProviderGarbled
from nur_server.ports import (
    LanguageModelCapabilities,
    ReplyEnd,
    ReplyPart,
    ReplyRequest,
    TextDelta,
    ToolCallDelta,
)
from nur_server.providers.chat_prompt import chat_messages
from nur_server.providers.http import (
    ModelServer,
    OptionalFields,
    answered,
    content_type,
    garbled,
    read_json,
    reported,
    retried,
    server_events,
)

USAGE_SECONDS = 0.1
"""How long a finished answer waits for the usage figures and the end that may follow it. An answer
read to its end leaves the connection fit for the next."""
MAX_TOOL_CALLS = 32
MAX_ARGUMENT_CHARACTERS = 200_000


class OpenAIChat:
    """`LanguageModel` on `POST {base}/chat/completions`."""

    def __init__(
        self,
        server: ModelServer,
        client: httpx2.AsyncClient,
        *,
        name: str | None = None,
        chunk_seconds: float = 10.0,
    ) -> None:
        """`chunk_seconds` is the longest wait for the next piece of an answer. `client` stays the
        caller's to close."""
        self._server = server
        self._client = client
        self._name = name or server.model
        self._chunk_seconds = chunk_seconds
        self._thinking_switch = OptionalFields()

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> LanguageModelCapabilities:
        return LanguageModelCapabilities(calls_tools=True)

    def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        """The answer in parts; retried twice while nothing of it was yielded.

        Raises `ProviderError`s; one raised after the first part is never `retryable`.
        """
        return retried(lambda: self._reply(request))

    def _reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        return self._thinking_switch.asked(
            lambda is_sent: self._ask(request, switches_thinking=is_sent)
        )

    async def _ask(
        self, request: ReplyRequest, *, switches_thinking: bool
    ) -> AsyncGenerator[ReplyPart, None]:
        payload = chat_payload(self._server.model, request, switches_thinking=switches_thinking)
        async with answered(
            self._client,
            self._name,
            "POST",
            self._server.url("chat/completions"),
            within_seconds=self._chunk_seconds,
            headers={**self._server.headers, "Accept": "text/event-stream"},
            json=payload,
        ) as response:
            answer = _Answer(self._name)
            kind = content_type(response)
            if kind == "application/json":
                whole = await read_json(response, self._name, self._chunk_seconds)
                for part in answer.take(whole):
                    yield part
            elif kind in ("text/event-stream", "text/plain", ""):
                async with aclosing(self._stream(response, answer)) as parts:
                    async for part in parts:
                        yield part
            else:
                raise garbled(self._name, "an event stream", f"content type {kind}")
            for part in answer.finish():
                yield part

    async def _stream(
        self, response: httpx2.Response, answer: "_Answer"
    ) -> AsyncGenerator[ReplyPart, None]:
        events = server_events(response, self._name, self._chunk_seconds)
        async with aclosing(events):
            while not answer.is_finished:
                event = await anext(events, None)
                if event is None or event.data == "[DONE]":
                    return
                for part in answer.take(_parsed(event.data, self._name)):
                    yield part
            try:
                async with asyncio.timeout(USAGE_SECONDS):
                    async for event in events:
                        if event.data == "[DONE]":
                            return
                        answer.take_usage(_parsed(event.data, self._name))
            except (TimeoutError, ProviderError):
                return


def chat_payload(model: str, request: ReplyRequest, *, switches_thinking: bool) -> dict[str, Any]:
    """The body of a chat-completions request."""
    payload: dict[str, Any] = {
        "model": model,
        "messages": chat_messages(request.messages),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        payload["tools"] = [_tool(tool) for tool in request.tools]
        payload["tool_choice"] = "auto"
    if request.temperature is not None:
        payload["temperature"] = request.temperature
    if request.max_tokens is not None:
        payload["max_tokens"] = request.max_tokens
    if switches_thinking:
        payload["chat_template_kwargs"] = {"enable_thinking": False}
    return payload


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    }


def _parsed(data: str, provider: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise garbled(provider, "a chunk of JSON", data) from None


class _Place(Enum):
    ANSWER = "answer"
    THOUGHT = "thought"


class ThinkFilter:
    """Takes `<think>…</think>`, and a stray `</think>`, out of text that arrives in pieces.

    White space at the start of the answer and behind a thought goes too.
    """

    OPEN = "<think>"
    CLOSE = "</think>"

    def __init__(self) -> None:
        self._place = _Place.ANSWER
        self._held = ""
        self._trims = True

    def feed(self, text: str) -> str:
        """What may be spoken of the text so far and was not handed out yet."""
        self._held += text
        spoken = ""
        while (tag := self._next_tag()) is not None:
            before, _, self._held = self._held.partition(tag)
            spoken += self._said(before)
            self._place = _Place.THOUGHT if tag == self.OPEN else _Place.ANSWER
            self._trims = self._trims or tag == self.CLOSE
        ready = len(self._held) - max(_overlap(self._held, tag) for tag in (self.OPEN, self.CLOSE))
        spoken += self._said(self._held[:ready])
        self._held = self._held[ready:]
        return spoken

    def finish(self) -> str:
        """What was held back because it might have become a tag."""
        rest, self._held = self._held, ""
        return self._said(rest)

    def _next_tag(self) -> str | None:
        places = [(self._held.find(tag), tag) for tag in (self.OPEN, self.CLOSE)]
        return min(((at, tag) for at, tag in places if at >= 0), default=(0, None))[1]

    def _said(self, text: str) -> str:
        if self._place is _Place.THOUGHT:
            return ""
        if self._trims:
            text = text.lstrip()
        self._trims = self._trims and not text
        return text


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` may be the beginning of `tag`."""
    longest = min(len(text), len(tag) - 1)
    return next((n for n in range(longest, 0, -1) if tag.startswith(text[-n:])), 0)


@dataclass(slots=True)
class _CallDraft:
    call_id: str
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class _CallDrafts:
    """Tool calls put together from deltas."""

    provider: str
    drafts: list[_CallDraft] = field(default_factory=list)
    by_index: dict[int, _CallDraft] = field(default_factory=dict)
    salt: str = field(default_factory=lambda: secrets.token_hex(6))
    """Made ids must differ from one reply to the next."""

    def take(self, delta: dict[str, Any]) -> None:
        function = delta.get("function")
        function = function if isinstance(function, dict) else {}
        given_id = str(delta.get("id") or "")
        name = str(function.get("name") or "")
        draft = self._draft(delta.get("index"), given_id, name)
        if name and name != draft.name:
            draft.name += name
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments)
        draft.arguments += str(arguments or "")
        if len(draft.arguments) > MAX_ARGUMENT_CHARACTERS:
            raise garbled(self.provider, "arguments of a sane length", draft.arguments)

    def _draft(self, index: object, given_id: str, name: str) -> _CallDraft:
        """The draft a delta belongs to.

        By index; a new id under a used index is a further call all the same (some servers number
        every parallel call 0). Without an index, an id or a name opens a call.
        """
        known = self.by_index.get(index) if isinstance(index, int) else None
        if known is None and not isinstance(index, int) and self.drafts and not name:
            known = self.drafts[-1]
        if known is not None and not (name and given_id and given_id != known.call_id):
            return known
        if len(self.drafts) == MAX_TOOL_CALLS:
            raise garbled(self.provider, f"at most {MAX_TOOL_CALLS} tool calls", name)
        draft = _CallDraft(given_id or f"tool_{self.salt}_{len(self.drafts)}")
        self.drafts.append(draft)
        if isinstance(index, int):
            self.by_index[index] = draft
        return draft

    def release(self, *, is_whole: bool) -> list[ToolCallDelta]:
        """The calls. `is_whole` false: the body ended without saying so; half a call is no call."""
        calls = [ToolCallDelta(d.call_id, d.name, d.arguments or "{}") for d in self.drafts]
        for draft in self.drafts:
            if not draft.name or not (is_whole or _is_object(draft.arguments)):
                raise garbled(self.provider, "a whole tool call", draft.name + draft.arguments)
        self.drafts, self.by_index = [], {}
        return calls


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


class _Answer:
    """One answer, from the server's chunks to `ReplyPart`s."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._filter = ThinkFilter()
        self._calls = _CallDrafts(provider)
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] = {}
        self._has_choice = False
        self._called = False

    @property
    def is_finished(self) -> bool:
        return self._finish_reason is not None

    @property
    def has_usage(self) -> bool:
        return bool(self._usage)

    def take(self, chunk: Any) -> list[ReplyPart]:
        """The parts a chunk completes. Raises `ProviderError` for one that is none."""
        if not isinstance(chunk, dict):
            raise garbled(self._provider, "a chunk object", json.dumps(chunk))
        if chunk.get("error"):
            raise reported(self._provider, "an answer", chunk["error"])
        self.take_usage(chunk)
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            if self.has_usage or self._has_choice:
                return []
            raise garbled(self._provider, "a chunk with choices", json.dumps(chunk))
        return self._choice(choices[0]) if choices and isinstance(choices[0], dict) else []

    def take_usage(self, chunk: Any) -> None:
        if isinstance(chunk, dict) and isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]

    def _choice(self, choice: dict[str, Any]) -> list[ReplyPart]:
        self._has_choice = True
        delta = choice.get("delta") or choice.get("message") or {}
        parts: list[ReplyPart] = []
        content = delta.get("content")
        if isinstance(content, str) and (text := self._filter.feed(content)):
            parts.append(TextDelta(text))
        for call in delta.get("tool_calls") or ():
            if isinstance(call, dict):
                self._calls.take(call)
        if reason := choice.get("finish_reason"):
            self._finish_reason = str(reason)
            parts += self._rest(is_whole=True)
        return parts

    def _rest(self, *, is_whole: bool) -> list[ReplyPart]:
        text = self._filter.finish()
        calls = self._calls.release(is_whole=is_whole)
        self._called = self._called or bool(calls)
        return [*([TextDelta(text)] if text else []), *calls]

    def finish(self) -> list[ReplyPart]:
        """What is left at the end of the body. Raises `ProviderGarbled` for an empty one."""
        if not self._has_choice:
            raise ProviderGarbled(
                "Expected an answer; the model server ended it before it began. Its log says why: "
                "llama.cpp does this to a prompt longer than its context.",
                provider=self._provider,
            )
        parts = [] if self.is_finished else self._rest(is_whole=False)
        reason = self._finish_reason or "stop"
        if self._called and reason == "stop":
            reason = "tool_calls"
        usage = self._usage
        return [
            *parts,
            ReplyEnd(reason, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")),
        ]


def _count(usage: dict[str, Any], key: str) -> int | None:
    value = usage.get(key)
    return value if isinstance(value, int) else None
