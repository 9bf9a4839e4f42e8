import gc
from collections.abc import Iterator

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
