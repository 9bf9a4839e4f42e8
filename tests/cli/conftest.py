"""The command line in this process, and as a program of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nur_server.cli.app import run

# Without this, pytest-asyncio's first look for the current loop makes one that nobody closes.
asyncio.set_event_loop(None)

PROGRAM = Path(sys.executable).with_name("nur")
END_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Nur = Callable[..., Outcome]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def settings_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_dir: Path) -> None:
    """No test sees the settings, or a `.env`, of whoever runs it; models may be shared."""
    for name in [name for name in os.environ if name.startswith("NUR_")]:
        if name != "NUR_MODELS_DIR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("NUR_DATA_DIR", str(data_dir))
    monkeypatch.setenv("NUR_LOG_LEVEL", "error")
    monkeypatch.setenv("NUR_DISCOVER_MODELS", "0")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def nur(capsys: pytest.CaptureFixture[str]) -> Nur:
    """Runs a command in this process."""

    def command(*arguments: str) -> Outcome:
        code = run(arguments)
        said = capsys.readouterr()
        return Outcome(code, said.out, said.err)

    return command


class Program:
    """`nur` as a process of its own. Its lines can be waited for."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [str(PROGRAM), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line_with(self, words: str) -> str:
        """The first line on standard output that holds `words`."""
        assert self._process.stdout is not None
        seen: list[str] = []
        for line in self._process.stdout:
            if words in line:
                return line.strip()
            seen.append(line)
        raise AssertionError(f"expected a line with {words!r}, got {seen} and {self.finish()}")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def finish(self, seconds: float = END_SECONDS) -> Outcome:
        """Wait for its end."""
        out, err = self._process.communicate(timeout=seconds)
        return Outcome(self._process.returncode, out, err)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate(timeout=END_SECONDS)


@pytest.fixture
def program(models_dir: Path) -> Iterator[Callable[..., Program]]:
    """Starts `nur` with arguments; what still runs after the test is ended."""
    started: list[Program] = []

    def start(*arguments: str) -> Program:
        started.append(Program(*arguments))
        return started[-1]

    yield start
    for each in started:
        each.close()
