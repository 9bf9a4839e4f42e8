"""Names of events, and the names under which webhooks subscribe to them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

EVERY_EVENT = "*"
"""Subscribes to every event."""


class EventType(StrEnum):
    SESSION_STARTED = "session.started"
    SESSION_ENDED = "session.ended"
    CALL_INITIATING = "call.initiating"
    CALL_RINGING = "call.ringing"
    CALL_IN_PROGRESS = "call.in_progress"
    CALL_COMPLETED = "call.completed"
    CALL_FAILED = "call.failed"
    CALL_NO_ANSWER = "call.no_answer"
    CALL_CANCELED = "call.canceled"
    RECORDING_READY = "recording.ready"
    SESSION_ANALYZED = "session.analyzed"
    TEST = "webhook.test"


ALIASES: Mapping[str, EventType] = {
    "agent.session.started": EventType.SESSION_STARTED,
    "agent.session.ended": EventType.SESSION_ENDED,
    "session.completed": EventType.SESSION_ENDED,
    "call.started": EventType.CALL_IN_PROGRESS,
    "call.connected": EventType.CALL_IN_PROGRESS,
    "call.ended": EventType.CALL_COMPLETED,
    "call.analyzed": EventType.SESSION_ANALYZED,
}
"""Event-name aliases of other platforms; deliveries use the name that was subscribed to."""
EVENT_NAMES = (EVERY_EVENT, *(event.value for event in EventType), *ALIASES)


def name_of(type: EventType, events: Sequence[str]) -> str | None:
    """The name under which a subscriber to `events` gets an event. None: it is not subscribed."""
    if type.value in events or EVERY_EVENT in events:
        return type.value
    return next((name for name in events if ALIASES.get(name) is type), None)
