"""An SQLite database serves one server at a time."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from nur_server.errors import InternalError
from nur_server.store.engine import Database

HOLDER = """
import asyncio, sys
from nur_server.store.engine import Database

async def hold():
    database = await Database.open(sys.argv[1])
    with database.claimed():
        print("held", flush=True)
        await asyncio.sleep(600)

asyncio.run(hold())
"""


async def claim(file: Path | str) -> None:
    """As a server does. Raises `InternalError`."""
    database = await Database.open(f"sqlite:///{file}")
    try:
        with database.claimed():
            await database.ping()
    finally:
        await database.close()


def linked_file(file: Path) -> Path:
    link = file.with_name("link.db")
    link.symlink_to(file)
    return link


def linked_folder(file: Path) -> Path:
    link = file.parent.parent / "linked"
    link.symlink_to(file.parent)
    return link / file.name


def roundabout(file: Path) -> str:
    return f"{file.parent}/../{file.parent.name}/{file.name}"


@pytest.mark.parametrize("spelling", [Path, linked_file, linked_folder, roundabout])
async def test_a_second_server_is_refused_however_it_spells_the_file(
    tmp_path: Path, spelling: type
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    file = folder / "nur.db"
    first = await Database.open(f"sqlite:///{file}")
    spelled = spelling(file)
    with first.claimed():
        with pytest.raises(InternalError) as refused:
            await claim(spelled)
        assert refused.value.code == "database_in_use"
        assert str(file) in refused.value.message
        assert "\n" not in refused.value.message
        await first.ping()
    await claim(spelled)
    await first.close()


async def test_other_databases_and_commands_are_let_in(tmp_path: Path) -> None:
    first = await Database.open(f"sqlite:///{tmp_path / 'nur.db'}")
    with first.claimed():
        await claim(tmp_path / "other.db")
        command = await Database.open(f"sqlite:///{tmp_path / 'nur.db'}")
        await command.migrate()
        await command.close()
    await first.close()


async def test_what_a_killed_server_held_is_free(tmp_path: Path) -> None:
    file = tmp_path / "nur.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, f"sqlite:///{file}", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"held\n"
    with pytest.raises(InternalError, match="another server uses"):
        await claim(file)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await claim(file)
