"""A few of the conversations of `bench.fuzz`; the whole is run by hand."""

import pytest
from bench.fuzz import run


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_random_conversations_keep_every_invariant(first: int) -> None:
    failed = {seed: run(seed).problems for seed in range(first, first + 10)}
    assert {seed: problems for seed, problems in failed.items() if problems} == {}


def test_a_run_depends_on_its_seed_alone() -> None:
    one, other = run(7), run(7)
    assert (one.events, one.actions, one.shown) == (other.events, other.actions, other.shown)
    assert one.shown != run(8).shown
