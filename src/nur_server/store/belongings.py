"""Everything of one account: written to an archive, or erased for good, recordings included.

What belongs to an account is told by the tables themselves: rows with its id, and rows of its
sessions. A table that is added later is exported and erased like the others.
"""

import asyncio
import base64
import json
import zipfile
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table as SQLTable
from sqlalchemy import delete, func, select

from nur_server.audio.encode import RecordingFormat
from nur_server.clock import iso
from nur_server.conversation.events import EndedReason
from nur_server.errors import Conflict, NotFound
from nur_server.store.accounts import DEFAULT_ACCOUNT, Accounts
from nur_server.store.blobs import Blobs
from nur_server.store.engine import Database
from nur_server.store.nodes import wish_account_ended
from nur_server.store.recordings import blob_key
from nur_server.store.records import SessionState
from nur_server.store.schema import AccountRow, RecordingRow, SessionRow, Table

ROWS_AT_ONCE = 200
HIDDEN = frozenset({"secret_hash", "code_hash"})
"""Columns that are of no use to their owner, and of some to a thief."""
END_SECONDS = 20.0
"""Longest wait for the nodes of an account's live sessions to end them."""
ASK_SECONDS = 0.2


async def suspend(database: Database, account_id: str) -> None:
    """Its keys open nothing any more, and its live sessions end. Raises `Conflict`, `NotFound`."""
    if account_id == DEFAULT_ACCOUNT:
        raise Conflict(
            f"expected another account than {DEFAULT_ACCOUNT}: that one is the operator's own",
            code="conflict",
        )
    await Accounts(database).change(account_id, {"suspended_at": database.clock.now()})
    await wish_account_ended(database, account_id, EndedReason.ACCOUNT_CLOSED)


async def erase(database: Database, blobs: Blobs, account_id: str) -> None:
    """The account and everything of it is gone for good. Raises as `suspend` does."""
    await suspend(database, account_id)
    await _until_none_lives(database, account_id)
    for recording_id in await _recordings(database, account_id):
        await blobs.delete([blob_key(account_id, recording_id, each) for each in RecordingFormat])
    async with database.write() as session:
        await session.execute(delete(AccountRow).where(AccountRow.id == account_id))


async def export(database: Database, blobs: Blobs, account_id: str, archive: Path) -> None:
    """Write everything of the account to a ZIP file: a file of JSON lines for each table, and the
    recordings as FLAC. Raises `NotFound`."""
    await Accounts(database).get(account_id)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for table in _tables():
            with file.open(f"{table.name}.jsonl", "w", force_zip64=True) as lines:
                async for rows in _rows(database, table, account_id):
                    await asyncio.to_thread(lines.write, b"".join(map(_line, rows)))
        for recording_id in await _recordings(database, account_id):
            try:
                async with blobs.local(blob_key(account_id, recording_id)) as audio:
                    await asyncio.to_thread(file.write, audio, f"recordings/{recording_id}.flac")
            except NotFound:
                continue


def _tables() -> list[SQLTable]:
    tables = Table.metadata.sorted_tables
    return [
        table
        for table in tables
        if table.name == AccountRow.__tablename__
        or {"account_id", "session_id"} & {*table.c.keys()}
    ]


async def _rows(
    database: Database, table: SQLTable, account_id: str
) -> AsyncIterator[Sequence[dict[str, Any]]]:
    if table.name == AccountRow.__tablename__:
        is_own = table.c.id == account_id
    elif "account_id" in table.c:
        is_own = table.c.account_id == account_id
    else:
        own = select(SessionRow.id).where(SessionRow.account_id == account_id)
        is_own = table.c.session_id.in_(own)
    columns = [column for column in table.c if column.name not in HIDDEN]
    offset = 0
    while True:
        window = select(*columns).where(is_own).order_by(*table.primary_key.columns)
        async with database.read() as session:
            found = await session.execute(window.limit(ROWS_AT_ONCE).offset(offset))
            rows = [dict(row) for row in found.mappings()]
        if rows:
            yield rows
        if len(rows) < ROWS_AT_ONCE:
            return
        offset += ROWS_AT_ONCE


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, default=_plain, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


async def _recordings(database: Database, account_id: str) -> Sequence[str]:
    async with database.read() as session:
        found = await session.scalars(
            select(RecordingRow.id).where(RecordingRow.account_id == account_id)
        )
        return found.all()


async def _until_none_lives(database: Database, account_id: str) -> None:
    """A node that is dead does not answer; the wait is bounded."""
    for _ in range(round(END_SECONDS / ASK_SECONDS)):
        async with database.read() as session:
            live = await session.scalar(
                select(func.count())
                .select_from(SessionRow)
                .where(
                    SessionRow.account_id == account_id,
                    SessionRow.state == SessionState.LIVE.value,
                )
            )
        if not live:
            return
        await asyncio.sleep(ASK_SECONDS)
