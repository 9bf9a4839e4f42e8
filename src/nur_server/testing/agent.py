"""An agent's stored form, and what a session with it runs on, without a server."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from nur_server.agents.declaration import AgentBody
from nur_server.agents.stored import stored_fields
from nur_server.agents.tools import check_schemas, read_tools
from nur_server.api.errors import as_nur_error
from nur_server.ids import AGENT, SESSION
from nur_server.opening.plan import plan_for_agent
from nur_server.opening.prepare import Identity, prepare
from nur_server.providers.catalogue import Catalogue
from nur_server.session.setup import SessionSetup
from nur_server.store.records import AgentRecord, SessionRecord, SessionState, SessionStatus

ACCOUNT_ID = "acc_test"
AGENT_ID = f"{AGENT}_{'0' * 32}"
SESSION_ID = f"{SESSION}_{'0' * 32}"
MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULTS: Mapping[str, Any] = {
    "name": "Agent under test",
    "voice_id": "rowan",
    "system_prompt": "You are helpful.",
}


@dataclass(frozen=True, slots=True)
class Opening:
    """What a session is opened with, as in the body of `POST /v1/agents/{id}/sessions`."""

    context: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    initial_message: str | None = None


def setup_of(agent: Mapping[str, Any], opening: Opening, catalogue: Catalogue) -> SessionSetup:
    """What a session runs on. `agent` is a body of `POST /v1/agents`; what is left out of the
    required fields has a default.

    Raises `InvalidRequest` where the server would refuse the agent.
    """
    try:
        body = AgentBody.model_validate({**DEFAULTS, **agent})
    except ValidationError as error:
        raise as_nur_error(error) from None
    record = AgentRecord(
        **asdict(stored_fields(body)),
        id=AGENT_ID,
        account_id=ACCOUNT_ID,
        created_at=MADE_AT,
        updated_at=MADE_AT,
    )
    check_schemas(read_tools(record.tools))
    plan = plan_for_agent(record, _session(opening))
    return prepare(plan, Identity(ACCOUNT_ID, SESSION_ID), catalogue)


def _session(opening: Opening) -> SessionRecord:
    return SessionRecord(
        agent_id=AGENT_ID,
        expires_at=MADE_AT + timedelta(hours=1),
        context=opening.context,
        metadata=opening.metadata,
        initial_message=opening.initial_message,
        id=SESSION_ID,
        account_id=ACCOUNT_ID,
        state=SessionState.CREATED,
        status=SessionStatus.ACTIVE,
        created_at=MADE_AT,
    )
