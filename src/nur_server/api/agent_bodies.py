"""An agent as clients send it: whole, or as changes to what is stored."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from nur_server.api.bodies import (
    NOT_BLANK,
    Body,
    Metadata,
    ShortText,
    Spoken,
    not_blank,
    signing_secret,
)
from nur_server.errors import InvalidRequest
from nur_server.opening.tools import HIDDEN, MAX_TOOLS, hide_secrets, keep_secrets, read_tools
from nur_server.store.records import AgentFields, AgentRecord, AgentStatus

READ_ONLY = frozenset({"id", "object", "created", "created_at", "updated_at", "warnings"})
"""Fields of an agent that may be sent back as they were read; they change nothing."""

_E164 = re.compile(r"\+[1-9]\d{6,14}\Z", re.ASCII)

# Kinds of value


def _phone_number(number: str) -> str:
    if not _E164.match(number):
        raise ValueError("expected a number in E.164, such as +14155559999")
    return number


def _each_once(numbers: list[str]) -> list[str]:
    if len(set(numbers)) < len(numbers):
        raise ValueError("expected each phone number once")
    return numbers


def _language(code: str) -> str:
    if not re.fullmatch(r"[a-z]{2}", code):
        raise ValueError("expected an ISO 639-1 code in lower case, such as en")
    return code


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
    WithJsonSchema({"type": "string", "pattern": "^[a-z]{2}$", "examples": ["en"]}),
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

    type: Literal["server_vad", "semantic_vad"] | None = None
    vad_threshold: float | None = Field(None, ge=0, le=1, description="Lower hears more.")
    min_silence: int | None = Field(None, ge=50, le=10_000, description="Milliseconds.")
    max_silence: int | None = Field(None, ge=50, le=30_000, description="Milliseconds.")
    interrupt_response: bool | None = None
    interruption_delay: int | None = Field(None, ge=0, le=1000, description="Milliseconds.")
    uninterruptible_turns: list[ShortText] | None = Field(None, max_length=20)

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

    reprompt_seconds: float | None = Field(None, ge=1, le=600)
    reprompt_message: Spoken | None = None
    max_reprompts: int | None = Field(None, ge=0, le=10)
    end_seconds: float | None = Field(None, ge=1, le=3600)


class VoicemailBody(Body):
    """What the agent does when a machine answers an outbound call."""

    model_config = _either(
        {"properties": {"on_machine": {"not": {"const": "leave_message"}}}},
        {"required": ["message"], "properties": {"message": {"type": "string", "minLength": 1}}},
    )

    on_machine: Literal["hang_up", "leave_message", "carry_on"] = "hang_up"
    message: Spoken | None = Field(None, description="Spoken after the beep, for leave_message.")

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

    type: Literal["audio", "text"] | None = None
    format: FormatBody | None = None
    turn_detection: TurnDetectionBody | None = None
    keyterms: list[ShortText] | None = Field(None, max_length=100)
    transcription_mode: Literal["min_latency", "balanced", "max_accuracy"] | None = None
    transcription_prompt: str | None = Field(None, max_length=1750)
    continuous_partials: bool | None = None
    language_codes: list[Language] | None = Field(None, max_length=20)
    voice_focus: Literal["near-field", "far-field"] | None = None
    voice_focus_threshold: float | None = Field(None, ge=0, le=1)


class OutputBody(Body):
    """How the agent is heard."""

    type: Literal["audio", "text"] | None = None
    format: FormatBody | None = None
    volume: float | None = Field(None, ge=0, le=100)


class AgentChanges(Body):
    """Fields of an agent. Null is the server's default, where there is one.

    What was not given is not in `model_fields_set`.
    """

    name: ShortText = Field(default_factory=str, description="Display name.")
    voice_id: ModelId = Field(default_factory=str, description="A voice of `GET /v1/voices`.")
    system_prompt: Prompt = Field(
        default_factory=str,
        description="What the agent is and does. `{{name}}` and `{{name|default}}` are filled "
        "in from the session's `context`, then `metadata`.",
    )
    language: Language | None = Field(None, description="ISO 639-1. Default `en`.")
    tools: ToolList | None = Field(
        None,
        description="Each in one of three shapes: `parameters` as a map of arguments with "
        "`required: true`, as a JSON Schema, or both inside `function`. Values of `http` headers "
        "are shown as `[hidden]`; sending that back keeps them.",
    )
    max_turns: int | None = Field(
        None, ge=1, le=10_000, description="User turns per session. Default 50."
    )
    llm_model: ModelId | None = Field(None, description="A model of `GET /v1/models`.")
    stt_model: ModelId | None = Field(None, description="A model of `GET /v1/models`.")
    tts_model: ModelId | None = Field(None, description="A model of `GET /v1/models`.")
    first_message: Spoken | None = Field(
        None, description="Spoken when a session opens. None: the user speaks first."
    )
    greeting: Spoken | None = Field(None, description="The same as `first_message`.")
    interruption_threshold: float | None = Field(
        None, ge=0, le=1, description="0: any speech stops the agent; 1: none. Default 0.5."
    )
    context_window: int | None = Field(
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
        description="Signs calls to `tool_url` and `http` addresses, after Standard Webhooks: "
        "`whsec_` and base64. Shown as `[hidden]`; sending that back keeps it.",
    )
    phone_numbers: PhoneNumbers | None = Field(
        None, description="E.164 numbers whose calls this agent answers."
    )
    metadata: Metadata | None = Field(None, description="Up to 20 pairs of your own.")
    status: Literal["active", "paused"] | None = Field(
        None, description="A paused agent refuses new sessions."
    )
    turn_detection: TurnDetectionBody | None = None
    silence: SilenceBody | None = None
    voicemail: VoicemailBody | None = Field(
        None, description="Find out who has answered an outbound call before speaking."
    )
    input: InputBody | None = None
    output: OutputBody | None = None
    max_duration_seconds: float | None = Field(None, ge=10, le=10_800)
    goodbye: Spoken | None = Field(
        None, description="Spoken when `max_duration_seconds` is reached."
    )
    apology: Spoken | None = Field(None, description="Spoken when the language model fails.")
    tool_filler: Spoken | None = Field(
        None, description="Spoken while a tool takes long. Empty: silence."
    )
    tool_filler_seconds: float | None = Field(None, ge=0.5, le=60)
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=32_768)
    speed: float | None = Field(None, ge=0.25, le=4, description="1 is the voice's own.")
    recording: bool | None = Field(
        None, description="Record sessions that do not say otherwise. Default: no."
    )
    recording_consent: Spoken | None = Field(
        None, description="Spoken before the opening line of a session that is recorded."
    )
    recording_retention_days: int | None = Field(
        None, ge=1, le=3650, description="After so many days a recording is deleted. Null: never."
    )
    analysis: AnalysisBody | None = Field(
        None, description="Have the agent's model note what came of each conversation."
    )

    @model_validator(mode="before")
    @classmethod
    def _as_read(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {name: value for name, value in given.items() if name not in READ_ONLY}

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


SETTINGS = (
    "turn_detection",
    "silence",
    "voicemail",
    "input",
    "output",
    "max_duration_seconds",
    "goodbye",
    "apology",
    "tool_filler",
    "tool_filler_seconds",
    "temperature",
    "max_tokens",
    "speed",
    "recording",
    "recording_consent",
    "recording_retention_days",
    "analysis",
    "tool_secret",
)
"""Fields kept in `AgentFields.settings`."""
MERGED = ("metadata", "turn_detection", "silence", "input", "output")
"""Objects that a PATCH merges key by key."""
_PLAIN = (
    "name",
    "voice_id",
    "system_prompt",
    "language",
    "max_turns",
    "llm_model",
    "stt_model",
    "tts_model",
    "first_message",
    "interruption_threshold",
    "context_window",
    "tool_url",
    "metadata",
)


class AgentBody(AgentChanges):
    """A whole agent."""

    name: ShortText = Field(description="Display name.")
    voice_id: ModelId = Field(description="A voice of `GET /v1/voices`.")
    system_prompt: Prompt = Field(
        description="What the agent is and does. `{{name}}` and `{{name|default}}` are filled "
        "in from the session's `context`, then `metadata`.",
    )

    def fields(self) -> AgentFields:
        """What the store keeps. Null is left to the defaults."""
        given = self.model_dump(exclude_none=True)
        if not given.get("first_message"):
            given.pop("first_message", None)
        return AgentFields(
            **{name: given[name] for name in _PLAIN if name in given},
            tools=tuple(given.get("tools", ())),
            phone_numbers=tuple(given.get("phone_numbers", ())),
            status=AgentStatus(given.get("status", AgentStatus.ACTIVE)),
            settings={name: given[name] for name in SETTINGS if name in given},
        )


def with_secrets(body: AgentBody, stored: AgentFields | None = None) -> AgentBody:
    """The body with every `[hidden]` replaced by what is stored.

    Raises `InvalidRequest` where nothing is.
    """
    tools = keep_secrets(body.tools or [], stored.tools if stored else ())
    secret = body.tool_secret
    if secret == HIDDEN:
        secret = stored.settings.get("tool_secret") if stored else None
        if secret is None:
            raise InvalidRequest(
                f"tool_secret: expected a secret: {HIDDEN} keeps the stored one, and there is none",
                param="tool_secret",
            )
    return body.model_copy(update={"tools": tools, "tool_secret": secret})


def shown_fields(agent: AgentFields) -> dict[str, Any]:
    """As `public_fields`, with `[hidden]` for every secret."""
    fields = public_fields(agent)
    secret = fields["tool_secret"] and HIDDEN
    return {**fields, "tools": hide_secrets(agent.tools), "tool_secret": secret}


def public_fields(agent: AgentFields) -> dict[str, Any]:
    """The agent as the body that would make it."""
    return {
        **{name: getattr(agent, name) for name in _PLAIN},
        **{name: agent.settings.get(name) for name in SETTINGS},
        "metadata": dict(agent.metadata),
        "tools": [dict(tool) for tool in agent.tools],
        "phone_numbers": list(agent.phone_numbers),
        "status": agent.status.value,
    }


def merged(agent: AgentRecord, changes: AgentChanges) -> AgentBody:
    """The agent with a PATCH applied. Null goes back to the default, in objects it removes a key.

    Raises `pydantic.ValidationError` where the whole is not valid, `InvalidRequest` for a secret
    that is to be kept and is not stored.
    """
    whole = public_fields(agent)
    given = changes.model_dump(exclude_unset=True)
    if "greeting" in given:
        given["first_message"] = changes.first_message
        del given["greeting"]
    for name, value in given.items():
        both = name in MERGED and isinstance(value, dict) and isinstance(whole.get(name), dict)
        whole[name] = _merge(whole[name], value) if both else value
    return with_secrets(AgentBody.model_validate(whole), agent)


def _merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    result = {key: value for key, value in old.items() if not (key in new and new[key] is None)}
    for key, value in new.items():
        inner = result.get(key)
        if isinstance(value, dict) and isinstance(inner, dict):
            result[key] = _merge(inner, value)
        elif value is not None:
            result[key] = value
    return result


def changed_fields(before: AgentFields, after: AgentFields) -> dict[str, Any]:
    """What `Agents.update` is to be told."""
    names = (*_PLAIN, "tools", "phone_numbers", "status")
    changes: dict[str, Any] = {
        name: getattr(after, name)
        for name in names
        if getattr(after, name) != getattr(before, name)
    }
    settings = {
        name: after.settings.get(name)
        for name in SETTINGS
        if after.settings.get(name) != before.settings.get(name)
    }
    return {**changes, "settings": settings} if settings else changes
