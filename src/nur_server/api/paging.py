"""Lists: the window a request asks for, and the envelope it gets."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from nur_server.errors import InvalidRequest
from nur_server.store.paging import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET
from nur_server.store.records import Page

Item = TypeVar("Item")
Record = TypeVar("Record")

_BARE_PLUS = re.compile(r"(\d{2}:\d{2}\S*) (\d{2}:?\d{2})")
"""A `+` that a client did not escape reaches a server as a space."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TO_ITS_END = timedelta(days=1, microseconds=-1)


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list is wanted. A cursor wins over an offset."""

    limit: int
    offset: int
    cursor: str | None


def _window(
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="How many items to return.")
    ] = DEFAULT_LIMIT,
    offset: Annotated[
        int, Query(ge=0, le=MAX_OFFSET, description="How many items to skip; not used with cursor.")
    ] = 0,
    cursor: Annotated[
        str | None,
        Query(max_length=512, description="The `next_cursor` of the page before."),
    ] = None,
) -> Window:
    return Window(limit, offset, cursor or None)


WindowOf = Annotated[Window, Depends(_window)]


class NextPage(BaseModel):
    """Where to go on, in the words of clients that look here."""

    next_cursor: str | None


class Listing(BaseModel, Generic[Item]):
    """Some of a list, newest first."""

    object: Literal["list"] = "list"
    data: list[Item]
    total: int = Field(description="How many there are on all pages.")
    limit: int
    offset: int
    has_more: bool
    next_cursor: str | None = Field(description="Where the next page starts; null on the last.")
    response_metadata: NextPage


def envelope(page: Page[Record], window: Window, show: Callable[[Record], Item]) -> dict[str, Any]:
    """The fields of a `Listing`."""
    return {
        "data": [show(item) for item in page.items],
        "total": page.total,
        "limit": window.limit,
        "offset": window.offset,
        "has_more": page.has_more,
        "next_cursor": page.next_cursor,
        "response_metadata": NextPage(next_cursor=page.next_cursor),
    }


def page_of(items: Sequence[Record], window: Window) -> Page[Record]:
    """A page of a list that is known as a whole; its cursor is a position.

    Raises `InvalidRequest` for a cursor that is none.
    """
    start = window.offset
    if window.cursor is not None:
        digits = window.cursor
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 9):
            raise InvalidRequest(
                "expected the next_cursor of an earlier page, got something else; "
                "leave the cursor out to start from the beginning",
                param="cursor",
            )
        start = int(digits)
    end = start + window.limit
    more = end < len(items)
    return Page(tuple(items[start:end]), len(items), str(end) if more else None)


def read_moment(value: str | None, param: str, *, is_end: bool = False) -> datetime | None:
    """ISO 8601, or seconds since the epoch. Without a zone it is UTC.

    `is_end`: a date means the end of that day. Raises `InvalidRequest`.
    """
    if value is None or value == "":
        return None
    try:
        if value.isascii() and value.isdecimal():
            return datetime.fromtimestamp(int(value), UTC)
        moment = datetime.fromisoformat(_BARE_PLUS.sub(r"\1+\2", value))
        if is_end and _DAY.fullmatch(value):
            moment += _TO_ITS_END
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidRequest(
            f"{param}: expected a time such as 2026-11-20T09:30:00Z or seconds since the epoch; "
            f"got {value[:80]!r}",
            param=param,
        ) from None
