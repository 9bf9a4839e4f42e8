"""What a client adds to the conversation, and takes out of it."""

from collections.abc import Sequence

import msgspec

from nur_server.api.wire.openai import items
from nur_server.api.wire.openai import schemas as wire
from nur_server.api.wire.openai.items import ROOT, Item, Items
from nur_server.api.wire.openai.replies import Write
from nur_server.api.wire.openai.responses import Responses
from nur_server.commands import AddMessage, AnswerTool, NoteToolCall, RemoveItem
from nur_server.errors import BadRequest
from nur_server.transports.client import Answer, Decoded

MOST_CALLS = 1_000
"""Tool calls of earlier conversations that wait for their results."""


class Additions:
    """Of one connection."""

    def __init__(self, write: Write, known: Items, responses: Responses) -> None:
        self._write = write
        self._items = known
        self._responses = responses
        self._made = 0
        self._unanswered: dict[str, tuple[wire.ItemPart, str, str | None]] = {}
        """Calls of an earlier conversation, their items and places, by their call ids."""

    def create(self, event: wire.ItemCreate) -> Sequence[Decoded]:
        """Raises `BadRequest`."""
        part, previous = event.item, event.previous_item_id
        match part.type:
            case "message":
                return self._message(part, previous)
            case "function_call":
                return self._call(part, previous)
            case "function_call_output":
                return self._output(part, previous)
            case _:
                raise BadRequest(
                    "expected an item of type message, function_call or function_call_output, got "
                    f"{part.type[:64]!r}",
                    code="invalid_value",
                    param="item.type",
                )

    def _message(self, part: wire.ItemPart, previous: str | None) -> Sequence[Decoded]:
        role, text = items.role_of(part), items.text_of(part)
        self._items.require_place(part.id, previous, len(text))
        item_id = part.id or self._new_id()
        content = items.shown_content(part, role)
        shown = items.message(item_id, role.value, content, "completed")
        answer = self._add(Item(shown, text, len(text)), previous)
        if not text:
            return [answer]
        return [AddMessage(role, text, item_id, _place(previous)), answer]

    def _call(self, part: wire.ItemPart, previous: str | None) -> Sequence[Decoded]:
        """A call that this server's agent has not made: one of an earlier conversation."""
        call_id, name = _required(part.call_id, "call_id"), _required(part.name, "name")
        arguments = part.arguments or "{}"
        self._items.require_place(part.id, previous, len(arguments))
        if len(self._unanswered) >= MOST_CALLS:
            raise BadRequest(
                f"expected at most {MOST_CALLS} calls without a result, got one more",
                code="too_many_items",
            )
        item_id = part.id or self._new_id()
        shown = items.function_call(item_id, call_id, name, arguments)
        answer = self._add(Item(shown, arguments, len(arguments)), previous)
        self._unanswered[call_id] = (part, item_id, previous)
        return [answer]

    def _output(self, part: wire.ItemPart, previous: str | None) -> Sequence[Decoded]:
        call_id, output = _required(part.call_id, "call_id"), _text(part.output)
        self._items.require_place(part.id, previous, len(output))
        noted = self._unanswered.get(call_id)
        if noted is None and not self._responses.has_called(call_id):
            raise BadRequest(
                f"expected the call_id of a function call of this conversation, got "
                f"{call_id[: items.MAX_ID]!r}",
                code="invalid_tool_call_id",
                param="item.call_id",
            )
        item_id = part.id or self._new_id()
        shown = items.function_output(item_id, call_id, output)
        answer = self._add(Item(shown, output, len(output)), previous)
        if noted is None:
            self._responses.answered(call_id)
            return [AnswerTool(call_id, output, triggers_reply=False), answer]
        del self._unanswered[call_id]
        call, call_item_id, place = noted
        name, arguments = call.name or "", call.arguments or "{}"
        note = NoteToolCall(call_id, name, arguments, output, call_item_id, _place(place))
        return [note, answer]

    def delete(self, item_id: str) -> Sequence[Decoded]:
        """Raises `BadRequest`."""
        item = self._items.remove(item_id)
        self._unanswered.pop(str(item.object_.get("call_id")), None)
        answer = Answer((self._write("conversation.item.deleted", item_id=item_id),))
        return [RemoveItem(item_id), answer]

    def _add(self, item: Item, previous: str | None) -> Answer:
        before = self._items.add(item, previous)
        return Answer(
            (
                self._write("conversation.item.added", previous_item_id=before, item=item.object_),
                self._write("conversation.item.done", previous_item_id=before, item=item.object_),
            )
        )

    def _new_id(self) -> str:
        self._made += 1
        return f"item_{self._made}"


def _place(previous: str | None) -> str | None:
    return "" if previous == ROOT else previous


def _required(value: str | None, name: str) -> str:
    if not value:
        raise BadRequest(
            f"expected a {name} in the item, got none", code="missing_value", param=f"item.{name}"
        )
    return value


def _text(output: object) -> str:
    """A tool's result: text as it is, anything else as JSON."""
    if output is None:
        return ""
    return output if isinstance(output, str) else msgspec.json.encode(output).decode()
