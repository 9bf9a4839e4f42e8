"""The agent that the field's bugs are tried on."""

from typing import Any

LONG = (
    "We have running shoes, walking shoes, hiking boots and a few pairs of sandals, "
    "all of them in stock and ready to be sent to you tomorrow morning."
)
SHOP: dict[str, Any] = {
    "system_prompt": "You answer for a shop.",
    "tools": [
        {
            "name": "book",
            "description": "Book a table",
            "parameters": {"guests": {"type": "integer", "required": True}},
        }
    ],
}
