"""What sessions leave behind, written in order, however long the store is away.

A write waits until the store has taken it. One that has waited for `SPILL_SECONDS` waits in a file
from then on, where neither the end of the process nor a long outage can do it harm; the next
process goes on with what it finds there.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

import structlog

from nur_server.clock import Clock
from nur_server.conversation.record import ToolRecord, Turn
from nur_server.errors import Conflict, NotFound, NurError
from nur_server.ports import CallChange, SessionSink, SessionSummary
from nur_server.session.spill import SUFFIX, SpillFile
from nur_server.session.writes import (
    CallChanged,
    JournalWritten,
    SessionEnded,
    SessionStarted,
    ToolChanged,
    TurnFinished,
    Write,
    decode,
    encode,
    perform,
)

log = structlog.get_logger()

WRITES_AT_ONCE = 4
"""Of different sessions: fewer than the connections to a database, so that requests find one."""
WRITE_SECONDS = 10.0
RETRY_SECONDS = 0.25
"""Before the first repetition of a write that failed; it doubles with each further one."""
MAX_RETRY_SECONDS = 2.0
"""How soon writes go on, at the latest, once the store is back."""
ATTEMPTS = 4
"""Of a write that the store refuses although it is there, before it is set aside."""
SPILL_SECONDS = 1.0
"""What has waited for longer is put into a file, and is looked for as often: up to twice as much
may be lost where the process is killed while the store is away."""
MAX_MEMORY_BYTES = 64 * 1024 * 1024
MAX_FILE_BYTES = 1024 * 1024 * 1024
"""With more waiting, in memory or in files, journal chunks are dropped; turns, tool calls and ends
never are: they are a few KB each, and no session begins without the store."""
TURN_BYTES = 1024
"""What a write other than a journal chunk is taken to occupy."""
REFUSED = "refused"
"""The folder of the writes that were set aside."""


class _Outcome(Enum):
    STORED = auto()
    AWAY = auto()
    """The store is; the write waits."""
    OVERTAKEN = auto()
    """The session is deleted, or over already: there is nothing to write to any more."""
    REFUSED = auto()
    """The store is there and does not take this write."""


@dataclass(slots=True)
class _Lane:
    """The writes of one session: first those in the file, then those in memory."""

    session_id: str
    file: SpillFile | None
    """None: nothing is ever spilled."""
    memory: deque[tuple[float, Write]] = field(default_factory=deque)
    """Each with the loop's time at which it came."""
    memory_bytes: int = 0
    faults: int = 0
    """Times the store has refused the oldest write although it was there."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a write is taken from the front, and while writes move to the file."""
    task: asyncio.Task[None] | None = None
    stored: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once nothing waits any more."""
    durable: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while nothing waits in memory alone."""

    def __post_init__(self) -> None:
        self.durable.set()

    def __len__(self) -> int:
        return len(self.memory) + (0 if self.file is None else len(self.file))

    def put(self, at: float, write: Write) -> None:
        self.memory.append((at, write))
        self.memory_bytes += _size(write)
        self.durable.clear()

    async def first(self) -> Write | bytes:
        """The oldest; as bytes where it cannot be read. Raises `OSError`."""
        async with self.lock:
            if not self.file:
                return self.memory[0][1]
            record = await asyncio.to_thread(self.file.first)
        try:
            return decode(record)
        except ValueError:
            return record

    async def take(self) -> None:
        """Remove the oldest. Raises `OSError`."""
        async with self.lock:
            if self.file:
                await asyncio.to_thread(self.file.skip)
            else:
                self._forget(1)
        self.faults = 0

    async def spill(self) -> None:
        """Move what is in memory to the file. Raises `OSError`."""
        if self.file is None:
            raise OSError("there is no folder for writes to wait in")
        async with self.lock:
            writes = [write for _, write in self.memory]
            if writes:
                await asyncio.to_thread(self.file.append, map(encode, writes))
            self._forget(len(writes))

    def drop(self) -> None:
        """Give up what is in memory."""
        self._forget(len(self.memory))

    def _forget(self, count: int) -> None:
        """The oldest in memory."""
        for _ in range(count):
            _, write = self.memory.popleft()
            self.memory_bytes -= _size(write)
        if not self.memory:
            self.durable.set()


class Writer:
    """Takes the writes of all sessions of the process without waiting, and performs them: those of
    one session in order, each once. For one event loop."""

    def __init__(self, sink: SessionSink, clock: Clock, folder: Path | None = None) -> None:
        """`folder`: for the files of writes that wait. None: they wait in memory alone."""
        self._sink = sink
        self._clock = clock
        self._folder = folder
        self._lanes: dict[str, _Lane] = {}
        self._places = asyncio.Semaphore(WRITES_AT_ONCE)
        self._spilling: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self.lost = 0
        """Writes that were dropped: journal chunks beyond the bounds, and what was still in memory
        at the end with no file to take it."""
        self.refused = 0
        """Writes that the store did not take, and that were set aside."""

    def open(self, session_id: str) -> "SessionWriter":
        """For one session."""
        return SessionWriter(self, session_id, self._clock)

    @property
    def sessions(self) -> frozenset[str]:
        """Those that have writes waiting."""
        return frozenset(self._lanes)

    @property
    def waiting(self) -> int:
        """Writes that wait, in memory and in files."""
        return sum(map(len, self._lanes.values()))

    async def recover(self, seconds: float) -> int:
        """Go on with what an earlier process has left, and wait for it at most so long. How many
        writes there were."""
        if self._folder is None:
            return 0
        found = await asyncio.to_thread(_left_in, self._folder)
        writes = sum(len(file) for _, file in found)
        for session_id, file in found:
            self._start(_Lane(session_id, file))
        if writes:
            log.warning("session.writes_found", sessions=len(found), writes=writes)
            await self._all_stored(seconds)
        return writes

    def put(self, session_id: str, write: Write) -> None:
        """Have it written behind what the session has waiting."""
        if isinstance(write, JournalWritten) and self._is_full():
            self.lost += 1
            return
        now = asyncio.get_running_loop().time()
        lane = self._lanes.get(session_id)
        if lane is not None:
            lane.put(now, write)
            return
        file = None if self._folder is None else SpillFile(_path(self._folder, session_id))
        lane = _Lane(session_id, file)
        lane.put(now, write)
        self._start(lane)

    async def stored_within(self, session_id: str, seconds: float) -> bool:
        """Wait until the store has taken everything of a session, at most so long. Whether it
        has."""
        lane = self._lanes.get(session_id)
        return lane is None or await _set_within(lane.stored, seconds)

    async def durable_within(self, session_id: str, seconds: float) -> bool:
        """The same, until it is in the store or in a file."""
        lane = self._lanes.get(session_id)
        return lane is None or await _set_within(lane.durable, seconds)

    async def close(self, seconds: float) -> None:
        """Wait for what waits, at most so long, and leave the rest in files. Bounded; may be
        called again, for what came since."""
        await self._all_stored(seconds)
        self._closing.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._spill_rest()
        left = list(self._lanes.values())
        tasks = [lane.task for lane in left if lane.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        if waiting := self.waiting:
            lost = sum(len(lane.memory) for lane in left)
            self.lost += lost
            level = log.error if lost else log.warning
            level("session.writes_left", sessions=len(self._lanes), writes=waiting, lost=lost)
        for lane in left:
            lane.drop()
            if not lane:
                self._lanes.pop(lane.session_id, None)

    # The writes of one session

    def _start(self, lane: _Lane) -> None:
        self._lanes[lane.session_id] = lane
        lane.task = asyncio.create_task(self._drain(lane), name=f"writes of {lane.session_id}")
        if self._spilling is None and self._folder is not None:
            self._spilling = asyncio.create_task(self._spill_old(), name="spilling")

    async def _drain(self, lane: _Lane) -> None:
        """Until nothing of the session waits any more."""
        failures = 0
        while lane:
            try:
                is_done = await self._attempt(lane)
            except OSError as error:
                log.warning("session.file_failed", session_id=lane.session_id, error=str(error))
                is_done = False
            if is_done:
                failures = 0
                continue
            await asyncio.sleep(min(RETRY_SECONDS * 2**failures, MAX_RETRY_SECONDS))
            failures = min(failures + 1, 10)
        self._lanes.pop(lane.session_id, None)
        lane.stored.set()

    async def _attempt(self, lane: _Lane) -> bool:
        """Perform the oldest write. False: it has to wait. Raises `OSError` for the file."""
        write = await lane.first()
        if isinstance(write, bytes):
            await self._set_aside(lane.session_id, "unreadable", write)
        else:
            async with self._places:
                outcome = await self._perform(lane, write)
            if outcome is _Outcome.AWAY:
                return False
            if outcome is _Outcome.REFUSED:
                await self._set_aside(lane.session_id, type(write).__name__, encode(write))
        await lane.take()
        return True

    async def _perform(self, lane: _Lane, write: Write) -> _Outcome:
        about = {"session_id": lane.session_id, "what": type(write).__name__}
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await perform(self._sink, lane.session_id, write)
        except (NotFound, Conflict) as error:
            log.info("session.write_overtaken", **about, code=error.code)
            return _Outcome.OVERTAKEN
        except Exception as error:
            name = getattr(error, "code", type(error).__name__)
            log.warning("session.write_failed", **about, error=name)
            if _is_away(error):
                return _Outcome.AWAY
            lane.faults += 1
            return _Outcome.AWAY if lane.faults < ATTEMPTS else _Outcome.REFUSED
        return _Outcome.STORED

    async def _set_aside(self, session_id: str, what: str, record: bytes) -> None:
        """Keep what cannot be written where somebody may look at it. Raises `OSError`."""
        log.error("session.write_refused", session_id=session_id, what=what)
        self.refused += 1
        if self._folder is not None:
            await asyncio.to_thread(_append_refused, self._folder, session_id, record)

    # Waiting in files

    async def _spill_old(self) -> None:
        """Until `close`: put what has waited for long into files."""
        while not await _set_within(self._closing, SPILL_SECONDS):
            old = asyncio.get_running_loop().time() - SPILL_SECONDS
            for lane in list(self._lanes.values()):
                if lane.memory and lane.memory[0][0] <= old:
                    await self._spill(lane)

    async def _spill_rest(self) -> None:
        if self._spilling is not None:
            await self._spilling
        for lane in list(self._lanes.values()):
            await self._spill(lane)

    async def _spill(self, lane: _Lane) -> None:
        try:
            await lane.spill()
        except OSError as error:
            log.warning("session.not_spilled", session_id=lane.session_id, error=str(error))

    def _is_full(self) -> bool:
        lanes = self._lanes.values()
        in_files = sum(lane.file.waiting_bytes for lane in lanes if lane.file is not None)
        in_memory = sum(lane.memory_bytes for lane in lanes)
        return in_memory > MAX_MEMORY_BYTES or in_files > MAX_FILE_BYTES

    async def _all_stored(self, seconds: float) -> None:
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)


class SessionWriter:
    """The writes of one session. They return at once, and outlive it."""

    def __init__(self, writer: Writer, session_id: str, clock: Clock) -> None:
        self._writer = writer
        self._session_id = session_id
        self._clock = clock

    def session_started(self) -> None:
        self._put(SessionStarted(self._clock.now()))

    def turn(self, turn: Turn) -> None:
        self._put(TurnFinished(turn))

    def tool(self, response_id: str, record: ToolRecord) -> None:
        self._put(ToolChanged(response_id, record))

    def journal(self, chunk: int, data: bytes) -> None:
        self._put(JournalWritten(chunk, data))

    def session_ended(self, summary: SessionSummary) -> None:
        self._put(SessionEnded(self._clock.now(), summary))

    def call_changed(self, change: CallChange) -> None:
        self._put(CallChanged(self._clock.now(), change))

    async def stored_within(self, seconds: float) -> bool:
        """Wait until the store has taken everything so far, at most so long. Whether it has."""
        return await self._writer.stored_within(self._session_id, seconds)

    async def durable_within(self, seconds: float) -> bool:
        """The same, until it is in the store or in a file."""
        return await self._writer.durable_within(self._session_id, seconds)

    def _put(self, write: Write) -> None:
        self._writer.put(self._session_id, write)


def _size(write: Write) -> int:
    return len(write.data) if isinstance(write, JournalWritten) else TURN_BYTES


def _is_away(error: Exception) -> bool:
    """The store is, rather than that it refuses this write."""
    if isinstance(error, NurError):
        return error.retryable
    return isinstance(error, OSError | TimeoutError)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


# Files


def _path(folder: Path, session_id: str) -> Path:
    return folder / f"{session_id}{SUFFIX}"


def _left_in(folder: Path) -> list[tuple[str, SpillFile]]:
    """The sessions whose writes an earlier process has left."""
    files = [(path.stem, SpillFile.found(path)) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    return [(session_id, file) for session_id, file in files if file]


def _append_refused(folder: Path, session_id: str, record: bytes) -> None:
    path = _path(folder / REFUSED, session_id)
    file = SpillFile.found(path) if path.exists() else SpillFile(path)
    file.append([record])
