"""The models and voices of this server: which there are, which is the default, how to get one."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from nur_server.engine_settings import ModelKind
from nur_server.errors import InvalidRequest
from nur_server.ports import (
    EngineVoice,
    LanguageModel,
    SpeechToText,
    TextToSpeech,
    TurnModel,
    VoiceActivityDetector,
)
from nur_server.providers import voices, weights
from nur_server.providers.discovery import PLACES, FoundServer, Place
from nur_server.providers.loading import Engines, Remote, load_engines
from nur_server.providers.offline import OfflineResponder
from nur_server.providers.registry import ModelInfo, Registry, ResolvedModel
from nur_server.providers.scripted import (
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
    ScriptedVoiceActivity,
)
from nur_server.providers.voices import Voice
from nur_server.providers.warming import Warmth
from nur_server.providers.watching import EngineState, EngineWatch
from nur_server.settings import Settings
from nur_server.text import languages

PROVIDERS = {"openai": "openai-compatible", "vllm-realtime": "vllm"}
"""How types of engines are shown; others by their own names."""
MODEL_SECONDS = 10.0
"""By default: that of `Settings.model_timeout_seconds`."""


class Catalogue:
    """Models and voices by id."""

    def __init__(
        self,
        engines: Engines,
        *,
        strict_models: bool = False,
        remotes: Sequence[Remote] = (),
        found: FoundServer | None = None,
        resources: AsyncExitStack | None = None,
        model_seconds: float = MODEL_SECONDS,
        warms: bool = True,
    ) -> None:
        """A catalogue of these engines. `resources` are closed with it."""
        made_by = partial(_providers, remotes)
        strict = strict_models
        self._stt = Registry("stt", engines.speech_to_text, made_by("stt"), strict=strict)
        self._llm = Registry("llm", engines.language_models, made_by("llm"), strict=strict)
        self._tts = Registry("tts", engines.text_to_speech, made_by("tts"), strict=strict)
        self._engines = engines
        self._remotes = tuple(remotes)
        self._watch = EngineWatch(self._remotes)
        self._resources = resources or AsyncExitStack()
        self.model_seconds = model_seconds
        """How long engines have for each piece of their answers."""
        self._warms = warms
        self._warmth = Warmth()
        self._resources.push_async_callback(self._warmth.close)
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
        loaded = await load_engines(settings, on_progress, places)
        return cls(
            loaded.engines,
            strict_models=settings.strict_models,
            remotes=loaded.remotes,
            found=loaded.found,
            resources=loaded.resources,
            model_seconds=settings.model_timeout_seconds,
            warms=settings.warm_models,
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

    def speech_to_text(
        self, id: str | None = None, language: str | None = None
    ) -> ResolvedModel[SpeechToText]:
        """See `Registry.resolve`; the `param` of an error is `stt_model`.

        Where no engine is named, the first that recognises `language` (a tag) is taken.
        """
        if id is None and language is not None:
            able = (e for e in self._stt.engines() if recognises(e, language))
            id = next((engine.name for engine in able), None)
        return self._stt.resolve(id)

    def language_model(self, id: str | None = None) -> ResolvedModel[LanguageModel]:
        """See `Registry.resolve`; the `param` of an error is `llm_model`."""
        return self._llm.resolve(id)

    def text_to_speech(
        self, id: str | None = None, voice: Voice | None = None
    ) -> ResolvedModel[TextToSpeech]:
        """See `Registry.resolve`; the `param` of an error is `tts_model`.

        Where no engine is named, a voice that one engine has of its own names it.
        """
        owner = voice.model if voice is not None else None
        resolved = self._tts.resolve(id if id is not None else owner)
        if voice is None or owner in (None, resolved.model_id):
            return resolved
        warning = f"{resolved.model_id!r} does not have the voice {voice.id!r}: another is used"
        return replace(resolved, warnings=(*resolved.warnings, warning))

    def voices(self) -> tuple[Voice, ...]:
        """This server's list, then the voices that engines have listed of their own."""
        listed = self._watch.voices()
        own = [voices.of_engine(name, voice) for name in listed for voice in listed[name]]
        return (*voices.VOICES.values(), *own)

    def voice(self, voice_id: str | None = None) -> Voice:
        """The voice with this id or alias, or the default for None.

        `<engine>/<voice>` is an engine's own voice; where the engine has not listed its voices,
        any name is taken. Raises `InvalidRequest`.
        """
        wanted = voices.DEFAULT if voice_id is None else voice_id
        return voices.known(wanted) or self._own_voice(wanted) or voices.resolve(wanted)

    def _own_voice(self, voice_id: str) -> Voice | None:
        names = [remote.name for remote in self._remotes if remote.kind == "tts"]
        # An engine's name may hold slashes, as names of models do.
        named = [name for name in names if voice_id.startswith(f"{name}/")]
        if not named:
            return None
        engine = max(named, key=len)
        name = voice_id.removeprefix(f"{engine}/")
        listed = self._watch.voices().get(engine, ())
        found = next((voice for voice in listed if voice.name == name), None)
        if found is None and (listed or not name):
            ids = [f"{engine}/{voice.name}" for voice in listed]
            raise InvalidRequest(
                f"expected a voice of {engine}, got {voice_id!r}; it has {', '.join(ids[:50])}",
                param="voice_id",
                details={"voices": ids},
            )
        return voices.of_engine(engine, found or EngineVoice(name))

    def engine_voice(self, voice: Voice, tts: TextToSpeech) -> str:
        """What `tts` calls `voice`.

        A voice the engine lacks is spoken by its substitute where it has one, else by its voice
        of the same gender.
        """
        if voice.model == tts.name:
            return voice.engines[tts.name]
        remote = next((r for r in self._remotes if r.kind == "tts" and r.name == tts.name), None)
        if remote is not None and remote.voice is not None:
            return remote.voice
        prefixes = {tts.name: "", **({remote.model: ""} if remote else {})}
        prefixes |= tts.capabilities.voices_of
        alike = voices.for_language("en", voice.gender) or voice
        names = [
            prefix + stand_in.engines[engine]
            for stand_in in (voice, alike)
            for engine, prefix in prefixes.items()
            if engine in stand_in.engines
        ]
        return names[0] if names else voice.id

    @property
    def recognitions(self) -> int:
        """Pieces of speech that wait for a recogniser in this process."""
        engines = self._engines.speech_to_text
        return sum(int(getattr(engine, "waiting", 0)) for engine in engines)

    def engine_states(self) -> list[EngineState]:
        """Of the engines that the settings name, as last seen."""
        return self._watch.states()

    def problem(self, kind: ModelKind, id: str) -> str | None:
        """Why an engine cannot be used at the moment, in words that tell nothing of addresses.
        None: it can, as far as is known."""
        state = self._watch.state(kind, id)
        if state is None or state.problem is None:
            return None
        return f"{kind}_model {id!r} cannot be used at the moment: {state.problem}"

    async def watch(self, stopping: asyncio.Event) -> None:
        """Look after the engines that the settings name, until `stopping`."""
        await self._watch.run(stopping)

    def warm(self, model: LanguageModel) -> None:
        """See that `model` is loaded before somebody waits for it. Returns at once."""
        if self._warms:
            self._warmth.warm(model)

    @property
    def vad(self) -> VoiceActivityDetector:
        return self._engines.vad

    @property
    def turn_model(self) -> TurnModel | None:
        return self._engines.turn_model

    async def close(self) -> None:
        """Close every engine, each within two seconds. May be called twice."""
        await self._resources.aclose()


def recognises(engine: SpeechToText, language: str) -> bool:
    """Whether the recogniser understands `language`, a tag."""
    offered = engine.capabilities.languages
    return not offered or languages.best_match(language, offered) is not None


def _providers(remotes: Iterable[Remote], kind: ModelKind) -> dict[str, str]:
    """How the engines of the settings are spoken to, by their names."""
    return {r.name: PROVIDERS.get(r.type, r.type) for r in remotes if r.kind == kind}
