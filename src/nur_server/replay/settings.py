"""Settings to change in a replay, as `name=value`."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from enum import StrEnum
from typing import Any, get_args, get_type_hints

import msgspec

from nur_server.conversation.config import ConversationConfig, SilencePolicy
from nur_server.errors import InvalidRequest
from nur_server.turn_taking.settings import TurnDetection

ALIASES: Mapping[str, str] = {
    "min_silence": "min_silence_ms",
    "max_silence": "max_silence_ms",
    "interruption_delay": "interruption_delay_ms",
}
"""The names the protocol has for some fields."""
_SHARES = frozenset({"vad_threshold", "interruption_threshold"})
_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "none",
    frozenset[str]: "names with commas between them",
}
_PARTS: Mapping[str, type[Any]] = {"turn_detection": TurnDetection, "silence": SilencePolicy}
_FIXED = frozenset({"session_id", "tools", "has_turn_model", "speaks", *_PARTS})
"""What a recording cannot answer for when it changes."""


def parse(settings: Iterable[str]) -> dict[str, Any]:
    """Values by field from `name=value`; values are JSON, or text as it stands, or `none`.

    Raises `InvalidRequest` for a name that cannot be set and a value that does not fit.
    """
    return dict(map(_parse, settings))


def apply(config: ConversationConfig, changes: Mapping[str, Any]) -> ConversationConfig:
    """`config` with the fields of `changes`, wherever in it they are."""
    parts: dict[str, Any] = {
        part: replace(getattr(config, part), **_of(kind, changes)) for part, kind in _PARTS.items()
    }
    return replace(config, **_of(ConversationConfig, changes), **parts)


def _of(kind: type[Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {f.name: changes[f.name] for f in fields(kind) if f.name in changes}


def _parse(setting: str) -> tuple[str, Any]:
    name, has_value, text = setting.partition("=")
    name = ALIASES.get(name.strip(), name.strip())
    kind = _kinds().get(name)
    if not has_value or kind is None:
        known = ", ".join(sorted(_kinds()))
        raise InvalidRequest(f"expected name=value with one of {known}; got {setting!r}")
    try:
        value = msgspec.convert(_value(text, kind), kind)
    except msgspec.ValidationError:
        raise InvalidRequest(f"expected {name} as {_kind_of(kind)}, got {text!r}") from None
    if name in _SHARES and not 0 <= value <= 1:
        raise InvalidRequest(f"expected {name} from 0 to 1, got {text}")
    if isinstance(value, int | float) and value < 0:
        raise InvalidRequest(f"expected {name} of at least 0, got {text}")
    return name, value


def _value(text: str, kind: Any) -> Any:
    if text.lower() == "none":
        return None
    if kind in (str, str | None):
        return text
    if _is_choice(kind):
        return text.strip().strip('"')
    try:
        return json.loads(text)
    except ValueError:
        return [part.strip() for part in text.split(",") if part.strip()]


def _kind_of(kind: Any) -> str:
    """A type as a person would put it."""
    if _is_choice(kind):
        return " or ".join(kind)
    kinds = get_args(kind) or (kind,)
    return " or ".join(_WORDS[k] for k in kinds if k in _WORDS) or "text"


def _is_choice(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, StrEnum)


def _kinds() -> dict[str, Any]:
    kinds: dict[str, Any] = {}
    for kind in (ConversationConfig, *_PARTS.values()):
        kinds |= get_type_hints(kind)
    return {name: kind for name, kind in kinds.items() if name not in _FIXED}
