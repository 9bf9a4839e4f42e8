"""Recordings as clients see them, and the links that play them.

A link is authority enough to hear one recording until it expires: in a bucket it is the store's own
presigned address, else it is signed by this server.
"""

import asyncio
import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import structlog
from pydantic import Field

from nur_server.api.objects import Shown
from nur_server.audio.encode import RecordingFormat
from nur_server.clock import Clock, iso
from nur_server.errors import Forbidden, NurError
from nur_server.ids import CALL, SESSION
from nur_server.settings import Settings
from nur_server.store.blobs import Blobs
from nur_server.store.engine import Database
from nur_server.store.recordings import (
    RecordingRecord,
    blob_key,
    delete_expired_recordings,
    recover_abandoned,
    recover_recordings,
)

PURPOSE = "recording links"
"""Of the signing secret in the store."""
LINK_SECONDS = 3600
SWEEP_SECONDS = 60.0
"""Between two looks for recordings whose time is over."""

log = structlog.get_logger(__name__)


def blobs_url(settings: Settings) -> str:
    """Where the settings want recordings to be kept."""
    if settings.blobs_url is not None:
        return settings.blobs_url.get_secret_value()
    return settings.data_dir.absolute().as_uri()


async def keep_recordings(
    database: Database, blobs: Blobs, node_id: str, stopping: asyncio.Event
) -> None:
    """Close what this node left behind, then delete what is past its time, until `stopping`."""
    started = database.clock.now()
    while not stopping.is_set():
        try:
            saved = await recover_recordings(database, blobs, node_id, started)
            saved += await recover_abandoned(database, blobs, node_id)
            if saved:
                log.warning("closed recordings that had been cut off", recordings=saved)
            await delete_expired_recordings(database, blobs)
        except NurError as error:
            log.warning("sweep of recordings failed", code=error.code)
        with suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_SECONDS):
                await stopping.wait()


class RecordingObject(Shown):
    """A session's recording: the caller left, the agent right."""

    id: str
    object: Literal["recording"] = "recording"
    recording_id: str = Field(description="The same as `id`.")
    session_id: str
    agent_id: str | None
    status: Literal["recording", "ready", "failed", "deleted"] = Field(
        description="`failed`: it broke off; what there is can be heard where it has a `url`."
    )
    url: str | None = Field(
        description="Where it can be heard until `expires_at`. Secret: it carries its own "
        "authority. Null while it is being made, and once it is deleted."
    )
    recording_url: str | None = Field(description="The same as `url`.")
    expires_at: str | None = Field(description="When `url` stops working; ask again for another.")
    format: Literal["flac", "opus", "wav"] = Field(description="Of the audio at `url`.")
    duration: int | None = Field(description="`duration_seconds` in whole seconds.")
    duration_seconds: float | None
    size_bytes: int | None = Field(
        description="As FLAC. Null: not known yet, or not while the store is away."
    )
    lost_seconds: float = Field(description="Left silent because the server was overloaded.")
    error_code: str | None
    error_message: str | None
    created_at: str
    ended_at: str | None
    delete_at: str | None = Field(description="When the audio will be deleted. Null: never.")
    deleted_at: str | None


def as_session_id(given: str) -> str:
    """A call's id names its session."""
    return given.replace(f"{CALL}_", f"{SESSION}_", 1) if given.startswith(f"{CALL}_") else given


@dataclass(frozen=True, slots=True)
class Links:
    """Makes and checks links to audio."""

    secret: bytes
    clock: Clock
    blobs: Blobs

    def make(self, record: RecordingRecord, wanted: RecordingFormat, base: str) -> str:
        """An address that works for `LINK_SECONDS`. `base`: of this server, from outside."""
        if wanted is RecordingFormat.FLAC:
            address = self.blobs.address(blob_key(record.account_id, record.id), LINK_SECONDS)
            if address is not None:
                return address
        expires = int(self.clock.now().timestamp()) + LINK_SECONDS
        signature = self._sign(record.id, wanted, expires)
        return (
            f"{base}/v1/recordings/{record.id}/audio"
            f"?format={wanted.value}&expires={expires}&signature={signature}"
        )

    def check(self, recording_id: str, wanted: RecordingFormat, expires: int, given: str) -> None:
        """Raises `Forbidden` for a link that is not one of ours, or whose time is over."""
        expected = self._sign(recording_id, wanted, expires)
        if not hmac.compare_digest(expected.encode(), given.encode()):
            raise Forbidden(
                "expected a link as it was given out, got one that was changed; ask for a new one",
                code="invalid_link",
            )
        if expires < self.clock.now().timestamp():
            raise Forbidden("this link has expired; ask for a new one", code="link_expired")

    def _sign(self, recording_id: str, wanted: RecordingFormat, expires: int) -> str:
        message = f"{recording_id}\n{wanted.value}\n{expires}".encode()
        return hmac.new(self.secret, message, hashlib.sha256).hexdigest()


def recording_object(
    record: RecordingRecord, wanted: RecordingFormat, links: Links, base: str
) -> RecordingObject:
    """With a fresh link where there is something to hear."""
    url = links.make(record, wanted, base) if record.can_be_heard else None
    expires = links.clock.now() + timedelta(seconds=LINK_SECONDS)
    seconds = record.duration_seconds
    return RecordingObject(
        id=record.id,
        recording_id=record.id,
        session_id=record.session_id,
        agent_id=record.agent_id,
        status=record.status.value,
        url=url,
        recording_url=url,
        expires_at=iso(expires) if url else None,
        format=wanted.value,
        duration=None if seconds is None else round(seconds),
        duration_seconds=seconds,
        size_bytes=record.size_bytes,
        lost_seconds=record.lost_seconds,
        error_code=record.error_code,
        error_message=record.error_message,
        created_at=iso(record.created_at),
        ended_at=record.ended_at and iso(record.ended_at),
        delete_at=record.expires_at and iso(record.expires_at),
        deleted_at=record.deleted_at and iso(record.deleted_at),
    )
