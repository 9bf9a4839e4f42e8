"""What the command line keeps in the data directory: the first key, and who serves from there."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nur_server.cli.failures import Failure

KEY_FILE = "api-key"
SERVER_FILE = "server"


class Home:
    """The data directory of one server."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir

    # The key

    @property
    def key_file(self) -> Path:
        """Where the first key is kept, readable by its owner alone."""
        return self._folder / KEY_FILE

    def key(self) -> str | None:
        """The key that is kept. None: there is none."""
        try:
            return self.key_file.read_text().strip() or None
        except FileNotFoundError:
            return None

    def keep_key(self, secret: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.key_file.unlink(missing_ok=True)
        descriptor = os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{secret}\n")

    # The server

    @contextmanager
    def claimed(self) -> Iterator["Claim"]:
        """Be the one server of this directory until the block is left. It ends with the process.

        Raises `Failure` where another server has it: two would end each other's sessions.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = (self._folder / SERVER_FILE).open("a+")
        except OSError as error:
            raise Failure(
                f"expected a data directory that can be written, got {error.strerror} for "
                f"{self._folder.absolute()}: set NUR_DATA_DIR"
            ) from error
        with file:
            if not _locks(file):
                raise Failure(
                    f"a server already runs from {self._folder.absolute()}"
                    f"{_at(_address(file))}: talk to it with `nur talk`, stop it, or give this "
                    "one a directory of its own with NUR_DATA_DIR"
                )
            file.truncate(0)
            try:
                yield Claim(file)
            finally:
                file.truncate(0)

    def server_address(self) -> str | None:
        """Where the server of this directory can be reached. None: it does not run."""
        try:
            with (self._folder / SERVER_FILE).open("a+") as file:
                return None if _locks(file) else _address(file)
        except OSError:
            return None


class Claim:
    """The right to serve from a data directory."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def announce(self, address: str) -> None:
        """Let other commands find the server."""
        self._file.truncate(0)
        self._file.write(address)
        self._file.flush()


def _locks(file: IO[str]) -> bool:
    """Whether the lock could be had."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _address(file: IO[str]) -> str | None:
    file.seek(0)
    return file.read().strip() or None


def _at(address: str | None) -> str:
    return f" at {address}" if address else ""
