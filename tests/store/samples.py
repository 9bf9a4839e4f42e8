"""What the tests of the store write and expect to find again."""

from datetime import datetime, timedelta
from typing import Any

from nur_server.conversation.record import Speaker, ToolRecord, ToolStatus, Turn
from nur_server.store.engine import Database
from nur_server.store.records import AgentFields, SessionFields, SessionRecord
from nur_server.store.sessions import Sessions

ACCOUNT = "acc_ours"
OTHER_ACCOUNT = "acc_theirs"
NODE = "node-a"


def agent(**changes: Any) -> AgentFields:
    fields: dict[str, Any] = {
        "name": "Customer Support",
        "voice_id": "rachel_v2",
        "system_prompt": "You are a friendly support agent.",
    }
    return AgentFields(**{**fields, **changes})


def session(now: datetime, **changes: Any) -> SessionFields:
    fields: dict[str, Any] = {"agent_id": None, "expires_at": now + timedelta(hours=1)}
    return SessionFields(**{**fields, **changes})


async def waiting_session(database: Database, **changes: Any) -> SessionRecord:
    """A session nobody has connected to."""
    return await Sessions(database, ACCOUNT).create(session(database.clock.now(), **changes))


async def live_session(database: Database, node_id: str = NODE, **changes: Any) -> SessionRecord:
    waiting = await waiting_session(database, **changes)
    return await Sessions(database, ACCOUNT).begin(waiting.id, node_id)


def turn(index: int = 0, **changes: Any) -> Turn:
    fields: dict[str, Any] = {
        "index": index,
        "item_id": f"item_{index}",
        "speaker": Speaker.USER if index % 2 == 0 else Speaker.AGENT,
        "text": f"Words of turn {index}.",
        "started_ms": index * 1000,
        "ended_ms": index * 1000 + 900,
        "trigger": "speech",
    }
    return Turn(**{**fields, **changes})


def tool_call(call_id: str = "call_1", **changes: Any) -> ToolRecord:
    """A tool call that is running."""
    fields: dict[str, Any] = {
        "call_id": call_id,
        "name": "lookup_order",
        "arguments": '{"order_id": "A7"}',
        "status": ToolStatus.RUNNING,
        "result": None,
        "called_ms": 1200,
        "answered_ms": None,
    }
    return ToolRecord(**{**fields, **changes})
