"""The voices and the names they are known by elsewhere."""

import asyncio
import re

import pytest

from nur_server.errors import InvalidRequest
from nur_server.ports import SpeakRequest
from nur_server.providers import espeak, flite, voices
from nur_server.providers.espeak import Espeak
from nur_server.providers.flite import Flite

DOCUMENTED = re.findall(
    r"\w+",
    """
    rachel_v2 marcus_v2 nadia_v2 ember slate marin onyx brook ash
    claire dawn josh grace pete autumn
    alba anna charles estelle eve george giovanni iris jane jean juergen lola mary michael paul
    rafael reid vera
    ivy james tyler winter sam mia bella david jack kyle helen martha river emma victor eleanor
    sophie oliver arjun ethan dmitri lukas lena pierre mina ren mei joon giulia luca lucia hana
    mateo diego
    """,
)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_documented_name_has_a_voice(name: str) -> None:
    assert voices.resolve(name).id in voices.VOICES


def test_a_voice_is_its_own_name_in_any_case() -> None:
    for voice in voices.VOICES.values():
        assert voices.resolve(voice.id) is voice
        assert voices.resolve(f" {voice.name.upper()} ") is voice


def test_no_alias_hides_a_voice() -> None:
    assert not set(voices.ALIASES) & set(voices.VOICES)
    assert set(voices.ALIASES.values()) <= set(voices.VOICES)


@pytest.mark.parametrize(
    ("name", "gender", "language"),
    [
        ("rachel_v2", "female", "en-US"),
        ("marcus_v2", "male", "en-US"),
        ("alba", "female", "en-GB"),
        ("diego", "male", "es-419"),
        ("estelle", "female", "fr"),
        ("juergen", "male", "de"),
        ("giulia", "female", "it"),
        ("hana", "female", "ja"),
    ],
)
def test_a_stand_in_fits(name: str, gender: str, language: str) -> None:
    voice = voices.resolve(name)
    assert (voice.gender, voice.language) == (gender, language)


@pytest.mark.parametrize("name", ["", "nobody", "rachel"])
def test_an_unknown_voice_is_refused_with_the_valid_ones(name: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        voices.resolve(name)
    assert (refusal.value.code, refusal.value.param) == ("invalid_parameter", "voice_id")
    for valid in (*voices.VOICES, *DOCUMENTED):
        assert valid in refusal.value.message


def test_no_two_voices_sound_the_same() -> None:
    for engine in (voices.FLITE, voices.ESPEAK):
        settings = [v.engines[engine] for v in voices.VOICES.values() if engine in v.engines]
        assert len(settings) == len(set(settings))


def test_a_language_has_a_voice_of_the_wanted_gender_where_there_is_one() -> None:
    spanish = voices.for_language("es-MX", "male")
    assert spanish is not None
    assert (spanish.gender, spanish.language) == ("male", "es")
    hindi = voices.for_language("hi", "female")
    assert hindi is not None
    assert hindi.language == "hi"
    assert voices.for_language("tlh", "female") is None


def test_every_flite_voice_is_well_formed() -> None:
    for voice in voices.VOICES.values():
        if voices.FLITE in voice.engines:
            assert voice.language.startswith("en")
            assert flite.VoiceSettings.parse(voice.engines[voices.FLITE]).name in flite.VOICES


async def test_espeak_speaks_every_voice() -> None:
    engine = Espeak()

    async def first_chunk(voice: voices.Voice) -> int:
        request = SpeakRequest("Hola, 42.", voice.engines[voices.ESPEAK])
        return sum([len(chunk.samples) async for chunk in engine.speak(request)])

    try:
        assert all(await asyncio.gather(*map(first_chunk, voices.VOICES.values())))
    finally:
        await engine.close()


def test_engine_names_are_those_of_the_engines() -> None:
    assert (Flite.name, Espeak.name) == (voices.FLITE, voices.ESPEAK)
    assert espeak.NAME == voices.ESPEAK
