"""The documents against the program: what they name exists, and what exists they name."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from nur_server.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text()
ROWS = {
    name: (default, meaning)
    for name, default, meaning in re.findall(r"^\| `(NUR_\w+)` \| (.+?) \| (.+?) \|$", PAGE, re.M)
}


def written(value: Any) -> str:
    """A default as the page writes it."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_every_setting_is_documented_with_its_default(field: str) -> None:
    name = f"NUR_{field.upper()}"
    assert name in ROWS, f"expected {name} in docs/configuration.md"
    default, meaning = ROWS[name]
    value = Settings.model_fields[field].default
    if value in (None, ()):
        assert not default.startswith("`") or " in " in default
    else:
        assert default == written(value)
    assert len(meaning) > 5


def test_no_setting_is_documented_that_does_not_exist() -> None:
    assert {name.removeprefix("NUR_").lower() for name in ROWS} == set(Settings.model_fields)


@pytest.mark.parametrize("script", ["scripts/start", "scripts/test", "scripts/check", ".ci/run"])
def test_every_script_can_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


@pytest.mark.parametrize("page", ["README.md", "docs/configuration.md", "docs/operations.md"])
def test_every_file_a_page_refers_to_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    missing = [link for link in links if not ((ROOT / page).parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("command", ["scripts/start", "scripts/test"])
def test_the_readme_begins_with_the_two_commands(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()
