"""The conversation's timers: named points in time, nothing that runs."""

from enum import StrEnum


class Timer(StrEnum):
    """What a deadline is for. A name (a tool call's id) may tell several of a kind apart."""

    TRANSCRIPT = "transcript"
    """The final transcript of a finished turn is overdue."""
    STALLED = "stalled"
    """A response should be audible and is not."""
    TOOL = "tool"
    """A tool call has run out of time."""
    FILLER = "filler"
    """A tool call takes long enough for the agent to say so."""
    SLOW_ANSWER = "slow_answer"
    """The model takes long enough for the agent to say so."""
    REPROMPT = "reprompt"
    SILENCE = "silence"
    DURATION = "duration"
    DIGITS = "digits"
    """The far end has pressed no further key for a while."""
    SCREENING = "screening"
    """It is still not known who has answered, who was called has not said hello, or
    the client has sent no audio."""


Key = tuple[Timer, str]


class Deadlines:
    """At most one time per key; the earliest is the one the session is asked to wake up for."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}

    def set(self, timer: Timer, at: float, name: str = "") -> None:
        """`at` counts to the millisecond, as the times of events do: sums of them do not."""
        self._due[timer, name] = round(at, 3)

    def clear(self, timer: Timer, name: str = "") -> None:
        self._due.pop((timer, name), None)

    def clear_all(self) -> None:
        self._due.clear()

    def earliest(self) -> float | None:
        return min(self._due.values(), default=None)

    def take_due(self, now: float) -> Key | None:
        """Remove and return the earliest key that is due at `now`, or None."""
        key = min(self._due, key=lambda key: (self._due[key], key), default=None)
        if key is None or self._due[key] > now:
            return None
        del self._due[key]
        return key
