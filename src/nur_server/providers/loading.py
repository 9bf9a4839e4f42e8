"""Makes the engines that the settings name, and the embedded ones."""

import asyncio
import ctypes.util
import importlib.util
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import httpx2
import structlog
from pydantic import SecretStr

from nur_server.engine_settings import EngineSettings, ModelKind
from nur_server.errors import NurError
from nur_server.ports import (
    EngineVoice,
    LanguageModel,
    SpeechToText,
    TextToSpeech,
    TurnModel,
    VoiceActivityDetector,
)
from nur_server.providers import flite, voices, weights, whisper
from nur_server.providers.checking import check_server
from nur_server.providers.discovery import FoundServer, Place, discover
from nur_server.providers.espeak import Espeak
from nur_server.providers.fallback import FallbackModel
from nur_server.providers.flite import Flite
from nur_server.providers.http import ModelServer, model_client
from nur_server.providers.moonshine import Moonshine
from nur_server.providers.offline import OfflineResponder
from nur_server.providers.openai_chat import OpenAIChat
from nur_server.providers.plugins import BuiltEngine, Step, build
from nur_server.providers.polyglot import Polyglot
from nur_server.providers.segmented import SegmentedRecogniser
from nur_server.providers.silero import SileroVad
from nur_server.providers.smart_turn import SmartTurn
from nur_server.redaction import redacted, shown_address
from nur_server.settings import Settings

log = structlog.get_logger()

CLOSE_SECONDS = 2.0
LOAD_SECONDS = 120.0
"""Longest wait for an engine of another package: it may have weights to read."""
MAX_FOUND_MODELS = 16
"""Models of one discovered server that are listed."""


@dataclass(frozen=True, slots=True)
class Engines:
    """What a catalogue offers. Of each kind the first is the default."""

    speech_to_text: Sequence[SpeechToText]
    language_models: Sequence[LanguageModel]
    text_to_speech: Sequence[TextToSpeech]
    vad: VoiceActivityDetector
    turn_model: TurnModel | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    """What is known of an engine that the settings name."""

    name: str
    kind: ModelKind
    type: str = "openai"
    model: str = ""
    """The model behind it, by which the voices of this server are known to it."""
    voice: str | None = None
    """Its voice for every voice that is not its own."""
    address: str | None = None
    """Without what is secret in it."""
    check: Step | None = None
    """See `plugins.BuiltEngine`."""
    voices: Callable[[], Awaitable[Sequence[EngineVoice]]] | None = None
    """Lists the voices of a speech engine."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was made, and what closes it."""

    engines: Engines
    remotes: tuple[Remote, ...]
    found: FoundServer | None
    """The model server that was found running on this machine."""
    resources: AsyncExitStack


@dataclass(slots=True)
class _Opened:
    """Engines as they are made, and how to close them."""

    stack: AsyncExitStack
    loads: list[Step] = field(default_factory=list)
    remotes: list[Remote] = field(default_factory=list)
    """The engines that the settings name, as they are made."""

    def keep(self, close: Step) -> None:
        self.stack.push_async_callback(_bounded, close)


async def load_engines(
    settings: Settings, on_progress: weights.OnProgress | None, places: Sequence[Place]
) -> Loaded:
    """The engines, those that are the default of their kind ready. Raises as `Catalogue.load`."""
    await asyncio.to_thread(_pull, settings, on_progress)
    async with AsyncExitStack() as stack:
        opened = _Opened(stack)
        client = model_client(settings.model_timeout_seconds)
        opened.keep(client.aclose)
        found = await _find(settings, places)
        table = _Table.of(settings, client, opened)
        engines = Engines(
            speech_to_text=_speech_to_text(settings, table, opened),
            language_models=_language_models(table, found, settings, client, opened),
            text_to_speech=await _text_to_speech(table, opened),
            vad=_vad(settings, opened),
            turn_model=_turn_model(settings, opened),
        )
        await _all(opened.loads)
        return Loaded(engines, tuple(opened.remotes), found, stack.pop_all())


def _pull(settings: Settings, on_progress: weights.OnProgress | None) -> None:
    names = weights.missing(settings.models_dir)
    if on_progress is None:
        weights.pull(names, settings.models_dir)
    else:
        weights.pull(names, settings.models_dir, on_progress)


async def _find(settings: Settings, places: Sequence[Place]) -> FoundServer | None:
    if settings.has_engine("llm") or not settings.discover_models:
        return None
    return await discover(own_port=settings.port, places=places)


@dataclass(frozen=True, slots=True)
class _Table:
    """The engines that the settings name, by kind, in the order in which they count."""

    engines: Mapping[ModelKind, list[Any]]

    @classmethod
    def of(cls, settings: Settings, client: httpx2.AsyncClient, opened: _Opened) -> Self:
        engines: dict[ModelKind, list[Any]] = {"stt": [], "llm": [], "tts": []}
        for row in configured(settings):
            built = build(row, client, settings.model_timeout_seconds)
            if built.close is not None:
                opened.keep(built.close)
            if built.load is not None:
                opened.loads.append(partial(_load, row.name, built.load))
            engines[row.kind].append(built.engine)
            opened.remotes.append(_remote(row, built))
        _tell_of_unknown_voices(opened.remotes)
        return cls(engines)


def _remote(row: EngineSettings, built: BuiltEngine) -> Remote:
    return Remote(
        row.name,
        row.kind,
        row.type,
        row.server_model,
        row.voice,
        address=shown_address(str(row.url)) if row.url is not None else None,
        check=built.check,
        voices=built.engine.voices if row.kind == "tts" else None,
    )


def _tell_of_unknown_voices(remotes: Iterable[Remote]) -> None:
    known = {engine for voice in voices.VOICES.values() for engine in voice.engines}
    for remote in remotes:
        if remote.kind == "tts" and remote.voice is None and remote.model not in known:
            log.warning(
                "which voices of the speech server stand for this server's is not known: set its "
                "voice, or name its own voices",
                engine=remote.name,
            )


def configured(settings: Settings) -> list[EngineSettings]:
    """Every engine that the settings name: the defaults of the table, those that have settings of
    their own, the rest of the table."""
    single = [
        EngineSettings(name=settings.llm_model, kind="llm", url=settings.llm_url,
                       key=settings.llm_api_key),
        EngineSettings(name=settings.stt_model, kind="stt", url=settings.stt_url,
                       key=settings.stt_api_key,
                       type="vllm-realtime" if settings.stt_realtime else "openai"),
        EngineSettings(name=settings.tts_model, kind="tts", url=settings.tts_url,
                       key=settings.tts_api_key, voice=settings.tts_voice),
    ]  # fmt: skip
    rows = [*(row for row in single if row.url is not None), *settings.engines]
    rows.sort(key=lambda row: not row.default)
    by_id: dict[tuple[ModelKind, str], EngineSettings] = {}
    for row in rows:
        by_id.setdefault((row.kind, row.name), row)
    return list(by_id.values())


async def _load(name: str, load: Step) -> None:
    """An engine of another package that cannot load does not keep the server from starting."""
    try:
        async with asyncio.timeout(LOAD_SECONDS):
            await load()
    except Exception as error:
        reason = redacted(error.message) if isinstance(error, NurError) else ""
        log.warning("engine did not load", engine=name, error=type(error).__name__, reason=reason)


def _speech_to_text(settings: Settings, table: _Table, opened: _Opened) -> list[SpeechToText]:
    """Those of the settings, then the embedded engines, which load at first use where they are not
    the default."""
    embedded: list[SegmentedRecogniser] = [Moonshine(settings.models_dir)]
    if whisper.is_there(settings.models_dir):
        embedded.append(whisper.Whisper(settings.models_dir))
    for engine in embedded:
        opened.keep(engine.close)
    if not table.engines["stt"]:
        opened.loads.append(embedded[0].load)
    return [*table.engines["stt"], *embedded]


def _language_models(
    table: _Table,
    found: FoundServer | None,
    settings: Settings,
    client: httpx2.AsyncClient,
    opened: _Opened,
) -> list[LanguageModel]:
    """Those of the settings, or the models of the server that was found; then the responder."""
    models: list[LanguageModel] = list(table.engines["llm"])

    def chat(
        url: str, model: str, key: SecretStr | None = None, *, is_watched: bool = True
    ) -> LanguageModel:
        server = ModelServer(url, model, key.get_secret_value() if key is not None else None)
        if is_watched:
            check = partial(check_server, server, client, "llm")
            opened.remotes.append(Remote(model, "llm", address=shown_address(url), check=check))
        return OpenAIChat(server, client, chunk_seconds=settings.model_timeout_seconds)

    if found is not None:
        best = found.best(settings.llm_model)
        ids = dict.fromkeys([best, *found.models[:MAX_FOUND_MODELS]])
        models += [chat(found.base_url, id, is_watched=id == best) for id in ids]
    if settings.llm_fallback_url or settings.llm_fallback_model:
        row = fallback_of(settings)
        second = chat(str(row.url), row.name, row.key)
        models = [FallbackModel(models[0], second), *models[1:]] if models else []
        models.append(second)
    return [*models, OfflineResponder()]


def fallback_of(settings: Settings) -> EngineSettings:
    """The fallback of settings that have one: another server, another model, or both."""
    key = settings.llm_fallback_api_key
    if settings.llm_fallback_url is None:
        key = key or settings.llm_api_key
    return EngineSettings(
        name=settings.llm_fallback_model or settings.llm_model,
        kind="llm",
        url=settings.llm_fallback_url or settings.llm_url,
        key=key,
    )


async def _text_to_speech(table: _Table, opened: _Opened) -> list[TextToSpeech]:
    """Those of the settings, then flite where the library is there, then espeak-ng."""
    engines: list[TextToSpeech] = list(table.engines["tts"])
    has_flite = await asyncio.to_thread(flite.available)
    has_espeak = await asyncio.to_thread(_has_espeak)
    espeak = Espeak()
    opened.keep(espeak.close)
    if has_flite:
        embedded = Flite()
        opened.keep(embedded.close)
        opened.loads.append(embedded.load)
        engines.append(Polyglot(embedded, espeak) if has_espeak else embedded)
    elif not engines:
        # The last resort: where it cannot start either, its own error says what to install.
        opened.loads.append(espeak.load)
        has_espeak = True
    return [*engines, espeak] if has_espeak else engines


def _has_espeak() -> bool:
    bundled = importlib.util.find_spec("espeakng_loader") is not None
    return bundled or ctypes.util.find_library("espeak-ng") is not None


def _vad(settings: Settings, opened: _Opened) -> VoiceActivityDetector:
    vad = SileroVad(settings.models_dir)
    opened.keep(vad.close)
    opened.loads.append(vad.load)
    return vad


def _turn_model(settings: Settings, opened: _Opened) -> TurnModel:
    model = SmartTurn(settings.models_dir)
    opened.keep(model.close)
    opened.loads.append(model.load)
    return model


async def _all(loads: Iterable[Step]) -> None:
    """Wait for all, then raise what the first failed one raised."""
    results = await asyncio.gather(*(load() for load in loads), return_exceptions=True)
    failure = next((result for result in results if isinstance(result, BaseException)), None)
    if failure is not None:
        raise failure


async def _bounded(close: Step) -> None:
    """Close one engine, and go on where that fails."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await close()
    except Exception as error:
        log.warning("engine did not close", error=type(error).__name__)
