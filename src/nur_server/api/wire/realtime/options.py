"""`session.update` to the server's own options, and options to the `config` clients are shown."""

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import UNSET as LEFT_OUT
from msgspec import UnsetType

from nur_server.agents.tools import hide_secrets
from nur_server.api.wire.realtime import schemas as wire
from nur_server.audio.formats import AudioFormat
from nur_server.errors import InvalidRequest, NurError
from nur_server.options import (
    UNSET,
    InputOptions,
    Modality,
    OutputOptions,
    SessionOptions,
    TurnDetectionOptions,
    Unset,
    WebhookOptions,
    given,
    merge,
)
from nur_server.ports import SessionAbout
from nur_server.providers import voices
from nur_server.turn_taking.settings import VoiceFocus

Value = TypeVar("Value")

_DETECTION = {
    "type": "kind",
    "vad_threshold": "vad_threshold",
    "min_silence": "min_silence_ms",
    "max_silence": "max_silence_ms",
    "interrupt_response": "interrupt_response",
    "interruption_delay": "interruption_delay_ms",
    "uninterruptible_turns": "uninterruptible_turns",
}
"""Fields of `input.turn_detection`, with the options they set."""
_LISTENING = {
    "keyterms": "keyterms",
    "transcription_mode": "transcription_mode",
    "continuous_partials": "wants_partials",
    "transcription_prompt": "transcription_prompt",
    "language_codes": "languages",
    "voice_focus": "voice_focus",
    "voice_focus_threshold": "voice_focus_threshold",
}
"""Fields of `input` that go as they are, with the options they set."""
_PARAMS = {
    "input.modality": "input.type",
    "output.modality": "output.type",
    "output.voice_id": "output.voice",
    "output.volume_percent": "output.volume",
    **{f"input.turn_detection.{o}": f"input.turn_detection.{n}" for n, o in _DETECTION.items()},
    **{f"input.{option}": f"input.{name}" for name, option in _LISTENING.items()},
}
"""Options by the path that this protocol has for them, where it is another one."""


# From the client


def agent_id_of(part: wire.SessionPart) -> str | None:
    """The stored agent a first `session.update` names. It goes with no other field.

    Raises `InvalidRequest`.
    """
    if part.agent_id is LEFT_OUT:
        return None
    others = [name for name in part.__struct_fields__ if getattr(part, name) is not LEFT_OUT]
    if set(others) - {"agent_id", "tool_choice"}:
        raise _wrong("agent_id is mutually exclusive with other session fields", "agent_id")
    return part.agent_id


def options_of(part: wire.SessionPart) -> SessionOptions:
    """The options a `session.update` sets. `null` is the default.

    Raises `InvalidRequest` for a rate that an encoding does not have, for `llm`, and for an
    `agent_id`, which a session can only begin with (`agent_id_of`).
    """
    if part.agent_id is not LEFT_OUT:
        raise InvalidRequest(
            "agent_id can only be set on the first session.update",
            code="agent_id_not_first",
            param="agent_id",
        )
    if part.llm:
        raise _wrong(
            "expected no llm: a model is chosen by the llm_model of a stored agent; create one and "
            "name it in agent_id",
            "llm",
        )
    return SessionOptions(
        system_prompt=_option(part.system_prompt),
        greeting=_option(part.greeting),
        tools=_option(part.tools),
        input=_input(part),
        output=_output(part.output),
        webhook=_webhook(part.webhook),
    )


def warnings_of(part: wire.SessionPart) -> tuple[str, ...]:
    """About fields of the protocol that are accepted and have no option to set."""
    found = []
    if part.pre_connect_requests:
        found.append("pre_connect_requests has no effect on this server")
    if part.tool_choice not in (LEFT_OUT, None, "auto"):
        found.append("tool_choice has no effect on this server: the model chooses")
    return tuple(found)


def in_words_of_the_wire(error: NurError) -> NurError:
    """An error about an option, by the name that its client knows the option by."""
    told = _PARAMS.get(error.param or "")
    if told is None or not isinstance(error, InvalidRequest):
        return error
    message = error.message.replace(f"'{error.param}'", f"'{told}'")
    return InvalidRequest(message, code=error.code, param=told, details=error.details)


def _input(part: wire.SessionPart) -> InputOptions:
    """Turn detection of the first generation counts where the present one says nothing."""
    asked = part.input or wire.InputPart()
    older = _first_generation(part.turn_detection)
    newer = _detection(asked.turn_detection)
    return InputOptions(
        modality=_modality(asked.type),
        format=_format(asked.format, "input.format"),
        turn_detection=_both(older, newer),
        **{
            option: _option(getattr(asked, name))
            for name, option in _LISTENING.items()
            if name != "voice_focus"
        },
        voice_focus=_focus(asked.voice_focus),
    )


def _output(part: wire.OutputPart | UnsetType | None) -> OutputOptions:
    asked = part or wire.OutputPart()
    return OutputOptions(
        modality=_modality(asked.type),
        voice_id=_option(asked.voice),
        format=_format(asked.format, "output.format"),
        volume_percent=_option(asked.volume),
    )


def _detection(part: wire.TurnDetectionPart | UnsetType | None) -> TurnDetectionOptions | Unset:
    """`null` sets nothing: this protocol has no sessions without turn detection."""
    if part is LEFT_OUT or part is None:
        return UNSET
    return TurnDetectionOptions(
        **{option: _option(getattr(part, name)) for name, option in _DETECTION.items()}
    )


def _first_generation(
    old: wire.FirstGenerationTurnDetection | UnsetType | None,
) -> TurnDetectionOptions | Unset:
    if old is LEFT_OUT or old is None:
        return UNSET
    threshold = old.speech_detection_threshold
    return TurnDetectionOptions(
        vad_threshold=_option(old.vad_threshold if not threshold and threshold != 0 else threshold),
        min_silence_ms=_option(old.min_end_of_turn_silence_ms),
        max_silence_ms=_option(old.max_turn_silence_ms),
        interruption_delay_ms=_option(old.min_interrupt_duration_ms),
        interrupt_response=_option(old.interrupt_response),
    )


def _both(
    older: TurnDetectionOptions | Unset, newer: TurnDetectionOptions | Unset
) -> TurnDetectionOptions | Unset:
    if older is UNSET or newer is UNSET:
        return newer if older is UNSET else older
    return merge(older, newer)


def _webhook(part: wire.WebhookPart | UnsetType | None) -> WebhookOptions | Unset | None:
    if isinstance(part, wire.WebhookPart):
        return WebhookOptions(url=part.url, events=part.events, secret=part.secret)
    return _option(part)


def _format(
    part: wire.AudioFormatPart | UnsetType | None, param: str
) -> AudioFormat | Unset | None:
    if not isinstance(part, wire.AudioFormatPart):
        return UNSET
    try:
        return AudioFormat.of(part.encoding, part.sample_rate)
    except ValueError as error:
        raise _wrong(f"{param}: {error}", f"{param}.sample_rate") from None


def _modality(value: str | UnsetType | None) -> Modality | Unset | None:
    return Modality(value) if isinstance(value, str) else _option(value)


def _focus(value: str | UnsetType | None) -> VoiceFocus | Unset | None:
    return VoiceFocus(value) if isinstance(value, str) else _option(value)


def _option(value: Value | UnsetType) -> Value | Unset:
    return UNSET if isinstance(value, UnsetType) else value


def _wrong(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_value", param=param)


# To the client


def echo(about: SessionAbout) -> dict[str, Any]:
    """The `config` of `session.ready` and `session.updated`. Secrets are left out."""
    asked = about.options
    detection = given(asked.input.turn_detection, None)
    return {
        "id": about.session_id,
        "agent_id": about.agent_id,
        "system_prompt": given(asked.system_prompt, ""),
        "greeting": given(asked.greeting, "") or None,
        "input": {
            "type": given(asked.input.modality, Modality.AUDIO).value,
            "format": _shown_format(asked.input_format),
            "turn_detection": None if detection is None else _shown(detection, _DETECTION),
            **_shown(asked.input, _LISTENING),
        },
        "output": {
            "type": given(asked.output.modality, Modality.AUDIO).value,
            "voice": given(asked.output.voice_id, None)
            or voices.usual(given(asked.language, None) or "en"),
            "format": _shown_format(asked.output_format),
            "volume": given(asked.output.volume_percent, None),
        },
        "tools": [_shown_tool(tool) for tool in hide_secrets(given(asked.tools, ()))],
        "llm": [],
        "pre_connect_requests": [],
    }


def without_prompt(config: dict[str, Any]) -> dict[str, Any]:
    """The `config` for who may not see the prompt, nor where the tools run."""
    tools = [{**tool, "http": None} for tool in config["tools"]]
    return {**config, "system_prompt": None, "tools": tools}


def _shown(group: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """Null for what was not set."""
    return {name: given(getattr(group, option), None) for name, option in names.items()}


def _shown_format(audio: AudioFormat) -> dict[str, Any]:
    return {"encoding": audio.encoding.value, "sample_rate": audio.sample_rate}


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
