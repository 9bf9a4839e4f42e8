"""What was asked for so far: the stored agent, the stored session and the client, merged."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nur_server.agents.options import agent_options
from nur_server.agents.tools import Tool, check_url, keep_secrets, read_tools
from nur_server.agents.variables import missing_warnings, render
from nur_server.audio.formats import AudioFormat
from nur_server.errors import InvalidRequest
from nur_server.opening.toolbox import endpoints
from nur_server.options import (
    UNSET,
    InputOptions,
    OutputOptions,
    RecordingOptions,
    SessionOptions,
    TurnDetectionOptions,
    given,
    merge,
)
from nur_server.providers import voices
from nur_server.providers.http_tools import ToolEndpoint
from nur_server.store.records import AgentRecord, SessionRecord
from nur_server.text import languages


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """The options in force, and where they come from. Immutable: an update is a new plan."""

    options: SessionOptions = field(default_factory=SessionOptions)
    agent: AgentRecord | None = None
    """None: its client brought the whole configuration."""
    record: SessionRecord | None = None
    """The stored session, where it was made before its client came."""
    warnings: tuple[str, ...] = ()
    """About what was asked for last."""
    client_tools: bool = False
    """The tools came from the client. Those that are the stored agent's still count as its own."""
    tools: tuple[Tool, ...] = ()
    """What `options.tools` are: see `read`."""
    is_open: bool = False
    """Its client may change how the agent is heard as it goes (`_REOPENED`). Its protocol has to
    keep audio of the old format apart from that of the new."""

    @property
    def voice_id(self) -> str:
        """The voice asked for, or the usual one of the language that is spoken."""
        asked = given(self.options.output.voice_id, None)
        return voices.usual(given(self.options.language, None) or "en") if asked is None else asked

    @property
    def is_recorded(self) -> bool:
        return given(self.options.recording.is_recorded, False)

    @property
    def tool_url(self) -> str | None:
        """Where tools without an address of their own run."""
        return self.agent.tool_url if self.agent else None

    def read(self) -> "SessionPlan":
        """With the tools of its options. Raises `InvalidRequest`."""
        read = read_tools(given(self.options.tools, ()))
        stored = read
        if self.client_tools:
            stored = read_tools(self.agent.tools) if self.agent else ()
        own = {tool.spec.name: tool for tool in stored}
        tools = (
            tool.stored(self.tool_url)
            if tool.spec.name in own and tool.is_same(own[tool.spec.name])
            else tool
            for tool in read
        )
        return replace(self, tools=tuple(tools))


def plan_for_agent(
    agent: AgentRecord, record: SessionRecord | None = None, asked: SessionOptions | None = None
) -> SessionPlan:
    """A stored agent's plan, for a stored session of it where there is one.

    Variables are filled in from the session's context, then its metadata. `asked` is what the
    connection itself wants, whatever the agent says. Raises `InvalidRequest`.
    """
    stored = agent_options(agent)
    sources = (record.context, record.metadata) if record is not None else ()
    opening = (record and record.initial_message) or agent.first_message or ""
    prompt, greeting = render(agent.system_prompt, *sources), render(opening, *sources)
    own = SessionOptions(
        system_prompt=prompt.text,
        greeting=greeting.text or None,
        recording=_recording_of(record),
    )
    missing = missing_warnings((*prompt.missing, *greeting.missing))
    own = merge(own, _overrides_of(record))
    options = merge(merge(stored, own), asked or SessionOptions())
    return SessionPlan(options, agent, record, (*missing, *ineffective(stored))).read()


def plan_for_client(asked: SessionOptions, warnings: Iterable[str] = ()) -> SessionPlan:
    """The plan of a client that brings the whole configuration. Raises `InvalidRequest`."""
    asked = _with_languages(_with_secrets(asked, ()))
    options = merge(SessionOptions(), asked)
    plan = SessionPlan(
        options, warnings=(*ineffective(asked), *warnings), client_tools=asked.tools is not UNSET
    )
    _check(plan)
    return plan.read()


def updated(plan: SessionPlan, asked: SessionOptions, warnings: Iterable[str] = ()) -> SessionPlan:
    """The plan of a running session with a client's changes.

    Raises `InvalidRequest`: `immutable_field` where a field that cannot change would, and
    `invalid_value`.
    """
    asked = _with_languages(_with_secrets(asked, given(plan.options.tools, ())))
    changed = replace(
        plan,
        options=merge(plan.options, asked),
        warnings=(*ineffective(asked), *warnings),
        client_tools=plan.client_tools or asked.tools is not UNSET,
    )
    _check(changed)
    if asked.tools is not UNSET:
        changed = changed.read()
    for option, value_of in _IMMUTABLE.items():
        if value_of(changed) != value_of(plan) and not (plan.is_open and option in _REOPENED):
            raise InvalidRequest(
                f"'{option}' cannot be changed once the session has been set up",
                code="immutable_field",
                param=option,
            )
    return changed


def tool_endpoints(plan: SessionPlan) -> dict[str, ToolEndpoint]:
    """Where the tools run that this server runs.

    The addresses of a stored agent were checked when it was stored, and are again at each call.
    Raises `InvalidRequest` for an address of the client's that is not public, whatever the settings
    allow.
    """
    for i, tool in enumerate(plan.tools):
        if tool.http is not None and not tool.is_stored:
            check_url(tool.http.url, f"tools[{i}].http.url", allow_private=False)
    agent, record = plan.agent, plan.record
    return endpoints(
        plan.tools,
        tool_url=plan.tool_url,
        signing_secret=agent.settings.get("tool_secret") if agent else None,
        context=record.context if record else {},
        metadata=record.metadata if record else {},
    )


def ineffective(asked: SessionOptions) -> tuple[str, ...]:
    """Warnings about options that are accepted and change nothing."""
    found = [
        f"input.{name} has no effect on this server"
        for name in ("transcription_mode", "voice_focus_threshold")
        if given(getattr(asked.input, name), None) is not None
    ]
    spoken = given(asked.input.languages, ())
    if len(spoken) > 1:
        found.append(f"input.language_codes: one language is recognised, the first: {spoken[0]!r}")
    return tuple(found)


def _recording_of(record: SessionRecord | None) -> RecordingOptions:
    """What a stored session says of its recording, whatever its agent says."""
    asked = record.config.get("recording") if record is not None else None
    return RecordingOptions() if asked is None else RecordingOptions(is_recorded=bool(asked))


def _overrides_of(record: SessionRecord | None) -> SessionOptions:
    """The language and the voice that a stored session was made with, whatever its agent says."""
    asked = record.config.get("overrides") if record is not None else None
    if not asked:
        return SessionOptions()
    voice_id, language = asked.get("voice_id"), asked.get("language")
    return SessionOptions(
        language=UNSET if language is None else language_tag(language, "language"),
        output=OutputOptions() if voice_id is None else OutputOptions(voice_id=voice_id),
    )


_IMMUTABLE: Mapping[str, Callable[[SessionPlan], object]] = {
    "greeting": lambda plan: given(plan.options.greeting, "") or None,
    "input.modality": lambda plan: plan.options.hears_audio,
    "output.modality": lambda plan: plan.options.speaks,
    "output.voice_id": lambda plan: _canonical(plan.voice_id),
    "output.format": lambda plan: plan.options.output_format,
    "webhook": lambda plan: given(plan.options.webhook, None),
}
"""What the first words of a session, its files and its receivers depend on."""


_REOPENED = frozenset({"output.modality", "output.voice_id", "output.format"})
"""Those of them that hold from the next reply on, where a plan is open."""


def _canonical(voice_id: str) -> str:
    """A voice's own id for an alias, so that two names of one voice are no change."""
    voice = voices.known(voice_id)
    return voice_id if voice is None else voice.id


def _check(plan: SessionPlan) -> None:
    """What no single option can say. Raises `InvalidRequest`."""
    detection = given(plan.options.input.turn_detection, TurnDetectionOptions())
    shortest = given(detection.min_silence_ms, None)
    longest = given(detection.max_silence_ms, None)
    if shortest is not None and longest is not None and shortest >= longest:
        raise InvalidRequest(
            f"expected min_silence below max_silence, got {shortest} and {longest} ms",
            code="invalid_value",
            param="input.turn_detection.min_silence_ms",
        )


def _with_secrets(asked: SessionOptions, known: Iterable[Mapping[str, Any]]) -> SessionOptions:
    """Header values of tools that were given back as they are shown are those known.

    Raises `InvalidRequest` where there is none.
    """
    tools = given(asked.tools, ())
    return replace(asked, tools=tuple(keep_secrets(tools, known))) if tools else asked


def _with_languages(asked: SessionOptions) -> SessionOptions:
    """Language tags in the one form in which they are kept.

    Raises `InvalidRequest`, which lists the valid languages.
    """
    changed = asked
    if given(asked.language, None) is not None:
        changed = replace(changed, language=language_tag(given(asked.language, ""), "language"))
    if spoken := given(asked.input.languages, ()):
        tags = tuple(language_tag(tag, "input.languages") for tag in spoken)
        changed = replace(changed, input=replace(changed.input, languages=tags))
    return changed


def language_tag(tag: str, param: str) -> str:
    """A language's tag in the one form in which it is kept. Raises `InvalidRequest`."""
    try:
        return languages.normalised(tag)
    except ValueError as error:
        raise InvalidRequest(
            f"'{param}': {error}",
            code="invalid_value",
            param=param,
            details={"languages": list(languages.LANGUAGES)},
        ) from None


def connection_formats(audio: AudioFormat) -> SessionOptions:
    """The options of a connection that sends and receives `audio`."""
    return SessionOptions(input=InputOptions(format=audio), output=OutputOptions(format=audio))
