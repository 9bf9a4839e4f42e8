"""Transactions, and so rows, stay inside the store."""

import ast
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src" / "nur_server"
TRANSACTIONS = {"read", "write"}


def opened(source: str) -> list[int]:
    """The lines that open a transaction of a database."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in TRANSACTIONS
        and _named(node.func.value).endswith("database")
    ]


def _named(value: ast.expr) -> str:
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def test_transactions_are_opened_by_the_store_alone() -> None:
    outside = {
        str(path.relative_to(SOURCES)): lines
        for path in sorted(SOURCES.rglob("*.py"))
        if path.relative_to(SOURCES).parts[0] != "store" and (lines := opened(path.read_text()))
    }
    assert outside == {}


@pytest.mark.parametrize(
    "source",
    ["database.read()", "self._database.write()", "server.database.read()", "f(database.write())"],
)
def test_a_transaction_is_recognised(source: str) -> None:
    assert opened(source) == [1]
