"""What an agent is made of, declared once.

Each field of `AgentChanges` stands here with its kind, its bounds, its meaning and, by `Sets`, the
option of a session that it sets. Everything else is derived: the body of a request (`AgentBody`),
what is stored and shown (`stored`), the options of a session (`options`), the SDK's types
(`sdk_types`); `tests/agents/test_every_field.py` follows each field through all of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from nur_server.agents.access import CLIENT_OVERRIDES, ClientOverride, Origins
from nur_server.agents.kinds import (
    NOT_BLANK,
    Body,
    Metadata,
    ShortText,
    Spoken,
    not_blank,
    signing_secret,
)
from nur_server.agents.tools import HIDDEN, MAX_TOOLS, read_tools
from nur_server.errors import InvalidRequest
from nur_server.text import languages

READ_ONLY = frozenset({"id", "object", "created", "created_at", "updated_at", "warnings"})
"""Fields of an agent that may be sent back as they were read; they change nothing."""

_E164 = re.compile(r"\+[1-9]\d{6,14}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Sets:
    """Beside a field: which option it sets."""

    option: str
    """A path in `options.SessionOptions`, or in the group of options that its body stands for."""


class Merged:
    """Beside a field: a PATCH merges its object key by key. Other objects are replaced whole."""


# Kinds of value


def _phone_number(number: str) -> str:
    if not _E164.match(number):
        raise ValueError("expected a number in E.164, such as +14155559999")
    return number


def _each_once(numbers: list[str]) -> list[str]:
    if len(set(numbers)) < len(numbers):
        raise ValueError("expected each phone number once")
    return numbers


def _language(tag: str) -> str:
    try:
        return languages.normalised(tag)
    except ValueError as error:
        details = {"languages": list(languages.LANGUAGES)}
        raise _refused(InvalidRequest(str(error), details=details)) from None


def _refused(error: InvalidRequest) -> PydanticCustomError:
    """An error of ours, among those pydantic collects."""
    return PydanticCustomError("refused", "{message}", {"message": error.message, "error": error})


def _tools(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    try:
        read_tools(tools)
    except InvalidRequest as error:
        raise _refused(error) from None
    return tools


def _tool_secret(secret: str) -> str:
    return secret if secret == HIDDEN else signing_secret(secret)


def _analysis_field(name: str) -> str:
    if name == "summary" or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise ValueError(
            f"expected a name of small letters, digits and _, other than summary; got {name[:50]!r}"
        )
    return name


Prompt = Annotated[
    str,
    Field(min_length=1, max_length=100_000, json_schema_extra=NOT_BLANK),
    AfterValidator(not_blank),
]
ModelId = Annotated[str, Field(min_length=1, max_length=200)]
Language = Annotated[
    str,
    AfterValidator(_language),
    WithJsonSchema({"type": "string", "pattern": languages.PATTERN, "examples": ["en", "pt-BR"]}),
]
PhoneNumber = Annotated[
    str,
    AfterValidator(_phone_number),
    WithJsonSchema({"type": "string", "pattern": r"^\+[1-9][0-9]{6,14}$"}),
]
PhoneNumbers = Annotated[
    list[PhoneNumber],
    Field(max_length=100, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_each_once),
]
AnalysisField = Annotated[
    str,
    AfterValidator(_analysis_field),
    WithJsonSchema({"type": "string", "pattern": "^(?!summary$)[a-z][a-z0-9_]{0,39}$"}),
]
ToolSecret = Annotated[str, Field(max_length=100), AfterValidator(_tool_secret)]
ToolList = Annotated[list[dict[str, Any]], Field(max_length=MAX_TOOLS), AfterValidator(_tools)]


# Parts of an agent


def _either(*schemas: dict[str, Any]) -> ConfigDict:
    """Says in the document what a validator holds: one of these is so."""
    return ConfigDict(json_schema_extra={"anyOf": list(schemas)})


class TurnDetectionBody(Body):
    """When the user has finished, and when they interrupt."""

    type: Annotated[Literal["server_vad", "semantic_vad"] | None, Sets("kind")] = None
    vad_threshold: Annotated[float | None, Sets("vad_threshold")] = Field(
        None, ge=0, le=1, description="Lower hears more."
    )
    min_silence: Annotated[int | None, Sets("min_silence_ms")] = Field(
        None, ge=50, le=10_000, description="Milliseconds."
    )
    max_silence: Annotated[int | None, Sets("max_silence_ms")] = Field(
        None, ge=50, le=30_000, description="Milliseconds."
    )
    interrupt_response: Annotated[bool | None, Sets("interrupt_response")] = None
    interruption_delay: Annotated[int | None, Sets("interruption_delay_ms")] = Field(
        None, ge=0, le=1000, description="Milliseconds."
    )
    uninterruptible_turns: Annotated[list[ShortText] | None, Sets("uninterruptible_turns")] = Field(
        None, max_length=20
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if (
            self.min_silence is not None
            and self.max_silence is not None
            and self.min_silence >= self.max_silence
        ):
            raise ValueError("expected min_silence to be smaller than max_silence")
        return self


class SilenceBody(Body):
    """What happens when nobody speaks."""

    reprompt_seconds: Annotated[float | None, Sets("reprompt_seconds")] = Field(None, ge=1, le=600)
    reprompt_message: Annotated[Spoken | None, Sets("reprompt_message")] = None
    max_reprompts: Annotated[int | None, Sets("max_reprompts")] = Field(None, ge=0, le=10)
    end_seconds: Annotated[float | None, Sets("end_seconds")] = Field(None, ge=1, le=3600)


class VoicemailBody(Body):
    """What the agent does when a machine answers an outbound call."""

    model_config = _either(
        {"properties": {"on_machine": {"not": {"const": "leave_message"}}}},
        {"required": ["message"], "properties": {"message": {"type": "string", "minLength": 1}}},
    )

    on_machine: Annotated[Literal["hang_up", "leave_message", "carry_on"], Sets("on_machine")] = (
        "hang_up"
    )
    message: Annotated[Spoken | None, Sets("message")] = Field(
        None, description="Spoken after the beep, for leave_message."
    )

    @model_validator(mode="after")
    def _has_message(self) -> Self:
        if self.on_machine == "leave_message" and not self.message:
            raise ValueError("expected a message for on_machine 'leave_message', got none")
        return self


class AnalysisFieldBody(Body):
    """One thing to be known of a conversation."""

    model_config = _either(
        {"properties": {"type": {"const": "string"}}}, {"properties": {"enum": {"type": "null"}}}
    )

    type: Literal["string", "number", "integer", "boolean"] = "string"
    description: ShortText | None = Field(None, description="What it is; the model reads it.")
    enum: list[ShortText] | None = Field(
        None, min_length=1, max_length=50, description="What it may be, for a string."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.enum is not None and self.type != "string":
            raise ValueError("expected enum only where type is string")
        return self


class AnalysisBody(Body):
    """What the agent's model is to note once a conversation is over."""

    model_config = _either(
        {"properties": {"summary": {"const": True}}},
        {"required": ["fields"], "properties": {"fields": {"type": "object", "minProperties": 1}}},
    )

    summary: bool = Field(True, description="What it was about, in a few sentences.")
    fields: (
        Annotated[
            dict[AnalysisField, AnalysisFieldBody],
            Field(max_length=30, json_schema_extra={"additionalProperties": False}),
        ]
        | None
    ) = Field(None, description="More to be noted, by name.")

    @model_validator(mode="after")
    def _wants_something(self) -> Self:
        if not self.summary and not self.fields:
            raise ValueError("expected a summary or fields to be wanted, got neither")
        return self


class FormatBody(Body):
    """How audio travels over the socket."""

    encoding: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] | None = None
    sample_rate: Literal[8000, 16000, 24000, 48000] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.encoding in ("audio/pcmu", "audio/pcma") and self.sample_rate not in (None, 8000):
            raise ValueError(f"expected a sample_rate of 8000 for {self.encoding}")
        return self


class InputBody(Body):
    """What the agent listens to."""

    type: Annotated[Literal["audio", "text"] | None, Sets("modality")] = None
    format: Annotated[FormatBody | None, Sets("format")] = None
    turn_detection: Annotated[TurnDetectionBody | None, Sets("turn_detection")] = None
    keyterms: Annotated[list[ShortText] | None, Sets("keyterms")] = Field(None, max_length=100)
    transcription_mode: Annotated[
        Literal["min_latency", "balanced", "max_accuracy"] | None, Sets("transcription_mode")
    ] = None
    transcription_prompt: Annotated[str | None, Sets("transcription_prompt")] = Field(
        None, max_length=1750
    )
    continuous_partials: Annotated[bool | None, Sets("wants_partials")] = None
    language_codes: Annotated[list[Language] | None, Sets("languages")] = Field(None, max_length=20)
    voice_focus: Annotated[Literal["near-field", "far-field"] | None, Sets("voice_focus")] = None
    voice_focus_threshold: Annotated[float | None, Sets("voice_focus_threshold")] = Field(
        None, ge=0, le=1
    )


class OutputBody(Body):
    """How the agent is heard."""

    type: Annotated[Literal["audio", "text"] | None, Sets("modality")] = None
    format: Annotated[FormatBody | None, Sets("format")] = None
    volume: Annotated[float | None, Sets("volume_percent")] = Field(None, ge=0, le=100)


class AgentChanges(Body):
    """Fields of an agent. Null is the server's default, where there is one.

    What was not given is not in `model_fields_set`.
    """

    name: ShortText = Field(default_factory=str, description="Display name.")
    voice_id: Annotated[ModelId, Sets("output.voice_id")] = Field(
        default_factory=str, description="A voice of `GET /v1/voices`."
    )
    system_prompt: Annotated[Prompt, Sets("system_prompt")] = Field(
        default_factory=str,
        description="What the agent is and does. `{{name}}` and `{{name|default}}` are filled "
        "in from the session's `context`, then `metadata`.",
    )
    language: Annotated[Language | None, Sets("language")] = Field(
        None, description="BCP 47: ISO 639-1, with or without a region. Default `en`."
    )
    tools: Annotated[ToolList | None, Sets("tools")] = Field(
        None,
        description="Each in one of three shapes: `parameters` as a map of arguments with "
        "`required: true`, as a JSON Schema, or both inside `function`. Values of `http` headers "
        "are shown as `[hidden]`; sending that back keeps them.",
    )
    max_turns: Annotated[int | None, Sets("max_turns")] = Field(
        None, ge=1, le=10_000, description="User turns per session. Default 50."
    )
    llm_model: Annotated[ModelId | None, Sets("models.llm_model")] = Field(
        None, description="A model of `GET /v1/models`."
    )
    stt_model: Annotated[ModelId | None, Sets("models.stt_model")] = Field(
        None, description="A model of `GET /v1/models`."
    )
    tts_model: Annotated[ModelId | None, Sets("models.tts_model")] = Field(
        None, description="A model of `GET /v1/models`."
    )
    first_message: Annotated[Spoken | None, Sets("greeting")] = Field(
        None, description="Spoken when a session opens. None: the user speaks first."
    )
    greeting: Spoken | None = Field(None, description="The same as `first_message`.")
    interruption_threshold: Annotated[float | None, Sets("interruption_threshold")] = Field(
        None, ge=0, le=1, description="0: any speech stops the agent; 1: none. Default 0.5."
    )
    context_window: Annotated[int | None, Sets("context_window")] = Field(
        None, ge=1, le=1000, description="Prior turns the model is given. Default 10."
    )
    tool_url: str | None = Field(
        None,
        max_length=2048,
        description="https address that runs the tools without an `http` block of their own. "
        "Without it they are run by the connected client.",
    )
    tool_secret: ToolSecret | None = Field(
        None,
        repr=False,
        description="Signs calls to `tool_url` and `http` addresses, after Standard Webhooks: "
        "`whsec_` and base64. Shown as `[hidden]`; sending that back keeps it.",
    )
    phone_numbers: PhoneNumbers | None = Field(
        None, description="E.164 numbers whose calls this agent answers."
    )
    metadata: Annotated[Metadata | None, Merged()] = Field(
        None, description="Up to 20 pairs of your own."
    )
    status: Literal["active", "paused"] | None = Field(
        None, description="A paused agent refuses new sessions."
    )
    turn_detection: Annotated[TurnDetectionBody | None, Sets("input.turn_detection"), Merged()] = (
        Field(None, description="When the user has finished, and when they interrupt.")
    )
    silence: Annotated[SilenceBody | None, Sets("silence"), Merged()] = Field(
        None, description="What happens when neither side speaks."
    )
    voicemail: Annotated[VoicemailBody | None, Sets("answering")] = Field(
        None, description="Find out who has answered an outbound call before speaking."
    )
    input: Annotated[InputBody | None, Sets("input"), Merged()] = Field(
        None,
        description="What its sessions listen to: `format`, `turn_detection`, `keyterms` and more.",
    )
    output: Annotated[OutputBody | None, Sets("output"), Merged()] = Field(
        None, description="How its sessions are heard: `format`, `volume` and more."
    )
    max_duration_seconds: Annotated[float | None, Sets("max_duration_seconds")] = Field(
        None, ge=10, le=10_800, description="Then the agent says `goodbye` and the session ends."
    )
    goodbye: Annotated[Spoken | None, Sets("goodbye")] = Field(
        None, description="Spoken when `max_duration_seconds` is reached."
    )
    apology: Annotated[Spoken | None, Sets("apology")] = Field(
        None, description="Spoken when the language model fails."
    )
    tool_filler: Annotated[Spoken | None, Sets("tool_filler")] = Field(
        None, description="Spoken while a tool takes long. Empty: silence."
    )
    tool_filler_seconds: Annotated[float | None, Sets("tool_filler_seconds")] = Field(
        None, ge=0.5, le=60, description="How long a tool may take in silence."
    )
    hello_seconds: Annotated[float | None, Sets("hello_seconds")] = Field(
        None,
        ge=0,
        le=10,
        description="On calls that the agent makes: how long it waits for who is called to speak "
        "first. Default 2.5.",
    )
    temperature: Annotated[float | None, Sets("models.temperature")] = Field(
        None, ge=0, le=2, description="Of the language model."
    )
    max_tokens: Annotated[int | None, Sets("models.max_tokens")] = Field(
        None, ge=1, le=32_768, description="The longest answer of the language model."
    )
    speed: Annotated[float | None, Sets("output.speed")] = Field(
        None, ge=0.25, le=4, description="1 is the voice's own."
    )
    recording: Annotated[bool | None, Sets("recording.is_recorded")] = Field(
        None, description="Record sessions that do not say otherwise. Default: no."
    )
    recording_consent: Annotated[Spoken | None, Sets("recording.consent")] = Field(
        None, description="Spoken before the opening line of a session that is recorded."
    )
    recording_retention_days: Annotated[int | None, Sets("recording.retention_days")] = Field(
        None, ge=1, le=3650, description="After so many days a recording is deleted. Null: never."
    )
    client_overrides: Annotated[list[ClientOverride] | None, Sets("client_overrides")] = Field(
        None,
        max_length=len(CLIENT_OVERRIDES),
        description="What a client without a key may set by `session.update`. Default: "
        "`input.format`, `output.format` and `input.turn_detection`. Empty: nothing.",
    )
    allowed_origins: Annotated[Origins | None, Sets("allowed_origins")] = Field(
        None,
        description="Pages that may talk to it without a key, by their origin, such as "
        "`https://shop.example`. Null: any.",
    )
    analysis: AnalysisBody | None = Field(
        None, description="Have the agent's model note what came of each conversation."
    )

    @model_validator(mode="before")
    @classmethod
    def _as_read(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        fields = {name: value for name, value in given.items() if name not in READ_ONLY}
        voice = fields.get("voice")
        if isinstance(voice, Mapping) and set(voice) == {"voice_id"} and "voice_id" not in fields:
            # As AssemblyAI's clients write it.
            return {**{n: v for n, v in fields.items() if n != "voice"}, **voice}
        return fields

    @field_validator("tool_url")
    @classmethod
    def _not_empty(cls, url: str | None) -> str | None:
        return url or None

    @model_validator(mode="after")
    def _one_opening_line(self) -> Self:
        if self.greeting is not None:
            if self.first_message not in (None, self.greeting):
                raise ValueError("expected first_message or greeting, got two different ones")
            self.first_message = self.greeting
        return self


class AgentBody(AgentChanges):
    """A whole agent."""

    name: ShortText = Field(description="Display name.")
    voice_id: ModelId = Field(description="A voice of `GET /v1/voices`.")
    system_prompt: Prompt = Field(
        description="What the agent is and does. `{{name}}` and `{{name|default}}` are filled "
        "in from the session's `context`, then `metadata`.",
    )


def without_checks(annotation: Any) -> Any:
    """A field's kind without bounds and validators: for values that are shown, not taken."""
    if hasattr(annotation, "__metadata__"):
        return without_checks(annotation.__origin__)
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return Union[tuple(map(without_checks, get_args(annotation)))]  # noqa: UP007  # a union made of a tuple has no other spelling
    if get_origin(annotation) is list:
        return list[without_checks(get_args(annotation)[0])]  # type: ignore[misc]  # made at run time
    return annotation
