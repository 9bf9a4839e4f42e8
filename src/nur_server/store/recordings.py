"""Recordings: a row each, and the audio among the blobs."""

import asyncio
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import soundfile
import structlog
from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.audio.encode import RecordingFormat, seconds_of, transcode
from nur_server.errors import Conflict, NotFound, Unavailable
from nur_server.ids import new_id
from nur_server.store.blobs import Blobs, BlobWriter
from nur_server.store.deliveries import (
    record_event,
)
from nur_server.store.engine import Database
from nur_server.store.events import (
    EventType,
)
from nur_server.store.records import SessionState
from nur_server.store.schema import RecordingRow, SessionRow

log = structlog.get_logger(__name__)

PREFIX = "rec"
"""Of ids."""
SWEPT_AT_ONCE = 100
ABANDONED = timedelta(minutes=15)
"""After the end of its session a recording that nobody closed is another node's to close."""


SOUGHT_FOR = timedelta(days=1)
"""How long blobs that are out of reach are asked again for what they kept."""
NOTHING: Mapping[str, Any] = {"size_bytes": 0}
"""Was kept of a recording."""
RESTARTED = "server_restarted"
"""`error_code` of a recording that is whole but for its end."""


class RecordingStatus(StrEnum):
    RECORDING = "recording"
    READY = "ready"
    FAILED = "failed"
    """It broke off; what there is can be heard where it has a duration."""
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class RecordingRecord:
    """A stored recording, as it was when it was read."""

    id: str
    account_id: str
    session_id: str
    agent_id: str | None
    status: RecordingStatus
    duration_seconds: float | None
    lost_seconds: float
    size_bytes: int | None
    """As FLAC. None: not known yet, or not while the blobs are out of reach."""
    error_code: str | None
    error_message: str | None
    created_at: datetime
    ended_at: datetime | None
    expires_at: datetime | None
    deleted_at: datetime | None

    @property
    def can_be_heard(self) -> bool:
        return self.status in (RecordingStatus.READY, RecordingStatus.FAILED) and bool(
            self.duration_seconds
        )


class RecordingArchive:
    """A `session.recorder.Archive`: where this node's sessions leave their recordings."""

    def __init__(self, database: Database, blobs: Blobs, node_id: str) -> None:
        self._database = database
        self._blobs = blobs
        self._node_id = node_id
        self._writers: dict[str, BlobWriter] = {}

    async def begin(
        self, account_id: str, session_id: str, agent_id: str | None, keep_days: int | None
    ) -> str:
        now = self._database.clock.now()
        recording_id = new_id(PREFIX)
        async with self._database.write() as session:
            known = await session.scalar(
                select(RecordingRow.id).where(RecordingRow.session_id == session_id)
            )
            if known is not None:
                raise Conflict(f"session {session_id} has a recording already")
            session.add(
                RecordingRow(
                    id=recording_id,
                    account_id=account_id,
                    session_id=session_id,
                    agent_id=agent_id,
                    node_id=self._node_id,
                    status=RecordingStatus.RECORDING.value,
                    lost_seconds=0.0,
                    created_at=now,
                    expires_at=None if keep_days is None else now + timedelta(days=keep_days),
                )
            )
        self._writers[recording_id] = self._blobs.create(blob_key(account_id, recording_id))
        return recording_id

    async def append(self, recording_id: str, data: bytes) -> None:
        await self._writers[recording_id].append(data)

    async def finish(
        self, recording_id: str, header: bytes, duration_seconds: float, lost_seconds: float
    ) -> None:
        """May be repeated where the database did not take it."""
        if (writer := self._writers.get(recording_id)) is not None:
            await writer.finish(header)
            del self._writers[recording_id]
        record = await _find(self._database, RecordingRow.id == recording_id)
        await _close(
            self._database,
            recording_id,
            status=RecordingStatus.READY.value,
            duration_seconds=round(duration_seconds, 3),
            lost_seconds=round(lost_seconds, 3),
            size_bytes=await self._blobs.size(blob_key(record.account_id, recording_id)),
        )

    async def fail(self, recording_id: str, code: str, message: str) -> None:
        self._writers.pop(recording_id, None)
        record = await _find(self._database, RecordingRow.id == recording_id)
        await _close(
            self._database,
            recording_id,
            status=RecordingStatus.FAILED.value,
            error_code=code,
            error_message=message,
            **await _save(self._blobs, record),
        )


class Recordings:
    """The recordings of one account."""

    def __init__(self, database: Database, blobs: Blobs, account_id: str) -> None:
        self._database = database
        self._blobs = blobs
        self._account_id = account_id

    async def get(self, recording_id: str) -> RecordingRecord:
        """Raises `NotFound`."""
        return await _find(
            self._database,
            RecordingRow.id == recording_id,
            RecordingRow.account_id == self._account_id,
        )

    async def of_session(self, session_id: str) -> RecordingRecord:
        """Raises `NotFound`."""
        return await _find(
            self._database,
            RecordingRow.session_id == session_id,
            RecordingRow.account_id == self._account_id,
        )

    async def delete(self, recording_id: str) -> RecordingRecord:
        """The audio is gone for good; the record stays. Raises `NotFound`, and `Conflict` while
        it is being made."""
        record = await self.get(recording_id)
        if record.status is RecordingStatus.RECORDING:
            raise Conflict(
                f"expected a finished recording, but {recording_id} is being made; "
                "end its session first",
                code="recording_in_progress",
                param="recording_id",
            )
        await _delete(self._database, self._blobs, record)
        return await self.get(recording_id)


async def recordings_of(
    database: Database, account_id: str, session_ids: Collection[str]
) -> dict[str, RecordingRecord]:
    """The recordings of these sessions, by session; those without one are left out."""
    if not session_ids:
        return {}
    async with database.read() as session:
        rows = await session.scalars(
            select(RecordingRow).where(
                RecordingRow.account_id == account_id, RecordingRow.session_id.in_(session_ids)
            )
        )
        return {row.session_id: _record(row) for row in rows}


async def find_recording(database: Database, recording_id: str) -> RecordingRecord:
    """The recording of whichever account, for a link that was signed. Raises `NotFound`."""
    return await _find(database, RecordingRow.id == recording_id)


def blob_key(account_id: str, recording_id: str, wanted: RecordingFormat | None = None) -> str:
    """Where the audio is."""
    suffix = (wanted or RecordingFormat.FLAC).suffix
    return f"recordings/{account_id}/{recording_id}.{suffix}"


async def ensure_format(blobs: Blobs, record: RecordingRecord, wanted: RecordingFormat) -> str:
    """The key of the recording in a format, made the first time it is wanted.

    Raises `NotFound`, `Unavailable`.
    """
    key = blob_key(record.account_id, record.id, wanted)
    if wanted is not RecordingFormat.FLAC and await blobs.size(key) is None:
        await _convert(blobs, blob_key(record.account_id, record.id), key, wanted)
    return key


async def recover_recordings(
    database: Database, blobs: Blobs, node_id: str, started: datetime
) -> int:
    """Close what a node was recording when it died, before it `started` anew. How many there
    were."""
    own = RecordingRow.node_id == node_id
    return await _recover(database, blobs, and_(own, RecordingRow.created_at < started))


async def recover_abandoned(database: Database, blobs: Blobs, node_id: str) -> int:
    """Close what nobody has closed: this node, or where blobs are shared, any that never came
    back. How many there were."""
    ended = select(SessionRow.id).where(
        SessionRow.state != SessionState.LIVE.value,
        SessionRow.ended_at < database.clock.now() - ABANDONED,
    )
    left = RecordingRow.session_id.in_(ended)
    own = RecordingRow.node_id == node_id
    return await _recover(database, blobs, left if blobs.is_shared else and_(left, own))


async def delete_expired_recordings(database: Database, blobs: Blobs) -> int:
    """Delete the audio of recordings whose time is over. How many there were."""
    late = RecordingRow.expires_at <= database.clock.now()
    closed = RecordingRow.status.in_([RecordingStatus.READY.value, RecordingStatus.FAILED.value])
    found = await _select(database, and_(late, closed))
    for record in found:
        await _delete(database, blobs, record)
    return len(found)


async def _recover(database: Database, blobs: Blobs, whose: ColumnElement[bool]) -> int:
    found = await _select(database, and_(_unsettled(database.clock.now()), whose))
    settled = 0
    for record in found:
        saved = await _save(blobs, record)
        code = record.error_code or RESTARTED
        is_whole = "duration_seconds" in saved and code == RESTARTED
        await _close(
            database,
            record.id,
            status=(RecordingStatus.READY if is_whole else RecordingStatus.FAILED).value,
            error_code=code,
            error_message=record.error_message or "The server stopped while it was recording.",
            **saved,
        )
        settled += bool(saved)
    return settled


def _unsettled(now: datetime) -> ColumnElement[bool]:
    """Being made, or failed where it could not be found out what had been kept."""
    return or_(
        RecordingRow.status == RecordingStatus.RECORDING.value,
        and_(_unknown(), RecordingRow.ended_at > now - SOUGHT_FOR),
    )


def _unknown() -> ColumnElement[bool]:
    return and_(
        RecordingRow.status == RecordingStatus.FAILED.value, RecordingRow.size_bytes.is_(None)
    )


async def _save(blobs: Blobs, record: RecordingRecord) -> Mapping[str, Any]:
    """Make a whole file of what was kept, and say what there is of it. Empty: that cannot be
    said while the blobs are out of reach."""
    key = blob_key(record.account_id, record.id)
    try:
        seconds = await _convert(blobs, key, key, RecordingFormat.FLAC)
        size = await blobs.size(key)
    except NotFound:
        return NOTHING
    except Unavailable as error:
        match error.code:
            case "recording_unreadable":
                return NOTHING
            case "disk_full" if not blobs.is_shared:
                return await _as_it_is(blobs, key)
            case _:
                log.warning("recording.not_saved", recording_id=record.id, code=error.code)
                return {}
    return {"duration_seconds": round(seconds, 3), "size_bytes": size}


async def _as_it_is(blobs: Blobs, key: str) -> Mapping[str, Any]:
    """It can be heard up to where it breaks off."""
    async with blobs.local(key) as path:
        seconds = await asyncio.to_thread(seconds_of, path)
    return {"duration_seconds": round(seconds, 3), "size_bytes": await blobs.size(key)}


async def _convert(blobs: Blobs, source: str, target: str, wanted: RecordingFormat) -> float:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "made")
        async with blobs.local(source) as path:
            try:
                seconds = await asyncio.to_thread(transcode, path, made, wanted)
            except (OSError, soundfile.LibsndfileError) as error:
                if await asyncio.to_thread(seconds_of, path):
                    raise Unavailable(
                        "there is no space to convert this recording", code="disk_full"
                    ) from error
                raise Unavailable(
                    "this recording cannot be read", code="recording_unreadable"
                ) from error
        await blobs.put(target, made)
    return seconds


async def _delete(database: Database, blobs: Blobs, record: RecordingRecord) -> None:
    await blobs.delete([blob_key(record.account_id, record.id, each) for each in RecordingFormat])
    async with database.write() as session:
        await session.execute(
            update(RecordingRow)
            .where(RecordingRow.id == record.id, RecordingRow.deleted_at.is_(None))
            .values(status=RecordingStatus.DELETED.value, deleted_at=database.clock.now())
        )


async def _close(database: Database, recording_id: str, **values: Any) -> None:
    """Once what there is of it is known, it stays as it is. That it can be heard is told."""
    now = database.clock.now()
    async with database.write() as session:
        row = await session.scalar(
            update(RecordingRow)
            .where(
                RecordingRow.id == recording_id,
                or_(RecordingRow.status == RecordingStatus.RECORDING.value, _unknown()),
            )
            .values(ended_at=func.coalesce(RecordingRow.ended_at, now), **values)
            .returning(RecordingRow)
        )
        if row is not None and (record := _record(row)).can_be_heard:
            await _tell(session, record, now)


async def _tell(session: AsyncSession, record: RecordingRecord, now: datetime) -> None:
    facts = {
        "recording_id": record.id,
        "session_id": record.session_id,
        "agent_id": record.agent_id,
        "status": record.status.value,
        "duration_seconds": record.duration_seconds,
        "size_bytes": record.size_bytes,
        "error_code": record.error_code,
    }
    await record_event(
        session,
        record.account_id,
        EventType.RECORDING_READY,
        record.session_id,
        facts,
        now=now,
        agent_id=record.agent_id,
    )


async def _select(database: Database, where: ColumnElement[bool]) -> list[RecordingRecord]:
    async with database.read() as session:
        rows = await session.scalars(
            select(RecordingRow).where(where).order_by(RecordingRow.created_at).limit(SWEPT_AT_ONCE)
        )
        return [_record(row) for row in rows]


async def _find(database: Database, *where: ColumnElement[bool]) -> RecordingRecord:
    async with database.read() as session:
        row = await session.scalar(select(RecordingRow).where(*where))
    if row is None:
        raise NotFound(
            "there is no such recording; a session is recorded only where that was asked for",
            code="recording_not_found",
        )
    return _record(row)


def _record(row: RecordingRow) -> RecordingRecord:
    return RecordingRecord(
        id=row.id,
        account_id=row.account_id,
        session_id=row.session_id,
        agent_id=row.agent_id,
        status=RecordingStatus(row.status),
        duration_seconds=row.duration_seconds,
        lost_seconds=row.lost_seconds,
        size_bytes=row.size_bytes,
        error_code=row.error_code,
        error_message=row.error_message,
        created_at=row.created_at,
        ended_at=row.ended_at,
        expires_at=row.expires_at,
        deleted_at=row.deleted_at,
    )
