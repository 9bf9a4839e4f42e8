"""Nothing accepted is lost and nothing finished is repeated, whenever the server is killed."""

from pathlib import Path

import pytest
from bench.kill import storming

RUNS = 2


@pytest.mark.timeout(400)
async def test_a_server_that_is_killed_goes_on_where_it_was(empty_url: str, tmp_path: Path) -> None:
    async with storming(empty_url, tmp_path / "node", seed=7) as storm:
        for _ in range(RUNS):
            await storm.run()
    assert storm.tally.accepted > 0
    assert storm.tally.is_clean, storm.tally
