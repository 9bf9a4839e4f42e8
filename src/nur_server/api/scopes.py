"""What a key may be allowed to do."""

from nur_server.store.keys import EVERY_SCOPE

CONNECT = "sessions:connect"
"""Opening a session's socket. Tokens have this scope alone; `sessions:write` includes it."""
SCOPES = (
    EVERY_SCOPE,
    "agents:read",
    "agents:write",
    "calls:read",
    "calls:write",
    "keys:read",
    "keys:write",
    "models:read",
    CONNECT,
    "sessions:read",
    "sessions:write",
    "voices:read",
    "webhooks:read",
    "webhooks:write",
)
"""Every scope a key can have."""
