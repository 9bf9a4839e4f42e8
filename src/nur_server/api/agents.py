"""Agents against what this server has: voices, models, and addresses it may call."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from nur_server.agents import tools
from nur_server.agents.declaration import AgentBody, AgentChanges
from nur_server.agents.stored import changed_fields, merged, stored_fields, with_secrets
from nur_server.agents.variables import missing_warnings, render
from nur_server.api.bodies import SessionBody
from nur_server.api.claims import require_claim
from nur_server.api.errors import as_nur_error
from nur_server.api.services import Services
from nur_server.errors import Conflict, InvalidRequest
from nur_server.opening.prepare import agent_warnings
from nur_server.store.accounts import Accounts
from nur_server.store.records import AgentFields, AgentRecord


async def checked(
    services: Services, account_id: str, body: AgentBody, known: AgentRecord | None = None
) -> AgentFields:
    """The fields to store, instead of those `known`.

    Raises `InvalidRequest` for a voice or model the server does not know, for an address it may
    not call, and for a tool whose schema is none, or is beyond the bounds.
    """
    fields = stored_fields(body)
    allow_private = services.settings.allow_private_urls
    if fields.tool_url is not None:
        tools.check_url(fields.tool_url, "tool_url", allow_private=allow_private)
    read = await services.toolbox.checks.vet(fields.tools)
    tools.check_addresses(read, allow_private=allow_private)
    services.catalogue.voice(fields.voice_id)
    agent_warnings(fields, services.catalogue)
    named = [n for n in fields.phone_numbers if known is None or n not in known.phone_numbers]
    await require_claim(services, account_id, named, "phone_numbers")
    return fields


async def new_fields(services: Services, account_id: str, body: AgentBody) -> AgentFields:
    """The fields of an agent to create. Raises as `checked` does, and `Conflict`."""
    account = await Accounts(services.database).get(account_id)
    if account.max_agents is not None:
        page = await services.agents(account_id).list(limit=1)
        if page.total >= account.max_agents:
            raise Conflict(
                f"expected fewer than {account.max_agents} agents, which is the account's limit; "
                "delete one, or ask the operator for more",
                code="account_limit_reached",
            )
    return await checked(services, account_id, with_secrets(body))


async def replacement(services: Services, agent: AgentRecord, body: AgentBody) -> AgentFields:
    """The fields of an agent that is replaced. Raises as `checked` does."""
    return await checked(services, agent.account_id, with_secrets(body, agent), agent)


async def changes_of(
    services: Services, agent: AgentRecord, changes: AgentChanges
) -> dict[str, Any]:
    """The stored fields a PATCH changes. Raises as `checked` does."""
    try:
        body = merged(agent, changes)
    except ValidationError as error:
        raise as_nur_error(error) from None
    return changed_fields(agent, await checked(services, agent.account_id, body, agent))


def warnings_of(services: Services, agent: AgentFields) -> tuple[str, ...]:
    """What the server does differently from what a stored agent asks for. Never raises."""
    try:
        services.catalogue.voice(agent.voice_id)
        return agent_warnings(agent, services.catalogue)
    except InvalidRequest as error:
        return (error.message,)


def session_warnings(services: Services, agent: AgentRecord, body: SessionBody) -> tuple[str, ...]:
    """As `warnings_of`, and the variables that stay empty in this session."""
    sources: tuple[Mapping[str, Any], ...] = (body.context or {}, body.metadata or {})
    opening = body.initial_message or agent.first_message or ""
    missing = (
        *render(agent.system_prompt, *sources).missing,
        *render(opening, *sources).missing,
    )
    return (*warnings_of(services, agent), *missing_warnings(missing))
