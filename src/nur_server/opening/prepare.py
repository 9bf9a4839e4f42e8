"""From a plan to the engines and settings that a session runs on."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from nur_server.agents.options import agent_options
from nur_server.conversation.config import AnsweringPolicy, ConversationConfig, SilencePolicy
from nur_server.errors import InvalidRequest
from nur_server.opening.plan import SessionPlan, ineffective
from nur_server.options import (
    UNSET,
    AnsweringOptions,
    SessionOptions,
    SilenceOptions,
    TurnDetectionOptions,
    Unset,
    given,
)
from nur_server.ports import LanguageModel, ListenOptions, SpeechToText, TextToSpeech
from nur_server.providers import voices, whisper
from nur_server.providers.catalogue import Catalogue, recognises
from nur_server.providers.registry import ResolvedModel
from nur_server.session.setup import SessionAccess, SessionSetup
from nur_server.store.records import AgentFields
from nur_server.text import languages
from nur_server.turn_taking.settings import TurnDetection, VoiceFocus

DEFAULT_LANGUAGE = "en"
FIRST_AUDIO_SECONDS = 0.4
"""A page that opens its microphone and its player together needs some 300 ms."""
HELLO_SECONDS = 2.5
"""People say hello within a second or two of picking up."""
FULL_VOLUME_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Which session it is for."""

    account_id: str
    session_id: str
    expires_at: datetime | None = None
    """When the session ends at the latest. None: never."""
    access: SessionAccess = field(default_factory=SessionAccess)
    is_outbound: bool = False
    """A call that this server has placed: who, or what, answers it is not known yet."""


OTHER_RECOGNISER = "set NUR_STT_URL to a server whose model does"
"""What helps where no recogniser of this server knows the language."""


def prepare(plan: SessionPlan, identity: Identity, catalogue: Catalogue) -> SessionSetup:
    """The session's engines and settings.

    Raises `InvalidRequest` for an unknown voice or model, a bad tool, or values that do not go
    together.
    """
    options, models = plan.options, plan.options.models
    stt = catalogue.speech_to_text(given(models.stt_model, None), _spoken_language(options))
    llm = catalogue.language_model(given(models.llm_model, None))
    voice = _voice(plan, catalogue)
    tts = catalogue.text_to_speech(given(models.tts_model, None), voice)
    listen = _listen(options)
    unheeded = (
        *_unheeded(stt, listen),
        *_unable(llm, tts, options),
        *_failing(catalogue, options, stt.model_id, llm.model_id, tts.model_id),
    )
    warnings = (*plan.warnings, *stt.warnings, *llm.warnings, *tts.warnings, *unheeded)
    return SessionSetup(
        account_id=identity.account_id,
        session_id=identity.session_id,
        agent_id=plan.agent.id if plan.agent else None,
        conversation=_conversation(plan, identity, catalogue),
        listen=listen,
        voice=catalogue.engine_voice(voice, tts.engine),
        stt=stt.engine,
        llm=llm.engine,
        tts=tts.engine,
        speed=given(options.output.speed, 1.0),
        volume=given(options.output.volume_percent, FULL_VOLUME_PERCENT) / FULL_VOLUME_PERCENT,
        output_rate=options.output_format.sample_rate,
        temperature=given(models.temperature, None),
        max_tokens=given(models.max_tokens, None),
        is_recorded=plan.is_recorded,
        keep_recording_days=given(options.recording.retention_days, None),
        options=options,
        warnings=tuple(dict.fromkeys(warnings)),
        expires_at=identity.expires_at,
        access=identity.access,
    )


def agent_warnings(agent: AgentFields, catalogue: Catalogue) -> tuple[str, ...]:
    """What `prepare` will say of an agent's sessions, whatever they bring along.

    Raises `InvalidRequest` for a voice or a model the server does not know.
    """
    options = agent_options(agent)
    stt = catalogue.speech_to_text(agent.stt_model, _spoken_language(options))
    llm = catalogue.language_model(agent.llm_model)
    tts = catalogue.text_to_speech(agent.tts_model, catalogue.voice(agent.voice_id))
    unheeded = (
        *_unheeded(stt, _listen(options)),
        *_unable(llm, tts, options),
        *_failing(catalogue, options, stt.model_id, llm.model_id, tts.model_id),
    )
    return (*ineffective(options), *stt.warnings, *llm.warnings, *tts.warnings, *unheeded)


def _conversation(
    plan: SessionPlan, identity: Identity, catalogue: Catalogue
) -> ConversationConfig:
    asked = plan.options
    usual = ConversationConfig(session_id=identity.session_id)
    return replace(
        usual,
        system_prompt=given(asked.system_prompt, ""),
        greeting=_opening(plan),
        language=_spoken_language(asked),
        tools=tuple(tool.spec for tool in plan.tools),
        turn_detection=_turn_detection(asked.input.turn_detection),
        voice_focus=given(asked.input.voice_focus, VoiceFocus.NEAR_FIELD),
        interruption_threshold=given(asked.interruption_threshold, usual.interruption_threshold),
        context_window=given(asked.context_window, usual.context_window),
        max_turns=given(asked.max_turns, None),
        max_duration_seconds=given(asked.max_duration_seconds, None),
        goodbye=given(asked.goodbye, usual.goodbye),
        apology=given(asked.apology, usual.apology),
        tool_filler=given(asked.tool_filler, usual.tool_filler) or None,
        tool_filler_seconds=given(asked.tool_filler_seconds, usual.tool_filler_seconds),
        model_seconds=catalogue.model_seconds,
        silence=_silence(asked.silence),
        speaks=asked.speaks,
        has_turn_model=catalogue.turn_model is not None,
        answering=_answering(asked.answering, identity),
        first_audio_seconds=FIRST_AUDIO_SECONDS,
        hello_seconds=_hello_seconds(asked, identity),
    )


def _opening(plan: SessionPlan) -> str | None:
    """The greeting, behind what tells the user of a recording."""
    consent = given(plan.options.recording.consent, "") if plan.is_recorded else ""
    said = [line for line in (consent, given(plan.options.greeting, "")) if line]
    return " ".join(said) or None


def _silence(asked: SilenceOptions) -> SilencePolicy:
    usual = SilencePolicy()
    return SilencePolicy(
        reprompt_seconds=given(asked.reprompt_seconds, usual.reprompt_seconds),
        reprompt_message=given(asked.reprompt_message, usual.reprompt_message),
        max_reprompts=given(asked.max_reprompts, usual.max_reprompts),
        end_seconds=given(asked.end_seconds, usual.end_seconds),
    )


def _answering(
    asked: AnsweringOptions | Unset | None, identity: Identity
) -> AnsweringPolicy | None:
    """Who has answered is found out on outbound calls alone."""
    if asked is UNSET or asked is None or not identity.is_outbound:
        return None
    usual = AnsweringPolicy()
    return AnsweringPolicy(
        given(asked.on_machine, usual.on_machine), given(asked.message, usual.message)
    )


def _hello_seconds(asked: SessionOptions, identity: Identity) -> float | None:
    """Only who is called speaks first."""
    return given(asked.hello_seconds, HELLO_SECONDS) if identity.is_outbound else None


def _turn_detection(asked: TurnDetectionOptions | Unset | None) -> TurnDetection:
    usual = TurnDetection()
    if asked is None:
        return replace(usual, client_commits=True)
    detection = given(asked, TurnDetectionOptions())
    return TurnDetection(
        vad_threshold=given(detection.vad_threshold, usual.vad_threshold),
        min_silence_ms=given(detection.min_silence_ms, None),
        max_silence_ms=given(detection.max_silence_ms, None),
        interrupt_response=given(detection.interrupt_response, usual.interrupt_response),
        interruption_delay_ms=given(detection.interruption_delay_ms, usual.interruption_delay_ms),
        uninterruptible_turns=frozenset(given(detection.uninterruptible_turns, ())),
        client_commits=given(detection.client_commits, usual.client_commits),
        creates_reply=given(detection.creates_reply, usual.creates_reply),
    )


def _spoken_language(asked: SessionOptions) -> str:
    """With its region, where it was given with one."""
    return (given(asked.input.languages, ()) or (given(asked.language, DEFAULT_LANGUAGE),))[0]


def _listen(asked: SessionOptions) -> ListenOptions:
    return ListenOptions(
        language=languages.primary(_spoken_language(asked)),
        keyterms=given(asked.input.keyterms, ()),
        prompt=given(asked.input.transcription_prompt, "") or None,
        wants_partials=given(asked.input.wants_partials, True),
    )


def _voice(plan: SessionPlan, catalogue: Catalogue) -> voices.Voice:
    try:
        return catalogue.voice(plan.voice_id)
    except InvalidRequest as error:
        raise InvalidRequest(
            error.message, code="invalid_value", param="output.voice_id", details=error.details
        ) from None


def _failing(
    catalogue: Catalogue, asked: SessionOptions, stt: str, llm: str, tts: str
) -> tuple[str, ...]:
    """Warnings about engines that are needed and cannot be used at the moment."""
    problems = (
        catalogue.problem("stt", stt) if asked.hears_audio else None,
        catalogue.problem("llm", llm),
        catalogue.problem("tts", tts) if asked.speaks else None,
    )
    return tuple(problem for problem in problems if problem is not None)


def _unable(
    llm: ResolvedModel[LanguageModel], tts: ResolvedModel[TextToSpeech], asked: SessionOptions
) -> tuple[str, ...]:
    """Warnings about what the model and the synthesiser cannot do."""
    found = []
    if given(asked.tools, ()) and not llm.engine.capabilities.calls_tools:
        found.append(f"{llm.model_id} calls no tools: the agent's tools are never called")
    spoken, language = tts.engine.capabilities.languages, _spoken_language(asked)
    if asked.speaks and spoken and languages.best_match(language, spoken) is None:
        found.append(f"{tts.model_id} does not speak {language!r}")
    return tuple(found)


def _unheeded(stt: ResolvedModel[SpeechToText], listen: ListenOptions) -> tuple[str, ...]:
    """Warnings about what the recogniser cannot do."""
    able = stt.engine.capabilities
    found = []
    if not recognises(stt.engine, listen.language):
        found.append(
            f"{stt.model_id} does not recognise {listen.language!r}: "
            f"{whisper.REMEDY if listen.language in whisper.LANGUAGES else OTHER_RECOGNISER}"
        )
    if (listen.keyterms or listen.prompt) and not able.takes_hints:
        found.append(
            f"input.keyterms and input.transcription_prompt have no effect on {stt.model_id}"
        )
    return tuple(found)
