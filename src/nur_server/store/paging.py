"""Lists, newest first, by offset or by cursor.

A cursor names the last row of a page by time and id, so that rows added meanwhile neither repeat
nor hide any.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy import ColumnElement, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from nur_server.errors import InvalidRequest
from nur_server.store.records import Page
from nur_server.store.schema import (
    AccountRow,
    AgentRow,
    CallRow,
    KeyRow,
    SessionRow,
    WebhookDeliveryRow,
    WebhookRow,
)

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_OFFSET = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = TypeVar(
    "Row", AccountRow, AgentRow, KeyRow, SessionRow, CallRow, WebhookRow, WebhookDeliveryRow
)
Item = TypeVar("Item")


async def read_page(
    session: AsyncSession,
    table: type[Row],
    filters: Sequence[ColumnElement[bool]],
    record: Callable[[Row], Item],
    *,
    limit: int,
    offset: int,
    cursor: str | None,
) -> Page[Item]:
    """The rows of `table` that pass all `filters`. With a cursor, `offset` is not looked at.

    Raises `InvalidRequest` for a limit, offset or cursor that cannot be.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(f"expected a limit from 1 to {MAX_LIMIT}, got {limit}", param="limit")
    if not 0 <= offset <= MAX_OFFSET:
        raise InvalidRequest(
            f"expected an offset from 0 to {MAX_OFFSET}, got {offset}", param="offset"
        )
    rows = select(table).where(*filters)
    rows = rows.order_by(table.created_at.desc(), table.id.desc()).limit(limit + 1)
    rows = rows.offset(offset) if cursor is None else rows.where(_older(table, cursor))
    found = (await session.scalars(rows)).all()
    total = await session.scalar(select(func.count()).select_from(table).where(*filters))
    shown = found[:limit]
    more = len(found) > limit
    return Page(
        items=tuple(record(row) for row in shown),
        total=total or 0,
        next_cursor=encode_cursor(shown[-1].created_at, shown[-1].id) if more else None,
    )


def _older(table: type[Row], cursor: str) -> ColumnElement[bool]:
    moment, row_id = decode_cursor(cursor)
    return tuple_(table.created_at, table.id) < tuple_(
        literal(moment, table.created_at.type), literal(row_id, table.id.type)
    )


def encode_cursor(moment: datetime, row_id: str) -> str:
    microseconds = (moment - EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{microseconds}.{row_id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Raises `InvalidRequest` for anything `encode_cursor` did not make."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True).decode()
        microseconds, dot, row_id = text.partition(".")
        moment = EPOCH + timedelta(microseconds=int(microseconds))
    except (ValueError, OverflowError, binascii.Error):
        moment, dot, row_id = EPOCH, "", ""
    if not dot or not row_id or encode_cursor(moment, row_id) != cursor:
        raise InvalidRequest(
            "expected the next_cursor of an earlier page, got something else; "
            "leave the cursor out to start from the newest",
            param="cursor",
        )
    return moment, row_id
