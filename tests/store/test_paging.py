import asyncio
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nur_server.clock import ManualClock
from nur_server.errors import InvalidRequest
from nur_server.store.agents import Agents
from nur_server.store.engine import Database
from nur_server.store.paging import MAX_LIMIT, decode_cursor, encode_cursor

from .samples import ACCOUNT, OTHER_ACCOUNT, agent

files = count()


async def names_by_cursor(agents: Agents, limit: int) -> list[str]:
    names: list[str] = []
    cursor: str | None = None
    while True:
        page = await agents.list(limit=limit, cursor=cursor)
        names += [item.name for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return names


@pytest.fixture
async def agents(database: Database) -> Agents:
    """Seven, a second apart, the newest called 6; and one of another account."""
    ours = Agents(database, ACCOUNT)
    clock = database.clock
    assert isinstance(clock, ManualClock)
    for place in range(7):
        await ours.create(agent(name=str(place)))
        clock.advance(1)
    await Agents(database, OTHER_ACCOUNT).create(agent(name="theirs"))
    return ours


async def test_pages_go_from_the_newest_to_the_oldest(agents: Agents) -> None:
    first = await agents.list(limit=3)
    assert [item.name for item in first.items] == ["6", "5", "4"]
    assert (first.total, first.has_more) == (7, True)
    assert await names_by_cursor(agents, 3) == list("6543210")


@pytest.mark.parametrize("limit", [1, 6, 7, 8, MAX_LIMIT])
async def test_the_last_page_says_so(agents: Agents, limit: int) -> None:
    assert await names_by_cursor(agents, limit) == list("6543210")


async def test_an_offset_skips(agents: Agents) -> None:
    page = await agents.list(limit=2, offset=4)
    assert [item.name for item in page.items] == ["2", "1"]
    assert (page.total, page.has_more) == (7, True)
    assert (await agents.list(offset=5)).has_more is False
    beyond = await agents.list(offset=7)
    assert (beyond.items, beyond.total, beyond.has_more) == ((), 7, False)


async def test_a_cursor_goes_on_where_an_offset_page_stopped(agents: Agents) -> None:
    page = await agents.list(limit=2, offset=1)
    following = await agents.list(limit=2, offset=5, cursor=page.next_cursor)
    assert [item.name for item in following.items] == ["3", "2"]


@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1])
async def test_a_limit_out_of_range_is_refused(agents: Agents, limit: int) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await agents.list(limit=limit)
    assert refused.value.param == "limit"


@pytest.mark.parametrize("offset", [-1, 2**63])
async def test_an_offset_out_of_range_is_refused(agents: Agents, offset: int) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await agents.list(offset=offset)
    assert refused.value.param == "offset"


@given(st.text(max_size=80) | st.binary(max_size=40).map(lambda raw: raw.hex()))
def test_a_cursor_nobody_was_given_is_refused(cursor: str) -> None:
    try:
        moment, row_id = decode_cursor(cursor)
    except InvalidRequest as refused:
        assert refused.param == "cursor"
    else:
        assert encode_cursor(moment, row_id) == cursor


@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
)
def test_a_cursor_says_exactly_where_its_page_stopped(moment: datetime, row_id: str) -> None:
    assert decode_cursor(encode_cursor(moment, row_id)) == (moment, row_id)


@given(
    steps=st.lists(st.sampled_from([-1, 0, 0, 1]), max_size=12),
    limit=st.integers(1, 5),
    inserts=st.lists(st.sampled_from([0, 1]), max_size=6),
)
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_rows_added_meanwhile_neither_repeat_nor_hide_any(
    migrated_file: Path,
    tmp_path: Path,
    steps: Sequence[int],
    limit: int,
    inserts: Sequence[int],
) -> None:
    """Times repeat and go backwards, as a machine's clock may."""
    file = tmp_path / f"{next(files)}.db"
    shutil.copy(migrated_file, file)
    asyncio.run(walk_while_adding(file, steps, limit, inserts))


class SetClock(ManualClock):
    """A wall clock that is set, backwards too."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = timedelta()

    def now(self) -> datetime:
        return super().now() + self.offset


async def walk_while_adding(
    file: Path, steps: Sequence[int], limit: int, inserts: Sequence[int]
) -> None:
    clock = SetClock()
    database = await Database.open(f"sqlite:///{file}", clock=clock)
    try:
        agents = Agents(database, ACCOUNT)
        expected: set[str] = set()
        for step in steps:
            clock.offset += timedelta(microseconds=step)
            expected.add((await agents.create(agent())).id)
        clock.offset += timedelta(seconds=1)
        pending = list(inserts)
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await agents.list(limit=limit, cursor=cursor)
            seen += [item.id for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
            if pending:
                clock.offset += timedelta(seconds=pending.pop())
                await agents.create(agent())
        assert len(seen) == len(set(seen))
        assert set(seen) == expected
    finally:
        await database.close()
