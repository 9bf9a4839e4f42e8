"""A session's journal, and the session run again from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from nur_server.conversation.actions import Action
from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.engine import Conversation
from nur_server.conversation.events import Event
from nur_server.conversation.journal import ActionsDigest, Checkpoint, read_rows


@dataclass(frozen=True, slots=True)
class Recording:
    """What a session was told, and the digests of what it did about it."""

    config: ConversationConfig
    events: tuple[Event, ...]
    checkpoints: tuple[Checkpoint, ...]
    """At the end of each stored chunk."""

    @classmethod
    def read(cls, chunks: Iterable[bytes]) -> "Recording":
        """From the chunks of a journal, in order. Raises `ValueError` where they are none."""
        config, rows = read_rows(chunks)
        events: list[Event] = []
        checkpoints: list[Checkpoint] = []
        for row in rows:
            if isinstance(row, Checkpoint):
                checkpoints.append(row)
            else:
                events.append(row)
        return cls(config, tuple(events), tuple(checkpoints))

    @property
    def ended_at(self) -> float:
        """Session time of the last event."""
        return self.events[-1].at if self.events else 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """An event and what the conversation did about it."""

    event: Event
    actions: tuple[Action, ...]


class Verdict(StrEnum):
    """How a replay compares with what was recorded."""

    EQUAL = "equal"
    """The same actions, byte for byte."""
    DIFFERENT = "different"
    """Other actions: the code has changed since."""
    INCOMPLETE = "incomplete"
    """Events are missing from the journal: nothing can be said."""
    UNSEALED = "unsealed"
    """The journal holds no digest to compare with."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A recording run again."""

    recording: Recording
    steps: tuple[Step, ...]
    events: int
    actions: int
    digest: str
    verdict: Verdict
    differs_after: int | None = None
    """Events up to which the actions were the same; None: they are, as far as is known."""
    failure: str | None = None
    """The core's own error, which ended the replay as it ended the session."""

    @property
    def is_equal(self) -> bool:
        return self.verdict is Verdict.EQUAL


def replay(recording: Recording) -> Replay:
    """Run a recording through the core again, and compare the actions at every checkpoint."""
    conversation = Conversation(recording.config)
    digest = ActionsDigest()
    seen = {0: digest.checkpoint()}
    wanted = {checkpoint.events for checkpoint in recording.checkpoints}
    steps: list[Step] = []
    failure = None
    for event in recording.events:
        try:
            actions = conversation.receive(event)
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
            break
        digest.add(actions)
        steps.append(Step(event, tuple(actions)))
        if digest.events in wanted:
            seen[digest.events] = digest.checkpoint()
    last = digest.checkpoint()
    verdict, differs_after = _compare(recording, seen)
    return Replay(
        recording,
        tuple(steps),
        last.events,
        last.actions,
        last.digest,
        verdict,
        differs_after,
        failure,
    )


def _compare(recording: Recording, seen: dict[int, Checkpoint]) -> tuple[Verdict, int | None]:
    if not recording.checkpoints:
        return Verdict.UNSEALED, None
    if recording.checkpoints[-1].events > len(recording.events):
        return Verdict.INCOMPLETE, None
    same_until = 0
    for checkpoint in recording.checkpoints:
        if seen.get(checkpoint.events) != checkpoint:
            return Verdict.DIFFERENT, same_until
        same_until = checkpoint.events
    return Verdict.EQUAL, None
