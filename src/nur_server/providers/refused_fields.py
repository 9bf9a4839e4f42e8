"""Fields of a request that a server may refuse: left out, or given another value, and remembered.

For requests whose fields do not depend on each other; chat has its `ChatDialect`.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Any, TypeVar

from nur_server.errors import ProviderRejected
from nur_server.providers.refusals import WRONG_REQUEST, names_field

T = TypeVar("T")

Fields = Mapping[str, Any]
NOTHING: Fields = MappingProxyType({})


class RefusedFields:
    """What one server takes of one kind of request."""

    def __init__(self, *groups: Sequence[str], instead: Fields = NOTHING) -> None:
        """`groups` are given up in turn where a server does not name what it refuses. Fields in
        `instead` get that value first, and are left out only where it is refused too."""
        self._groups = groups
        self._instead = instead
        self._given_up: dict[str, Any] = {}
        """Field → the value it has instead; None: it is left out."""

    async def asked(
        self, fields: Fields, ask: Callable[[dict[str, Any]], AsyncGenerator[T, None]]
    ) -> AsyncGenerator[T, None]:
        """What `ask` yields for the fields that the server takes."""
        given_up = dict(self._given_up)
        while True:
            told = {
                name: given_up.get(name, value)
                for name, value in fields.items()
                if given_up.get(name, value) is not None
            }
            is_answering = False
            try:
                async with aclosing(ask(told)) as parts:
                    async for part in parts:
                        is_answering = True
                        self._given_up = given_up
                        yield part
                return
            except ProviderRejected as error:
                refused = () if is_answering else self._refused(told, error)
                if not refused:
                    raise
            for name in refused:
                given_up[name] = None if name in given_up else self._instead.get(name)

    def _refused(self, told: Fields, error: ProviderRejected) -> Sequence[str]:
        """What to give up next. At most every field twice, so that this comes to an end."""
        if error.provider_status not in WRONG_REQUEST:
            return ()
        known = [name for group in self._groups for name in group if name in told]
        for name in known:
            value = str(told[name]) if name in self._instead else name
            if names_field(error.said, name) or names_field(error.said, value):
                return (name,)
        for group in self._groups:
            if present := [name for name in group if name in told]:
                return present
        return ()
