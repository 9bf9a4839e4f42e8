"""What every test needs."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import settings

from nur_server.errors import NurError
from nur_server.providers import weights
from nur_server.settings import Settings
from tests.databases import make_tables

# looptime asks for the current event loop before a synchronous test too, which would make one that
# nobody closes. Saying that there is none makes it ask in vain.
asyncio.set_event_loop(None)

settings.register_profile("nur", deadline=None)
settings.load_profile("nur")


@pytest.fixture(scope="session")
def prepared_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with every table, to copy."""
    file = tmp_path_factory.mktemp("prepared") / "nur.db"
    asyncio.run(make_tables(f"sqlite:///{file}"))
    asyncio.set_event_loop(None)
    return file


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The machine's models folder, with what every server needs. Skips the test without that."""
    directory = Settings().models_dir
    try:
        weights.pull(weights.missing(directory), directory)
    except NurError as error:
        pytest.skip(f"no speech models: {error.message}")
    return directory
