"""What to ask of the API, and how to read the answer: pure values, sent by either client."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request to the API, and how its answer is read."""

    method: str
    path: str
    """From the base, with its leading slash: `/v1/agents`."""
    read: Callable[[Any], T]
    """Decoded JSON to the result. Raises `pydantic.ValidationError` for anything else."""
    query: Mapping[str, Any] = field(default_factory=dict)
    """None values are left out."""
    body: Mapping[str, Any] | None = None
    is_binary: bool = False
    """Whether `read` takes the answer's bytes as they are, not decoded JSON."""

    @property
    def writes(self) -> bool:
        """Whether it changes something, and so needs an `Idempotency-Key` to be repeated."""
        return self.method != "GET"


class SyncPerformer(Protocol):
    def perform(self, call: Call[T]) -> T: ...


class AsyncPerformer(Protocol):
    async def perform(self, call: Call[T]) -> T: ...


def path(template: str, *ids: str) -> str:
    """`template` with each `{}` filled by an id. Raises `ValueError` for an empty one."""
    for given in ids:
        if not given:
            raise ValueError(f"expected an id for {template}, got {given!r}")
    return template.format(*(quote(given, safe="") for given in ids))
