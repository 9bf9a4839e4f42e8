"""Weights, models and voices for the tests of the embedded engines."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from nur_server.ports import Samples, SpeakRequest
from nur_server.providers import flite
from nur_server.providers.espeak import Espeak
from nur_server.providers.flite import Flite
from nur_server.providers.moonshine_model import MoonshineModel
from nur_server.providers.silero import SileroModel
from nur_server.providers.smart_turn import SmartTurnModel

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "audio"


@pytest.fixture(scope="session")
def moonshine_model(models_dir: Path) -> MoonshineModel:
    return MoonshineModel.load(models_dir)


@pytest.fixture
def silero_model(models_dir: Path) -> SileroModel:
    """A model of its own: it carries the state of its streams."""
    return SileroModel.load(models_dir)


@pytest.fixture(scope="session")
def smart_turn_model(models_dir: Path) -> SmartTurnModel:
    return SmartTurnModel.load(models_dir)


@pytest.fixture(scope="session")
def say() -> Callable[[str], Samples]:
    """A sentence as speech at 16 kHz, by flite where the system has it, else by espeak-ng."""

    @cache
    def spoken(text: str) -> Samples:
        # On a thread of its own, so that a test with a running loop may ask, too.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(_speech(text))).result()

    return spoken


@pytest.fixture(scope="session")
def recording() -> Callable[[str], Samples]:
    """A real recording at 16 kHz."""

    def read(name: str) -> Samples:
        if not RECORDINGS.is_dir():
            pytest.skip(f"no recordings: {RECORDINGS} is not there")
        samples, rate = soundfile.read(RECORDINGS / name, dtype="int16")
        return samples if rate == 16_000 else soxr.resample(samples, rate, 16_000)

    return read


async def _speech(text: str) -> Samples:
    engine: Flite | Espeak = Flite() if flite.available() else Espeak()
    voice = "slt" if flite.available() else "en-us+m3"
    chunks = [chunk async for chunk in engine.speak(SpeakRequest(text, voice))]
    await engine.close()
    samples = np.concatenate([chunk.samples for chunk in chunks])
    return soxr.resample(samples, chunks[0].sample_rate, 16_000)
