"""Conversations kept as tests."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from nur_server.errors import InvalidRequest
from nur_server.replay.recording import Recording, replay
from nur_server.replay.saved import assert_unchanged, save
from tests.replay.recorded import CONFIG, an_interrupted_call, recording


def test_a_saved_test_passes_by_itself(tmp_path: Path) -> None:
    found = replay(recording(asyncio.run(an_interrupted_call())))
    path = tmp_path / "test_sandals.py"
    save(path, found.recording.config, found.steps)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout
    assert "1 passed" in ran.stdout


async def test_a_saved_test_fails_when_the_conversation_goes_otherwise(tmp_path: Path) -> None:
    found = replay(recording(await an_interrupted_call()))
    journal = save(tmp_path / "test_sandals.py", found.recording.config, found.steps[:-1])
    assert_unchanged(journal)
    other = save(
        tmp_path / "test_other.py",
        found.recording.config,
        [*found.steps[:-1], type(found.steps[0])(found.steps[-1].event, ())],
    )
    with pytest.raises(AssertionError, match="What do you have") as failure:
        assert_unchanged(other)
    assert "the actions are different" in str(failure.value)
    assert replay(Recording.read([journal.read_bytes()])).is_equal


def test_a_name_that_pytest_would_not_find_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="test_lost_order"):
        save(tmp_path / "sandals.py", CONFIG, [])
