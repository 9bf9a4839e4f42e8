"""Where a server is going to be: its data directory, its port, its speech models.

It is taken before the server itself is imported: who cannot have it is told at once, and the
models and certificates load meanwhile.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nur_server import tls
from nur_server.cli import screen
from nur_server.cli.failures import Failure
from nur_server.cli.home import Home
from nur_server.cli.pulling import pull
from nur_server.providers import weights
from nur_server.settings import Settings

BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Place:
    """Nobody else can have it any more."""

    settings: Settings
    """With the port that was found, where any would do."""
    home: Home
    listener: socket.socket
    address: str
    """`http://127.0.0.1:8080`."""


@contextmanager
def claimed(settings: Settings) -> Iterator[Place]:
    """Take the data directory and the port, fetch what models are missing, begin to load them.

    Raises `Failure`, and as `weights.pull` does.
    """
    home = Home(settings.data_dir)
    with home.claimed() as claim, bind(settings) as listener:
        address = address_of(listener)
        port = listener.getsockname()[1]
        pull(settings)
        weights.open_ahead(settings.models_dir, hears=not settings.has_engine("stt"))
        tls.read_ahead()
        claim.announce(address)
        yield Place(settings.model_copy(update={"port": port}), home, listener, address)


def for_a_demonstration(settings: Settings) -> Settings:
    """A free port where the usual one is taken, and no more log than is asked for."""
    if "port" not in settings.model_fields_set and is_taken(settings):
        screen.warn(f"port {settings.port} is taken, so a free one is used")
        settings = settings.model_copy(update={"port": 0})
    if "log_level" not in settings.model_fields_set:
        settings = settings.model_copy(update={"log_level": "warning"})
    return settings


def bind(settings: Settings) -> socket.socket:
    """The socket the server listens on. Raises `Failure` where there can be none.

    Who connects from here on waits until the server is ready.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Failure(
            f"cannot listen on {settings.host} port {settings.port}: "
            f"{_reason(error)}; choose another with NUR_HOST and NUR_PORT, or stop "
            "what is there"
        ) from error


def _reason(error: OSError) -> str:
    number = error.errno or 0
    return os.strerror(number) if number > 0 else str(error)


def is_taken(settings: Settings) -> bool:
    """Whether another program listens on the port of the settings."""
    try:
        bind(settings).close()
    except Failure:
        return True
    return False


def address_of(listener: socket.socket) -> str:
    """`http://127.0.0.1:8080`: how this machine reaches what listens there."""
    host, port = listener.getsockname()[:2]
    usual = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    host = usual.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"
