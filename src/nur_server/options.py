"""What a session may be asked for, in the server's own words.

A stored agent, a stored session, a phone call and every wire dialect translate into
`SessionOptions`; merging, preparing, warnings and echoes speak only these. Three kinds of value are
told apart: `UNSET` was not given, None was given and asks for the server's default (or for nothing,
where a field says so), anything else is a wish.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum, StrEnum
from typing import Any, Final, TypeVar

from nur_server.audio.formats import AudioFormat
from nur_server.conversation.config import OnMachine
from nur_server.turn_taking.settings import VoiceFocus


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""An option that was not given."""

Options = TypeVar("Options")
Value = TypeVar("Value")


class Modality(StrEnum):
    """How one side of a session talks."""

    AUDIO = "audio"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDetectionOptions:
    """When the user has finished, and when they interrupt."""

    vad_threshold: float | Unset | None = UNSET
    """Speech probability, 0–1, from which audio counts as speech."""
    min_silence_ms: int | Unset | None = UNSET
    max_silence_ms: int | Unset | None = UNSET
    interrupt_response: bool | Unset | None = UNSET
    interruption_delay_ms: int | Unset | None = UNSET
    uninterruptible_turns: tuple[str, ...] | Unset | None = UNSET
    """Kinds of response that play to their end, e.g. `greeting`."""
    client_commits: bool | Unset | None = UNSET
    """The client says when the user has finished, with `commands.CommitInput`."""
    creates_reply: bool | Unset | None = UNSET
    """False: turns are not answered; the client asks for replies with `commands.CreateReply`."""
    kind: str | Unset | None = UNSET
    """`server_vad` or `semantic_vad`, as clients name it; echoed, and decides nothing: words and
    sound are always weighed together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """What the session listens to."""

    modality: Modality | Unset | None = UNSET
    format: AudioFormat | Unset | None = UNSET
    turn_detection: TurnDetectionOptions | Unset | None = UNSET
    """None: the server ends no turn by itself; the client commits its input."""
    keyterms: tuple[str, ...] | Unset | None = UNSET
    transcription_mode: str | Unset | None = UNSET
    """Echoed; no engine of this server has modes."""
    transcription_prompt: str | Unset | None = UNSET
    wants_partials: bool | Unset | None = UNSET
    languages: tuple[str, ...] | Unset | None = UNSET
    """BCP 47, the preferred one first."""
    voice_focus: VoiceFocus | Unset | None = UNSET
    voice_focus_threshold: float | Unset | None = UNSET
    """Echoed; decides nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """How the session is heard."""

    modality: Modality | Unset | None = UNSET
    voice_id: str | Unset | None = UNSET
    """A voice of the catalogue, or an alias of one."""
    format: AudioFormat | Unset | None = UNSET
    volume_percent: float | Unset | None = UNSET
    """0–100, of the voice's own loudness."""
    speed: float | Unset | None = UNSET
    """1 is the voice's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Which engines serve the session, by their ids in the catalogue."""

    stt_model: str | Unset | None = UNSET
    llm_model: str | Unset | None = UNSET
    tts_model: str | Unset | None = UNSET
    temperature: float | Unset | None = UNSET
    max_tokens: int | Unset | None = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceOptions:
    """What happens when neither side speaks."""

    reprompt_seconds: float | Unset | None = UNSET
    reprompt_message: str | Unset | None = UNSET
    max_reprompts: int | Unset | None = UNSET
    end_seconds: float | Unset | None = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweringOptions:
    """What the agent does when a machine answers an outbound call."""

    on_machine: OnMachine | Unset | None = UNSET
    message: str | Unset | None = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOptions:
    """Whether and how long the session is recorded."""

    is_recorded: bool | Unset | None = UNSET
    consent: str | Unset | None = UNSET
    """Spoken before the greeting of a session that is recorded."""
    retention_days: int | Unset | None = UNSET
    """After so many days the recording is deleted. None: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """A receiver that a client brings along for the events of its own session."""

    url: str
    events: tuple[str, ...] = ()
    """Empty: all of them."""
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Everything that may be asked of a session."""

    system_prompt: str | Unset | None = UNSET
    greeting: str | Unset | None = UNSET
    """Spoken word for word when the session opens. None: the user speaks first."""
    language: str | Unset | None = UNSET
    """BCP 47: `en`, `pt-BR`."""
    tools: tuple[Mapping[str, Any], ...] | Unset | None = UNSET
    """Each in any of the three accepted shapes, as it was given."""
    input: InputOptions = field(default_factory=InputOptions)
    output: OutputOptions = field(default_factory=OutputOptions)
    models: ModelOptions = field(default_factory=ModelOptions)
    silence: SilenceOptions = field(default_factory=SilenceOptions)
    answering: AnsweringOptions | Unset | None = UNSET
    """Set: find out who has answered an outbound call before speaking."""
    recording: RecordingOptions = field(default_factory=RecordingOptions)
    webhook: WebhookOptions | Unset | None = UNSET
    client_overrides: tuple[str, ...] | Unset | None = UNSET
    """What a client without a key may set, by the names of `agents.access`."""
    allowed_origins: tuple[str, ...] | Unset | None = UNSET
    """Pages that may talk without a key. None: any."""
    interruption_threshold: float | Unset | None = UNSET
    context_window: int | Unset | None = UNSET
    max_turns: int | Unset | None = UNSET
    """None: no limit."""
    max_duration_seconds: float | Unset | None = UNSET
    goodbye: str | Unset | None = UNSET
    apology: str | Unset | None = UNSET
    tool_filler: str | Unset | None = UNSET
    """Empty: silence."""
    tool_filler_seconds: float | Unset | None = UNSET
    hello_seconds: float | Unset | None = UNSET
    """How long an outbound call waits for who is called to speak first."""

    @property
    def input_format(self) -> AudioFormat:
        """Of the user's audio."""
        return given(self.input.format, AudioFormat())

    @property
    def output_format(self) -> AudioFormat:
        """Of the agent's audio."""
        return given(self.output.format, AudioFormat())

    @property
    def hears_audio(self) -> bool:
        """False: the client types."""
        return given(self.input.modality, Modality.AUDIO) is Modality.AUDIO

    @property
    def speaks(self) -> bool:
        """False: replies are text only."""
        return given(self.output.modality, Modality.AUDIO) is Modality.AUDIO


def merge(old: Options, new: Options) -> Options:
    """`old` with everything that `new` sets; groups of options are merged field by field."""
    changes: dict[str, Any] = {}
    for option in fields(new):  # type: ignore[arg-type]  # both are dataclasses of this module
        value, before = getattr(new, option.name), getattr(old, option.name)
        if value is UNSET:
            continue
        if _is_group(value) and _is_group(before):
            value = merge(before, value)
        changes[option.name] = value
    return replace(old, **changes)  # type: ignore[type-var]  # the same


def given(value: Value | Unset | None, default: Value) -> Value:
    """`value`, or `default` where it was not given or None was."""
    return default if value is UNSET or value is None else value


def _is_group(value: object) -> bool:
    """Audio formats and webhooks are dataclasses, too, and are replaced whole."""
    return is_dataclass(value) and not isinstance(value, AudioFormat | WebhookOptions)
