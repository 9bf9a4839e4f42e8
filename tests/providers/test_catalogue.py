"""Models and voices by id."""

import json
from pathlib import Path
from typing import Any

import pytest
from servers import Exchange, running

from nur_server.conversation.actions import ModelMessage
from nur_server.conversation.events import Role
from nur_server.errors import InternalError, InvalidRequest, ProviderUnreachable, Unavailable
from nur_server.opening.plan import plan_for_client
from nur_server.opening.prepare import Identity, prepare
from nur_server.options import InputOptions, Modality, OutputOptions, SessionOptions
from nur_server.ports import ReplyRequest, TextDelta
from nur_server.providers import weights
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.discovery import Place
from nur_server.providers.loading import Engines, Remote, configured
from nur_server.providers.polyglot import Polyglot
from nur_server.providers.registry import ENTRIES, ModelInfo, Registry
from nur_server.providers.scripted import (
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
    ScriptedTurnModel,
    ScriptedVoiceActivity,
)
from nur_server.settings import Settings

NAMED = {
    "qwen3.5-4b",
    "voxtral-realtime",
    "qwen3-tts",
    "offline",
    "moonshine-tiny-en",
    "flite",
    "espeak-ng",
}


def catalogue(strict_models: bool = False, **more: Any) -> Catalogue:
    engines = Engines(
        speech_to_text=[ScriptedSpeechToText([])],
        language_models=[
            ScriptedLanguageModel([], name="first"),
            ScriptedLanguageModel([], name="second"),
        ],
        text_to_speech=[ScriptedTextToSpeech()],
        vad=ScriptedVoiceActivity(),
    )
    return Catalogue(engines, strict_models=strict_models, **more)


def test_every_model_of_the_documents_is_listed() -> None:
    assert {info.id for info in catalogue().models()} >= NAMED


def test_each_kind_has_one_default_and_it_is_available() -> None:
    defaults = [info for info in catalogue().models() if info.is_default]
    assert [(info.kind, info.id, info.available) for info in defaults] == [
        ("stt", "scripted-stt", True),
        ("llm", "first", True),
        ("tts", "scripted-tts", True),
    ]


def test_no_id_means_the_default() -> None:
    choice = catalogue().language_model()
    assert (choice.model_id, choice.engine.name, choice.warnings) == ("first", "first", ())


def test_an_id_means_that_model() -> None:
    assert catalogue().language_model("second").engine.name == "second"


def test_a_known_model_that_is_not_configured_gives_the_default_and_says_so() -> None:
    choice = catalogue().language_model("qwen3.5-4b")
    assert choice.model_id == "first"
    (warning,) = choice.warnings
    assert "NUR_LLM_URL" in warning
    assert "'first' is used instead" in warning


def test_strict_models_makes_that_an_error() -> None:
    with pytest.raises(InvalidRequest) as caught:
        catalogue(strict_models=True).speech_to_text("voxtral-realtime")
    assert (caught.value.code, caught.value.param) == ("model_not_configured", "stt_model")


@pytest.mark.parametrize("kind", ["speech_to_text", "language_model", "text_to_speech"])
def test_an_unknown_model_is_an_error_that_lists_the_known_ones(kind: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        getattr(catalogue(), kind)("gpt-99")
    short = {"speech_to_text": "stt", "language_model": "llm", "text_to_speech": "tts"}[kind]
    assert caught.value.param == f"{short}_model"
    assert "gpt-99" in caught.value.message
    assert set(caught.value.details["models"]) & NAMED


def test_a_model_of_another_kind_is_unknown() -> None:
    with pytest.raises(InvalidRequest):
        catalogue().language_model("qwen3-tts")


def test_a_registry_needs_an_engine() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Registry[Any]("llm", [], strict=False)


# Voices


def test_voices_and_their_aliases_resolve() -> None:
    own = catalogue()
    assert own.voice("rachel_v2") in own.voices()
    assert own.voice() in own.voices()
    with pytest.raises(InvalidRequest) as caught:
        own.voice("nobody")
    assert caught.value.param == "voice_id"


def test_an_engine_is_asked_for_its_own_voice() -> None:
    own = catalogue()
    flite, espeak = ScriptedTextToSpeech(name="flite"), ScriptedTextToSpeech(name="espeak-ng")
    hazel, spanish = own.voice("rachel_v2"), own.voice("diego")
    assert own.engine_voice(hazel, flite) == hazel.engines["flite"]
    assert own.engine_voice(spanish, espeak) == spanish.engines["espeak-ng"]


def test_a_voice_an_engine_lacks_is_spoken_by_its_substitute() -> None:
    own = catalogue()
    flite, espeak = ScriptedTextToSpeech(name="flite"), ScriptedTextToSpeech(name="espeak-ng")
    spanish = own.voice("diego")
    both = Polyglot(flite, espeak)
    assert own.engine_voice(spanish, both) == f"espeak-ng/{spanish.engines['espeak-ng']}"
    alike = own.engine_voice(spanish, flite)
    males = {
        v.engines["flite"] for v in own.voices() if v.gender == "male" and "flite" in v.engines
    }
    assert alike in males


def test_a_configured_voice_is_used_for_every_voice_of_that_server_alone() -> None:
    own = catalogue(remotes=[Remote("kokoro", "tts", voice="af_sky")])
    hazel = own.voice("rachel_v2")
    assert own.engine_voice(hazel, ScriptedTextToSpeech(name="kokoro")) == "af_sky"
    assert own.engine_voice(hazel, ScriptedTextToSpeech(name="flite")) == hazel.engines["flite"]


# Scripted


def test_a_scripted_catalogue_needs_nothing() -> None:
    turn_model = ScriptedTurnModel()
    own = Catalogue.scripted(turn_model=turn_model)
    assert own.turn_model is turn_model
    assert own.vad.name == "scripted-vad"
    assert own.language_model("offline").engine.name == "offline"
    assert {info.id for info in own.models()} >= NAMED


# Loaded from settings


@pytest.fixture(scope="module")
def models_dir() -> Path:
    directory = Settings(_env_file=None).models_dir
    try:
        weights.pull(weights.missing(directory), directory)
    except Unavailable as error:
        pytest.skip(f"speech weights cannot be had: {error.message}")
    return directory


def settings(models_dir: Path, **more: Any) -> Settings:
    return Settings(_env_file=None, models_dir=models_dir, **more)


def default_of(own: Catalogue, kind: str) -> ModelInfo:
    return next(info for info in own.models() if info.kind == kind and info.is_default)


async def test_with_nothing_configured_everything_is_embedded(models_dir: Path) -> None:
    own = await Catalogue.load(settings(models_dir), places=())
    try:
        assert default_of(own, "stt").id == "moonshine-tiny-en"
        assert default_of(own, "llm").id == "offline"
        assert default_of(own, "tts").id in ("flite", "espeak-ng")
        assert own.turn_model is not None
        assert own.found is None
    finally:
        await own.close()
        await own.close()


async def test_configured_servers_are_the_defaults(models_dir: Path) -> None:
    url = "http://127.0.0.1:9/v1"
    configured = settings(
        models_dir,
        llm_url=url,
        llm_fallback_model="small",
        stt_url=url,
        stt_realtime=False,
        tts_url=url,
        tts_voice="vivian",
    )
    own = await Catalogue.load(configured)
    try:
        ids = [default_of(own, kind).id for kind in ("stt", "llm", "tts")]
        assert ids == ["voxtral-realtime", "qwen3.5-4b", "qwen3-tts"]
        assert own.language_model("small").warnings == ()
        assert own.speech_to_text("moonshine-tiny-en").warnings == ()
        tts = own.text_to_speech().engine
        assert own.engine_voice(own.voice("rachel_v2"), tts) == "vivian"
    finally:
        await own.close()


async def test_a_running_server_is_found_and_asked(models_dir: Path) -> None:
    async def ollama(exchange: Exchange) -> None:
        if exchange.asked.path == "/v1/models":
            data = [{"id": "llama3"}, {"id": "qwen3.5:4b"}]
            await exchange.answer(json.dumps({"object": "list", "data": data}))
        else:
            answer = {"delta": {"content": "Hi."}, "finish_reason": "stop"}
            await exchange.events({"choices": [answer]})

    async with running(ollama) as server:
        places = (Place("Ollama", server.base_url),)
        own = await Catalogue.load(settings(models_dir), places=places)
        try:
            choice = own.language_model()
            ask = ReplyRequest((ModelMessage(Role.USER, "Hello"),))
            parts = [part async for part in choice.engine.reply(ask)]
        finally:
            await own.close()
    assert choice.model_id == "qwen3.5:4b"
    assert own.language_model("llama3").warnings == ()
    assert parts[0] == TextDelta("Hi.")
    assert own.found is not None
    assert own.found.kind == "Ollama"


async def test_nothing_is_looked_for_when_discovery_is_off(models_dir: Path) -> None:
    async def never(exchange: Exchange) -> None:
        await exchange.answer("{}")

    async with running(never) as server:
        quiet = settings(models_dir, discover_models=False)
        own = await Catalogue.load(quiet, places=(Place("Ollama", server.base_url),))
        await own.close()
    assert server.asked == []


def test_what_is_known_is_named_once() -> None:
    assert len({entry.id for entry in ENTRIES}) == len(ENTRIES)


# The table of engines


def table(*rows: dict[str, Any], **more: Any) -> Settings:
    return Settings(_env_file=None, engines=json.dumps(rows), discover_models=False, **more)


def row(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "url": "http://127.0.0.1:9/v1", **more}


def test_engines_of_a_kind_come_in_their_order_with_the_default_first() -> None:
    ours = table(
        row("small", "llm"),
        row("large", "llm", default=True),
        row("mouth", "tts"),
        row("qwen3-tts", "tts"),
        llm_url="http://127.0.0.1:9/v1",
        tts_url="http://127.0.0.1:8/v1",
    )
    engines = [(engine.kind, engine.name) for engine in configured(ours)]
    assert engines == [
        ("llm", "large"),
        ("llm", "qwen3.5-4b"),
        ("tts", "qwen3-tts"),
        ("llm", "small"),
        ("tts", "mouth"),
    ]
    speech = next(engine for engine in configured(ours) if engine.name == "qwen3-tts")
    assert str(speech.url) == "http://127.0.0.1:8/v1"


async def test_several_engines_of_a_kind_are_chosen_by_their_names(models_dir: Path) -> None:
    ours = settings(
        models_dir,
        discover_models=False,
        llm_url="http://127.0.0.1:9/v1",
        engines=json.dumps(
            [
                row("mouth", "tts", model="qwen3-tts"),
                row("second mouth", "tts", voice="nova"),
                row("fast", "llm", model="vendor/fast"),
                row("ears", "stt", type="vllm-realtime", default=True),
            ]
        ),
    )
    own = await Catalogue.load(ours)
    try:
        assert [default_of(own, kind).id for kind in ("stt", "llm", "tts")] == [
            "ears",
            "qwen3.5-4b",
            "mouth",
        ]
        for name in ("mouth", "second mouth"):
            assert own.text_to_speech(name).engine.name == name
        assert own.language_model("fast").warnings == ()
        hazel = own.voice("hazel")
        spoken = [
            own.engine_voice(hazel, own.text_to_speech(id).engine)
            for id in ("mouth", "second mouth", "espeak-ng")
        ]
        assert spoken == [hazel.engines["qwen3-tts"], "nova", hazel.engines["espeak-ng"]]
    finally:
        await own.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"type": "acme"}, "expected a type that is installed, one of openai"),
        ({"type": "vllm-realtime"}, "got 'vllm-realtime'"),
        ({"url": None}, "expected a url"),
        ({"options": {"speed": 1}}, "expected no options"),
    ],
)
async def test_an_engine_that_cannot_be_made_is_named(
    models_dir: Path, wrong: dict[str, Any], said: str
) -> None:
    ours = settings(models_dir, engines=json.dumps([{**row("fast", "llm"), **wrong}]))
    with pytest.raises(InternalError, match="llm engine 'fast'") as caught:
        await Catalogue.load(ours)
    assert said in caught.value.message


async def test_the_warnings_are_about_engines_that_are_needed() -> None:
    async def fail() -> None:
        raise ProviderUnreachable("gone", provider="x")

    names = {"stt": "scripted-stt", "llm": "first", "tts": "scripted-tts"}
    own = catalogue(remotes=[Remote(name, kind, check=fail) for kind, name in names.items()])
    await own._watch.look()
    silent = SessionOptions(
        input=InputOptions(modality=Modality.TEXT), output=OutputOptions(modality=Modality.TEXT)
    )
    for asked, named in (
        (SessionOptions(), ["stt_model", "llm_model", "tts_model"]),
        (silent, ["llm_model"]),
    ):
        told = prepare(plan_for_client(asked), Identity("acc_1", "ses_1"), own).warnings
        assert [warning.partition(" ")[0] for warning in told] == named
