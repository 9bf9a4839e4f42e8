import sqlite3
from pathlib import Path

from nur_server.store import schema

from .conftest import Nur


def test_brings_a_new_database_to_the_schema(nur: Nur, data_dir: Path) -> None:
    assert nur("migrate").code == 0
    with sqlite3.connect(data_dir / "nur.db") as database:
        (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    database.close()
    assert revision == schema.REVISION


def test_leaves_a_database_of_a_newer_version_alone(nur: Nur, data_dir: Path) -> None:
    nur("migrate")
    with sqlite3.connect(data_dir / "nur.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    refused = nur("migrate")
    assert refused.code == 1
    assert "9999" in refused.err and "newer" in refused.err
