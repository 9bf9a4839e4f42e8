"""The objects the API returns. Every time is ISO 8601 in UTC, but for `created`."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from nur_server.agents.declaration import AgentChanges, without_checks
from nur_server.agents.stored import COLUMNS, shown_fields
from nur_server.api.paging import Listing
from nur_server.clock import iso
from nur_server.conversation.record import ToolRecord, Turn
from nur_server.store.analyses import AnalysisRecord
from nur_server.store.records import AgentFields, AgentRecord, KeyRecord, SessionRecord
from nur_server.text.encoding import well_formed_json


class Shown(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


_COLUMN_KINDS = get_type_hints(AgentFields)
_NEVER_NULL: Mapping[str, Any] = {
    **{name: _COLUMN_KINDS[name] for name in COLUMNS},
    "tools": list[dict[str, Any]],
    "phone_numbers": list[str],
    "metadata": dict[str, Any],
    "status": Literal["active", "paused", "deleted"],
}
"""Kinds of the fields that are stored with a default, or shown otherwise than they are written."""


def _as_shown(name: str) -> tuple[Any, Any]:
    """A declared field as it is read, without the checks of what is written."""
    declared = AgentChanges.model_fields[name]
    kind = _NEVER_NULL[name] if name in _NEVER_NULL else without_checks(declared.annotation)
    return kind, Field(description=declared.description)


_DECLARED: dict[str, Any] = {name: _as_shown(name) for name in AgentChanges.model_fields}
_DeclaredFields = create_model("_DeclaredFields", __base__=Shown, **_DECLARED)


class AgentObject(_DeclaredFields):
    """A stored agent. Null is the server's default."""

    id: str
    object: Literal["agent"] = "agent"
    created: int = Field(description="Seconds since the epoch.")
    created_at: str
    updated_at: str
    warnings: list[str] = Field(description="What the server does differently from what is asked.")


def agent_object(agent: AgentRecord, warnings: Iterable[str]) -> AgentObject:
    return AgentObject(
        **{
            **shown_fields(agent),
            "id": agent.id,
            "greeting": agent.first_message,
            "created": int(agent.created_at.timestamp()),
            "created_at": iso(agent.created_at),
            "updated_at": iso(agent.updated_at),
            "warnings": list(warnings),
        }
    )


class AgentList(Listing[AgentObject]):
    agents: list[AgentObject] = Field(description="The same as `data`.")


class DeletedAgent(Shown):
    """What is left of a deleted agent."""

    id: str
    object: Literal["agent"] = "agent"
    deleted: Literal[True] = True
    status: Literal["deleted"] = "deleted"


class SessionObject(Shown):
    """A conversation with an agent: about to be held, running or over."""

    id: str
    object: Literal["session"] = "session"
    session_id: str = Field(description="The same as `id`.")
    agent_id: str | None
    kind: Literal["websocket", "webrtc", "outbound", "inbound"]
    status: Literal["active", "ended", "expired"]
    websocket_url: str | None = Field(
        description="Where to talk, with the secret that opens the session until `expires_at`. "
        "Shown once, to who makes the session; null when it is read."
    )
    token: str | None = Field(
        None, description="Of LiveKit's clients, where `transport` was `webrtc`. Shown once, too."
    )
    livekit_url: str | None = Field(None, description="Where such a client connects with it.")
    room_name: str | None = Field(None, description="The room it joins: the session's id.")
    created_at: str
    expires_at: str
    started_at: str | None = Field(description="When somebody connected.")
    ended_at: str | None
    ended_reason: str | None
    error_code: str | None
    duration_seconds: float | None
    metadata: dict[str, Any]
    context: dict[str, Any]
    initial_message: str | None
    user_turns: int
    agent_turns: int
    interruptions: int
    metrics: dict[str, float]
    warnings: list[str]


def session_object(
    session: SessionRecord, warnings: Iterable[str] = (), websocket_url: str | None = None
) -> SessionObject:
    return SessionObject(
        id=session.id,
        session_id=session.id,
        agent_id=session.agent_id,
        kind=session.kind.value,
        status=session.status.value,
        websocket_url=websocket_url,
        created_at=iso(session.created_at),
        expires_at=iso(session.expires_at),
        started_at=_moment(session.started_at),
        ended_at=_moment(session.ended_at),
        ended_reason=session.ended_reason,
        error_code=session.error_code,
        duration_seconds=session.duration_seconds,
        metadata=dict(session.metadata),
        context=dict(session.context),
        initial_message=session.initial_message,
        user_turns=session.user_turns,
        agent_turns=session.agent_turns,
        interruptions=session.interruptions,
        metrics=dict(session.metrics),
        warnings=list(warnings),
    )


class SessionList(Listing[SessionObject]):
    sessions: list[SessionObject] = Field(description="The same as `data`.")


class ToolCallObject(Shown):
    """A tool call and its one result."""

    call_id: str
    name: str
    arguments: Any = Field(description="An object; text where the model wrote no valid JSON.")
    status: Literal["running", "succeeded", "failed", "timed_out", "refused", "cancelled"]
    result: str | None = Field(description="What the model was told. Null while it runs.")
    is_error: bool
    called_ms: int
    answered_ms: int | None
    duration_ms: int | None


class TurnObject(Shown):
    """One party's talking. Times are milliseconds since the session began."""

    index: int
    item_id: str
    speaker: Literal["user", "agent"]
    text: str = Field(description="What was heard: for the agent, up to the last word played.")
    started_ms: int
    ended_ms: int
    trigger: str
    interrupted: bool
    interrupted_at_ms: int | None
    unheard: str = Field(description="What the agent had meant to say beyond `text`.")
    end_reason: str
    evidence: dict[str, Any] = Field(description="The figures behind `end_reason`.")
    latency_ms: int | None = Field(
        description="Agent turns: from the end of the user's speech to the first agent audio."
    )
    confidence: float | None
    tool_calls: list[ToolCallObject]
    error_code: str | None


class TranscriptObject(Shown):
    """What was said and heard in a session, turn by turn."""

    object: Literal["transcript"] = "transcript"
    session_id: str
    agent_id: str | None
    status: Literal["active", "ended", "expired"]
    ended_reason: str | None
    turns: list[TurnObject]
    text: str = Field(description="The turns as lines, `speaker: text`.")


def transcript_object(session: SessionRecord, turns: Iterable[Turn]) -> TranscriptObject:
    shown = [_turn_object(turn) for turn in turns]
    return TranscriptObject(
        session_id=session.id,
        agent_id=session.agent_id,
        status=session.status.value,
        ended_reason=session.ended_reason,
        turns=shown,
        text="\n".join(f"{turn.speaker}: {turn.text}" for turn in shown if turn.text),
    )


def _turn_object(turn: Turn) -> TurnObject:
    return TurnObject(
        index=turn.index,
        item_id=turn.item_id,
        speaker=turn.speaker.value,
        text=turn.text,
        started_ms=turn.started_ms,
        ended_ms=turn.ended_ms,
        trigger=turn.trigger,
        interrupted=turn.interrupted_at_ms is not None,
        interrupted_at_ms=turn.interrupted_at_ms,
        unheard=turn.unheard,
        end_reason=turn.end_reason,
        evidence=dict(turn.evidence),
        latency_ms=turn.latency_ms,
        confidence=turn.confidence,
        tool_calls=[_tool_call_object(call) for call in turn.tool_calls],
        error_code=turn.error_code,
    )


def _tool_call_object(call: ToolRecord) -> ToolCallObject:
    waited = None if call.answered_ms is None else call.answered_ms - call.called_ms
    return ToolCallObject(
        call_id=call.call_id,
        name=call.name,
        arguments=_arguments(call.arguments),
        status=call.status.value,
        result=call.result,
        is_error=call.status.value not in ("running", "succeeded"),
        called_ms=call.called_ms,
        answered_ms=call.answered_ms,
        duration_ms=waited,
    )


def _arguments(text: str) -> Any:
    try:
        return json.loads(well_formed_json(text or "{}"), parse_constant=str)
    except (ValueError, RecursionError):
        return text


class AnalysisObject(Shown):
    """What came of a conversation, as its agent's model says."""

    object: Literal["analysis"] = "analysis"
    session_id: str
    status: Literal["ready", "failed", "skipped"] = Field(
        description="`skipped`: nothing was said, or there is no language model."
    )
    summary: str | None
    fields: dict[str, Any] = Field(description="As the agent asks for them; null: not said.")
    model: str | None
    error_code: str | None
    created_at: str


def analysis_object(analysis: AnalysisRecord) -> AnalysisObject:
    return AnalysisObject(
        session_id=analysis.session_id,
        status=analysis.status.value,
        summary=analysis.summary,
        fields=dict(analysis.fields),
        model=analysis.model,
        error_code=analysis.error_code,
        created_at=iso(analysis.created_at),
    )


class VoiceObject(Shown):
    """A voice an agent can have."""

    id: str
    object: Literal["voice"] = "voice"
    name: str
    language: str | None = Field(description="Null: not known, or many.")
    gender: str | None = Field(description="`female` or `male`. Null: not known.")
    description: str
    type: Literal["built-in", "vendor"] = Field(
        description="`vendor`: of one model server's own, as it lists them."
    )
    model: str | None = Field(
        description="The text-to-speech model whose own voice it is, used by agents that name no "
        "other. Null: each model has its own for it."
    )
    aliases: list[str] = Field(description="Names from elsewhere that mean this voice.")


class ModelObject(Shown):
    """An entry of the model catalogue."""

    id: str
    object: Literal["model"] = "model"
    kind: Literal["stt", "llm", "tts"]
    name: str
    provider: str
    description: str
    available: bool = Field(description="False: a session that asks for it gets the default.")
    is_default: bool


class KeyObject(Shown):
    """An API key without its secret."""

    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    prefix: str = Field(description="The first characters of the secret.")
    scopes: list[str]
    created: int = Field(description="Seconds since the epoch.")
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


def key_fields(key: KeyRecord) -> Mapping[str, Any]:
    """The fields of a `KeyObject`."""
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "created": int(key.created_at.timestamp()),
        "created_at": iso(key.created_at),
        "expires_at": _moment(key.expires_at),
        "revoked_at": _moment(key.revoked_at),
        "last_used_at": _moment(key.last_used_at),
    }


class NewKeyObject(KeyObject):
    """A key just made: the only time its secret is shown."""

    key: str
    secret: str = Field(description="The same as `key`.")


class BrowserSessionObject(Shown):
    """Who is signed in."""

    object: Literal["browser_session"] = "browser_session"
    account_id: str
    account_name: str
    key_id: str = Field(description="The key that the browser acts for.")
    key_name: str
    scopes: list[str]
    expires_at: str | None = Field(description="When to sign in again.")
    csrf_token: str | None = Field(
        description="What writes with the cookie repeat in the header `X-CSRF-Token`. Null where "
        "the request had a key instead."
    )


class SignedOut(Shown):
    """There is no cookie any more."""

    object: Literal["browser_session"] = "browser_session"
    signed_out: Literal[True] = True


class SignInLinkObject(Shown):
    """A link that signs one browser in."""

    object: Literal["sign_in_link"] = "sign_in_link"
    url: str
    expires_at: str


class TokenObject(Shown):
    """A short-lived token for one browser."""

    token: str
    expires_in_seconds: int
    expires_at: str
    max_session_duration_seconds: int
    max_live_sessions: int
    agent_ids: list[str] | None = Field(description="The agents that it opens. Null: any.")
    allowed_origins: list[str] | None = Field(description="The pages it works on. Null: anywhere.")


class Health(Shown):
    """Whether the server runs."""

    status: Literal["ok"] = "ok"


class ModelState(Shown):
    """How a model at an address was last seen."""

    id: str
    kind: Literal["stt", "llm", "tts"]
    status: Literal["ok", "failing", "unknown"] = Field(
        description="`unknown`: nobody has looked yet, or nobody can."
    )
    code: str | None = Field(
        description="Why it cannot be used: `provider_unreachable`, `provider_timeout`, "
        "`key_refused`, `model_not_listed`, `wrong_address`, or another code of an error. The "
        "server's log says more."
    )


class Readiness(Shown):
    """Whether the server can hold conversations."""

    status: Literal["ready"] = "ready"
    database: Literal["ok"] = "ok"
    live_sessions: int
    models: list[ModelState] = Field(
        default_factory=list, description="Those at an address, in the order of the settings."
    )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)
