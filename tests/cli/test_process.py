import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nur_server.cli import process


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """As it was, afterwards."""
    yield
    gc.unfreeze()
    gc.enable()


def test_the_garbage_collector_rests_until_the_server_is_ready() -> None:
    before = gc.get_freeze_count()
    with process.starting() as ready:
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]
        ready()
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + len(made)


def test_the_garbage_collector_works_after_a_start_that_failed() -> None:
    with pytest.raises(OSError), process.starting():
        raise OSError("the port is taken")
    assert gc.isenabled()


def test_what_it_keeps_is_for_its_user_alone(tmp_path: Path) -> None:
    program = "import os; os.umask(0o022); from nur_server.cli import main; main()"
    folder = tmp_path / "data"
    subprocess.run(
        [sys.executable, "-c", program, "keys", "create", "kiosk"],
        env={**os.environ, "NUR_DATA_DIR": str(folder)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    kept = [folder, *folder.iterdir()]
    assert {path.name for path in kept} >= {"data", "nur.db", "api-key"}
    assert [path.name for path in kept if path.stat().st_mode & 0o077] == []
