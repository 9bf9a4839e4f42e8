"""What the user sees: lines, tables, complaints."""

import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

WIDE = 200
"""Columns of a table that goes into a file or a pipe."""


def say(text: str = "", style: str = "") -> None:
    """A line, as it stands: brackets are no markup."""
    out.print(Text(text, style=style))


def complain(text: str) -> None:
    """A line about what went wrong."""
    err.print(Text.assemble(("error: ", "bold red"), text))


def warn(text: str) -> None:
    err.print(Text.assemble(("note: ", "yellow"), text))


def facts(rows: Iterable[tuple[str, str]]) -> None:
    """Names and what they are, one below the other."""
    for name, value in rows:
        out.print(Text.assemble("  ", (f"{name:<13}", "dim"), value))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The first column is never wrapped: ids are for copying."""
    grid = Table(box=None, pad_edge=False, header_style="dim")
    for column, name in enumerate(head):
        grid.add_column(name, overflow="fold", no_wrap=column == 0)
    for row in rows:
        grid.add_row(*map(Text, row))
    console = out if out.is_terminal else Console(width=WIDE)
    console.print(grid, soft_wrap=False)


def program() -> str:
    """How this program is called from here: `nur`, or its path where that is something else."""
    found, own = shutil.which("nur"), Path(sys.argv[0])
    if own.name != "nur" or (found is not None and Path(found).resolve() == own.resolve()):
        return "nur"
    folder = Path.cwd()
    return str(own.relative_to(folder) if own.is_relative_to(folder) else own)


def is_terminal() -> bool:
    """Whether somebody reads what is said, and it is not kept in a file or a journal."""
    return sys.stdout.isatty()
