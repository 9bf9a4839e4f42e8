"""The objects calls, voice sessions and phone numbers are shown as."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from nur_server.api.objects import Shown
from nur_server.api.paging import Listing
from nur_server.clock import Clock, iso
from nur_server.conversation.record import Speaker, Turn
from nur_server.store.call_records import (
    CallRecord,
    CallStatus,
    Direction,
)
from nur_server.store.numbers import CallerIdRecord, PhoneNumberRecord
from nur_server.store.records import SessionKind
from nur_server.store.voice import VoiceRecord

Status = Literal[
    "scheduled",
    "initiating",
    "ringing",
    "in_progress",
    "completed",
    "failed",
    "no_answer",
    "canceled",
]


@dataclass(frozen=True, slots=True)
class Playable:
    """A recording."""

    recording_id: str
    url: str | None
    """Where to hear it. None: there is nothing to hear, not yet or not any more."""


class CallObject(Shown):
    """A phone call: to come, under way or over."""

    id: str
    object: Literal["call"] = "call"
    call_id: str = Field(description="The same as `id`.")
    session_id: str
    agent_id: str | None
    direction: Literal["outbound", "inbound"]
    purpose: Literal["agent", "verification"]
    phone_number: str = Field(description="The far end's.")
    caller_id: str = Field(description="The same as `from_number`.")
    to_number: str
    from_number: str
    status: Status
    scheduled_at: str | None
    started_at: int | None = Field(description="When it was answered: seconds since the epoch.")
    ended_at: int | None = Field(description="Seconds since the epoch.")
    answered_by: str | None = Field(
        description="`human`, `voicemail`, `ivr`, `mailbox_full`, `screening` or `uncertain`, "
        "where the agent has `voicemail` and the call is over."
    )
    duration: int = Field(description="Seconds from the answer to the end, or to now.")
    duration_seconds: float
    max_duration: int
    ring_seconds: int
    record: bool = Field(description="Whether it is recorded.")
    recording_id: str | None
    recording_url: str | None = Field(description="Where to hear it, for an hour. Secret.")
    transcript_id: str | None = Field(
        description="Of `GET /v1/sessions/{session_id}/transcript`; null until it was answered."
    )
    webhook_url: str | None
    context: dict[str, Any]
    metadata: dict[str, Any]
    initial_message: str | None
    ended_reason: str | None
    error: str | None = Field(description="Why it failed, in words. Null unless it did.")
    error_code: str | None
    warnings: list[str]
    created: int = Field(description="Seconds since the epoch.")
    created_at: str


def call_object(call: CallRecord, clock: Clock, heard: Playable | None = None) -> CallObject:
    seconds = call.duration_seconds(clock.now())
    is_outbound = call.direction is Direction.OUTBOUND
    return CallObject(
        id=call.id,
        call_id=call.id,
        session_id=call.session_id,
        agent_id=call.agent_id,
        direction=call.direction.value,
        purpose=call.purpose.value,
        phone_number=call.to_number if is_outbound else call.from_number,
        caller_id=call.from_number,
        to_number=call.to_number,
        from_number=call.from_number,
        status=call.status.value,
        scheduled_at=_moment(call.scheduled_at),
        started_at=_epoch(call.answered_at),
        ended_at=_epoch(call.ended_at),
        answered_by=call.answered_by,
        duration=round(seconds),
        duration_seconds=round(seconds, 3),
        max_duration=call.max_duration_seconds,
        ring_seconds=call.ring_seconds,
        record=call.recording,
        recording_id=heard.recording_id if heard else None,
        recording_url=heard.url if heard else None,
        transcript_id=call.session_id if call.answered_at else None,
        webhook_url=call.webhook_url,
        context=dict(call.context),
        metadata=dict(call.metadata),
        initial_message=call.initial_message,
        ended_reason=call.ended_reason.value if call.ended_reason else None,
        error=_error(call),
        error_code=call.error_code,
        warnings=list(call.config.get("warnings", ())),
        created=int(call.created_at.timestamp()),
        created_at=iso(call.created_at),
    )


class CallList(Listing[CallObject]):
    calls: list[CallObject] = Field(description="The same as `data`.")


# Every kind of conversation, in the words of calls

_TYPES: Mapping[SessionKind, Literal["web", "outbound", "inbound"]] = {
    SessionKind.WEBSOCKET: "web",
    SessionKind.WEBRTC: "web",
    SessionKind.OUTBOUND: "outbound",
    SessionKind.INBOUND: "inbound",
}


class VoiceStatus(Shown):
    """How far a conversation got. Times are ISO 8601."""

    session_id: str
    call_id: str | None = Field(description="Null where it is no phone call.")
    status: Status
    agent_id: str | None
    duration: int = Field(description="Seconds from the start to the end, or to now.")
    duration_seconds: float
    created_at: str
    started_at: str | None = Field(description="When somebody answered, or connected.")
    ended_at: str | None
    ended_reason: str | None
    error: str | None
    error_code: str | None


class StartedVoice(Shown):
    """A conversation that a browser may begin."""

    session_id: str
    agent_id: str
    status: Literal["initiating"] = "initiating"
    token: str = Field(description="For LiveKit's clients, with `livekit_url`: one session's own.")
    livekit_url: str
    room_name: str
    websocket_url: str = Field(description="To talk over a WebSocket instead.")
    created_at: str
    expires_at: str
    expires_in: int = Field(description="Seconds.")
    warnings: list[str]


class VoiceSession(VoiceStatus):
    """A conversation of any kind."""

    id: str = Field(description="The same as `session_id`.")
    object: Literal["voice.session"] = "voice.session"
    type: Literal["web", "outbound", "inbound"]
    kind: Literal["websocket", "webrtc", "outbound", "inbound"]
    direction: Literal["outbound", "inbound"] = Field(description="Web: inbound.")
    to_number: str | None
    from_number: str | None
    scheduled_at: str | None
    max_duration: int | None
    recording: bool
    recording_id: str | None
    recording_url: str | None
    webhook_url: str | None
    context: dict[str, Any]
    metadata: dict[str, Any]


class Line(Shown):
    """One party's words."""

    role: Literal["assistant", "user"]
    content: str
    timestamp: float = Field(description="Seconds since the conversation began.")


class VoiceSessionDetails(VoiceSession):
    """A conversation, and what was said."""

    transcript: list[Line]


class VoiceSessionList(Listing[VoiceSession]):
    sessions: list[VoiceSession] = Field(description="The same as `data`.")


class VoiceTranscript(Shown):
    """What was said and heard."""

    session_id: str
    call_id: str | None
    agent_id: str | None
    status: Status
    transcript: list[Line]
    messages: list[Line] = Field(description="The same as `transcript`.")


def voice_status(record: VoiceRecord, clock: Clock) -> VoiceStatus:
    return VoiceStatus(**_status_fields(record, clock))


def voice_session(record: VoiceRecord, clock: Clock, heard: Playable | None = None) -> VoiceSession:
    return VoiceSession(**_session_fields(record, clock, heard))


def voice_details(
    record: VoiceRecord, turns: Iterable[Turn], clock: Clock, heard: Playable | None
) -> VoiceSessionDetails:
    fields = _session_fields(record, clock, heard)
    return VoiceSessionDetails(**fields, transcript=_lines(turns))


def voice_transcript(record: VoiceRecord, turns: Iterable[Turn]) -> VoiceTranscript:
    lines = _lines(turns)
    return VoiceTranscript(
        session_id=record.session_id,
        call_id=record.call.id if record.call else None,
        agent_id=record.agent_id,
        status=record.status.value,
        transcript=lines,
        messages=lines,
    )


def _status_fields(record: VoiceRecord, clock: Clock) -> dict[str, Any]:
    seconds = record.duration_seconds(clock.now())
    failed = record.status is CallStatus.FAILED
    error = _error(record.call) if record.call else record.error_code if failed else None
    return {
        "session_id": record.session_id,
        "call_id": record.call.id if record.call else None,
        "status": record.status.value,
        "agent_id": record.agent_id,
        "duration": round(seconds),
        "duration_seconds": round(seconds, 3),
        "created_at": iso(record.created_at),
        "started_at": _moment(record.started_at),
        "ended_at": _moment(record.ended_at),
        "ended_reason": record.ended_reason.value if record.ended_reason else None,
        "error": error,
        "error_code": record.error_code,
    }


def _session_fields(record: VoiceRecord, clock: Clock, heard: Playable | None) -> dict[str, Any]:
    call = record.call
    is_outbound = record.kind is SessionKind.OUTBOUND
    return {
        **_status_fields(record, clock),
        "id": record.session_id,
        "type": _TYPES[record.kind],
        "kind": record.kind.value,
        "direction": "outbound" if is_outbound else "inbound",
        "to_number": call.to_number if call else None,
        "from_number": call.from_number if call else None,
        "scheduled_at": _moment(call.scheduled_at) if call else None,
        "max_duration": call.max_duration_seconds if call else None,
        "recording": call.recording if call else heard is not None,
        "recording_id": heard.recording_id if heard else None,
        "recording_url": heard.url if heard else None,
        "webhook_url": call.webhook_url if call else None,
        "context": dict(record.context),
        "metadata": dict(record.metadata),
    }


def _lines(turns: Iterable[Turn]) -> list[Line]:
    return [
        Line(
            role="assistant" if turn.speaker is Speaker.AGENT else "user",
            content=turn.text,
            timestamp=turn.started_ms / 1000,
        )
        for turn in turns
        if turn.text
    ]


def _error(call: CallRecord) -> str | None:
    if call.status is not CallStatus.FAILED:
        return None
    reason = call.ended_reason.value if call.ended_reason else "failed"
    return call.error_message or call.error_code or reason


# Numbers


class PhoneNumberObject(Shown):
    """A number of the account, and who answers it."""

    id: str = Field(description="The number.")
    object: Literal["phone_number"] = "phone_number"
    phone_number: str
    agent_id: str | None
    label: str | None
    termination_uri: str | None
    imported: bool = Field(description="False: only its agent names it.")
    created_at: str | None


def phone_number_object(record: PhoneNumberRecord) -> PhoneNumberObject:
    return PhoneNumberObject(
        id=record.number,
        phone_number=record.number,
        agent_id=record.agent_id,
        label=record.label,
        termination_uri=record.termination_uri,
        imported=record.is_imported,
        created_at=_moment(record.created_at),
    )


class PhoneNumberList(Listing[PhoneNumberObject]):
    phone_numbers: list[PhoneNumberObject] = Field(description="The same as `data`.")


class DeletedNumber(Shown):
    """What is left of a number that was given up."""

    id: str
    deleted: Literal[True] = True


class CallerIdObject(Shown):
    """A number the account wants to show when it calls."""

    id: str = Field(description="The number.")
    object: Literal["caller_id"] = "caller_id"
    phone_number: str
    status: Literal["verified", "pending", "unverified"] = Field(
        description="`pending`: a code is waited for."
    )
    verified_at: str | None
    verified_over: str | None = Field(
        description="The carrier whose call proved it. What `loopback` proved holds there alone."
    )
    code_expires_at: str | None
    attempts_left: int = Field(description="Wrong codes that may still be tried.")
    call_id: str | None = Field(description="The latest call that spoke a code.")
    code: str | None = Field(
        None, description="Only in the answer that begins it, and only over `loopback`."
    )
    created_at: str


def caller_id_object(
    record: CallerIdRecord, clock: Clock, code: str | None = None
) -> CallerIdObject:
    is_pending = record.code_expires_at is not None and record.code_expires_at > clock.now()
    waiting: Literal["pending", "unverified"] = "pending" if is_pending else "unverified"
    return CallerIdObject(
        id=record.number,
        phone_number=record.number,
        status="verified" if record.verified_at else waiting,
        verified_at=_moment(record.verified_at),
        verified_over=record.verified_over,
        code_expires_at=_moment(record.code_expires_at),
        attempts_left=record.attempts_left,
        call_id=record.call_id,
        code=code,
        created_at=iso(record.created_at),
    )


class CallerIdList(Listing[CallerIdObject]):
    caller_ids: list[CallerIdObject] = Field(description="The same as `data`.")


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)


def _epoch(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
