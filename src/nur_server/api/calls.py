"""Calls against what this server has: their agents, their sessions, and addresses it may call."""

from collections.abc import Collection, Mapping
from typing import Any

from starlette.requests import Request

from nur_server.agents.stored import shown_fields
from nur_server.agents.tools import check_url
from nur_server.api import agents
from nur_server.api.bodies import SessionBody
from nur_server.api.call_bodies import CallOptions, Numbers
from nur_server.api.call_objects import Playable
from nur_server.api.public_url import public_base
from nur_server.api.services import Services
from nur_server.audio.encode import RecordingFormat
from nur_server.calls.numbers import read_number
from nur_server.store.agents import Agents
from nur_server.store.call_records import RING_SECONDS, CallFields, CallRecord
from nur_server.store.recordings import recordings_of


async def dial(
    server: Services,
    account_id: str,
    agent_id: str,
    numbers: Numbers,
    body: CallOptions,
) -> CallRecord:
    """Accept a call. Raises as `CallService.dial` does, and `InvalidRequest` for a `webhook_url`
    that this server may not call."""
    agent = await Agents(server.database, account_id).get(agent_id)
    read_number(numbers.called, numbers.called_param)
    if body.webhook_url is not None:
        allow_private = server.settings.allow_private_urls
        check_url(body.webhook_url, "webhook_url", allow_private=allow_private)
    warnings = agents.session_warnings(server, agent, _as_session(body))
    wanted = body.wants_recording
    fields = CallFields(
        to_number=numbers.called,
        from_number="",
        engine="",
        agent_id=agent_id,
        max_duration_seconds=body.max_duration or body.DEFAULT_SECONDS,
        ring_seconds=body.ring_seconds or RING_SECONDS,
        recording=bool(agent.settings.get("recording") if wanted is None else wanted),
        webhook_url=body.webhook_url,
        scheduled_at=body.scheduled_at,
        context=body.context or {},
        metadata=body.metadata or {},
        initial_message=body.initial_message,
        config={"agent": shown_fields(agent), "warnings": list(warnings), "recording": wanted},
    )
    return await server.calls.dial(
        account_id,
        fields,
        from_number=numbers.shown,
        to_param=numbers.called_param,
        from_param=numbers.shown_param,
    )


async def recordings(
    request: Request, server: Services, account_id: str, session_ids: Collection[str]
) -> Mapping[str, Playable]:
    """What there is to hear of these sessions, each with a fresh link."""
    base = public_base(request, server.settings)
    links = server.recording_links
    found = await recordings_of(server.database, account_id, session_ids)
    return {
        session_id: Playable(
            record.id,
            links.make(record, RecordingFormat.FLAC, base) if record.can_be_heard else None,
        )
        for session_id, record in found.items()
    }


def _as_session(body: CallOptions) -> SessionBody:
    given: Mapping[str, Any] = {
        "context": body.context,
        "metadata": body.metadata,
        "initial_message": body.initial_message,
    }
    return SessionBody(**given)
