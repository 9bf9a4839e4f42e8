"""What an agent may be given, and what is read of it.

Written by `python -m nur_server.agents.sdk_types` from the server's declaration of an agent.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from pydantic import Field

from nur.object import NurObject


class AgentOptions(TypedDict, total=False):
    """What an agent may be given besides its name, voice and prompt.

    A field left out keeps the server's default. Fields not listed here are sent as they are.
    """

    language: str | None
    """BCP 47: ISO 639-1, with or without a region. Default `en`."""

    tools: Sequence[Mapping[str, Any]] | None
    """Each in one of three shapes: `parameters` as a map of arguments with `required: true`, as a
    JSON Schema, or both inside `function`. Values of `http` headers are shown as `[hidden]`;
    sending that back keeps them."""

    max_turns: int | None
    """User turns per session. Default 50."""

    llm_model: str | None
    """A model of `GET /v1/models`."""

    stt_model: str | None
    """A model of `GET /v1/models`."""

    tts_model: str | None
    """A model of `GET /v1/models`."""

    first_message: str | None
    """Spoken when a session opens. None: the user speaks first."""

    greeting: str | None
    """The same as `first_message`."""

    interruption_threshold: float | None
    """0: any speech stops the agent; 1: none. Default 0.5."""

    context_window: int | None
    """Prior turns the model is given. Default 10."""

    tool_url: str | None
    """https address that runs the tools without an `http` block of their own. Without it they are
    run by the connected client."""

    tool_secret: str | None
    """Signs calls to `tool_url` and `http` addresses, after Standard Webhooks: `whsec_` and
    base64. Shown as `[hidden]`; sending that back keeps it."""

    phone_numbers: Sequence[str] | None
    """E.164 numbers whose calls this agent answers."""

    metadata: Mapping[str, Any] | None
    """Up to 20 pairs of your own."""

    status: Literal["active", "paused"] | None
    """A paused agent refuses new sessions."""

    turn_detection: Mapping[str, Any] | None
    """When the user has finished, and when they interrupt."""

    silence: Mapping[str, Any] | None
    """What happens when neither side speaks."""

    voicemail: Mapping[str, Any] | None
    """Find out who has answered an outbound call before speaking."""

    input: Mapping[str, Any] | None
    """What its sessions listen to: `format`, `turn_detection`, `keyterms` and more."""

    output: Mapping[str, Any] | None
    """How its sessions are heard: `format`, `volume` and more."""

    max_duration_seconds: float | None
    """Then the agent says `goodbye` and the session ends."""

    goodbye: str | None
    """Spoken when `max_duration_seconds` is reached."""

    apology: str | None
    """Spoken when the language model fails."""

    tool_filler: str | None
    """Spoken while a tool takes long. Empty: silence."""

    tool_filler_seconds: float | None
    """How long a tool may take in silence."""

    hello_seconds: float | None
    """On calls that the agent makes: how long it waits for who is called to speak first. Default
    2.5."""

    temperature: float | None
    """Of the language model."""

    max_tokens: int | None
    """The longest answer of the language model."""

    speed: float | None
    """1 is the voice's own."""

    recording: bool | None
    """Record sessions that do not say otherwise. Default: no."""

    recording_consent: str | None
    """Spoken before the opening line of a session that is recorded."""

    recording_retention_days: int | None
    """After so many days a recording is deleted. Null: never."""

    client_overrides: Sequence[str] | None
    """What a client without a key may set by `session.update`. Default: `input.format`,
    `output.format` and `input.turn_detection`. Empty: nothing."""

    allowed_origins: Sequence[str] | None
    """Pages that may talk to it without a key, by their origin, such as `https://shop.example`.
    Null: any."""

    analysis: Mapping[str, Any] | None
    """Have the agent's model note what came of each conversation."""


class AgentChanges(AgentOptions, total=False):
    """What of an agent can be changed: everything."""

    name: str
    """Display name."""

    voice_id: str
    """A voice of `GET /v1/voices`."""

    system_prompt: str
    """What the agent is and does. `{{name}}` and `{{name|default}}` are filled in from the
    session's `context`, then `metadata`."""


class AgentFields(NurObject):
    """The fields of a stored agent. None: the server's default."""

    name: str
    """Display name."""

    voice_id: str
    """A voice of `GET /v1/voices`."""

    system_prompt: str
    """What the agent is and does. `{{name}}` and `{{name|default}}` are filled in from the
    session's `context`, then `metadata`."""

    language: str | None = None
    """BCP 47: ISO 639-1, with or without a region. Default `en`."""

    tools: list[dict[str, Any]] = Field(default_factory=list)
    """Each in one of three shapes: `parameters` as a map of arguments with `required: true`, as a
    JSON Schema, or both inside `function`. Values of `http` headers are shown as `[hidden]`;
    sending that back keeps them."""

    max_turns: int | None = None
    """User turns per session. Default 50."""

    llm_model: str | None = None
    """A model of `GET /v1/models`."""

    stt_model: str | None = None
    """A model of `GET /v1/models`."""

    tts_model: str | None = None
    """A model of `GET /v1/models`."""

    first_message: str | None = None
    """Spoken when a session opens. None: the user speaks first."""

    greeting: str | None = None
    """The same as `first_message`."""

    interruption_threshold: float | None = None
    """0: any speech stops the agent; 1: none. Default 0.5."""

    context_window: int | None = None
    """Prior turns the model is given. Default 10."""

    tool_url: str | None = None
    """https address that runs the tools without an `http` block of their own. Without it they are
    run by the connected client."""

    tool_secret: str | None = Field(default=None, repr=False)
    """Signs calls to `tool_url` and `http` addresses, after Standard Webhooks: `whsec_` and
    base64. Shown as `[hidden]`; sending that back keeps it."""

    phone_numbers: list[str] = Field(default_factory=list)
    """E.164 numbers whose calls this agent answers."""

    metadata: dict[str, Any] = Field(default_factory=dict)
    """Up to 20 pairs of your own."""

    status: str | None = None
    """A paused agent refuses new sessions."""

    turn_detection: dict[str, Any] | None = None
    """When the user has finished, and when they interrupt."""

    silence: dict[str, Any] | None = None
    """What happens when neither side speaks."""

    voicemail: dict[str, Any] | None = None
    """Find out who has answered an outbound call before speaking."""

    input: dict[str, Any] | None = None
    """What its sessions listen to: `format`, `turn_detection`, `keyterms` and more."""

    output: dict[str, Any] | None = None
    """How its sessions are heard: `format`, `volume` and more."""

    max_duration_seconds: float | None = None
    """Then the agent says `goodbye` and the session ends."""

    goodbye: str | None = None
    """Spoken when `max_duration_seconds` is reached."""

    apology: str | None = None
    """Spoken when the language model fails."""

    tool_filler: str | None = None
    """Spoken while a tool takes long. Empty: silence."""

    tool_filler_seconds: float | None = None
    """How long a tool may take in silence."""

    hello_seconds: float | None = None
    """On calls that the agent makes: how long it waits for who is called to speak first. Default
    2.5."""

    temperature: float | None = None
    """Of the language model."""

    max_tokens: int | None = None
    """The longest answer of the language model."""

    speed: float | None = None
    """1 is the voice's own."""

    recording: bool | None = None
    """Record sessions that do not say otherwise. Default: no."""

    recording_consent: str | None = None
    """Spoken before the opening line of a session that is recorded."""

    recording_retention_days: int | None = None
    """After so many days a recording is deleted. Null: never."""

    client_overrides: list[str] | None = None
    """What a client without a key may set by `session.update`. Default: `input.format`,
    `output.format` and `input.turn_detection`. Empty: nothing."""

    allowed_origins: list[str] | None = None
    """Pages that may talk to it without a key, by their origin, such as `https://shop.example`.
    Null: any."""

    analysis: dict[str, Any] | None = None
    """Have the agent's model note what came of each conversation."""
