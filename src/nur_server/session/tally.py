"""What a session's summary is made of."""

from collections import Counter

from nur_server.conversation.config import ToolRunner
from nur_server.conversation.events import EndedReason
from nur_server.conversation.notices import ReplyDone, ReplyError, ReplyStatus, ToolCallRequested
from nur_server.conversation.record import Speaker, ToolRecord, ToolStatus, Turn
from nur_server.ports import SessionNotice, SessionSummary


class Tally:
    """Counts what happens in one session."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._turns: dict[int, Speaker] = {}
        self._latencies_ms: list[int] = []
        self._awaited: set[str] = set()
        self._by_client: set[str] = set()
        """Calls that the client runs."""
        self._error_code: str | None = None

    def count(self, name: str, amount: int = 1) -> None:
        self._counts[name] += amount

    def notice(self, notice: SessionNotice) -> None:
        match notice:
            case ReplyDone():
                if notice.status is ReplyStatus.INTERRUPTED:
                    self._counts["interruptions"] += 1
                if notice.prompt_tokens is not None:
                    self._counts["prompt_tokens"] += notice.prompt_tokens
                if notice.completion_tokens is not None:
                    self._counts["completion_tokens"] += notice.completion_tokens
            case ReplyError(code=code):
                self._counts["errors"] += 1
                self._error_code = code
            case ToolCallRequested(call_id=call_id, runner=ToolRunner.CLIENT):
                self._by_client.add(call_id)
            case _:
                pass

    def recogniser_failed(self, code: str) -> None:
        """Speech was not recognised, whether or not words are missing for it."""
        self._counts["recogniser_failures"] += 1
        self._error_code = code

    def turn(self, turn: Turn) -> None:
        is_new = turn.index not in self._turns
        self._turns[turn.index] = turn.speaker
        if is_new and turn.latency_ms is not None:
            self._latencies_ms.append(turn.latency_ms)

    def tool(self, record: ToolRecord) -> None:
        if record.status is ToolStatus.RUNNING:
            self._counts["tool_calls"] += 1
            self._awaited.add(record.call_id)
        else:
            self._awaited.discard(record.call_id)

    def is_awaited(self, call_id: str) -> bool:
        """Whether the client's result of this call would be used. What the server runs itself, or
        the carrier, nobody else can answer."""
        return call_id in self._awaited and call_id in self._by_client

    def summary(self, reason: EndedReason, duration_seconds: float) -> SessionSummary:
        speakers = list(self._turns.values())
        metrics = {name: float(count) for name, count in self._counts.items()}
        if self._latencies_ms:
            ordered = sorted(self._latencies_ms)
            metrics["latency_ms_p50"] = float(ordered[len(ordered) // 2])
            metrics["latency_ms_max"] = float(ordered[-1])
        return SessionSummary(
            reason=reason,
            duration_seconds=duration_seconds,
            user_turns=speakers.count(Speaker.USER),
            agent_turns=speakers.count(Speaker.AGENT),
            interruptions=self._counts["interruptions"],
            error_code=self._error_code,
            metrics=metrics,
        )
