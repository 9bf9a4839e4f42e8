"""A page of `docs/` as tests read it."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

_BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "maxItems", "maxProperties")


class Page:
    """A page, or what stands below one of its headings."""

    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def read(cls, name: str) -> "Page":
        return cls((ROOT / "docs" / name).read_text())

    def below(self, heading: str) -> "Page":
        """Up to the next heading of any level."""
        found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", self.text, re.M | re.S)
        assert found is not None, f"expected the heading {heading!r}"
        return Page(found[1])

    def rows(self) -> dict[str, list[str]]:
        """The cells of every row of a table, by each name in the row's first cell."""
        lines = re.findall(r"^\|(.*)\|$", self.text, re.M)
        cells = [[cell.strip() for cell in line.split("|")] for line in lines]
        return {name: row for row in cells for name in named(row[0])}

    def blocks(self, language: str) -> list[str]:
        return re.findall(rf"^```{language}\n(.*?)^```", self.text, re.M | re.S)

    def json_lines(self) -> list[dict[str, Any]]:
        """The examples that stand one on a line."""
        return [json.loads(line) for block in self.blocks("json") for line in block.splitlines()]

    def names(self) -> set[str]:
        """Everything that stands in backticks, and every key and text of the JSON examples."""
        quoted = re.findall(r'"(\w+)"', "".join(self.blocks("json")))
        return {*named(self.text), *quoted}

    def anchors(self) -> set[str]:
        """Of the headings, as GitHub makes them."""
        headings = re.findall(r"^#+ (.*)$", self.text, re.M)
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}

    def links(self) -> list[tuple[str, str]]:
        """File, empty for this one, and anchor of every link to a page here."""
        prose = re.sub(r"^```.*?^```", "", self.text, flags=re.M | re.S)
        return re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", prose)


def named(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def missing_links(page: Page) -> list[str]:
    """The links that lead nowhere."""
    folder = ROOT / "docs"
    lost = []
    for file, anchor in page.links():
        target = folder / file if file else None
        if target is not None and not target.exists():
            lost.append(file)
        elif anchor and anchor not in (Page(target.read_text()) if target else page).anchors():
            lost.append(f"{file}#{anchor}")
    return lost


def bounds(schema: Mapping[str, Any]) -> set[str]:
    """Every bound and every choice of a JSON schema, as a page writes them."""
    found: set[str] = set()
    for value in _inside(schema):
        found |= {f"{value[name]:g}" for name in _BOUNDS if value.get(name)}
        found |= {str(choice) for choice in value.get("enum", ())}
    return found


def _inside(value: Any) -> Iterable[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _inside(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _inside(inner)


def says(row: list[str], bound: str) -> bool:
    """Whether a row holds a number or a choice."""
    text = " | ".join(row).replace(",", "")
    return re.search(rf"(?<![\w.]){re.escape(bound)}(?![\w.]\d|\w)", text) is not None
