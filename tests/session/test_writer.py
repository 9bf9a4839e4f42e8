"""What sessions leave behind: in order, once, however long the store is away."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from nur_server.clock import LoopClock
from nur_server.conversation.events import EndedReason
from nur_server.conversation.record import Speaker, ToolRecord, ToolStatus, Turn
from nur_server.errors import Conflict, NotFound, Unavailable
from nur_server.ports import CallChange, SessionSummary
from nur_server.session import writer as module
from nur_server.session.spill import SpillFile
from nur_server.session.writer import ATTEMPTS, SPILL_SECONDS, Writer

pytestmark = pytest.mark.looptime

SUMMARY = SessionSummary(EndedReason.CLIENT_ENDED, 1.5, 1, 2, 0, None, {"errors": 1.0})


@dataclass
class Store:
    """A sink that may be away, and says what it has taken."""

    trouble: Callable[[str], None] = lambda _: None
    """Raises where a write, which it is given the name of, fails."""
    hangs: bool = False
    taken: list[tuple[str, str]] = field(default_factory=list)
    turns: dict[tuple[str, int], Turn] = field(default_factory=dict)
    moments: list[datetime | None] = field(default_factory=list)

    async def _write(self, session_id: str, what: str) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(0.01)
        self.trouble(what)
        self.taken.append((session_id, what))

    async def session_started(self, session_id: str, at: datetime | None = None) -> None:
        await self._write(session_id, "started")
        self.moments.append(at)

    async def turn_finished(self, session_id: str, turn: Turn) -> None:
        await self._write(session_id, f"turn {turn.index}")
        self.turns[session_id, turn.index] = turn

    async def tool_changed(self, session_id: str, response_id: str, call: ToolRecord) -> None:
        await self._write(session_id, f"tool {response_id} {call.call_id} {call.status.value}")

    async def journal_written(self, session_id: str, chunk: int, data: bytes) -> None:
        await self._write(session_id, f"journal {chunk} {len(data)}")

    async def session_ended(
        self, session_id: str, summary: SessionSummary, at: datetime | None = None
    ) -> None:
        await self._write(session_id, f"ended {summary.reason.value}")
        assert summary == SUMMARY
        self.moments.append(at)

    async def call_changed(self, change: CallChange, at: datetime | None = None) -> None:
        await self._write("ses_1", f"call {change.status} {change.reason}")
        self.moments.append(at)

    def names(self, session_id: str = "ses_1") -> list[str]:
        return [what for whose, what in self.taken if whose == session_id]


class Away:
    """The store is, until it is told otherwise."""

    def __init__(self) -> None:
        self.is_away = True

    def __call__(self, _what: str) -> None:
        if self.is_away:
            raise Unavailable("the database cannot be used", code="database_unavailable")


def turn(index: int, text: str = "Hello.") -> Turn:
    evidence = {"score": 0.5, "words": ["a", None]}
    return Turn(index, "msg_1", Speaker.USER, text, 0, 500, "speech", evidence=evidence)


def call(status: ToolStatus = ToolStatus.RUNNING) -> ToolRecord:
    return ToolRecord("call_1", "look_up", "{}", status, None, 10, None)


def leave_all(writer: Writer, session_id: str = "ses_1") -> list[str]:
    """One of everything, and what a sink should have taken then."""
    session = writer.open(session_id)
    session.session_started()
    session.turn(turn(0))
    session.tool("resp_1", call())
    session.journal(0, b"xyz")
    session.turn(turn(1))
    session.session_ended(SUMMARY)
    session.call_changed(CallChange("call_1", "completed", ("in_progress",), "client_ended"))
    return [
        "started",
        "turn 0",
        "tool resp_1 call_1 running",
        "journal 0 3",
        "turn 1",
        "ended client_ended",
        "call completed client_ended",
    ]


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


async def kill(writer: Writer) -> None:
    """As if the process had died: what is in memory is gone."""
    tasks = [lane.task for lane in writer._lanes.values() if lane.task is not None]
    tasks += [writer._spilling] if writer._spilling is not None else []
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


# In order


async def test_everything_is_written_in_order() -> None:
    store = Store()
    writer = Writer(store, LoopClock())
    left = leave_all(writer)
    assert await writer.stored_within("ses_1", 5.0)
    assert store.names() == left
    assert writer.waiting == 0


async def test_a_write_that_fails_is_tried_again_in_its_place() -> None:
    failures = iter([OSError("disk full"), TimeoutError(), Unavailable("away")])

    def trouble(what: str) -> None:
        if what == "turn 0" and (error := next(failures, None)):
            raise error

    store = Store(trouble)
    writer = Writer(store, LoopClock())
    left = leave_all(writer)
    assert await writer.stored_within("ses_1", 10.0)
    assert store.names() == left


@pytest.mark.parametrize("seconds", [2.0, 20.0, 600.0])
async def test_an_outage_may_last_for_any_time(seconds: float) -> None:
    away = Away()
    store = Store(away)
    writer = Writer(store, LoopClock())
    left = leave_all(writer)
    await asyncio.sleep(seconds)
    assert store.taken == []
    away.is_away = False
    assert await writer.stored_within("ses_1", 5.0)
    assert store.names() == left
    assert writer.lost == writer.refused == 0


async def test_a_store_that_hangs_does_not_hold_the_session_up() -> None:
    store = Store(hangs=True)
    writer = Writer(store, LoopClock())
    left = leave_all(writer)
    assert not await writer.stored_within("ses_1", 2.0)
    store.hangs = False
    assert await writer.stored_within("ses_1", 60.0)
    assert store.names() == left


async def test_what_waits_says_when_it_happened() -> None:
    away = Away()
    store, clock = Store(away), LoopClock()
    writer = Writer(store, clock)
    leave_all(writer)
    happened = clock.now()
    await asyncio.sleep(60.0)
    away.is_away = False
    await writer.stored_within("ses_1", 5.0)
    assert store.moments == [happened, happened, happened]


async def test_one_session_does_not_wait_for_another() -> None:
    def trouble(what: str) -> None:
        if what == "turn 7":
            raise Unavailable("a lock is held on this row")

    store = Store(trouble)
    writer = Writer(store, LoopClock())
    writer.open("ses_2").turn(turn(7))
    await asyncio.sleep(1.0)
    left = leave_all(writer)
    assert await writer.stored_within("ses_1", 1.0)
    assert store.names() == left
    assert writer.sessions == {"ses_2"}
    await writer.close(0.1)


# What a store refuses


@pytest.mark.parametrize("error", [ValueError("surrogates"), TypeError("no JSON"), KeyError("x")])
async def test_a_write_the_store_refuses_is_set_aside_and_holds_nothing_up(
    error: Exception, tmp_path: Path
) -> None:
    tries = 0

    def trouble(what: str) -> None:
        nonlocal tries
        if what == "turn 0":
            tries += 1
            raise error

    store = Store(trouble)
    writer = Writer(store, LoopClock(), tmp_path)
    left = leave_all(writer)
    assert await writer.stored_within("ses_1", 10.0)
    assert store.names() == [name for name in left if name != "turn 0"]
    assert (tries, writer.refused) == (ATTEMPTS, 1)
    assert len(SpillFile.found(tmp_path / "refused" / "ses_1.writes")) == 1
    await writer.close(1.0)


@pytest.mark.parametrize("error", [NotFound("deleted"), Conflict("over already")])
async def test_a_session_that_is_gone_takes_no_more(error: Exception) -> None:
    def trouble(what: str) -> None:
        if what == "started":
            raise error

    store = Store(trouble)
    writer = Writer(store, LoopClock())
    left = leave_all(writer)
    assert await writer.stored_within("ses_1", 1.0)
    assert store.names() == left[1:]
    assert writer.refused == 0


# Files


async def test_a_stop_leaves_what_waits_to_the_next_process(tmp_path: Path) -> None:
    away = Away()
    first = Writer(Store(away), LoopClock(), tmp_path)
    left = leave_all(first)
    await first.close(1.0)
    store = Store()
    second = Writer(store, LoopClock(), tmp_path)
    assert await second.recover(5.0) == len(left)
    assert store.names() == left
    assert store.turns["ses_1", 0] == turn(0)
    assert is_empty(tmp_path)
    await second.close(1.0)


async def test_what_comes_between_two_closings_is_left_behind_the_rest(tmp_path: Path) -> None:
    first = Writer(Store(Away()), LoopClock(), tmp_path)
    left = leave_all(first)
    await first.close(1.0)
    first.open("ses_1").turn(turn(2))
    first.open("ses_2").turn(turn(0))
    await first.close(1.0)
    assert first.lost == 0
    store = Store()
    second = Writer(store, LoopClock(), tmp_path)
    await second.recover(5.0)
    assert store.names() == [*left, "turn 2"]
    assert store.names("ses_2") == ["turn 0"]
    await second.close(1.0)


async def test_a_kill_loses_nothing_that_has_waited(tmp_path: Path) -> None:
    first = Writer(Store(Away()), LoopClock(), tmp_path)
    left = leave_all(first)
    await asyncio.sleep(2.1 * SPILL_SECONDS)
    await kill(first)
    store = Store()
    second = Writer(store, LoopClock(), tmp_path)
    assert await second.recover(5.0) == len(left)
    assert store.names() == left
    await second.close(1.0)


async def test_a_kill_while_a_store_hangs_loses_nothing_that_has_waited(tmp_path: Path) -> None:
    first = Writer(Store(hangs=True), LoopClock(), tmp_path)
    left = leave_all(first)
    assert await first.durable_within("ses_1", 2.1 * SPILL_SECONDS)
    await kill(first)
    store = Store()
    second = Writer(store, LoopClock(), tmp_path)
    await second.recover(5.0)
    assert store.names() == left
    await second.close(1.0)


async def test_what_comes_later_stays_behind_what_waits_in_a_file(tmp_path: Path) -> None:
    away = Away()
    store = Store(away)
    writer = Writer(store, LoopClock(), tmp_path)
    session = writer.open("ses_1")
    for index in range(30):
        session.turn(turn(index))
        await asyncio.sleep(0.3)
    away.is_away = False
    for index in range(30, 40):
        session.turn(turn(index))
        await asyncio.sleep(0.05)
    assert await writer.stored_within("ses_1", 10.0)
    assert store.names() == [f"turn {index}" for index in range(40)]
    assert is_empty(tmp_path)
    await writer.close(1.0)


async def test_a_next_process_starts_although_the_store_is_away_still(tmp_path: Path) -> None:
    first = Writer(Store(Away()), LoopClock(), tmp_path)
    left = leave_all(first)
    await first.close(1.0)
    away = Away()
    store = Store(away)
    second = Writer(store, LoopClock(), tmp_path)
    await second.recover(1.0)
    assert second.sessions == {"ses_1"}
    second.open("ses_1").turn(turn(2))
    away.is_away = False
    assert await second.stored_within("ses_1", 5.0)
    assert store.names() == [*left, "turn 2"]
    await second.close(1.0)


@pytest.mark.parametrize("size", [0, 1, 7, 40])
async def test_a_file_that_was_cut_short_is_good_up_to_there(size: int, tmp_path: Path) -> None:
    first = Writer(Store(Away()), LoopClock(), tmp_path)
    left = leave_all(first)
    await first.close(1.0)
    file = tmp_path / "ses_1.writes"
    file.write_bytes(file.read_bytes() + b"\x40\x00\x00\x00" + b"x" * size)
    store = Store()
    second = Writer(store, LoopClock(), tmp_path)
    assert await second.recover(5.0) == len(left)
    assert store.names() == left
    await second.close(1.0)


async def test_a_record_of_another_version_is_set_aside(tmp_path: Path) -> None:
    first = Writer(Store(Away()), LoopClock(), tmp_path)
    SpillFile(tmp_path / "ses_1.writes").append([b"\x81\xa4type\xa7unknown", b"no MessagePack"])
    store = Store()
    second = Writer(store, LoopClock(), tmp_path)
    await second.recover(5.0)
    assert store.taken == []
    assert second.refused == 2
    assert len(SpillFile.found(tmp_path / "refused" / "ses_1.writes")) == 2
    await first.close(1.0)
    await second.close(1.0)


async def test_with_the_disk_full_too_everything_waits_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SpillFile, "append", full)
    away = Away()
    store = Store(away)
    writer = Writer(store, LoopClock(), tmp_path)
    left = leave_all(writer)
    assert not await writer.durable_within("ses_1", 60.0)
    away.is_away = False
    assert await writer.stored_within("ses_1", 5.0)
    assert store.names() == left
    await writer.close(1.0)


async def test_text_that_cannot_be_encoded_waits_in_a_file_all_the_same(tmp_path: Path) -> None:
    first = Writer(Store(Away()), LoopClock(), tmp_path)
    first.open("ses_1").turn(turn(0, "half \ud800 of it"))
    await first.close(1.0)
    store = Store()
    second = Writer(store, LoopClock(), tmp_path)
    await second.recover(5.0)
    assert store.turns["ses_1", 0].text == "half \ufffd of it"
    await second.close(1.0)


# Bounds


@pytest.mark.parametrize("bound", ["MAX_MEMORY_BYTES", "MAX_FILE_BYTES"])
async def test_beyond_the_bounds_journal_chunks_are_dropped_and_turns_never(
    bound: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, bound, 10_000)
    away = Away()
    store = Store(away)
    writer = Writer(store, LoopClock(), tmp_path if bound == "MAX_FILE_BYTES" else None)
    session = writer.open("ses_1")
    for index in range(10):
        session.journal(index, b"x" * 4_000)
        session.turn(turn(index))
        await asyncio.sleep(3.0)
    away.is_away = False
    assert await writer.stored_within("ses_1", 10.0)
    turns = [name for name in store.names() if name.startswith("turn")]
    journals = [name for name in store.names() if name.startswith("journal")]
    assert turns == [f"turn {index}" for index in range(10)]
    assert journals == ["journal 0 4000", "journal 1 4000", "journal 2 4000"][: len(journals)]
    assert writer.lost == 10 - len(journals) > 0
    await writer.close(1.0)


async def test_closing_is_bounded_although_the_store_hangs(tmp_path: Path) -> None:
    writer = Writer(Store(hangs=True), LoopClock(), tmp_path)
    leave_all(writer)
    began = asyncio.get_running_loop().time()
    await writer.close(2.0)
    assert asyncio.get_running_loop().time() - began <= 6.5
    assert writer.lost == 0


async def test_without_a_folder_what_is_lost_at_the_stop_is_counted() -> None:
    writer = Writer(Store(Away()), LoopClock())
    left = leave_all(writer)
    for _ in range(2):
        await writer.close(1.0)
    assert writer.lost == len(left)


# At random


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_fails_all_arrives_in_order(seed: int, tmp_path: Path) -> None:
    """Stores that fail before and after they have written, hang and come back; disks that fill;
    processes that stop and are killed once what they hold is durable."""
    random = Random(seed)
    stored: dict[str, list[str]] = {f"ses_{n}": [] for n in range(3)}
    left: dict[str, list[str]] = {f"ses_{n}": [] for n in range(3)}

    class Flaky(Store):
        async def _write(self, session_id: str, what: str) -> None:
            await asyncio.sleep(random.random() * 0.2)
            if random.random() < 0.3:
                raise random.choice([OSError("full"), Unavailable("away"), TimeoutError()])
            if random.random() < 0.03:
                await asyncio.Event().wait()
            stored[session_id].append(what)
            if random.random() < 0.2:
                raise Unavailable("the connection broke before the answer came")

    def flaky_append(self: SpillFile, records: object) -> None:
        if random.random() < 0.3:
            raise OSError(28, "No space left on device")
        original(self, records)  # type: ignore[arg-type]

    original = SpillFile.append
    patch = pytest.MonkeyPatch()
    patch.setattr(SpillFile, "append", flaky_append)
    index = 0
    try:
        for _ in range(4):
            writer = Writer(Flaky(), LoopClock(), tmp_path)
            await writer.recover(random.random() * 2)
            for _ in range(random.randrange(30)):
                session_id = random.choice(sorted(left))
                writer.open(session_id).turn(turn(index))
                left[session_id].append(f"turn {index}")
                index += 1
                await asyncio.sleep(random.random() * 0.4)
            for session_id in left:
                while not await writer.durable_within(session_id, 1.0):
                    pass
            await kill(writer)
        patch.undo()
        writer = Writer(Flaky(), LoopClock(), tmp_path)
        await writer.recover(3_600.0)
        await writer.close(1.0)
    finally:
        patch.undo()
    for session_id, names in left.items():
        assert last_of_each(stored[session_id]) == names
        assert is_repetition_of(stored[session_id], names)


def last_of_each(names: list[str]) -> list[str]:
    """In the order in which each was written for the last time."""
    return list(reversed(dict.fromkeys(reversed(names))))


def is_repetition_of(written: list[str], names: list[str]) -> bool:
    """Whether each write is the next one in order, or one that was written before."""
    reached = 0
    for name in written:
        at = names.index(name)
        if at > reached:
            return False
        reached = max(reached, at + 1)
    return reached == len(names)
