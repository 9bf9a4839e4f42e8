"""A session's events in order, compactly: enough to run the conversation again.

A journal is a list of chunks, each a zlib-compressed MessagePack array of rows. The first row of a
journal is the configuration, an event is `[code, at, field, …]`, and the last row of each chunk is
a checkpoint: how many events and actions there were so far, and the digest of those actions.
Floats are stored as they are, so a replay sees the very numbers the conversation saw.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, get_args

import msgspec

from nur_server.conversation.actions import Action
from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.events import Event

VERSION: Final = 1
"""Of the rows. Events keep their places in `Event`, and their fields, to which others with a
default may be added at the end: else it is another one."""
CHUNK_EVENTS: Final = 1_000
"""About half a minute of a lively conversation."""

_TYPES: Final[tuple[type[Any], ...]] = get_args(Event)
_NAMES: Final = [[field.name for field in fields(kind)] for kind in _TYPES]
_CODES: Final = {kind: (code, _NAMES[code]) for code, kind in enumerate(_TYPES)}
_CHECKPOINT: Final = "checkpoint"
"""Stands where an event has its code."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the conversation had been told, and had asked for, when a chunk was closed."""

    events: int
    actions: int
    digest: str
    """SHA-256 over these actions, in hex."""


class ActionsDigest:
    """SHA-256 over actions in order: the same digest, the same actions, byte for byte.

    Each action is hashed as the MessagePack array `[events before it, type name, fields]`, with
    the keys of objects and the members of sets in order.
    """

    def __init__(self) -> None:
        self.events = 0
        self.actions = 0
        self._hash = hashlib.sha256()
        self._encoder = msgspec.msgpack.Encoder(order="deterministic")

    def add(self, actions: Sequence[Action]) -> None:
        """Take the actions one event led to."""
        for action in actions:
            self._hash.update(self._encoder.encode([self.events, type(action).__name__, action]))
        self.events += 1
        self.actions += len(actions)

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.events, self.actions, self._hash.hexdigest())


class JournalWriter:
    """Collects events, and what was done about them, and hands them out in numbered chunks."""

    def __init__(self, config: ConversationConfig) -> None:
        self._rows: list[list[Any]] = [[VERSION, config]]
        self._chunk = 0
        self._digest = ActionsDigest()

    @property
    def is_due(self) -> bool:
        """Whether there is enough for a chunk."""
        return len(self._rows) >= CHUNK_EVENTS

    def add(self, event: Event) -> None:
        """Take an event, before the conversation receives it."""
        code, names = _CODES[type(event)]
        self._rows.append([code, *[getattr(event, name) for name in names]])

    def answered(self, actions: Sequence[Action]) -> None:
        """Take what the conversation asked for at the last event."""
        self._digest.add(actions)

    def take(self) -> tuple[int, bytes] | None:
        """The number and the bytes of the next chunk; None when there is nothing to store."""
        if not self._rows:
            return None
        at = self._digest.checkpoint()
        rows = [*self._rows, [_CHECKPOINT, at.events, at.actions, at.digest]]
        data = zlib.compress(msgspec.msgpack.encode(rows))
        self._rows = []
        number, self._chunk = self._chunk, self._chunk + 1
        return number, data


def as_stored(config: ConversationConfig) -> ConversationConfig:
    """`config` as a journal gives it back: what a conversation has to run with, for its replay to
    be the same. Whole numbers given for fractions are fractions."""
    return msgspec.convert(msgspec.to_builtins(config), ConversationConfig)


Row = Event | Checkpoint


def read(chunks: Iterable[bytes]) -> tuple[ConversationConfig, Iterator[Event]]:
    """The configuration and the events of a journal. Raises as `read_rows` does."""
    config, rows = read_rows(chunks)
    return config, (row for row in rows if not isinstance(row, Checkpoint))


def read_rows(chunks: Iterable[bytes]) -> tuple[ConversationConfig, Iterator[Row]]:
    """The configuration, the events and the checkpoints among them.

    Raises `ValueError` when the journal is empty, of another version, or not a journal.
    """
    rows = _rows(chunks)
    first = next(rows, None)
    if first is None:
        raise ValueError("expected a journal with at least its configuration; got none")
    if len(first) != 2:
        raise ValueError("expected a journal from its first chunk on; its beginning is missing")
    version, config = first
    if version != VERSION:
        raise ValueError(f"expected a journal of version {VERSION}; got {version}")
    try:
        return msgspec.convert(config, ConversationConfig), map(_row, rows)
    except msgspec.ValidationError as error:
        raise ValueError(f"expected this version's settings in the journal: {error}") from error


def _rows(chunks: Iterable[bytes]) -> Iterator[list[Any]]:
    for chunk in chunks:
        try:
            yield from msgspec.msgpack.decode(zlib.decompress(chunk))
        except (zlib.error, msgspec.DecodeError) as error:
            raise ValueError(
                f"expected a journal chunk; got bytes that are not one: {error}"
            ) from error


def _row(row: list[Any]) -> Row:
    if row[0] == _CHECKPOINT:
        return Checkpoint(*row[1:])
    try:
        kind, names = _TYPES[row[0]], _NAMES[row[0]][: len(row) - 1]
        event: Event = msgspec.convert(dict(zip(names, row[1:], strict=True)), kind)
    except (IndexError, TypeError, ValueError, msgspec.ValidationError) as error:
        raise ValueError(f"expected one of this version's events; got {row!r:.80}") from error
    return event
