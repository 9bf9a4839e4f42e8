"""The models and voices of this server: which there are, which is the default, how to get one."""

import asyncio
import ctypes.util
import importlib.util
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import httpx2
import structlog
from pydantic import SecretStr

from nur_server.errors import InvalidRequest, NurError
from nur_server.ports import (
    LanguageModel,
    SpeechToText,
    TextToSpeech,
    TurnModel,
    VoiceActivityDetector,
)
from nur_server.providers import flite, moonshine, voices, weights
from nur_server.providers.discovery import PLACES, FoundServer, Place, discover
from nur_server.providers.espeak import Espeak
from nur_server.providers.fallback import FallbackModel
from nur_server.providers.flite import Flite
from nur_server.providers.http import ModelServer, model_client
from nur_server.providers.moonshine import Moonshine
from nur_server.providers.offline import OfflineResponder
from nur_server.providers.openai_chat import OpenAIChat
from nur_server.providers.openai_speech import OpenAISpeech
from nur_server.providers.openai_transcriptions import OpenAITranscriptions
from nur_server.providers.polyglot import Polyglot
from nur_server.providers.scripted import (
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
    ScriptedVoiceActivity,
)
from nur_server.providers.silero import SileroVad
from nur_server.providers.smart_turn import SmartTurn
from nur_server.providers.vllm_realtime import VLLMRealtime
from nur_server.providers.voices import Voice
from nur_server.settings import Settings

log = structlog.get_logger()

E = TypeVar("E", SpeechToText, LanguageModel, TextToSpeech)

ModelKind = Literal["stt", "llm", "tts"]

CLOSE_SECONDS = 2.0
MAX_FOUND_MODELS = 16
"""Models of one discovered server that are listed."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """An entry of the catalogue."""

    id: str
    kind: ModelKind
    name: str
    provider: str
    description: str
    available: bool
    """False: whoever asks for it gets the default."""
    is_default: bool


@dataclass(frozen=True, slots=True)
class Choice(Generic[E]):
    """The engine for a session."""

    engine: E
    model_id: str
    """What is really used."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """A model this server knows by name, whether it has it or not."""

    id: str
    kind: ModelKind
    name: str
    provider: str
    description: str
    remedy: str
    """What makes it available."""


KNOWN = (
    Known(
        "qwen3.5-4b", "llm", "Qwen3.5 4B", "openai-compatible",
        "Small language model with tools, on vLLM, SGLang or llama.cpp",
        "set NUR_LLM_URL",
    ),
    Known(
        "offline", "llm", "Offline responder", "nur",
        "No language model: answers by rule from the system prompt and calls tools",
        "it is built in",
    ),
    Known(
        "voxtral-realtime", "stt", "Voxtral Mini 4B Realtime", "vllm",
        "Streaming speech-to-text in 13 languages, on vLLM",
        "set NUR_STT_URL",
    ),
    Known(
        moonshine.NAME, "stt", "Moonshine tiny (English)", "nur",
        "Embedded English speech-to-text",
        "run `nur models pull`",
    ),
    Known(
        "qwen3-tts", "tts", "Qwen3-TTS", "vllm-omni",
        "Expressive speech in ten languages, on vLLM-Omni",
        "set NUR_TTS_URL",
    ),
    Known(
        voices.FLITE, "tts", "Flite", "nur",
        "Embedded English speech; other languages by espeak-ng",
        "install libflite1",
    ),
    Known(
        voices.ESPEAK, "tts", "eSpeak NG", "nur",
        "Embedded speech in many languages, in a process of its own",
        "install espeakng-loader or libespeak-ng1",
    ),
)  # fmt: skip


class Shelf(Generic[E]):
    """The models of one kind. The first engine is the default."""

    def __init__(self, kind: ModelKind, engines: Sequence[E], *, strict: bool) -> None:
        if not engines:
            raise ValueError(f"expected at least one {kind} engine, got none")
        self._kind = kind
        self._engines: dict[str, E] = {engine.name: engine for engine in reversed(engines)}
        self._default: str = engines[0].name
        self._strict = strict
        self._known = {known.id: known for known in KNOWN if known.kind == kind}

    @property
    def default(self) -> E:
        return self._engines[self._default]

    def models(self) -> list[ModelInfo]:
        """The default first, then the other engines, then what is known and not configured."""
        ids = dict.fromkeys([self._default, *self._engines, *self._known])
        return [self._info(id) for id in ids]

    def choose(self, wanted: str | None) -> Choice[E]:
        """The engine called `wanted`, or the default for None.

        One that is known and not configured gives the default and a warning; `strict` makes that
        an `InvalidRequest`, as an unknown one always is.
        """
        if wanted is None:
            return Choice(self.default, self._default)
        if wanted in self._engines:
            return Choice(self._engines[wanted], wanted)
        param = f"{self._kind}_model"
        known = self._known.get(wanted)
        if known is None:
            ids = [info.id for info in self.models()]
            raise InvalidRequest(
                f"expected a model of this server, got {wanted!r}; models: {', '.join(ids)}",
                code="unknown_model",
                param=param,
                details={"models": ids},
            )
        problem = f"{param} {wanted!r} is not configured on this server ({known.remedy})"
        if self._strict:
            raise InvalidRequest(problem, code="model_not_configured", param=param)
        warning = f"{problem}; {self._default!r} is used instead"
        return Choice(self.default, self._default, (warning,))

    def _info(self, id: str) -> ModelInfo:
        known = self._known.get(id) or Known(
            id, self._kind, id, "openai-compatible", "Served by a model server at an address", ""
        )
        return ModelInfo(
            id=id,
            kind=self._kind,
            name=known.name,
            provider=known.provider,
            description=known.description,
            available=id in self._engines,
            is_default=id == self._default,
        )


@dataclass(frozen=True, slots=True)
class Engines:
    """What a catalogue offers. Of each kind the first is the default."""

    speech_to_text: Sequence[SpeechToText]
    language_models: Sequence[LanguageModel]
    text_to_speech: Sequence[TextToSpeech]
    vad: VoiceActivityDetector
    turn_model: TurnModel | None = None


@dataclass(frozen=True, slots=True)
class RemoteVoice:
    """A configured speech server, and the one voice to use there."""

    engine: str
    voice: str


Step = Callable[[], Awaitable[None]]
"""Loading or closing an engine."""


@dataclass(slots=True)
class _Opened:
    """Engines as they are made, and how to close them."""

    stack: AsyncExitStack
    loads: list[Step] = field(default_factory=list)

    def keep(self, close: Step) -> None:
        self.stack.push_async_callback(_bounded, close)


class Catalogue:
    """Models and voices by id."""

    def __init__(
        self,
        engines: Engines,
        *,
        strict_models: bool = False,
        remote_voice: RemoteVoice | None = None,
        found: FoundServer | None = None,
        resources: AsyncExitStack | None = None,
    ) -> None:
        """A catalogue of these engines. `resources` are closed with it."""
        strict = strict_models
        self._stt = Shelf("stt", engines.speech_to_text, strict=strict)
        self._llm = Shelf("llm", engines.language_models, strict=strict)
        self._tts = Shelf("tts", engines.text_to_speech, strict=strict)
        self._engines = engines
        self._remote_voice = remote_voice
        self._resources = resources or AsyncExitStack()
        self.found = found
        """The model server that was found running on this machine."""

    @classmethod
    async def load(
        cls,
        settings: Settings,
        *,
        on_progress: weights.OnProgress | None = None,
        places: Sequence[Place] = PLACES,
    ) -> "Catalogue":
        """The catalogue `settings` describe, its default engines ready.

        Fetches missing weights first; `on_progress` is then called on another thread. `places`
        are where a running model server is looked for. Raises `Unavailable` and its kin when the
        embedded engines cannot be had.
        """
        await asyncio.to_thread(_pull, settings, on_progress)
        async with AsyncExitStack() as stack:
            opened = _Opened(stack)
            client = model_client(settings.model_timeout_seconds)
            opened.keep(client.aclose)
            found = await _find(settings, places)
            engines = Engines(
                speech_to_text=_speech_to_text(settings, client, opened),
                language_models=_language_models(settings, client, found),
                text_to_speech=await _text_to_speech(settings, client, opened),
                vad=_vad(settings, opened),
                turn_model=_turn_model(settings, opened),
            )
            await _all(opened.loads)
            return cls(
                engines,
                strict_models=settings.strict_models,
                remote_voice=_remote_voice(settings),
                found=found,
                resources=stack.pop_all(),
            )

    @classmethod
    def scripted(
        cls,
        *,
        stt: SpeechToText | None = None,
        llm: LanguageModel | None = None,
        tts: TextToSpeech | None = None,
        vad: VoiceActivityDetector | None = None,
        turn_model: TurnModel | None = None,
        strict_models: bool = False,
    ) -> "Catalogue":
        """A catalogue without weights or servers, for tests and benchmarks."""
        engines = Engines(
            speech_to_text=[stt or ScriptedSpeechToText(lambda _: "Hello.")],
            language_models=[llm or ScriptedLanguageModel(lambda _: "Hello."), OfflineResponder()],
            text_to_speech=[tts or ScriptedTextToSpeech()],
            vad=vad or ScriptedVoiceActivity(),
            turn_model=turn_model,
        )
        return cls(engines, strict_models=strict_models)

    def models(self) -> tuple[ModelInfo, ...]:
        """Every model this server has or knows."""
        return (*self._stt.models(), *self._llm.models(), *self._tts.models())

    def speech_to_text(self, id: str | None = None) -> Choice[SpeechToText]:
        """See `Shelf.choose`; the `param` of an error is `stt_model`."""
        return self._stt.choose(id)

    def language_model(self, id: str | None = None) -> Choice[LanguageModel]:
        """See `Shelf.choose`; the `param` of an error is `llm_model`."""
        return self._llm.choose(id)

    def text_to_speech(self, id: str | None = None) -> Choice[TextToSpeech]:
        """See `Shelf.choose`; the `param` of an error is `tts_model`."""
        return self._tts.choose(id)

    def voices(self) -> tuple[Voice, ...]:
        return tuple(voices.VOICES.values())

    def voice(self, voice_id: str | None = None) -> Voice:
        """The voice with this id or alias, or the default for None. Raises `InvalidRequest`."""
        return voices.resolve(voices.DEFAULT if voice_id is None else voice_id)

    def engine_voice(self, voice: Voice, tts: TextToSpeech) -> str:
        """What `tts` calls `voice`.

        A voice the engine lacks is spoken by its substitute where it has one, else by its voice
        of the same gender.
        """
        if self._remote_voice is not None and self._remote_voice.engine == tts.name:
            return self._remote_voice.voice
        own = voice.engines.get(tts.name)
        if own is not None:
            return own
        if isinstance(tts, Polyglot) and (other := voice.engines.get(tts.second.name)) is not None:
            return tts.second_voice(other)
        alike = voices.for_language("en", voice.gender)
        return alike.engines.get(tts.name, voice.id) if alike is not None else voice.id

    @property
    def vad(self) -> VoiceActivityDetector:
        return self._engines.vad

    @property
    def turn_model(self) -> TurnModel | None:
        return self._engines.turn_model

    async def close(self) -> None:
        """Close every engine, each within two seconds. May be called twice."""
        await self._resources.aclose()


def _pull(settings: Settings, on_progress: weights.OnProgress | None) -> None:
    names = weights.missing(settings.models_dir)
    if on_progress is None:
        weights.pull(names, settings.models_dir)
    else:
        weights.pull(names, settings.models_dir, on_progress)


async def _find(settings: Settings, places: Sequence[Place]) -> FoundServer | None:
    if settings.llm_url is not None or not settings.discover_models:
        return None
    return await discover(own_port=settings.port, places=places)


def _server(url: object, model: str, key: SecretStr | None) -> ModelServer:
    return ModelServer(str(url), model, key.get_secret_value() if key is not None else None)


def _speech_to_text(
    settings: Settings, client: httpx2.AsyncClient, opened: _Opened
) -> list[SpeechToText]:
    """The configured server, then the embedded engine, which loads at first use where it is not
    the default."""
    embedded = Moonshine(settings.models_dir)
    opened.keep(embedded.close)
    if settings.stt_url is None:
        opened.loads.append(embedded.load)
        return [embedded]
    server = _server(settings.stt_url, settings.stt_model, settings.stt_api_key)
    seconds = settings.model_timeout_seconds
    if settings.stt_realtime:
        return [VLLMRealtime(server, stall_seconds=seconds), embedded]
    return [OpenAITranscriptions(server, client, answer_seconds=seconds), embedded]


def _language_models(
    settings: Settings, client: httpx2.AsyncClient, found: FoundServer | None
) -> list[LanguageModel]:
    """The configured server, or the models of the one that was found; then the responder."""

    def chat(url: object, model: str, key: SecretStr | None = None) -> LanguageModel:
        seconds = settings.model_timeout_seconds
        return OpenAIChat(_server(url, model, key), client, chunk_seconds=seconds)

    models: list[LanguageModel] = []
    if settings.llm_url is not None:
        models.append(chat(settings.llm_url, settings.llm_model, settings.llm_api_key))
    elif found is not None:
        best = found.best(settings.llm_model)
        ids = dict.fromkeys([best, *found.models[:MAX_FOUND_MODELS]])
        models += [chat(found.base_url, id) for id in ids]
    second = _second(settings, chat)
    if second is not None:
        models = [FallbackModel(models[0], second), *models[1:]] if models else []
        models.append(second)
    return [*models, OfflineResponder()]


def _second(
    settings: Settings, chat: Callable[[object, str, SecretStr | None], LanguageModel]
) -> LanguageModel | None:
    """The fallback: another server, another model, or both."""
    url = settings.llm_fallback_url or settings.llm_url
    if url is None or not (settings.llm_fallback_url or settings.llm_fallback_model):
        return None
    key = settings.llm_fallback_api_key
    if settings.llm_fallback_url is None:
        key = key or settings.llm_api_key
    return chat(url, settings.llm_fallback_model or settings.llm_model, key)


async def _text_to_speech(
    settings: Settings, client: httpx2.AsyncClient, opened: _Opened
) -> list[TextToSpeech]:
    """The configured server, then flite where the library is there, then espeak-ng."""
    engines: list[TextToSpeech] = []
    if settings.tts_url is not None:
        server = _server(settings.tts_url, settings.tts_model, settings.tts_api_key)
        seconds = settings.model_timeout_seconds
        engines.append(OpenAISpeech(server, client, chunk_seconds=seconds))
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


def _remote_voice(settings: Settings) -> RemoteVoice | None:
    if settings.tts_url is None:
        return None
    if settings.tts_voice is not None:
        return RemoteVoice(settings.tts_model, settings.tts_voice)
    if not any(settings.tts_model in voice.engines for voice in voices.VOICES.values()):
        log.warning("voices of the speech server are not known, set NUR_TTS_VOICE")
    return None


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
    except (TimeoutError, NurError, OSError) as error:
        log.warning("engine did not close", error=type(error).__name__)
