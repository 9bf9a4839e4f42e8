"""Engines of other packages: the package of `docs/engines.md`, built and installed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.docs.page import Page

from nur_server.engine_settings import EngineSettings
from nur_server.errors import InternalError
from nur_server.ports import SpeakRequest
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.http import model_client
from nur_server.providers.plugins import build, installed
from nur_server.settings import Settings

BUILD_SECONDS = 120
SECTION = Page.read("engines.md").below("Engines of other packages")
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Builds a package with pip, without a network, and puts it where Python finds it."""

    def built(pyproject: str, **modules: str) -> None:
        source, site = tmp_path / "source", tmp_path / "site"
        source.mkdir()
        (source / "pyproject.toml").write_text(pyproject)
        for name, text in modules.items():
            (source / f"{name}.py").write_text(text)
            monkeypatch.delitem(sys.modules, name, raising=False)
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
             "--no-build-isolation", "--disable-pip-version-check", "--target", str(site),
             str(source)],
            check=True, timeout=BUILD_SECONDS,
        )  # fmt: skip
        monkeypatch.syspath_prepend(str(site))

    return built


def package(name: str, entry: str) -> str:
    """The example's `pyproject.toml` with other names."""
    text = SECTION.blocks("toml")[0].replace("nur-tones", name)
    return text.replace('tones = "nur_tones:engine"', entry)


@pytest.fixture
def tones(install: Install) -> None:
    install(SECTION.blocks("toml")[0], nur_tones=SECTION.blocks("python")[0])


async def test_the_package_of_the_page_speaks(
    tones: None, models_dir: Path, tmp_path: Path
) -> None:
    table = tmp_path / "engines.toml"
    table.write_text(SECTION.blocks("toml")[1])
    ours = Settings(
        _env_file=None, models_dir=models_dir, engines=str(table), discover_models=False
    )
    assert "nur_tones" not in sys.modules
    own = await Catalogue.load(ours)
    try:
        assert next(m for m in own.models() if m.id == "beeper").provider == "tones"
        high = own.voice("beeper/high")
        choice = own.text_to_speech(None, high)
        voice = own.engine_voice(high, choice.engine)
        request = SpeakRequest("Two words", voice)
        chunks = [chunk async for chunk in choice.engine.speak(request)]
        await own._watch.look_for_voices()
        assert {voice.id for voice in own.voices() if voice.model} == {"beeper/low", "beeper/high"}
    finally:
        await own.close()
    assert [len(chunk.samples) for chunk in chunks] == [2400, 2400]
    spectrum = np.abs(np.fft.rfft(chunks[0].samples))
    assert np.argmax(spectrum) * 10 == 440


def test_an_installed_package_that_nobody_names_is_not_imported(tones: None) -> None:
    assert "tones" in installed() and "nur_tones" not in sys.modules


async def refused(**row: Any) -> str:
    settings = EngineSettings.model_validate({"name": "mine", "kind": "llm", **row})
    async with model_client(1.0) as client:
        with pytest.raises(InternalError) as caught:
            build(settings, client, 1.0)
    assert caught.value.message.startswith("NUR_ENGINES: llm engine 'mine':")
    return caught.value.message


BROKEN = """
from nur_server.providers.plugins import BuiltEngine

class Model:
    name, capabilities = "other", None
    async def reply(self, request):
        yield None

class Awaited(Model):
    name = "mine"
    async def reply(self, request):
        return None

def nothing(config): return None
def raising(config): raise KeyError("word_seconds")
def misnamed(config): return BuiltEngine(Model())
def awaited(config): return BuiltEngine(Awaited())
number = 7
"""


async def test_a_package_that_does_not_fit_is_named(install: Install) -> None:
    names = ("nothing", "raising", "misnamed", "awaited", "number", "missing")
    entries = "\n".join(f'{name} = "nur_broken:{name}"' for name in names)
    install(package("nur-broken", entries), nur_broken=BROKEN)
    said = {name: await refused(type=name) for name in names}
    assert "lacks name, capabilities, reply" in said["nothing"]
    assert "KeyError: 'word_seconds'" in said["raising"]
    assert "got one of 'other'" in said["misnamed"]
    assert "async generator" in said["awaited"]
    assert "expected a function at nur_broken:number" in said["number"]
    assert "nur_broken:missing cannot be imported: AttributeError" in said["missing"]


async def test_a_type_that_is_not_installed_is_refused_with_those_that_are(tones: None) -> None:
    assert "one of openai, tones; got 'acme'" in await refused(type="acme")


@pytest.mark.parametrize(
    "failure", ["ProviderUnreachable('gone', provider='x')", "OSError()", "KeyError('weights')"]
)
async def test_what_cannot_load_does_not_keep_the_server_from_starting(
    install: Install, models_dir: Path, failure: str
) -> None:
    module = """
from nur_server.errors import ProviderUnreachable
from nur_server.providers.plugins import BuiltEngine
from nur_server.providers.scripted import ScriptedLanguageModel

async def fail():
    raise {failure}

def engine(config):
    return BuiltEngine(ScriptedLanguageModel(["Hi."], name=config.name), load=fail, close=fail)
""".replace("{failure}", failure)
    install(package("nur-late", 'late = "nur_late:engine"'), nur_late=module)
    row = {"name": "mine", "kind": "llm", "type": "late"}
    own = await Catalogue.load(
        Settings(_env_file=None, models_dir=models_dir, engines=json.dumps([row]))
    )
    await own.close()
    assert own.language_model().model_id == "mine"
