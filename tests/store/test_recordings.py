"""Recordings in the database and among the blobs."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nur_server.audio.encode import RecordingFormat
from nur_server.audio.flac import FlacEncoder
from nur_server.clock import ManualClock
from nur_server.errors import Conflict, NotFound, Unavailable
from nur_server.store.blobs import Blobs, Folder
from nur_server.store.engine import Database
from nur_server.store.recordings import (
    RecordingArchive,
    Recordings,
    RecordingStatus,
    blob_key,
    delete_expired_recordings,
    ensure_format,
    recover_abandoned,
    recover_recordings,
)
from nur_server.store.sessions import end_lost_sessions

from .recording_worker import open_store
from .s3 import s3, s3_server
from .samples import ACCOUNT, NODE, OTHER_ACCOUNT, live_session

__all__ = ["s3", "s3_server"]

ROOT = Path(__file__).parents[2]
RATE = 16_000


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Folder(tmp_path / "blobs")


def two_seconds() -> tuple[bytes, bytes]:
    """FLAC, and the header that makes it whole."""
    encoder = FlacEncoder(RATE, 2)
    stream = encoder.write(np.full((2 * RATE, 2), 1000, np.int16))
    rest, header = encoder.close()
    return stream + rest, header


async def make(
    database: Database, blobs: Blobs, keep_days: int | None = None, node_id: str = NODE
) -> str:
    """A recording of two seconds that is being made. Its id."""
    session = await live_session(database)
    archive = RecordingArchive(database, blobs, node_id)
    recording_id = await archive.begin(ACCOUNT, session.id, None, keep_days)
    await archive.append(recording_id, two_seconds()[0])
    return recording_id


async def make_whole(database: Database, blobs: Blobs, keep_days: int | None = None) -> str:
    session = await live_session(database)
    archive = RecordingArchive(database, blobs, NODE)
    recording_id = await archive.begin(ACCOUNT, session.id, None, keep_days)
    stream, header = two_seconds()
    await archive.append(recording_id, stream)
    await archive.finish(recording_id, header, 2.0, 0.0)
    return recording_id


async def test_a_finished_recording_is_ready_and_belongs_to_its_account(
    database: Database, blobs: Blobs
) -> None:
    recording_id = await make_whole(database, blobs)
    ours = Recordings(database, blobs, ACCOUNT)
    record = await ours.get(recording_id)
    assert record.status is RecordingStatus.READY and record.can_be_heard
    assert record.duration_seconds == 2.0
    assert (await ours.of_session(record.session_id)).id == recording_id
    theirs = Recordings(database, blobs, OTHER_ACCOUNT)
    for read in (theirs.get(recording_id), theirs.of_session(record.session_id)):
        with pytest.raises(NotFound):
            await read


async def test_a_session_has_one_recording(database: Database, blobs: Blobs) -> None:
    session = await live_session(database)
    archive = RecordingArchive(database, blobs, NODE)
    await archive.begin(ACCOUNT, session.id, None, None)
    with pytest.raises(Conflict):
        await archive.begin(ACCOUNT, session.id, None, None)


async def test_one_that_is_being_made_is_not_deleted(database: Database, blobs: Blobs) -> None:
    recording_id = await make(database, blobs)
    with pytest.raises(Conflict) as caught:
        await Recordings(database, blobs, ACCOUNT).delete(recording_id)
    assert caught.value.code == "recording_in_progress"


async def test_deleting_takes_the_audio_in_every_format(database: Database, blobs: Blobs) -> None:
    recording_id = await make_whole(database, blobs)
    ours = Recordings(database, blobs, ACCOUNT)
    opus = await ensure_format(blobs, await ours.get(recording_id), RecordingFormat.OPUS)
    assert await blobs.size(opus)
    gone = await ours.delete(recording_id)
    assert gone.status is RecordingStatus.DELETED and not gone.can_be_heard
    assert await blobs.size(opus) is None
    assert await blobs.size(blob_key(ACCOUNT, recording_id)) is None


async def test_only_what_is_past_its_time_is_deleted(
    database: Database, blobs: Blobs, clock: ManualClock
) -> None:
    short, long, forever = [
        await make_whole(database, blobs, keep_days) for keep_days in (1, 30, None)
    ]
    clock.advance(timedelta(days=2).total_seconds())
    assert await delete_expired_recordings(database, blobs) == 1
    assert await delete_expired_recordings(database, blobs) == 0
    ours = Recordings(database, blobs, ACCOUNT)
    found = [(await ours.get(each)).status.value for each in (short, long, forever)]
    assert found == ["deleted", "ready", "ready"]


async def test_one_that_broke_off_keeps_what_there_is_and_says_why(
    database: Database, blobs: Blobs
) -> None:
    recording_id = await make(database, blobs)
    archive = RecordingArchive(database, blobs, NODE)
    await archive.fail(recording_id, "disk_full", "no space is left for recordings")
    record = await Recordings(database, blobs, ACCOUNT).get(recording_id)
    assert (record.status, record.error_code) == (RecordingStatus.FAILED, "disk_full")
    assert record.can_be_heard
    assert record.duration_seconds == pytest.approx(2, abs=0.26), "less at most one block"


class Unsteady(Folder):
    """A folder that now and then does not do as it is told."""

    trouble: Unavailable | None = None

    async def put(self, key: str, source: Path) -> None:
        if self.trouble is not None:
            raise self.trouble
        await super().put(key, source)


async def test_what_a_full_disk_leaves_no_room_to_close_can_be_heard_as_it_is(
    database: Database, tmp_path: Path
) -> None:
    blobs = Unsteady(tmp_path / "blobs")
    recording_id = await make(database, blobs)
    blobs.trouble = Unavailable("no space is left for recordings", code="disk_full")
    archive = RecordingArchive(database, blobs, NODE)
    await archive.fail(recording_id, "disk_full", "no space is left for recordings")
    record = await Recordings(database, blobs, ACCOUNT).get(recording_id)
    assert (record.status, record.error_code) == (RecordingStatus.FAILED, "disk_full")
    assert record.can_be_heard
    async with blobs.local(blob_key(ACCOUNT, recording_id)) as path:
        assert playable_seconds(path) == pytest.approx(record.duration_seconds, abs=0.001)


async def test_what_was_kept_is_found_once_the_store_is_back(
    database: Database, tmp_path: Path, clock: ManualClock
) -> None:
    blobs = Unsteady(tmp_path / "blobs")
    recording_id = await make(database, blobs)
    blobs.trouble = Unavailable("the folder is away", code="blobs_unavailable")
    archive = RecordingArchive(database, blobs, NODE)
    await archive.fail(recording_id, "recording_timeout", "it took too long")
    record = await Recordings(database, blobs, ACCOUNT).get(recording_id)
    assert (record.status, record.can_be_heard) == (RecordingStatus.FAILED, False)
    assert record.error_code == "recording_timeout"
    await end_lost_sessions(database, NODE)
    clock.advance(3600)
    ours = Recordings(database, blobs, ACCOUNT)
    assert await recover_abandoned(database, blobs, "node-b") == 0, "another node's folder"
    assert await recover_abandoned(database, blobs, NODE) == 0
    assert not (await ours.get(recording_id)).can_be_heard
    blobs.trouble = None
    assert await recover_abandoned(database, blobs, NODE) == 1
    found = await ours.get(recording_id)
    assert (found.status, found.error_code) == (RecordingStatus.FAILED, "recording_timeout")
    assert found.can_be_heard and found.ended_at == record.ended_at
    assert await recover_abandoned(database, blobs, NODE) == 0


async def test_where_nothing_was_kept_it_is_not_looked_for_again(
    database: Database, blobs: Blobs, clock: ManualClock
) -> None:
    recording_id = await make(database, blobs)
    await blobs.delete([blob_key(ACCOUNT, recording_id)])
    await end_lost_sessions(database, NODE)
    await RecordingArchive(database, blobs, NODE).fail(recording_id, "disk_full", "no space")
    clock.advance(3600)
    assert await recover_abandoned(database, blobs, NODE) == 0
    assert not (await Recordings(database, blobs, ACCOUNT).get(recording_id)).can_be_heard


async def test_a_node_closes_its_own_from_before_it_started(
    database: Database, blobs: Blobs, clock: ManualClock
) -> None:
    own, others = await make(database, blobs), await make(database, blobs, node_id="node-b")
    clock.advance(1)
    started = clock.now()
    current = await make(database, blobs)
    assert await recover_recordings(database, blobs, NODE, started) == 1
    ours = Recordings(database, blobs, ACCOUNT)
    assert (await ours.get(own)).status is RecordingStatus.READY
    assert (await ours.get(own)).error_code == "server_restarted"
    for each in (others, current):
        assert (await ours.get(each)).status is RecordingStatus.RECORDING


async def test_one_whose_audio_is_lost_is_closed_too(
    database: Database, blobs: Blobs, clock: ManualClock
) -> None:
    recording_id = await make(database, blobs)
    await blobs.delete([blob_key(ACCOUNT, recording_id)])
    clock.advance(1)
    assert await recover_recordings(database, blobs, NODE, clock.now()) == 1
    record = await Recordings(database, blobs, ACCOUNT).get(recording_id)
    assert record.status is RecordingStatus.FAILED and not record.can_be_heard


async def test_any_node_closes_what_is_left_in_a_shared_store(
    database: Database, tmp_path: Path, clock: ManualClock
) -> None:
    pytest.importorskip("obstore", reason="needs obstore")
    blobs = open_store("bucket", tmp_path / "bucket")
    session = await live_session(database)
    archive = RecordingArchive(database, blobs, "node-lost")
    recording_id = await archive.begin(ACCOUNT, session.id, None, None)
    encoder = FlacEncoder(RATE, 2)
    for _ in range(5):
        await archive.append(
            recording_id, encoder.write(np.full((RATE, 2), 1000, np.int16)) or b" "
        )
    clock.advance(3600)
    assert await recover_abandoned(database, blobs, NODE) == 0
    await end_lost_sessions(database, NODE)
    assert await recover_abandoned(database, blobs, NODE) == 0
    clock.advance(3600)
    assert await recover_abandoned(database, blobs, NODE) == 1
    record = await Recordings(database, blobs, ACCOUNT).get(recording_id)
    assert record.duration_seconds is not None and record.duration_seconds > 4


@asynccontextmanager
async def recording_process(*arguments: object) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.recording_worker", *map(str, arguments),
        stdout=PIPE, cwd=ROOT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.communicate()


@pytest.mark.parametrize(
    ("kind", "store"), [("sqlite", "folder"), ("postgresql", "folder"), ("sqlite", "s3")]
)
async def test_kill_9_leaves_all_but_the_last_seconds(
    database: Database, url: str, tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    if store == "s3":
        request.getfixturevalue("s3")
    folder = tmp_path / store
    session = await live_session(database)
    async with recording_process(url, store, folder, session.id) as process:
        assert process.stdout is not None
        given = 0
        while given < 8:
            async with asyncio.timeout(30):
                given = int(await process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    if store == "folder":
        assert playable_seconds(next(folder.rglob("*.flac"))) >= given - 3
    blobs = open_store(store, folder)
    found = await Recordings(database, blobs, ACCOUNT).of_session(session.id)
    assert found.status is RecordingStatus.RECORDING
    later = found.created_at + timedelta(seconds=1)
    assert await recover_recordings(database, blobs, NODE, later) == 1
    record = await Recordings(database, blobs, ACCOUNT).get(found.id)
    assert record.status is RecordingStatus.READY
    assert record.duration_seconds is not None
    assert record.duration_seconds >= given - (3 if store == "folder" else 7)
    async with blobs.local(blob_key(ACCOUNT, found.id)) as path:
        audio, rate = soundfile.read(path, dtype="int16")
    assert len(audio) / rate == pytest.approx(record.duration_seconds, abs=0.001)
    assert np.abs(audio[rate:, 0]).max() > 8000


def playable_seconds(path: Path) -> float:
    """Of a file that nobody has closed."""
    frames = 0
    with soundfile.SoundFile(path) as file:
        try:
            while len(block := file.read(4096, dtype="int16")):
                frames += len(block)
        except soundfile.LibsndfileError:
            pass
        return frames / int(file.samplerate)
