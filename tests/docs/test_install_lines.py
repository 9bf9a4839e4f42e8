"""No line that is printed or documented fetches a package of somebody else's.

The distribution is `nur-voice`. The plain name belongs to another project, and `nur-voice` is not
on any index either: who follows the documents installs from a checkout.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from nur_server import __version__
from tests.docs.page import ROOT

INSTALLS = re.compile(r"(?:pip|pipx|uvx?|poetry|conda)\s+(?:install|add|run|tool install)\b[^\n`]*")
STRANGERS = re.compile(r"(?<![\w./-])nur(?:-voice)?(?![\w-])(?!/)")


def texts() -> Iterator[tuple[Path, str]]:
    kinds = ("*.md", "*.py", "*.sh", "*.toml", "*.txt", "*.yml", "*.yaml", "Dockerfile")
    for folder in ("docs", "src", "scripts", "examples", "bench"):
        for kind in kinds:
            for path in (ROOT / folder).rglob(kind):
                yield path, path.read_text()
    for path in (*ROOT.glob("*.md"), *(p for p in (ROOT / "scripts").iterdir() if p.is_file())):
        yield path, path.read_text()


def fetched(text: str) -> list[str]:
    return [line for line in INSTALLS.findall(text) if STRANGERS.search(line)]


def test_no_line_fetches_a_package_by_the_plain_name() -> None:
    found = {str(path): lines for path, text in texts() if (lines := fetched(text))}
    assert found == {}


@pytest.mark.parametrize(
    ("line", "is_fetched"),
    [
        ('pip install "nur[server]" pytest', True),
        ("pip install nur", True),
        ("uv add nur-voice", True),
        ("pip install -U pytest nur==0.9", True),
        ('pip install -e "/path/to/nur[server]" pytest', False),
        ('pip install -e ".[server]"', False),
        ("pip install opentelemetry-sdk", False),
    ],
)
def test_such_a_line_would_be_found(line: str, is_fetched: bool) -> None:
    assert bool(fetched(line)) == is_fetched


def test_the_distribution_has_a_name_of_its_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "nur-voice"
    assert project["scripts"] == {"nur": "nur_server.cli:main"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
