"""A chat server's answer, from its chunks to `ReplyPart`s.

Servers differ: some send no usage, no ids or indices of tool calls, a reason to finish in every
chunk, text in parts, chunks without choices. What all of them share is relied on, the rest is taken
where it comes.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nur_server.errors import ProviderGarbled, ProviderUnreachable
from nur_server.ports import ReplyEnd, ReplyPart, TextDelta, ToolCallDelta
from nur_server.providers.http import garbled, reported
from nur_server.providers.reasoning import ThoughtFilter

MAX_TOOL_CALLS = 32
MAX_ARGUMENT_CHARACTERS = 200_000
SPOKEN_PARTS = ("text", "output_text", "refusal", "")
"""Types of the parts of a message that are spoken; the empty one: a part that names none."""


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
        """The calls. `is_whole` false: the server gave no reason to finish; half a call is no
        call."""
        calls = [ToolCallDelta(d.call_id, d.name, d.arguments or "{}") for d in self.drafts]
        for draft in self.drafts:
            if not draft.name or not (is_whole or _is_object(draft.arguments)):
                raise garbled(self.provider, "a whole tool call", draft.name + draft.arguments)
        self.drafts, self.by_index = [], {}
        return calls


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


class ChatAnswer:
    """One answer. Give it every chunk, then `finish` it."""

    def __init__(self, provider: str, *, begins_in_thought: bool = False) -> None:
        self._provider = provider
        self._filter = ThoughtFilter(begins_in_thought=begins_in_thought)
        self._calls = _CallDrafts(provider)
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] = {}
        self._has_choice = False
        self.goes_on = False
        """More of the answer came behind a reason to finish."""

    @property
    def has_reason(self) -> bool:
        """A reason to finish has come. More of the answer may follow all the same."""
        return self._finish_reason is not None

    @property
    def ended_a_thought_it_had_not_begun(self) -> bool:
        return self._filter.closed_unopened

    def take(self, chunk: Any, event: str = "") -> Iterator[ReplyPart]:
        """The parts a chunk completes. `event`: what the stream calls it.

        Raises `ProviderError` for a chunk that is none, or reports a failure.
        """
        if chunk is None:
            return
        if not isinstance(chunk, dict):
            raise garbled(self._provider, "a chunk object", json.dumps(chunk))
        choices = chunk.get("choices")
        if chunk.get("error") or (event == "error" and not choices):
            raise reported(self._provider, "an answer", chunk.get("error") or chunk)
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                yield from self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> Iterator[ReplyPart]:
        self._has_choice = True
        delta = choice.get("delta") or choice.get("message") or {}
        delta = delta if isinstance(delta, dict) else {}
        written = _written(delta.get("content") or choice.get("text"))
        written += _written(delta.get("refusal"))
        calls = delta.get("tool_calls")
        calls = (
            [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        )
        if isinstance(delta.get("function_call"), dict):
            calls.append({"index": 0, "function": delta["function_call"]})
        self.goes_on = self.goes_on or (self.has_reason and bool(written or calls))
        if text := self._filter.feed(written):
            yield TextDelta(text)
        for call in calls:
            self._calls.take(call)
        if reason := choice.get("finish_reason"):
            if reason == "error":
                raise reported(self._provider, "an answer", choice.get("error") or reason)
            self._finish_reason = str(reason)

    def finish(self, *, has_end: bool) -> Iterator[ReplyPart]:
        """What is left at the end of the body. `has_end`: the server said that it is the end.

        Raises `ProviderGarbled` for an answer without anything in it, `ProviderUnreachable` for one
        that stopped before its end.
        """
        if not self._has_choice:
            raise ProviderGarbled(
                "Expected an answer; the model server ended it before it began. Its log says why: "
                "llama.cpp does this to a prompt longer than its context.",
                provider=self._provider,
            )
        if not has_end and not self.has_reason:
            raise ProviderUnreachable(
                "Expected the model server's whole answer; its stream stopped without an end. "
                "Check the server's log, and whether a proxy in between cuts long answers.",
                provider=self._provider,
            )
        if text := self._filter.finish():
            yield TextDelta(text)
        calls = self._calls.release(is_whole=self.has_reason)
        yield from calls
        reason = self._finish_reason or "stop"
        if calls and reason == "stop":
            reason = "tool_calls"
        usage = self._usage
        yield ReplyEnd(reason, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))


def _written(content: Any) -> str:
    """The words of a message's content: text, a part, or a list of parts. Thinking is none."""
    match content:
        case str():
            return content
        case list():
            return "".join(_written(part) for part in content)
        case dict() if (kind := content.get("type") or "") in SPOKEN_PARTS:
            return _written(content.get("refusal" if kind == "refusal" else "text"))
        case _:
            return ""


def _count(usage: dict[str, Any], key: str) -> int | None:
    value = usage.get(key)
    return value if isinstance(value, int) else None
