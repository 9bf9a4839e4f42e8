"""Whisper: the network where its package and weights are here, and what holds without them."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from contracts import ended, heard

from nur_server.errors import Unavailable
from nur_server.ports import ListenOptions, Samples
from nur_server.providers import whisper
from nur_server.providers.espeak import Espeak
from nur_server.providers.hypothesis import Hypothesis
from nur_server.providers.recogniser_workers import Abandoned
from nur_server.providers.whisper import Whisper
from nur_server.providers.whisper_model import INVENTED, WhisperModel
from nur_server.settings import Settings

RATE = 16_000
FINALS_ONLY = ListenOptions(wants_partials=False)


@pytest.fixture(scope="module")
def model() -> WhisperModel:
    directory = Settings().models_dir
    if not whisper.is_there(directory):
        pytest.skip(f"Whisper is not here: {whisper.REMEDY}")
    return WhisperModel.load(directory)


class Echo:
    """A model that says in which language it was asked to listen."""

    def hear(
        self, samples: Samples, guess: object = (), is_abandoned: object = None, *, language: str
    ) -> Hypothesis:
        return Hypothesis((1,), language, -0.1)


async def test_it_listens_in_the_language_of_the_session() -> None:
    engine = Whisper(Path(), model=Echo())  # type: ignore[arg-type]
    speech = np.full(RATE, 3000, np.int16)
    for language in ("es", "fr", "hi", "pt"):
        (final,) = await heard(engine, ended(speech), ListenOptions(language, wants_partials=False))
        assert final.text == language
    await engine.close()


@pytest.mark.parametrize(
    "text",
    [
        "Subtítulos realizados por la comunidad de Amara.org",
        "Sous-titrage Société Radio-Canada",
        "Untertitel im Auftrag des ZDF für funk, 2017",
        "Продолжение следует...",
        "ご視聴ありがとうございました",
        "Thank you for watching!",
    ],
)
def test_what_it_writes_for_noise_is_known(text: str) -> None:
    assert INVENTED.fullmatch(text)


@pytest.mark.parametrize(
    "text",
    [
        "¿La película tiene subtítulos?",
        "Est-ce qu'il y a des sous-titres ?",
        "Thank you for watching my dog, see you on Monday.",
        "Ich hätte gern Untertitel.",
    ],
)
def test_what_people_say_of_subtitles_is_speech(text: str) -> None:
    assert not INVENTED.fullmatch(text)


def test_without_its_weights_it_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nur models pull"):
        WhisperModel.load(tmp_path)
    assert not whisper.is_there(tmp_path)


def test_the_languages_offered_are_the_networks(model: WhisperModel) -> None:
    assert model.languages >= whisper.LANGUAGES


def test_it_stops_when_its_work_is_abandoned(model: WhisperModel) -> None:
    with pytest.raises(Abandoned):
        model.hear(np.zeros(RATE, np.int16), (), lambda: True)


@pytest.mark.parametrize("level", [0, 30, 300, 3000])
def test_noise_is_no_speech(model: WhisperModel, level: int) -> None:
    noise = (np.random.default_rng(4).standard_normal(2 * RATE) * level).astype(np.int16)
    for language in ("en", "es"):
        assert not model.hear(noise, language=language).is_speech


@pytest.mark.parametrize(
    ("voice", "language", "said", "words"),
    [
        ("es+f2", "es", "Buenos días, quiero cambiar la fecha de mi cita.", ("quiero", "fecha")),
        ("fr+m3", "fr", "Bonjour, je voudrais parler avec un conseiller.", ("bonjour", "conseil")),
        ("de+m3", "de", "Guten Tag, ich möchte einen Termin am Montag.", ("termin", "montag")),
    ],
)
async def test_it_understands_other_languages(
    model: WhisperModel, voice: str, language: str, said: str, words: tuple[str, ...]
) -> None:
    samples = await spoken(voice, said)
    engine = Whisper(Path(), model=model)
    options = ListenOptions(language, wants_partials=False)
    (final,) = await heard(engine, ended(samples), options)
    await engine.close()
    assert all(word in final.text.lower() for word in words), final.text
    assert (await asyncio.to_thread(model.language_of, samples))[0] == language


async def spoken(voice: str, text: str) -> Samples:
    from bench.wer import speech

    engine = Espeak()
    try:
        return await speech(engine, voice, text)
    finally:
        await engine.close()
