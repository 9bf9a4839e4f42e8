import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

from nur_server.errors import ProviderUnreachable
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.loading import Engines, Remote
from nur_server.providers.offline import OfflineResponder
from nur_server.providers.scripted import (
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
    ScriptedVoiceActivity,
)
from nur_server.store.engine import Database
from tests.api.conftest import Server, Start


async def test_anybody_may_ask_how_it_is(server: Server) -> None:
    del server.client.headers["authorization"]
    assert await server.call("GET", "/healthz") == {"status": "ok"}
    ready = await server.call("GET", "/readyz")
    assert ready == {"status": "ready", "database": "ok", "live_sessions": 0, "models": []}


async def test_models_that_cannot_be_used_are_named_and_leave_it_ready(start: Start) -> None:
    catalogue, asked = failing_catalogue()
    async with start(catalogue=catalogue) as server:
        async with asyncio.timeout(20):
            await asked.wait()
        del server.client.headers["authorization"]
        models = (await server.call("GET", "/readyz"))["models"]
    assert models == [
        {"id": "scripted-llm", "kind": "llm", "status": "failing", "code": "provider_unreachable"},
        {"id": "scripted-tts", "kind": "tts", "status": "unknown", "code": None},
    ]


async def test_models_that_cannot_be_used_are_told_to_whoever_uses_them(start: Start) -> None:
    catalogue, asked = failing_catalogue()
    async with start(catalogue=catalogue) as server:
        async with asyncio.timeout(20):
            await asked.wait()
        agent = await server.make_agent()
        other = await server.make_agent(llm_model="offline")
        session = await server.make_session(agent["id"])
    told = "llm_model 'scripted-llm' cannot be used at the moment: nothing answers at its address"
    assert agent["warnings"] == session["warnings"] == [told]
    assert other["warnings"] == []


async def test_a_start_does_not_wait_for_models(start: Start) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    engines = Engines(
        [ScriptedSpeechToText([])],
        [ScriptedLanguageModel([])],
        [ScriptedTextToSpeech()],
        ScriptedVoiceActivity(),
    )
    catalogue = Catalogue(engines, remotes=[Remote("scripted-llm", "llm", check=hang)])
    async with start(catalogue=catalogue) as server:
        (model,) = (await server.call("GET", "/readyz"))["models"]
        assert model["status"] == "unknown"
        assert (await server.make_agent())["warnings"] == []


def failing_catalogue() -> tuple[Catalogue, asyncio.Event]:
    """A catalogue whose language model is away, and the event that it has been asked."""
    asked = asyncio.Event()

    async def fail() -> None:
        asyncio.get_running_loop().call_soon(asked.set)
        raise ProviderUnreachable("no route to 10.0.0.5", provider="scripted-llm")

    engines = Engines(
        [ScriptedSpeechToText([])],
        [ScriptedLanguageModel([]), OfflineResponder()],
        [ScriptedTextToSpeech()],
        ScriptedVoiceActivity(),
    )
    remotes = [Remote("scripted-llm", "llm", check=fail), Remote("scripted-tts", "tts")]
    return Catalogue(engines, remotes=remotes), asked


async def test_a_server_without_its_database_is_not_ready(server: Server, tmp_path: Path) -> None:
    gone = await Database.open(f"sqlite:///{tmp_path}/gone/nur.db")
    await gone.close()
    shutil.rmtree(tmp_path / "gone")
    server.app.state.services = replace(server.services, database=gone)
    error = await server.refuse("GET", "/readyz", 503)
    assert error["code"] == "database_unavailable"
    assert str(tmp_path) not in error["message"]
    await server.call("GET", "/healthz")
