"""The embedded engines under the contract of their port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from contracts import (
    LocalTextToSpeechContract,
    Speaker,
    SpeechToTextContract,
    TurnModelContract,
    VoiceActivityContract,
)

from nur_server.ports import SpeechToText, TurnModel, VoiceActivityDetector
from nur_server.providers import flite
from nur_server.providers.espeak import Espeak
from nur_server.providers.flite import Flite
from nur_server.providers.moonshine import Moonshine
from nur_server.providers.silero import SileroVad
from nur_server.providers.smart_turn import SmartTurn


@asynccontextmanager
async def moonshine(request: pytest.FixtureRequest) -> AsyncIterator[SpeechToText]:
    engine = Moonshine(Path(), model=request.getfixturevalue("moonshine_model"))
    yield engine
    await engine.close()


@asynccontextmanager
async def silero(request: pytest.FixtureRequest) -> AsyncIterator[VoiceActivityDetector]:
    engine = SileroVad(request.getfixturevalue("models_dir"))
    yield engine
    await engine.close()


@asynccontextmanager
async def smart_turn(request: pytest.FixtureRequest) -> AsyncIterator[TurnModel]:
    engine = SmartTurn(Path(), model=request.getfixturevalue("smart_turn_model"))
    yield engine
    await engine.close()


@asynccontextmanager
async def flite_speaker(request: pytest.FixtureRequest) -> AsyncIterator[Speaker]:
    if not flite.available():
        pytest.skip("libflite is not installed on this machine (Debian: libflite1)")
    engine = Flite()
    yield Speaker(engine, "slt")
    await engine.close()


@asynccontextmanager
async def espeak_speaker(request: pytest.FixtureRequest) -> AsyncIterator[Speaker]:
    engine = Espeak()
    yield Speaker(engine, "en-us+f3")
    await engine.close()


@pytest.mark.parametrize("adapter", [pytest.param(moonshine, id="moonshine")])
class TestSpeechToText(SpeechToTextContract): ...


@pytest.mark.parametrize(
    "adapter",
    [pytest.param(flite_speaker, id="flite"), pytest.param(espeak_speaker, id="espeak-ng")],
)
class TestTextToSpeech(LocalTextToSpeechContract): ...


@pytest.mark.parametrize("adapter", [pytest.param(silero, id="silero")])
class TestVoiceActivity(VoiceActivityContract): ...


@pytest.mark.parametrize("adapter", [pytest.param(smart_turn, id="smart-turn")])
class TestTurnModel(TurnModelContract): ...
