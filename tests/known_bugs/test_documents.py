"""The page on known bugs names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "known_bugs.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:tests|bench)/[\w/.]+(?:::\w+)?)`", PAGE)))


@pytest.mark.parametrize("named", NAMED)
def test_every_test_named_exists(named: str) -> None:
    path, _, test = named.partition("::")
    assert (ROOT / path).exists(), f"expected {path} to exist"
    if test:
        assert f"def {test}(" in (ROOT / path).read_text(), f"expected {test} in {path}"


def test_every_test_of_a_known_bug_says_which() -> None:
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path == Path(__file__):
            continue
        for name, docstring in re.findall(
            r'def (test_\w+)\([^)]*\) -> None:\n    """(.*?)"""', path.read_text(), re.S
        ):
            assert re.search(r"#\d+", docstring), f"expected an issue's number in {name}"
        named = re.findall(r"def (test_\w+)\(", path.read_text())
        told = re.findall(r'def (test_\w+)\([^)]*\) -> None:\n    """', path.read_text())
        assert named == told, f"expected each test of {path.name} to say which bug it is"
