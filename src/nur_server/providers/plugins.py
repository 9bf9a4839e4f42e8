"""Engines by their type: those of this server, and those that other packages bring.

A package adds an engine by an entry point of the group `nur.engines`:

    [project.entry-points."nur.engines"]
    acme = "nur_acme:engine"

where `engine(config: EngineConfig) -> BuiltEngine`. The type `acme` can then be named in the table
of engines. Packages that nobody names are not imported. `docs/engines.md` has a whole example.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

import httpx2

from nur_server.engine_settings import EngineSettings, ModelKind
from nur_server.errors import InternalError, NurError
from nur_server.ports import LanguageModel, SpeechToText, TextToSpeech
from nur_server.providers.checking import check_server
from nur_server.providers.http import ModelServer
from nur_server.providers.openai_chat import OpenAIChat
from nur_server.providers.openai_speech import OpenAISpeech
from nur_server.providers.openai_transcriptions import OpenAITranscriptions
from nur_server.providers.vllm_realtime import VLLMRealtime

GROUP = "nur.engines"

Engine = SpeechToText | LanguageModel | TextToSpeech
Step = Callable[[], Awaitable[None]]
"""Loading, closing or checking an engine."""

METHODS: Mapping[ModelKind, tuple[str, ...]] = MappingProxyType(
    {"stt": ("transcribe",), "llm": ("reply",), "tts": ("speak", "voices")}
)
"""What an engine of each kind is called for. The first is an async generator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """What the table of engines says of one engine."""

    name: str
    """Its id in the model catalogue; the engine's own `name` has to be the same."""
    kind: ModelKind
    url: str | None = None
    model: str
    """The model's id on its server; `name` where the table says nothing."""
    voice: str | None = None
    key: str | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout_seconds: float
    """Longest wait for the next piece of an answer."""
    client: httpx2.AsyncClient = field(repr=False)
    """Shared by all engines, and closed by the server."""


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """An engine, and what the server does with it besides using it."""

    engine: Any
    """`SpeechToText`, `LanguageModel` or `TextToSpeech`, as the configuration's kind says."""
    load: Step | None = None
    """Called once, before the server is ready."""
    close: Step | None = None
    """Called once; given up after `catalogue.CLOSE_SECONDS`."""
    check: Step | None = None
    """Called now and then: raises a `ProviderError` while the engine cannot work."""


Factory = Callable[[EngineConfig], BuiltEngine]


def build(settings: EngineSettings, client: httpx2.AsyncClient, seconds: float) -> BuiltEngine:
    """The engine of a row of the table.

    Raises `InternalError` that names the row, for an unknown type, a package that cannot be
    imported, and an engine that does not fit its kind.
    """
    factory = _BUILT_IN.get((settings.kind, settings.type)) or _of_package(settings)
    config = EngineConfig(
        name=settings.name,
        kind=settings.kind,
        url=str(settings.url) if settings.url is not None else None,
        model=settings.server_model,
        voice=settings.voice,
        key=settings.key.get_secret_value() if settings.key is not None else None,
        options=settings.options,
        timeout_seconds=seconds,
        client=client,
    )
    try:
        built = factory(config)
    except NurError:
        raise
    except Exception as error:
        raise _wrong(
            settings, f"its package failed with {type(error).__name__}: {error}"
        ) from error
    _check(settings, built)
    return built


def installed() -> dict[str, EntryPoint]:
    """The types that installed packages bring, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def _of_package(settings: EngineSettings) -> Factory:
    point = installed().get(settings.type)
    if point is None:
        known = [type_ for kind, type_ in _BUILT_IN if kind == settings.kind]
        raise _wrong(
            settings,
            f"expected a type that is installed, one of {', '.join([*known, *installed()])}; "
            f"got {settings.type!r}",
        )
    try:
        factory = point.load()
    except Exception as error:
        raise _wrong(
            settings, f"{point.value} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not callable(factory):
        raise _wrong(settings, f"expected a function at {point.value}, got no such thing")
    return factory  # type: ignore[no-any-return]  # what it returns is checked


def _check(settings: EngineSettings, built: Any) -> None:
    """What a package returns is whatever it returns."""
    engine: Any = getattr(built, "engine", None)
    parts = ("name", "capabilities", *METHODS[settings.kind])
    missing = [part for part in parts if not hasattr(engine, part)]
    if missing:
        raise _wrong(
            settings,
            f"expected a BuiltEngine whose engine has {', '.join(parts)}; got {_kind_of(built)} "
            f"with {_kind_of(engine)}, which lacks {', '.join(missing)}",
        )
    stream = METHODS[settings.kind][0]
    if inspect.iscoroutinefunction(getattr(engine, stream)):
        raise _wrong(settings, f"expected `{stream}` to be an async generator, got a coroutine")
    if engine.name != settings.name:
        raise _wrong(settings, f"expected an engine of this name, got one of {engine.name!r}")


def _kind_of(thing: object) -> str:
    return type(thing).__name__


def _wrong(settings: EngineSettings, problem: str) -> InternalError:
    return InternalError(
        f"NUR_ENGINES: {settings.kind} engine {settings.name!r}: {problem}", code="invalid_setting"
    )


# The types of this server


def _chat(config: EngineConfig) -> BuiltEngine:
    server, client, seconds = _server(config), config.client, config.timeout_seconds
    engine = OpenAIChat(server, client, name=config.name, chunk_seconds=seconds)
    return BuiltEngine(engine, check=partial(check_server, server, client, "llm"))


def _transcriptions(config: EngineConfig) -> BuiltEngine:
    server, client, seconds = _server(config), config.client, config.timeout_seconds
    engine = OpenAITranscriptions(server, client, name=config.name, answer_seconds=seconds)
    return BuiltEngine(engine, check=partial(check_server, server, client, "stt"))


def _realtime(config: EngineConfig) -> BuiltEngine:
    server = _server(config)
    engine = VLLMRealtime(server, name=config.name, stall_seconds=config.timeout_seconds)
    check = partial(check_server, server, config.client, "stt", lists_models=True)
    return BuiltEngine(engine, check=check)


def _speech(config: EngineConfig) -> BuiltEngine:
    server, client, seconds = _server(config), config.client, config.timeout_seconds
    engine = OpenAISpeech(server, client, name=config.name, chunk_seconds=seconds)
    return BuiltEngine(engine, check=partial(check_server, server, client, "tts"))


def _server(config: EngineConfig) -> ModelServer:
    if config.url is None:
        raise InternalError(
            f"NUR_ENGINES: {config.kind} engine {config.name!r}: expected a url, got none",
            code="invalid_setting",
        )
    if config.options:
        raise InternalError(
            f"NUR_ENGINES: {config.kind} engine {config.name!r}: expected no options, which are "
            f"for engines of other packages; got {', '.join(config.options)}",
            code="invalid_setting",
        )
    return ModelServer(config.url, config.model, config.key)


_BUILT_IN: Mapping[tuple[ModelKind, str], Factory] = MappingProxyType(
    {
        ("llm", "openai"): _chat,
        ("stt", "openai"): _transcriptions,
        ("stt", "vllm-realtime"): _realtime,
        ("tts", "openai"): _speech,
    }
)
