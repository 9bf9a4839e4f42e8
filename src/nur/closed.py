"""How a connection ended."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Closed:
    """There is no connection, or no longer."""

    code: int | None = None
    """WebSocket close code. None: broken, or never made."""
    reason: str = ""
    status: int | None = None
    """HTTP status the upgrade was refused with."""
