"""From what an agent, its session and its client ask for to what a session runs on.

Three sources are merged into one `Configuration` in the words of the wire: the stored agent, the
stored session and each `session.update`. `prepare` turns it into a `SessionSetup`, `echo` into the
`config` clients are shown.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct

from nur_server.api.wire.realtime.schemas import (
    AudioFormatPart,
    FirstGenerationTurnDetection,
    InputPart,
    OutputPart,
    Part,
    SessionPart,
    TurnDetectionPart,
)
from nur_server.audio.formats import AudioFormat, Encoding
from nur_server.audio.rates import TELEPHONE_RATE
from nur_server.conversation.config import (
    AnsweringPolicy,
    ConversationConfig,
    SilencePolicy,
    ToolSpec,
)
from nur_server.errors import InvalidRequest
from nur_server.opening.toolbox import endpoints
from nur_server.opening.tools import (
    check_addresses,
    hide_secrets,
    keep_secrets,
    normalise_tools,
    read_tools,
)
from nur_server.opening.variables import missing_warnings, render
from nur_server.ports import ListenOptions, SpeechToText
from nur_server.providers import voices
from nur_server.providers.catalogue import Catalogue, Choice
from nur_server.providers.http_tools import ToolEndpoint
from nur_server.session.setup import SessionSetup
from nur_server.store.records import AgentFields, AgentRecord, SessionRecord
from nur_server.turn_taking.settings import TurnDetection, VoiceFocus

AnyPart = TypeVar("AnyPart", bound=Part)

DEFAULT_LANGUAGE = "en"
FULL_VOLUME = 100.0


class AgentSettings(Struct, frozen=True):
    """What a stored agent may set beyond its own columns. None: the server's default."""

    turn_detection: TurnDetectionPart | None = None
    input: InputPart | None = None
    output: OutputPart | None = None
    silence: dict[str, Any] | None = None
    voicemail: dict[str, Any] | None = None
    """Who has answered is found out on outbound calls alone."""
    max_duration_seconds: float | None = None
    goodbye: str | None = None
    apology: str | None = None
    tool_filler: str | None = None
    """Empty: silence."""
    tool_filler_seconds: float | None = None
    speed: float | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    recording: bool | None = None
    recording_consent: str | None = None
    recording_retention_days: int | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was asked for so far."""

    asked: SessionPart = field(default_factory=SessionPart)
    """Merged: what was left out everywhere is `UNSET`."""
    agent: AgentRecord | None = None
    record: SessionRecord | None = None
    """The stored session, where it was made before its client came."""
    settings: AgentSettings = field(default_factory=AgentSettings)
    """The agent's."""
    warnings: tuple[str, ...] = ()
    is_recorded: bool = False

    @property
    def input(self) -> InputPart:
        return self.asked.input or InputPart()

    @property
    def output(self) -> OutputPart:
        return self.asked.output or OutputPart()

    @property
    def input_format(self) -> AudioFormat:
        """Raises `InvalidRequest`."""
        return audio_format(self.input.format or None, "input.format")

    @property
    def output_format(self) -> AudioFormat:
        """Raises `InvalidRequest`."""
        return audio_format(self.output.format or None, "output.format")

    @property
    def speaks(self) -> bool:
        return self.output.type != "text"

    @property
    def voice_id(self) -> str:
        return self.output.voice or voices.DEFAULT


# Where a configuration begins


def from_agent(
    agent: AgentRecord, record: SessionRecord | None = None, audio: AudioFormat | None = None
) -> Configuration:
    """A stored agent's, for a stored session of it where there is one.

    Variables are filled in from the session's context, then its metadata. `audio` is what the
    client wants to send and receive, whatever the agent says. Raises `InvalidRequest`.
    """
    settings = _settings(agent.settings)
    sources = (record.context, record.metadata) if record is not None else ()
    opening = (record and record.initial_message) or agent.first_message or ""
    prompt, greeting = render(agent.system_prompt, *sources), render(opening, *sources)
    own = SessionPart(
        system_prompt=prompt.text,
        greeting=greeting.text or None,
        tools=tuple(dict(tool) for tool in agent.tools),
        input=InputPart(turn_detection=settings.turn_detection or UNSET),
        output=OutputPart(voice=agent.voice_id),
    )
    stored = _stored(settings)
    asked = merge(own, stored)
    if audio is not None:
        given = AudioFormatPart(encoding=audio.encoding.value, sample_rate=audio.sample_rate)  # type: ignore[arg-type]
        either = SessionPart(input=InputPart(format=given), output=OutputPart(format=given))
        asked = merge(asked, either)
    return Configuration(
        asked,
        agent,
        record,
        settings,
        (*missing_warnings((*prompt.missing, *greeting.missing)), *_ineffective(stored)),
        _is_recorded(settings, record),
    )


def _is_recorded(settings: AgentSettings, record: SessionRecord | None) -> bool:
    """As the session asks, else as its agent does."""
    asked = record.config.get("recording") if record is not None else None
    return bool(settings.recording if asked is None else asked)


def from_update(part: SessionPart) -> Configuration:
    """A client's own, from its first `session.update` without an agent. Raises `InvalidRequest`."""
    part = _with_secrets(_modernised(part), ())
    configuration = Configuration(merge(SessionPart(), part), warnings=_ineffective(part))
    _check(configuration)
    return configuration


def agent_id_of(part: SessionPart) -> str | None:
    """The stored agent a first `session.update` names. It goes with no other field.

    Raises `InvalidRequest`.
    """
    if part.agent_id is UNSET:
        return None
    others = [name for name in part.__struct_fields__ if getattr(part, name) is not UNSET]
    if set(others) - {"agent_id", "tool_choice"}:
        raise _wrong("agent_id is mutually exclusive with other session fields", "agent_id")
    return part.agent_id


def update(current: Configuration, part: SessionPart) -> Configuration:
    """A running session's after a further `session.update`.

    Raises `InvalidRequest`: `agent_id_not_first`, `immutable_field` where a field that cannot
    change would, `invalid_value`.
    """
    if part.agent_id is not UNSET:
        raise InvalidRequest(
            "agent_id can only be set on the first session.update",
            code="agent_id_not_first",
            param="agent_id",
        )
    part = _with_secrets(_modernised(part), current.asked.tools or ())
    changed = replace(current, asked=merge(current.asked, part), warnings=_ineffective(part))
    _check(changed)
    for param, value_of in _IMMUTABLE.items():
        if value_of(changed) != value_of(current):
            raise InvalidRequest(
                f"'{param}' cannot be changed after the first session.update",
                code="immutable_field",
                param=param,
            )
    return changed


_IMMUTABLE: Mapping[str, Callable[[Configuration], object]] = {
    "greeting": lambda c: c.asked.greeting or None,
    "input.type": lambda c: c.input.type or "audio",
    "output.type": lambda c: c.output.type or "audio",
    "output.voice": lambda c: _canonical(c.voice_id),
    "output.format": lambda c: c.output_format,
    "webhook": lambda c: c.asked.webhook or None,
}


def merge(old: AnyPart, new: AnyPart) -> AnyPart:
    """`old` with everything that `new` sets. An audio format is replaced whole."""
    changes: dict[str, Any] = {}
    for name in new.__struct_fields__:
        value, before = getattr(new, name), getattr(old, name)
        if value is UNSET or (value is None and isinstance(before, Part)):
            continue
        is_nested = isinstance(value, Part) and isinstance(before, Part)
        if is_nested and not isinstance(value, AudioFormatPart):
            value = merge(before, value)
        changes[name] = value
    return msgspec.structs.replace(old, **changes)


# What a session runs on


@dataclass(frozen=True, slots=True)
class Identity:
    """Which session it is for."""

    account_id: str
    session_id: str
    is_outbound: bool = False
    """A call we have placed: somebody, or something, has yet to answer."""


@dataclass(frozen=True, slots=True)
class Prepared:
    setup: SessionSetup
    warnings: tuple[str, ...]


def prepare(configuration: Configuration, identity: Identity, catalogue: Catalogue) -> Prepared:
    """The session's engines and settings, and what its client should know about them.

    Raises `InvalidRequest` for an unknown voice or model, a bad tool, or values that do not go
    together.
    """
    agent, settings = configuration.agent, configuration.settings
    stt = catalogue.speech_to_text(agent.stt_model if agent else None)
    llm = catalogue.language_model(agent.llm_model if agent else None)
    tts = catalogue.text_to_speech(agent.tts_model if agent else None)
    listen = _listen(configuration)
    setup = SessionSetup(
        account_id=identity.account_id,
        session_id=identity.session_id,
        agent_id=agent.id if agent else None,
        conversation=_conversation(configuration, identity, catalogue, listen.language),
        listen=listen,
        voice=catalogue.engine_voice(_voice(configuration, catalogue), tts.engine),
        stt=stt.engine,
        llm=llm.engine,
        tts=tts.engine,
        speed=_or(settings.speed, 1.0),
        volume=_volume(configuration),
        output_rate=configuration.output_format.sample_rate,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        is_recorded=configuration.is_recorded,
        keep_recording_days=settings.recording_retention_days,
    )
    unheeded = _unheeded(stt, listen)
    warnings = (*configuration.warnings, *stt.warnings, *llm.warnings, *tts.warnings, *unheeded)
    return Prepared(setup, tuple(dict.fromkeys(warnings)))


def agent_warnings(agent: AgentFields, catalogue: Catalogue) -> tuple[str, ...]:
    """What `prepare` will say of an agent's sessions, whatever they bring along.

    Raises `InvalidRequest` for a model the server does not know.
    """
    stored = _stored(_settings(agent.settings))
    stt = catalogue.speech_to_text(agent.stt_model)
    llm = catalogue.language_model(agent.llm_model)
    tts = catalogue.text_to_speech(agent.tts_model)
    unheeded = _unheeded(stt, _options(stored.input or InputPart(), agent.language))
    return (*_ineffective(stored), *stt.warnings, *llm.warnings, *tts.warnings, *unheeded)


def _conversation(
    configuration: Configuration, identity: Identity, catalogue: Catalogue, language: str
) -> ConversationConfig:
    asked, agent = configuration.asked, configuration.agent
    config = ConversationConfig(
        session_id=identity.session_id,
        system_prompt=asked.system_prompt or "",
        greeting=_opening(configuration),
        language=language,
        tools=_tools(configuration),
        turn_detection=_turn_detection(configuration.input.turn_detection or TurnDetectionPart()),
        voice_focus=VoiceFocus(configuration.input.voice_focus or VoiceFocus.NEAR_FIELD),
        max_turns=None,
        speaks=configuration.speaks,
        has_turn_model=catalogue.turn_model is not None,
    )
    if agent is None:
        return config
    config = _with_agent(config, agent, configuration.settings)
    return replace(config, answering=_answering(configuration.settings.voicemail, identity))


def _opening(configuration: Configuration) -> str | None:
    """The greeting, behind what tells the user of a recording."""
    consent = configuration.settings.recording_consent if configuration.is_recorded else None
    said = [line for line in (consent, configuration.asked.greeting) if line]
    return " ".join(said) or None


def _with_agent(
    config: ConversationConfig, agent: AgentRecord, settings: AgentSettings
) -> ConversationConfig:
    return replace(
        config,
        interruption_threshold=agent.interruption_threshold,
        context_window=agent.context_window,
        max_turns=agent.max_turns,
        max_duration_seconds=settings.max_duration_seconds,
        goodbye=_or(settings.goodbye, config.goodbye),
        apology=_or(settings.apology, config.apology),
        tool_filler=_or(settings.tool_filler, config.tool_filler) or None,
        tool_filler_seconds=_or(settings.tool_filler_seconds, config.tool_filler_seconds),
        silence=_silence(settings.silence or {}),
    )


def tool_endpoints(configuration: Configuration, *, allow_private: bool) -> dict[str, ToolEndpoint]:
    """Where the tools run that this server runs. Raises `InvalidRequest` for an address it may
    not call."""
    agent = configuration.agent
    tool_url = agent.tool_url if agent else None
    tools = read_tools(configuration.asked.tools or (), tool_url=tool_url)
    check_addresses(tools, allow_private=allow_private)
    record = configuration.record
    return endpoints(
        tools,
        tool_url=tool_url,
        signing_secret=agent.settings.get("tool_secret") if agent else None,
        context=record.context if record else {},
        metadata=record.metadata if record else {},
    )


def _silence(stored: Mapping[str, Any]) -> SilencePolicy:
    try:
        return msgspec.convert(dict(stored), SilencePolicy)
    except msgspec.ValidationError as error:
        raise _wrong(f"silence: {error}", "silence") from None


def _answering(stored: Mapping[str, Any] | None, identity: Identity) -> AnsweringPolicy | None:
    if stored is None or not identity.is_outbound:
        return None
    given = {name: value for name, value in stored.items() if value is not None}
    try:
        return msgspec.convert(given, AnsweringPolicy)
    except msgspec.ValidationError as error:
        raise _wrong(f"voicemail: {error}", "voicemail") from None


def _tools(configuration: Configuration) -> tuple[ToolSpec, ...]:
    tool_url = configuration.agent.tool_url if configuration.agent else None
    return normalise_tools(configuration.asked.tools or (), tool_url=tool_url)


def _turn_detection(part: TurnDetectionPart) -> TurnDetection:
    default = TurnDetection()
    return TurnDetection(
        vad_threshold=_or(part.vad_threshold, default.vad_threshold),
        min_silence_ms=_or(part.min_silence, None),
        max_silence_ms=_or(part.max_silence, None),
        interrupt_response=_or(part.interrupt_response, default.interrupt_response),
        interruption_delay_ms=_or(part.interruption_delay, default.interruption_delay_ms),
        uninterruptible_turns=frozenset(part.uninterruptible_turns or ()),
    )


def _listen(configuration: Configuration) -> ListenOptions:
    agent = configuration.agent
    return _options(configuration.input, agent.language if agent else None)


def _options(given: InputPart, language: str | None) -> ListenOptions:
    codes = given.language_codes or ()
    spoken = codes[0] if codes else language
    return ListenOptions(
        language=(spoken or DEFAULT_LANGUAGE).lower().partition("-")[0],
        keyterms=given.keyterms or (),
        prompt=given.transcription_prompt or None,
        wants_partials=_or(given.continuous_partials, True),
    )


def _voice(configuration: Configuration, catalogue: Catalogue) -> voices.Voice:
    try:
        return catalogue.voice(configuration.voice_id)
    except InvalidRequest as error:
        raise InvalidRequest(
            error.message, code="invalid_value", param="output.voice", details=error.details
        ) from None


def _volume(configuration: Configuration) -> float:
    return _or(configuration.output.volume, FULL_VOLUME) / FULL_VOLUME


def audio_format(part: AudioFormatPart | None, param: str) -> AudioFormat:
    """Raises `InvalidRequest` for a rate that the encoding does not have."""
    if part is None:
        return AudioFormat()
    encoding = Encoding(part.encoding)
    usual = 24_000 if encoding is Encoding.PCM16 else TELEPHONE_RATE
    try:
        return AudioFormat(encoding, part.sample_rate or usual)
    except ValueError as error:
        raise _wrong(f"{param}: {error}", f"{param}.sample_rate") from None


# What the client is shown


def echo(configuration: Configuration, session_id: str) -> dict[str, Any]:
    """The `config` of `session.ready` and `session.updated`. Secrets are left out."""
    given, output = configuration.input, configuration.output
    detection = given.turn_detection or None
    return {
        "id": session_id,
        "agent_id": configuration.agent.id if configuration.agent else None,
        "system_prompt": configuration.asked.system_prompt or "",
        "greeting": configuration.asked.greeting or None,
        "input": {
            "type": given.type or "audio",
            "format": _shown_format(configuration.input_format),
            "turn_detection": None if detection is None else _shown(detection),
            **{name: _or(getattr(given, name), None) for name in _SHOWN_INPUT},
        },
        "output": {
            "type": output.type or "audio",
            "voice": configuration.voice_id,
            "format": _shown_format(configuration.output_format),
            "volume": _or(output.volume, None),
        },
        "tools": [_shown_tool(tool) for tool in hide_secrets(configuration.asked.tools or ())],
        "llm": [],
        "pre_connect_requests": [],
    }


_SHOWN_INPUT = (
    "keyterms",
    "transcription_mode",
    "continuous_partials",
    "transcription_prompt",
    "language_codes",
    "voice_focus",
    "voice_focus_threshold",
)


def _shown_format(audio: AudioFormat) -> dict[str, Any]:
    return {"encoding": audio.encoding.value, "sample_rate": audio.sample_rate}


def _shown(part: Part) -> dict[str, Any]:
    return {name: _or(getattr(part, name), None) for name in part.__struct_fields__}


def _shown_tool(tool: dict[str, Any]) -> dict[str, Any]:
    inner = tool.get("function")
    flat = {**tool, **inner} if isinstance(inner, dict) else dict(tool)
    flat.pop("function", None)
    shown: dict[str, Any] = {**_SHOWN_TOOL, **flat}
    return shown


_SHOWN_TOOL: Mapping[str, Any] = {
    "type": "function",
    "description": "",
    "parameters": {},
    "timeout_seconds": 120,
    "execution_mode": "interactive",
    "http": None,
    "response_instructions": None,
    "deployment_id": None,
    "session_update": None,
    "image_tag": None,
}


# Checks


def _check(configuration: Configuration) -> None:
    """What the schema cannot say. Raises `InvalidRequest`."""
    asked = configuration.asked
    if asked.llm:
        raise _wrong(
            "expected no llm: a model is chosen by the llm_model of a stored agent; create one and "
            "name it in agent_id",
            "llm",
        )
    audio_format(configuration.input.format or None, "input.format")
    audio_format(configuration.output.format or None, "output.format")
    detection = configuration.input.turn_detection or TurnDetectionPart()
    shortest, longest = detection.min_silence, detection.max_silence
    if isinstance(shortest, int) and isinstance(longest, int) and shortest >= longest:
        raise _wrong(
            f"expected min_silence below max_silence, got {shortest} and {longest} ms",
            "input.turn_detection.min_silence",
        )
    _tools(configuration)


def _ineffective(part: SessionPart) -> tuple[str, ...]:
    """Warnings about fields that are accepted and change nothing."""
    given = part.input or InputPart()
    found = [
        f"input.{name} has no effect on this server"
        for name in ("transcription_mode", "voice_focus_threshold")
        if getattr(given, name) not in (UNSET, None)
    ]
    if given.language_codes and len(given.language_codes) > 1:
        first = given.language_codes[0]
        found.append(f"input.language_codes: one language is recognised, the first: {first!r}")
    if part.pre_connect_requests:
        found.append("pre_connect_requests has no effect on this server")
    if part.tool_choice not in (UNSET, None, "auto"):
        found.append("tool_choice has no effect on this server: the model chooses")
    return tuple(found)


def _unheeded(stt: Choice[SpeechToText], listen: ListenOptions) -> tuple[str, ...]:
    """Warnings about what the recogniser cannot do."""
    able = stt.engine.capabilities
    found = []
    if able.languages and listen.language not in able.languages:
        found.append(f"{stt.model_id} does not recognise {listen.language!r}")
    if (listen.keyterms or listen.prompt) and not able.takes_hints:
        found.append(
            f"input.keyterms and input.transcription_prompt have no effect on {stt.model_id}"
        )
    return tuple(found)


def _with_secrets(part: SessionPart, known: Iterable[Mapping[str, Any]]) -> SessionPart:
    """Header values of tools that were given back as they are shown are those known.

    Raises `InvalidRequest` where there is none.
    """
    if not part.tools:
        return part
    return msgspec.structs.replace(part, tools=tuple(keep_secrets(part.tools, known)))


def _modernised(part: SessionPart) -> SessionPart:
    """`session.turn_detection` of the first generation moved to `input.turn_detection`."""
    old = part.turn_detection
    if not isinstance(old, FirstGenerationTurnDetection):
        return part
    moved = TurnDetectionPart(
        vad_threshold=_first(old.speech_detection_threshold, old.vad_threshold),
        min_silence=old.min_end_of_turn_silence_ms,
        max_silence=old.max_turn_silence_ms,
        interruption_delay=old.min_interrupt_duration_ms,
    )
    placed = InputPart(turn_detection=moved)
    given = merge(placed, part.input) if isinstance(part.input, InputPart) else placed
    return msgspec.structs.replace(part, input=given, turn_detection=UNSET)


def _stored(settings: AgentSettings) -> SessionPart:
    """What an agent sets in the words of `session.update`."""
    return SessionPart(input=settings.input or UNSET, output=settings.output or UNSET)


def _settings(stored: Mapping[str, Any]) -> AgentSettings:
    try:
        return msgspec.convert(dict(stored), AgentSettings)
    except msgspec.ValidationError as error:
        raise _wrong(f"the agent's settings: {error}", "settings") from None


def _canonical(voice_id: str) -> str:
    """A voice's own id for an alias, so that two names of one voice are no change."""
    wanted = voice_id.strip().lower()
    return voices.ALIASES.get(wanted, wanted)


Value = TypeVar("Value")


def _or(value: Any, default: Value) -> Value:
    """`value` unless it was left out or is null."""
    return default if value is UNSET or value is None else value


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not UNSET and value is not None), UNSET)


def _wrong(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_value", param=param)
