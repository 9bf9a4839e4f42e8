from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.api.paging import Window, page_of, read_moment
from nur_server.errors import InvalidRequest


@given(st.integers(0, 50), st.integers(1, 20))
def test_pages_of_a_known_list_make_the_whole(length: int, limit: int) -> None:
    items, found, cursor = list(range(length)), [], None
    while True:
        page = page_of(items, Window(limit, 0, cursor))
        assert page.total == length
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == items


def test_an_offset_beyond_the_end() -> None:
    page = page_of([1, 2], Window(10, 5, None))
    assert (page.items, page.has_more) == ((), False)


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 10, "\u0661"])
def test_a_cursor_that_is_none(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        page_of([1, 2], Window(10, 0, cursor))
    assert caught.value.param == "cursor"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T09:30:00Z",
        "2026-11-20T10:30:00+01:00",
        "2026-11-20T10:30:00 01:00",
        "2026-11-20 10:30 0100",
        "2026-11-20T09:30:00",
        "2026-11-20 09:30",
        "1795167000",
    ],
)
def test_a_moment_in_every_spelling(text: str) -> None:
    assert read_moment(text, "created_after") == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def test_a_range_ends_with_the_day_it_names() -> None:
    end = read_moment("2026-11-20", "end_date", is_end=True)
    assert end == datetime(2026, 11, 20, 23, 59, 59, 999999, tzinfo=UTC)
    assert read_moment("2026-11-20T00:00:00", "end_date", is_end=True) == datetime(
        2026, 11, 20, tzinfo=UTC
    )


def test_no_moment() -> None:
    assert read_moment(None, "created_after") is None
    assert read_moment("", "created_after") is None


@pytest.mark.parametrize("text", ["soon", "2026-13-01", "9" * 30, "-5", "0001-01-01T00:00+23:00"])
def test_a_moment_that_is_none(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_moment(text, "created_after")
    assert caught.value.param == "created_after"
