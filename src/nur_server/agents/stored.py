"""An agent's declared fields as they are stored and shown, and as a PATCH merges them."""

from collections.abc import Mapping
from dataclasses import fields as fields_of
from typing import Any

from nur_server.agents.declaration import AgentBody, AgentChanges, Merged
from nur_server.agents.tools import HIDDEN, hide_secrets, keep_secrets
from nur_server.errors import InvalidRequest
from nur_server.store.records import AgentFields, AgentRecord, AgentStatus

ALIASES = {"greeting": "first_message"}
"""Other names of fields, with the name that is stored."""
COLUMNS = tuple(
    field.name for field in fields_of(AgentFields) if field.name in AgentChanges.model_fields
)
"""Fields that have a place of their own in `AgentFields`."""
SETTINGS = tuple(name for name in AgentChanges.model_fields if name not in {*COLUMNS, *ALIASES})
"""All others, kept in `AgentFields.settings`."""
MERGED = frozenset(
    name
    for name, field in AgentChanges.model_fields.items()
    if any(isinstance(mark, Merged) for mark in field.metadata)
)
"""Objects that a PATCH merges key by key."""


def stored_fields(body: AgentBody) -> AgentFields:
    """What the store keeps of a whole agent. Null is left to the defaults."""
    given = body.model_dump(exclude_none=True)
    if not given.get("first_message"):
        given.pop("first_message", None)
    columns = {name: given[name] for name in COLUMNS if name in given}
    return AgentFields(
        **{
            **columns,
            "tools": tuple(given.get("tools", ())),
            "phone_numbers": tuple(given.get("phone_numbers", ())),
            "status": AgentStatus(given.get("status", AgentStatus.ACTIVE)),
        },
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


def public_fields(agent: AgentFields) -> dict[str, Any]:
    """The agent as the body that would make it."""
    return {
        **{name: getattr(agent, name) for name in COLUMNS},
        **{name: agent.settings.get(name) for name in SETTINGS},
        "metadata": dict(agent.metadata),
        "tools": [dict(tool) for tool in agent.tools],
        "phone_numbers": list(agent.phone_numbers),
        "status": agent.status.value,
    }


def shown_fields(agent: AgentFields) -> dict[str, Any]:
    """As `public_fields`, with `[hidden]` for every secret."""
    fields = public_fields(agent)
    secret = fields["tool_secret"] and HIDDEN
    return {**fields, "tools": hide_secrets(agent.tools), "tool_secret": secret}


def merged(agent: AgentRecord, changes: AgentChanges) -> AgentBody:
    """The agent with a PATCH applied. Null goes back to the default, in objects it removes a key.

    Raises `pydantic.ValidationError` where the whole is not valid, `InvalidRequest` for a secret
    that is to be kept and is not stored.
    """
    whole = public_fields(agent)
    given = changes.model_dump(exclude_unset=True)
    for alias, name in ALIASES.items():
        if alias in given:
            given[name] = getattr(changes, name)
            del given[alias]
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
    """The fields that differ, as `Agents.update` takes them."""
    changes: dict[str, Any] = {
        name: getattr(after, name)
        for name in COLUMNS
        if getattr(after, name) != getattr(before, name)
    }
    settings = {
        name: after.settings.get(name)
        for name in SETTINGS
        if after.settings.get(name) != before.settings.get(name)
    }
    return {**changes, "settings": settings} if settings else changes
