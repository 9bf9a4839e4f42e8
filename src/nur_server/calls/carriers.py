"""The telephony engines that calls of this server go over."""

from collections.abc import Iterator
from dataclasses import dataclass

from nur_server.ports import TelephonyEngine


@dataclass(frozen=True, slots=True)
class Carrier:
    """A telephony engine, and what goes with it."""

    engine: TelephonyEngine
    is_simulated: bool = False
    """Nothing leaves this machine."""


class Carriers:
    """Every engine by its name. Calls go out over the real one where there is one."""

    def __init__(self) -> None:
        self._by_name: dict[str, Carrier] = {}

    def add(self, engine: TelephonyEngine, *, is_simulated: bool = False) -> None:
        self._by_name[engine.name] = Carrier(engine, is_simulated)

    def get(self, name: str) -> Carrier | None:
        """None: this server does not have it, or not any more."""
        return self._by_name.get(name)

    def __getitem__(self, name: str) -> Carrier:
        return self._by_name[name]

    def __iter__(self) -> Iterator[Carrier]:
        return iter(self._by_name.values())

    @property
    def outbound(self) -> Carrier:
        """What calls are placed over. One engine at least must have been added."""
        return min(self, key=lambda carrier: carrier.is_simulated)
