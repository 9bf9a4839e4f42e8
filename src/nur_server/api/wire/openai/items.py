"""The items of one conversation, as its client knows them.

The server's own history is elsewhere, and holds words alone: these are what clients create,
retrieve and delete by id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nur_server.api.wire.openai import schemas as wire
from nur_server.conversation.events import Role
from nur_server.errors import BadRequest

ROOT = "root"
"""The `previous_item_id` of what comes first."""
MOST_ITEMS = 2_000
"""A conversation of three hours has some thousand. Of more, the client is asked to delete."""
MOST_CHARACTERS = 4_000_000
"""Of the texts that a client has added."""
MAX_ID = 128


@dataclass(slots=True)
class Item:
    """One item. `object_` is what clients are shown."""

    object_: dict[str, Any]
    text: str = ""
    characters: int = 0
    """That the client has brought."""
    reply_id: str | None = None
    """Of the agent's words: their reply."""

    @property
    def id(self) -> str:
        return str(self.object_["id"])


class Items:
    """In order. Raises `BadRequest` for ids that are not known, or known already."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._order: list[str] = []
        self._characters = 0

    @property
    def last_id(self) -> str | None:
        return self._order[-1] if self._order else None

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    def get(self, item_id: str, param: str = "item_id") -> Item:
        item = self._items.get(item_id)
        if item is None:
            raise BadRequest(
                f"expected the id of an item of this conversation, got {item_id[:MAX_ID]!r}; it "
                "was never added, or has been deleted",
                code="item_not_found",
                param=param,
            )
        return item

    def require_place(self, item_id: str | None, previous_item_id: str | None, size: int) -> None:
        """Whether a client's item can be added."""
        if item_id is not None and not 0 < len(item_id) <= MAX_ID:
            raise BadRequest(
                f"expected an id of 1 to {MAX_ID} characters, got {len(item_id)}",
                code="invalid_value",
                param="item.id",
            )
        if item_id in self._items:
            raise BadRequest(
                f"expected an id that is new, got {item_id!r}, which an item of this conversation "
                "has; leave it out to be given one",
                code="item_id_exists",
                param="item.id",
            )
        if previous_item_id not in (None, ROOT):
            self.get(previous_item_id or "", "previous_item_id")
        if len(self._items) >= MOST_ITEMS or self._characters + size > MOST_CHARACTERS:
            raise BadRequest(
                f"expected at most {MOST_ITEMS} items of {MOST_CHARACTERS} characters in all; "
                "delete some before adding others",
                code="too_many_items",
            )

    def add(self, item: Item, previous_item_id: str | None = None) -> str | None:
        """Behind the item with this id; None: at the end. The id of the one in front of it."""
        place = len(self._order)
        if previous_item_id == ROOT:
            place = 0
        elif previous_item_id in self._items:
            place = self._order.index(previous_item_id) + 1
        self._items[item.id] = item
        self._order.insert(place, item.id)
        self._characters += item.characters
        return self._order[place - 1] if place else None

    def before(self, item_id: str) -> str | None:
        """The id of the item in front of this one."""
        place = self._order.index(item_id)
        return self._order[place - 1] if place else None

    def trim(self) -> None:
        """Forget the oldest where the server's own items have become too many."""
        while len(self._order) > MOST_ITEMS + MOST_ITEMS // 10:
            self.remove(self._order[0])

    def remove(self, item_id: str) -> Item:
        item = self.get(item_id)
        del self._items[item_id]
        self._order.remove(item_id)
        self._characters -= item.characters
        return item


def message(item_id: str, role: str, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    """What clients are shown of a message."""
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": status,
        "role": role,
        "content": content,
    }


def spoken(item_id: str, transcript: str | None) -> dict[str, Any]:
    """The same of a message that the user has said. None: its words are not known yet."""
    return message(
        item_id, "user", [{"type": "input_audio", "transcript": transcript}], "completed"
    )


def function_call(
    item_id: str, call_id: str, name: str, arguments: str, status: str = "completed"
) -> dict[str, Any]:
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def function_output(item_id: str, call_id: str, output: str) -> dict[str, Any]:
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "function_call_output",
        "status": "completed",
        "call_id": call_id,
        "output": output,
    }


def role_of(part: wire.ItemPart) -> Role:
    """Raises `BadRequest`."""
    roles = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
    role = {**roles, "developer": Role.SYSTEM}.get(part.role or "")
    if role is None:
        raise BadRequest(
            f"expected a role of {', '.join(roles)}, got {part.role!r}",
            code="invalid_value",
            param="item.role",
        )
    return role


def parts_of(part: wire.ItemPart) -> Sequence[wire.ContentPart]:
    if isinstance(part.content, str):
        return (wire.ContentPart(type="input_text", text=part.content),)
    return part.content or ()


def text_of(part: wire.ItemPart) -> str:
    """The words of a message. Images, and audio that is not transcribed, have none."""
    return " ".join(
        words for piece in parts_of(part) if (words := piece.text or piece.transcript or "")
    )


def shown_content(part: wire.ItemPart, role: Role) -> list[dict[str, Any]]:
    usual = "output_text" if role is Role.ASSISTANT else "input_text"
    content = []
    for piece in parts_of(part):
        kind = piece.type or usual
        if kind == "text":
            kind = usual
        shown: dict[str, Any] = {"type": kind}
        if kind.endswith("_audio"):
            shown["transcript"] = piece.transcript
        elif kind.endswith("_text"):
            shown["text"] = piece.text or ""
        content.append(shown)
    return content
