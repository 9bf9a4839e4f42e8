"""What a session offers to its parts: a way in for events, and a place for their tasks."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from nur_server.clock import Clock
from nur_server.conversation.events import Event


class Feed(Protocol):
    """Where events go: each is made with the session time of its arrival, in seconds."""

    def __call__(self, make: Callable[[float], Event]) -> None: ...


class Spawn(Protocol):
    """Starts a task that ends with the session. `work` turns its own failures into events."""

    def __call__(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]: ...


@dataclass(frozen=True, slots=True)
class Host:
    """The session, as its parts see it."""

    session_id: str
    feed: Feed
    spawn: Spawn
    clock: Clock
