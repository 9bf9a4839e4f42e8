import pytest

from nur_server.providers.voices import ALIASES, VOICES
from tests.api.conftest import Server


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
