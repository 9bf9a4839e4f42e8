from collections.abc import AsyncIterator

import pytest

from nur_server.ports import EngineVoice
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.loading import Engines, Remote
from nur_server.providers.scripted import (
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
    ScriptedVoiceActivity,
)
from nur_server.providers.voices import ALIASES, VOICES
from tests.api.conftest import AGENT, Server, Start


async def test_every_voice_is_listed(server: Server) -> None:
    page = await server.call("GET", "/v1/voices?limit=100")
    assert {voice["id"] for voice in page["data"]} == set(VOICES)
    assert page["total"] == len(VOICES)
    assert {alias for voice in page["data"] for alias in voice["aliases"]} == set(ALIASES)


async def test_voices_by_page(server: Server) -> None:
    first = await server.call("GET", "/v1/voices?limit=10")
    second = await server.call("GET", f"/v1/voices?limit=10&cursor={first['next_cursor']}")
    ids = [voice["id"] for voice in first["data"] + second["data"]]
    assert ids == list(VOICES)[:20]
    await server.refuse("GET", "/v1/voices?cursor=abc", 422)


async def test_voices_by_language_and_type(server: Server) -> None:
    page = await server.call("GET", "/v1/voices?language=es")
    assert {voice["language"].partition("-")[0] for voice in page["data"]} == {"es"}
    exact = await server.call("GET", "/v1/voices?language=es-419")
    assert {voice["language"] for voice in exact["data"]} == {"es-419"}
    assert (await server.call("GET", "/v1/voices?type=cloned"))["data"] == []


@pytest.mark.parametrize("tag", ["pt-BR", "pt_br", "pt", "pt-PT", "por"])
async def test_voices_of_a_region_or_else_of_the_language(server: Server, tag: str) -> None:
    page = await server.call("GET", f"/v1/voices?language={tag}")
    assert {voice["language"] for voice in page["data"]} == {"pt-BR"}


@pytest.mark.parametrize("tag", ["xx", "english", "xx-US", "%20"])
async def test_voices_of_no_language_are_refused(server: Server, tag: str) -> None:
    error = await server.refuse("GET", f"/v1/voices?language={tag}", 422)
    assert error["param"] == "language" and "pt" in error["details"]["languages"]


async def test_a_voice_by_id_or_alias(server: Server) -> None:
    voice = await server.call("GET", "/v1/voices/rachel_v2")
    assert "rachel_v2" in voice["aliases"]
    assert await server.call("GET", f"/v1/voices/{voice['id']}") == voice
    error = await server.refuse("GET", "/v1/voices/nobody", 404)
    assert voice["id"] in error["details"]["voices"]


@pytest.fixture
async def vendor(start: Start) -> AsyncIterator[Server]:
    """A server with two more speech engines, of which one lists its voices."""
    listed = [EngineVoice("af_heart", "en-US", "female", "Warm"), EngineVoice("nova")]
    kokoro = ScriptedTextToSpeech(name="kokoro", voices=listed)
    silent = ScriptedTextToSpeech(name="vendor/large")
    engines = Engines(
        [ScriptedSpeechToText([])],
        [ScriptedLanguageModel([])],
        [ScriptedTextToSpeech(), kokoro, silent],
        ScriptedVoiceActivity(),
    )
    remotes = [Remote(e.name, "tts", voices=e.voices) for e in (kokoro, silent)]
    catalogue = Catalogue(engines, remotes=remotes)
    await catalogue._watch.look_for_voices()
    async with start(catalogue=catalogue) as server:
        yield server


async def test_a_vendors_voices_are_listed_with_their_model(vendor: Server) -> None:
    page = await vendor.call("GET", "/v1/voices?type=vendor")
    assert [(voice["id"], voice["model"]) for voice in page["data"]] == [
        ("kokoro/af_heart", "kokoro"),
        ("kokoro/nova", "kokoro"),
    ]
    heart, nova = page["data"]
    assert (heart["name"], heart["language"], heart["gender"]) == ("af_heart", "en-US", "female")
    assert (nova["language"], nova["gender"], nova["type"]) == (None, None, "vendor")
    assert await vendor.call("GET", "/v1/voices/kokoro/af_heart") == heart
    assert await vendor.call("GET", "/v1/voices/kokoro%2Faf_heart") == heart
    english = await vendor.call("GET", "/v1/voices?language=en-US&limit=100")
    assert "kokoro/af_heart" in {voice["id"] for voice in english["data"]}
    assert (await vendor.call("GET", "/v1/voices?type=built-in"))["total"] == len(VOICES)


@pytest.mark.parametrize(
    ("voice_id", "tts_model", "used", "spoken"),
    [
        ("kokoro/af_heart", None, "kokoro", "af_heart"),
        ("kokoro/nova", "kokoro", "kokoro", "nova"),
        ("vendor/large/Any Voice", None, "vendor/large", "Any Voice"),
        ("hazel", None, "scripted-tts", "hazel"),
    ],
)
async def test_a_vendors_voice_is_spoken_by_its_model(
    vendor: Server, voice_id: str, tts_model: str | None, used: str, spoken: str
) -> None:
    agent = await vendor.make_agent(voice_id=voice_id, tts_model=tts_model)
    assert (agent["voice_id"], agent["warnings"]) == (voice_id, [])
    catalogue = vendor.services.catalogue
    voice = catalogue.voice(voice_id)
    choice = catalogue.text_to_speech(tts_model, voice)
    assert (choice.model_id, catalogue.engine_voice(voice, choice.engine)) == (used, spoken)


async def test_a_vendors_voice_with_another_model_is_told(vendor: Server) -> None:
    agent = await vendor.make_agent(voice_id="kokoro/nova", tts_model="scripted-tts")
    (warning,) = agent["warnings"]
    assert "'scripted-tts' does not have the voice 'kokoro/nova'" in warning


@pytest.mark.parametrize("voice_id", ["kokoro/nobody", "kokoro/", "other/nova", "supernova"])
async def test_a_voice_that_no_model_has_is_refused(vendor: Server, voice_id: str) -> None:
    error = await vendor.refuse("POST", "/v1/agents", 422, json={**AGENT, "voice_id": voice_id})
    assert error["param"] == "voice_id" and error["details"]["voices"]
