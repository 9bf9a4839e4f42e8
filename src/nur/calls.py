"""Phone calls: have an agent call somebody, follow the call, and read what was said."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, Unpack

from nur.call import Call, path
from nur.objects import (
    PhoneCall,
    VoiceSession,
    VoiceSessionDetails,
    VoiceStatus,
    VoiceTranscript,
)
from nur.pages import Listing
from nur.resource import AsyncResource, SyncResource, endpoint, listing

CallStatus = Literal[
    "scheduled",
    "initiating",
    "ringing",
    "in_progress",
    "completed",
    "failed",
    "no_answer",
    "canceled",
]


class CallOptions(TypedDict, total=False):
    """How a call goes. What is left out keeps the server's default."""

    context: Mapping[str, Any]
    """Values of `{{variables}}` in the agent's prompt and opening line."""
    metadata: Mapping[str, Any]
    """At most 20 pairs."""
    initial_message: str
    """Spoken first, instead of the agent's `first_message`."""
    max_duration: int
    """Seconds from the answer; then the agent says goodbye."""
    ring_seconds: int
    """Give up when nobody answers by then."""
    scheduled_at: str
    """When to call: ISO 8601 with a zone, in the future."""
    webhook_url: str
    """https address that is told every new status."""


def create_call(
    *,
    agent_id: str,
    phone_number: str,
    caller_id: str | None = None,
    record: bool | None = None,
    **options: Unpack[CallOptions],
) -> Call[PhoneCall]:
    """Have an agent call somebody, now or at `scheduled_at`.

        call = client.calls.create(
            agent_id=agent.id, phone_number="+14155550123", context={"name": "Ada"}
        )

    `caller_id` must be verified (`client.caller_ids`); by default it is the account's first.
    Raises `InvalidRequest` for a number that cannot be, `Forbidden` for one this server may not
    call, `RateLimited` where the account may not place one more.
    """
    given = {"caller_id": caller_id, "record": record}
    return Call(
        "POST",
        path("/v1/agents/{}/calls", agent_id),
        PhoneCall.model_validate,
        body={
            "phone_number": phone_number,
            **{name: value for name, value in given.items() if value is not None},
            **options,
        },
    )


def get_call(call_id: str) -> Call[PhoneCall]:
    """Read a call, by its id or its session's. Raises `NotFound`.

    print(client.calls.get("call_…").status)
    """
    return Call("GET", path("/v1/calls/{}", call_id), PhoneCall.model_validate)


def list_calls(
    *,
    agent_id: str | None = None,
    status: CallStatus | None = None,
    direction: Literal["outbound", "inbound"] | None = None,
    created_after: str | None = None,
    created_before: str | None = None,
    limit: int | None = None,
    offset: int | None = None,
    cursor: str | None = None,
) -> Listing[PhoneCall]:
    """All calls, newest first. Moments are ISO 8601, and not included.

    for call in client.calls.list(status="failed"):
        print(call.phone_number, call.error)
    """
    query = {
        "agent_id": agent_id,
        "status": status,
        "direction": direction,
        "created_after": created_after,
        "created_before": created_before,
        "limit": limit,
        "offset": offset,
        "cursor": cursor,
    }
    return Listing("/v1/calls", PhoneCall, query)


def move_call(call_id: str, *, scheduled_at: str) -> Call[PhoneCall]:
    """Move a scheduled call. Raises `Conflict` once it has begun.

    client.calls.move(call.id, scheduled_at="2027-01-01T09:30:00+02:00")
    """
    return Call(
        "PATCH",
        path("/v1/calls/{}", call_id),
        PhoneCall.model_validate,
        body={"scheduled_at": scheduled_at},
    )


def end_call(call_id: str) -> Call[PhoneCall]:
    """Hang up, or cancel a call that was not answered yet. One that is over stays as it is.

    client.calls.end(call.id)
    """
    return Call("POST", path("/v1/calls/{}/end", call_id), PhoneCall.model_validate)


def create_agent_call(
    agent_id: str,
    phone_number: str,
    *,
    caller_id: str | None = None,
    record: bool | None = None,
    **options: Unpack[CallOptions],
) -> Call[PhoneCall]:
    """As `client.calls.create`.

    client.agents.calls.create(agent.id, "+14155550123", context={"name": "Ada"})
    """
    return create_call(
        agent_id=agent_id,
        phone_number=phone_number,
        caller_id=caller_id,
        record=record,
        **options,
    )


def list_agent_calls(
    agent_id: str,
    *,
    status: CallStatus | None = None,
    created_after: str | None = None,
    created_before: str | None = None,
    limit: int | None = None,
    offset: int | None = None,
    cursor: str | None = None,
) -> Listing[PhoneCall]:
    """An agent's calls, newest first.

    for call in client.agents.calls.list(agent.id):
        print(call.status, call.duration)
    """
    query = {
        "status": status,
        "created_after": created_after,
        "created_before": created_before,
        "limit": limit,
        "offset": offset,
        "cursor": cursor,
    }
    return Listing(path("/v1/agents/{}/calls", agent_id), PhoneCall, query)


# Conversations of every kind, in the words of calls


def dial(
    *,
    agent_id: str,
    to_number: str,
    from_number: str,
    recording: bool | None = None,
    **options: Unpack[CallOptions],
) -> Call[VoiceSession]:
    """Have an agent call somebody. As `client.calls.create`, in other words.

    client.voice.dial(agent_id=agent.id, to_number="+14155550123", from_number="+14155559999")
    """
    body = {"agent_id": agent_id, "to_number": to_number, "from_number": from_number, **options}
    if recording is not None:
        body["recording"] = recording
    return Call("POST", "/voice/outbound/dial", VoiceSession.model_validate, body=body)


def get_status(session_id: str) -> Call[VoiceStatus]:
    """How far a conversation got. Raises `NotFound`.

    print(client.voice.status("call_…").status)
    """
    return Call("GET", path("/voice/status/{}", session_id), VoiceStatus.model_validate)


def get_voice_session(session_id: str) -> Call[VoiceSessionDetails]:
    """A conversation, and what was said in it so far. Raises `NotFound`.

    for line in client.voice.get("call_…").transcript:
        print(line.role, line.content)
    """
    return Call("GET", path("/voice/sessions/{}", session_id), VoiceSessionDetails.model_validate)


def list_voice_sessions(
    *,
    agent_id: str | None = None,
    status: CallStatus | None = None,
    start_date: str | None = None,
    end_date: str | None = None,
    limit: int | None = None,
    offset: int | None = None,
    cursor: str | None = None,
) -> Listing[VoiceSession]:
    """Conversations of every kind, newest first. Dates are ISO 8601, and included.

    for session in client.voice.list(status="completed"):
        print(session.type, session.duration)
    """
    query = {
        "agent_id": agent_id,
        "status": status,
        "start_date": start_date,
        "end_date": end_date,
        "limit": limit,
        "offset": offset,
        "cursor": cursor,
    }
    return Listing("/voice/sessions", VoiceSession, query)


def end_voice_session(session_id: str) -> Call[VoiceStatus]:
    """Hang up. A conversation that is over stays as it is.

    client.voice.end("call_…")
    """
    return Call("POST", path("/voice/end/{}", session_id), VoiceStatus.model_validate)


def read_voice_transcript(session_id: str) -> Call[VoiceTranscript]:
    """What was said and heard so far. Raises `NotFound`.

    for line in client.voice.transcript("call_…").messages:
        print(line.role, line.content)
    """
    return Call("GET", path("/v1/widget/transcript/{}", session_id), VoiceTranscript.model_validate)


class _CallMethods:
    create = endpoint(create_call)
    get = endpoint(get_call)
    list = listing(list_calls)
    move = endpoint(move_call)
    end = endpoint(end_call)


class Calls(SyncResource, _CallMethods):
    """`client.calls`."""


class AsyncCalls(AsyncResource, _CallMethods):
    """`client.calls`, awaited."""


class _AgentCallMethods:
    create = endpoint(create_agent_call)
    list = listing(list_agent_calls)


class AgentCalls(SyncResource, _AgentCallMethods):
    """`client.agents.calls`."""


class AsyncAgentCalls(AsyncResource, _AgentCallMethods):
    """`client.agents.calls`, awaited."""


class _VoiceSessionMethods:
    dial = endpoint(dial)
    status = endpoint(get_status)
    get = endpoint(get_voice_session)
    list = listing(list_voice_sessions)
    end = endpoint(end_voice_session)
    transcript = endpoint(read_voice_transcript)


class Voice(SyncResource, _VoiceSessionMethods):
    """`client.voice`."""


class AsyncVoice(AsyncResource, _VoiceSessionMethods):
    """`client.voice`, awaited."""
