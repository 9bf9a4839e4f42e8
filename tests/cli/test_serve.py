"""`nur serve` as a program of its own, with the embedded engines."""

import os
import pty
import signal
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from nur_server.cli.home import Home

from .conftest import END_SECONDS, PROGRAM, Program

Start = Callable[..., Program]


def address_of(server: Program) -> str:
    return server.line_with("Nur is ready at").split()[-1]


def test_tells_where_it_is_and_what_it_works_with(program: Start, data_dir: Path) -> None:
    server = program("serve", "--port", "0")
    address = address_of(server)
    assert server.line_with("API key")
    key = Home(data_dir).key()
    assert "moonshine-tiny-en" in server.line_with("Hears with")
    assert server.line_with("Speaks with")
    assert "no language model was found" in server.line_with("Thinks with")

    assert httpx2.get(f"{address}/readyz").status_code == 200
    listed = httpx2.get(f"{address}/v1/agents", headers={"Authorization": f"Bearer {key}"})
    assert listed.json()["data"] == []

    server.signal(signal.SIGTERM)
    ended = server.finish()
    assert ended.code == 0
    assert ended.err == ""


def test_the_key_is_kept_in_a_file_that_its_owner_alone_reads_and_not_printed(
    program: Start, data_dir: Path
) -> None:
    """Where nobody looks at a terminal, what is printed is kept: in a journal, in a log."""
    file = Home(data_dir).key_file
    for _ in range(2):
        server = program("serve", "--port", "0")
        assert server.line_with("API key").endswith(f"in {file}")
        server.signal(signal.SIGINT)
        ended = server.finish()
        assert ended.code == 0
        key = Home(data_dir).key() or "missing"
        assert key.startswith("nur_")
        assert key not in ended.out + ended.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_key_is_shown_once_on_a_terminal(data_dir: Path) -> None:
    shown = [_on_a_terminal() for _ in range(2)]
    key = Home(data_dir).key() or "missing"
    assert [key in told for told in shown] == [True, False]


def _on_a_terminal() -> str:
    """What a server shows on a terminal of its own until it is ready."""
    ours, theirs = pty.openpty()
    server = subprocess.Popen(
        [str(PROGRAM), "serve", "--port", "0"], stdout=theirs, stderr=subprocess.DEVNULL
    )
    os.close(theirs)
    told = b""
    try:
        while b"/docs" not in told:
            told += os.read(ours, 4096)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(END_SECONDS)
        os.close(ours)
    return told.decode()


def test_a_second_server_of_the_same_directory_is_sent_away(program: Start) -> None:
    address = address_of(program("serve", "--port", "0"))
    refused = program("serve", "--port", "0").finish()
    assert refused.code == 1
    assert refused.err.startswith("error: a server already runs from")
    assert address in refused.err and refused.err.count("\n") == 1


def test_a_port_that_is_taken_is_said_before_anything_is_loaded(program: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = program("serve", "--port", str(port)).finish()
    assert refused.code == 1
    assert f"port {port}: Address already in use" in refused.err
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("NUR_DATABASE_URL", "sqlite:////proc/nur.db", "cannot be used"),
        ("NUR_DATABASE_URL", "redis://localhost", "postgresql://"),
        ("NUR_MODELS_DIR", "/proc/models", "NUR_MODELS_DIR"),
        ("NUR_MAX_SESSIONS", "none", "NUR_MAX_SESSIONS"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(
    program: Start, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, said: str
) -> None:
    monkeypatch.setenv(setting, value)
    refused = program("serve", "--port", "0").finish()
    assert refused.code == 1
    assert said in refused.err
    assert refused.err.count("\n") == 1


def test_a_database_left_half_done_keeps_it_from_starting(program: Start, data_dir: Path) -> None:
    data_dir.mkdir()
    with closing(sqlite3.connect(data_dir / "nur.db")) as database:
        database.execute("CREATE TABLE turns (mine INTEGER)")
    refused = program("serve", "--port", "0").finish()
    assert refused.code == 1
    assert "turns already exists" in refused.err and "nothing was changed" in refused.err
    assert refused.err.count("\n") == 1
