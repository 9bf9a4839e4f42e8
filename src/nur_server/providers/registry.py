"""The models of one kind by id: which there are, which is the default, which one a session gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from nur_server.engine_settings import ModelKind
from nur_server.errors import InvalidRequest
from nur_server.ports import LanguageModel, SpeechToText, TextToSpeech
from nur_server.providers import moonshine, voices, whisper

E = TypeVar("E", SpeechToText, LanguageModel, TextToSpeech)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as the API shows it."""

    id: str
    kind: ModelKind
    name: str
    provider: str
    description: str
    available: bool
    """False: whoever asks for it gets the default."""
    is_default: bool


@dataclass(frozen=True, slots=True)
class ResolvedModel(Generic[E]):
    """The engine for a session."""

    engine: E
    model_id: str
    """What is really used."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A model this server knows by name, whether it has it or not."""

    id: str
    kind: ModelKind
    name: str
    provider: str
    description: str
    remedy: str = ""
    """What makes it available."""


ENTRIES = (
    Entry(
        "qwen3.5-4b", "llm", "Qwen3.5 4B", "openai-compatible",
        "Small language model with tools, on vLLM, SGLang or llama.cpp",
        "set NUR_LLM_URL",
    ),
    Entry(
        "offline", "llm", "Offline responder", "nur",
        "No language model: answers by rule from the system prompt and calls tools",
        "it is built in",
    ),
    Entry(
        "voxtral-realtime", "stt", "Voxtral Mini 4B Realtime", "vllm",
        "Streaming speech-to-text in 13 languages, on vLLM",
        "set NUR_STT_URL",
    ),
    Entry(
        moonshine.NAME, "stt", "Moonshine tiny (English)", "nur",
        "Embedded English speech-to-text",
        "run `nur models pull`",
    ),
    Entry(
        whisper.NAME, "stt", "Whisper base", "nur",
        "Embedded speech-to-text in fifty languages",
        whisper.REMEDY,
    ),
    Entry(
        "qwen3-tts", "tts", "Qwen3-TTS", "vllm-omni",
        "Expressive speech in ten languages, on vLLM-Omni",
        "set NUR_TTS_URL",
    ),
    Entry(
        voices.FLITE, "tts", "Flite", "nur",
        "Embedded English speech; other languages by espeak-ng",
        "install libflite1",
    ),
    Entry(
        voices.ESPEAK, "tts", "eSpeak NG", "nur",
        "Embedded speech in many languages, in a process of its own",
        "install espeakng-loader or libespeak-ng1",
    ),
)  # fmt: skip
"""What this server knows of models by name."""


class Registry(Generic[E]):
    """The engines of one kind. The first is the default."""

    def __init__(
        self,
        kind: ModelKind,
        engines: Sequence[E],
        providers: Mapping[str, str] | None = None,
        *,
        strict: bool,
    ) -> None:
        """`providers`: how the engines that are no entries are spoken to, by their names."""
        if not engines:
            raise ValueError(f"expected at least one {kind} engine, got none")
        self._kind = kind
        self._engines: dict[str, E] = {engine.name: engine for engine in reversed(engines)}
        self._order = list(dict.fromkeys(engine.name for engine in engines))
        self._strict = strict
        self._providers = providers or {}
        self._entries = {entry.id: entry for entry in ENTRIES if entry.kind == kind}

    @property
    def default(self) -> E:
        return self._engines[self._order[0]]

    def engines(self) -> list[E]:
        """Each engine once, the default first."""
        return [self._engines[name] for name in self._order]

    def models(self) -> list[ModelInfo]:
        """The default first, then the other engines, then what is known and not configured."""
        return [self._info(id) for id in dict.fromkeys([*self._order, *self._entries])]

    def resolve(self, wanted: str | None) -> ResolvedModel[E]:
        """The engine called `wanted`, or the default for None.

        One that is known and not configured gives the default and a warning; `strict` makes that
        an `InvalidRequest`, as an unknown one always is.
        """
        default = self._order[0]
        if wanted is None:
            return ResolvedModel(self.default, default)
        if wanted in self._engines:
            return ResolvedModel(self._engines[wanted], wanted)
        param = f"{self._kind}_model"
        entry = self._entries.get(wanted)
        if entry is None:
            ids = [info.id for info in self.models()]
            raise InvalidRequest(
                f"expected a model of this server, got {wanted!r}; models: {', '.join(ids)}",
                code="unknown_model",
                param=param,
                details={"models": ids},
            )
        problem = f"{param} {wanted!r} is not configured on this server ({entry.remedy})"
        if self._strict:
            raise InvalidRequest(problem, code="model_not_configured", param=param)
        warning = f"{problem}; {default!r} is used instead"
        return ResolvedModel(self.default, default, (warning,))

    def _info(self, id: str) -> ModelInfo:
        provider = self._providers.get(id, "openai-compatible")
        entry = self._entries.get(id) or Entry(
            id, self._kind, id, provider, "Served by a model server at an address"
        )
        return ModelInfo(
            id=id,
            kind=self._kind,
            name=entry.name,
            provider=entry.provider,
            description=entry.description,
            available=id in self._engines,
            is_default=id == self._order[0],
        )
