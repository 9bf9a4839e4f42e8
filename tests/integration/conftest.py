"""Servers with the embedded engines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nur_server.settings import Settings

Embedded = Callable[..., Settings]
"""Settings of a server that needs nothing from outside, and whatever is given besides."""


@pytest.fixture
def embedded(models_dir: Path, tmp_path: Path) -> Embedded:
    """Skips the test where the speech models cannot be had."""

    def settings(**more: Any) -> Settings:
        return Settings(
            _env_file=None,
            data_dir=tmp_path,
            log_level="error",
            discover_models=False,
            drain_seconds=0,
            llm_url=None,
            stt_url=None,
            tts_url=None,
            database_url=None,
            models_dir=models_dir,
            **more,
        )

    return settings
