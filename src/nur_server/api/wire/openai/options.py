"""A session's configuration, from this protocol to the server's own options and back.

What this server does not have is left out, never refused: the session that the client is shown says
what is in force.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET as LEFT_OUT

from nur_server.api.wire.openai import schemas as wire
from nur_server.audio.formats import AudioFormat, Encoding
from nur_server.errors import InvalidRequest
from nur_server.options import (
    UNSET,
    InputOptions,
    Modality,
    ModelOptions,
    OutputOptions,
    SessionOptions,
    TurnDetectionOptions,
    Unset,
    given,
)
from nur_server.ports import SessionAbout
from nur_server.providers import voices
from nur_server.text import languages

SERVER_VAD, SEMANTIC_VAD = "server_vad", "semantic_vad"
LONGEST_SILENCE_MS = {"low": 8_000, "medium": 4_000, "high": 2_000}
"""Of a turn, by the `eagerness` of semantic turn detection, as OpenAI documents it; `auto` is
left to what was said."""
MIN_SILENCE_MS, MAX_SILENCE_MS = 50, 10_000
"""Bounds of `silence_duration_ms`."""
LONGER_BY_MS = 1_000
"""By how much the longest silence exceeds the shortest, where the client sets one alone."""
MIN_SPEED, MAX_SPEED = 0.25, 4.0
MAX_TOKENS = 32_768

_ENCODINGS = {
    "audio/pcm": Encoding.PCM16,
    "pcm16": Encoding.PCM16,
    "audio/pcmu": Encoding.MULAW,
    "g711_ulaw": Encoding.MULAW,
    "audio/pcma": Encoding.ALAW,
    "g711_alaw": Encoding.ALAW,
}


@dataclass(frozen=True, slots=True)
class Extras:
    """What a client has set that no option of the server's stands for, and is shown again."""

    model: str = ""
    tool_choice: str | Mapping[str, Any] = "auto"
    transcribes: bool = True
    """The client is sent the user's words."""
    transcription: Mapping[str, Any] = field(default_factory=dict)
    turn_detection: Mapping[str, Any] | None = field(
        default_factory=lambda: {
            "type": SERVER_VAD,
            "create_response": True,
            "interrupt_response": True,
        }
    )

    @property
    def detects_turns(self) -> bool:
        """False: the client commits its input."""
        return self.turn_detection is not None

    @property
    def offers_tools(self) -> bool:
        return self.tool_choice != "none"


# From the client


def options_of(
    part: wire.SessionPart, own_tools: Sequence[Mapping[str, Any]] = ()
) -> SessionOptions:
    """The options that a configuration sets. `own_tools` are those of the stored agent: they stay,
    but for those of which the client has one with the same name."""
    asked = part.audio or wire.AudioPart()
    hearing, speech = asked.input or wire.AudioInputPart(), asked.output or wire.AudioOutputPart()
    instructions = part.instructions
    return SessionOptions(
        system_prompt=UNSET if instructions is LEFT_OUT else instructions or "",
        tools=_tools(part, own_tools),
        input=_input(hearing),
        output=OutputOptions(
            modality=_modality(part),
            voice_id=_voice(speech.voice),
            format=_format(speech.format),
            speed=_speed(speech),
        ),
        models=ModelOptions(max_tokens=_max_tokens(part)),
    )


def extras_of(part: wire.SessionPart, before: Extras) -> Extras:
    """The same for what no option stands for."""
    hearing = (part.audio and part.audio.input) or wire.AudioInputPart()
    transcribes, transcription = before.transcribes, before.transcription
    if hearing.transcription is not LEFT_OUT:
        given_part = hearing.transcription
        transcribes = given_part is not None
        transcription = {} if given_part is None else _shown_transcription(given_part)
    detection = before.turn_detection
    if hearing.turn_detection is not LEFT_OUT:
        detection = _shown_detection(hearing.turn_detection)
    choice = before.tool_choice
    if part.tool_choice is not LEFT_OUT:
        choice = part.tool_choice or "auto"
    return Extras(part.model or before.model, choice, transcribes, transcription, detection)


def _tools(
    part: wire.SessionPart, own_tools: Sequence[Mapping[str, Any]]
) -> tuple[Mapping[str, Any], ...] | Unset:
    if part.tools is LEFT_OUT:
        return UNSET
    asked = [_tool(tool) for tool in part.tools or () if tool.get("type", "function") == "function"]
    names = {tool.get("name") for tool in asked}
    kept = [tool for tool in own_tools if _name_of(tool) not in names]
    return (*kept, *asked)


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    parameters = tool.get("parameters") or {"type": "object", "properties": {}}
    return {
        "type": "function",
        "name": tool.get("name"),
        "description": tool.get("description") or "",
        "parameters": parameters,
    }


def _name_of(tool: Mapping[str, Any]) -> Any:
    inner = tool.get("function")
    return inner.get("name") if isinstance(inner, Mapping) else tool.get("name")


def _input(part: wire.AudioInputPart) -> InputOptions:
    transcription = part.transcription
    language: tuple[str, ...] | Unset = UNSET
    prompt: str | Unset | None = UNSET
    if isinstance(transcription, wire.TranscriptionPart):
        language = _language(transcription.language)
        prompt = UNSET if transcription.prompt is None else transcription.prompt[:1750]
    return InputOptions(
        format=_format(part.format),
        turn_detection=_detection(part),
        languages=language,
        transcription_prompt=prompt,
    )


def _detection(part: wire.AudioInputPart) -> TurnDetectionOptions | Unset | None:
    asked = part.turn_detection
    if asked is LEFT_OUT:
        return UNSET
    if asked is None or not isinstance(asked, wire.TurnDetectionPart) or asked.type == "none":
        return None
    is_semantic = asked.type == SEMANTIC_VAD
    shortest, longest = _silences(asked)
    threshold: float | Unset = UNSET
    if isinstance(asked.threshold, float | int):
        threshold = min(max(float(asked.threshold), 0.0), 1.0)
    return TurnDetectionOptions(
        kind=SEMANTIC_VAD if is_semantic else SERVER_VAD,
        vad_threshold=threshold,
        min_silence_ms=shortest,
        max_silence_ms=longest,
        interrupt_response=_flag(asked.interrupt_response),
        creates_reply=_flag(asked.create_response),
        client_commits=False,
    )


def _silences(asked: wire.TurnDetectionPart) -> tuple[int | Unset, int | Unset | None]:
    """The shortest and the longest silence that end a turn, in milliseconds."""
    if asked.type == SEMANTIC_VAD:
        return UNSET, LONGEST_SILENCE_MS.get(asked.eagerness) if asked.eagerness else UNSET
    if not isinstance(asked.silence_duration_ms, float | int):
        return UNSET, UNSET
    shortest = min(max(round(asked.silence_duration_ms), MIN_SILENCE_MS), MAX_SILENCE_MS)
    return shortest, shortest + LONGER_BY_MS


def _flag(value: Any) -> bool:
    return value if isinstance(value, bool) else True


def _language(tag: str | None) -> tuple[str, ...] | Unset:
    if not tag:
        return UNSET
    try:
        return (languages.normalised(tag),)
    except ValueError:
        return UNSET


def _format(part: Any) -> AudioFormat | Unset:
    if part is LEFT_OUT or part is None:
        return UNSET
    name, rate = (part, None) if isinstance(part, str) else (part.type, part.rate)
    encoding = _ENCODINGS.get(name or "audio/pcm")
    if encoding is None:
        raise _wrong_format(name)
    try:
        return AudioFormat.of(encoding, rate)
    except ValueError as error:
        raise InvalidRequest(
            f"audio format: {error}", code="invalid_value", param="session.audio"
        ) from None


def _wrong_format(name: object) -> InvalidRequest:
    """Audio that is taken for another kind is noise: this alone is worth an error."""
    return InvalidRequest(
        f"expected an audio format of audio/pcm, audio/pcmu or audio/pcma, got {name!r}",
        code="invalid_value",
        param="session.audio",
    )


def _modality(part: wire.SessionPart) -> Modality | Unset:
    asked = part.output_modalities
    if not isinstance(asked, list) or not asked:
        return UNSET
    return Modality.TEXT if asked == ["text"] else Modality.AUDIO


def _voice(asked: Any) -> str | Unset:
    """A voice by name, or as an object with an id; the door says whether there is such a one."""
    name = asked.get("id") if isinstance(asked, dict) else asked
    return name if isinstance(name, str) and name else UNSET


def _speed(part: wire.AudioOutputPart) -> float | Unset:
    asked = part.speed
    if not isinstance(asked, float | int):
        return UNSET
    return min(max(float(asked), MIN_SPEED), MAX_SPEED)


def _max_tokens(part: wire.SessionPart) -> int | Unset | None:
    asked = part.max_output_tokens
    if asked is LEFT_OUT:
        return UNSET
    return min(max(asked, 1), MAX_TOKENS) if isinstance(asked, int) else None


# To the client


def shown(
    options: SessionOptions,
    extras: Extras,
    *,
    sees_prompt: bool = True,
    session_id: str = "",
    expires_at: int | None = None,
) -> dict[str, Any]:
    """The `session` object: what is in force."""
    return {
        "id": session_id,
        "object": "realtime.session",
        "type": "realtime",
        "model": extras.model,
        "output_modalities": ["audio" if options.speaks else "text"],
        "instructions": given(options.system_prompt, "") if sees_prompt else "",
        "tools": [_shown_tool(tool) for tool in given(options.tools, ())],
        "tool_choice": extras.tool_choice,
        "max_output_tokens": given(options.models.max_tokens, None) or "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "expires_at": expires_at,
        "audio": {
            "input": {
                "format": shown_format(options.input_format),
                "transcription": dict(extras.transcription) or {"model": "default"}
                if extras.transcribes
                else None,
                "noise_reduction": None,
                "turn_detection": extras.turn_detection and dict(extras.turn_detection),
            },
            "output": shown_output(options),
        },
    }


def shown_of(about: SessionAbout, extras: Extras, *, sees_prompt: bool) -> dict[str, Any]:
    """The same for a session that is running."""
    expires_at = about.expires_at
    return shown(
        about.options,
        extras,
        sees_prompt=sees_prompt,
        session_id=about.session_id,
        expires_at=int(expires_at.timestamp()) if expires_at else None,
    )


def shown_output(options: SessionOptions) -> dict[str, Any]:
    """How the agent is heard."""
    usual = voices.usual(given(options.language, None) or "en")
    return {
        "format": shown_format(options.output_format),
        "voice": given(options.output.voice_id, None) or usual,
        "speed": given(options.output.speed, 1.0),
    }


def shown_format(audio: AudioFormat) -> dict[str, Any]:
    """G.711 has one rate, and clients know none for it."""
    if audio.encoding is Encoding.PCM16:
        return {"type": audio.encoding.value, "rate": audio.sample_rate}
    return {"type": audio.encoding.value}


def _shown_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Without where it runs, and what it carries there."""
    inner = tool.get("function")
    known = inner if isinstance(inner, Mapping) else tool
    parameters = known.get("parameters")
    return {
        "type": "function",
        "name": known.get("name", ""),
        "description": known.get("description") or "",
        "parameters": parameters if isinstance(parameters, Mapping) else {},
    }


def _shown_transcription(part: wire.TranscriptionPart) -> dict[str, Any]:
    named = {"model": part.model, "language": part.language, "prompt": part.prompt}
    return {name: value for name, value in named.items() if value is not None} or {
        "model": "default"
    }


def _shown_detection(part: Any) -> dict[str, Any] | None:
    """With `interrupt_response` in any case: clients that do not see it cancel replies themselves
    whenever somebody speaks."""
    if not isinstance(part, wire.TurnDetectionPart) or part.type == "none":
        return None
    named = {
        "type": SEMANTIC_VAD if part.type == SEMANTIC_VAD else SERVER_VAD,
        "create_response": _flag(part.create_response),
        "interrupt_response": _flag(part.interrupt_response),
    }
    if part.type == SEMANTIC_VAD:
        return {**named, "eagerness": part.eagerness or "auto"}
    figures = {
        "threshold": part.threshold,
        "silence_duration_ms": part.silence_duration_ms,
    }
    return {**named, **{k: v for k, v in figures.items() if isinstance(v, float | int)}}
