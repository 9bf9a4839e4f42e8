"""Identifiers: a prefix that says what it names, and 128 random bits."""

import secrets

AGENT = "agt"
SESSION = "ses"
CALL = "call"
KEY = "key"
REQUEST = "req"
EVENT = "evt"


def new_id(prefix: str) -> str:
    """A fresh identifier such as `agt_5f0c…`: the prefix and 32 hex digits.

    Unguessable, so that an id may carry authority (a session's WebSocket address does).
    """
    return f"{prefix}_{secrets.token_hex(16)}"
