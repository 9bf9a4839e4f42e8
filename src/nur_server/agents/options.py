"""A stored agent as the options of a session, by what its declaration says each field sets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from pydantic import BaseModel

from nur_server.agents.declaration import AgentChanges, Sets
from nur_server.agents.stored import public_fields
from nur_server.audio.formats import AudioFormat
from nur_server.errors import InvalidRequest
from nur_server.options import (
    AnsweringOptions,
    InputOptions,
    ModelOptions,
    OutputOptions,
    RecordingOptions,
    SessionOptions,
    SilenceOptions,
    TurnDetectionOptions,
    Unset,
)
from nur_server.store.records import AgentFields

Group = TypeVar("Group")

_GROUPS = (
    SessionOptions,
    InputOptions,
    OutputOptions,
    ModelOptions,
    TurnDetectionOptions,
    SilenceOptions,
    AnsweringOptions,
    RecordingOptions,
)
_HINTS: Mapping[type[Any], Mapping[str, Any]] = {g: get_type_hints(g) for g in _GROUPS}
"""The types of the options, by the group that they are in."""


@dataclass(frozen=True, slots=True)
class _Setting:
    """A declared field and the option it sets."""

    name: str
    path: tuple[str, ...]
    """Of the option, within the group of options that the field's body stands for."""
    body: type[BaseModel] | None
    """Of its value, where that is an object whose fields set options in turn."""


def agent_options(agent: AgentFields) -> SessionOptions:
    """What the agent sets, its templates as they were written.

    Of two fields that set one option the later in the declaration wins: `input.turn_detection`
    goes before `turn_detection`. Raises `InvalidRequest` for a stored value no session can take.
    """
    return _apply(SessionOptions(), AgentChanges, public_fields(agent), "")


def _apply(group: Group, body: type[BaseModel], values: Mapping[str, Any], within: str) -> Group:
    """The group of options with what the fields of `values` set. Null sets nothing."""
    for setting in _settings(body):
        value = values.get(setting.name)
        if value is None:
            continue
        where = f"{within}{setting.name}"
        if setting.body is not None:
            inner = _get(group, setting.path)
            value = _apply(inner, setting.body, value, f"{where}.")
        else:
            value = _converted(value, _kind(type(group), setting.path), where)
        group = _set(group, setting.path, value)
    return group


@cache
def _settings(body: type[BaseModel]) -> tuple[_Setting, ...]:
    return tuple(
        _Setting(name, tuple(mark.option.split(".")), _body_of(field.annotation))
        for name, field in body.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Sets)
    )


def _body_of(annotation: Any) -> type[BaseModel] | None:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel) and _settings(kind):
            return kind
    return None


def _kind(group: type[Any], path: tuple[str, ...]) -> Any:
    """The type of an option, without `Unset` and None."""
    hint = _HINTS[group][path[0]]
    kinds = [kind for kind in get_args(hint) if kind not in (Unset, type(None))] or [hint]
    if len(path) > 1:
        return _kind(kinds[0], path[1:])
    return get_args(hint)[0] if Unset in get_args(hint) else hint


def _get(group: Any, path: tuple[str, ...]) -> Any:
    """The group of options at `path`; an empty one where it was not set."""
    for name in path[:-1]:
        group = getattr(group, name)
    inner = getattr(group, path[-1])
    return _kind(type(group), path[-1:])() if isinstance(inner, Unset) or inner is None else inner


def _set(group: Any, path: tuple[str, ...], value: Any) -> Any:
    first, *rest = path
    if rest:
        value = _set(getattr(group, first), tuple(rest), value)
    return replace(group, **{first: value})


def _converted(value: Any, kind: Any, where: str) -> Any:
    try:
        if kind is AudioFormat:
            return AudioFormat.of(value.get("encoding"), value.get("sample_rate"))
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidRequest(
            f"the agent's settings: {where}: {error}", code="invalid_value", param=where
        ) from None
