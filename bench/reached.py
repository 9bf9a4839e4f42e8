"""What a random conversation came to: how one sees that the fuzz is not idle.

`Watch` is shown every event of a replayed session with its actions; it notes which of the
situations in `SITUATIONS` came up.
"""

from collections.abc import Iterable, Sequence

from nur_server.conversation.actions import (
    Action,
    CommitTurn,
    Flush,
    Generate,
    HangUp,
    Notify,
    RecordTool,
    ResumePlayout,
    SendDigits,
    TransferCall,
)
from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.events import (
    ClauseSynthesised,
    ClientDropped,
    ClientResumed,
    ConfigChanged,
    DigitPressed,
    EndRequested,
    Event,
    PlayoutFlushed,
    PlayoutProgressed,
    ReplyFailed,
    ReplyRequested,
    SpeechFailed,
    TranscriptFailed,
    TransferFinished,
)
from nur_server.conversation.notices import (
    CallAnswered,
    Notice,
    ReplyDone,
    ReplyError,
    ReplyStarted,
    ReplyStatus,
    ToolCallRequested,
    UserSpeechStarted,
    UserSpeechStopped,
)
from nur_server.conversation.record import Speaker, ToolRecord, ToolStatus, Turn
from nur_server.replay.recording import Step

NEAR_SECONDS = 0.1
"""Two things so close together happen at the same time, as far as a listener can tell."""
EDGE_MS = 60
"""A cut so close to the end of a clause is at its edge."""
SLOW_SECONDS = 2.0

SITUATIONS: tuple[str, ...] = (
    "interrupted",
    "interrupted while a tool runs",
    "interrupted as a tool starts",
    "interrupted as a tool ends",
    "interrupted at the edge of a clause",
    "interrupted before the first word",
    "overlap let pass",
    "words in silence left alone",
    "held, and went on where it stopped",
    "early reply confirmed",
    "early reply thrown away",
    "tool succeeded",
    "tool failed",
    "tool timed out",
    "tool call refused",
    "tool cancelled by the end",
    "tools in parallel",
    "running tool asked for again",
    "caller spoke while a tool ran",
    "filler",
    "reply to a tool's result",
    "model failed",
    "model answered nothing",
    "model never stopped",
    "synthesiser failed",
    "recogniser failed",
    "first audio later than 2 s",
    "stalled reply healed",
    "apology",
    "session.update while the agent speaks",
    "session.update while the caller speaks",
    "session.update while a tool runs",
    "client lost while the agent speaks",
    "client lost while the caller speaks",
    "client lost while a tool runs",
    "client came back",
    "client came back to a reply",
    "client came back to a running tool",
    "end asked for while the agent speaks",
    "end asked for while the caller speaks",
    "end asked for while a tool runs",
    "asked again after silence",
    "goodbye",
    "reply wanted before it is known who answered",
    "call answered by a person",
    "call answered by a machine",
    "message left",
    "key pressed while the agent speaks",
    "keys nobody asked for",
    "keys collected",
    "keys that never came",
    "keys sent",
    "transfer asked for",
    "transferred",
    "transfer refused",
    "ended while a transfer was under way",
    "ended: agent_ended",
    "ended: caller_hung_up",
    "ended: client_disconnected",
    "ended: client_ended",
    "ended: expired",
    "ended: max_duration",
    "ended: max_turns",
    "ended: silence",
    "ended: transferred",
    "ended: voicemail",
)


class Watch:
    """One conversation, watched from its start to its end."""

    def __init__(self, config: ConversationConfig) -> None:
        self.reached: set[str] = set()
        self._now = 0.0
        self._running: dict[str, ToolRecord] = {}
        self._transferring: set[str] = set()
        self._is_screening = config.answering is not None
        """It is not known who has answered."""
        self._tool_started = self._tool_ended = self._interrupted = -1.0
        self._reply: str | None = None
        self._reply_started = 0.0
        self._is_heard = False
        self._is_user_speaking = False
        self._generated: dict[str, int] = {}
        self._announced: set[str] = set()
        self._lengths: dict[str, list[int]] = {}
        self._played: dict[str, int] = {}

    def see(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self._now = step.event.at
            self._take(step.event)
            for action in step.actions:
                self._do(action)

    def _reach(self, *situations: str) -> None:
        self.reached.update(situations)

    def _reach_while(self, what: str) -> None:
        """`what` happens, and somebody is at work."""
        if self._reply is not None:
            self._reach(f"{what} while the agent speaks")
        if self._is_user_speaking:
            self._reach(f"{what} while the caller speaks")
        if self._running:
            self._reach(f"{what} while a tool runs")

    # What happened

    def _take(self, event: Event) -> None:
        match event:
            case ReplyFailed():
                self._reach("model failed")
            case SpeechFailed():
                self._reach("synthesiser failed")
            case TranscriptFailed():
                self._reach("recogniser failed")
            case ClauseSynthesised(_, response_id, _, duration_ms, _):
                self._lengths.setdefault(response_id, []).append(duration_ms)
            case PlayoutProgressed(_, response_id, _):
                self._hear(response_id)
            case PlayoutFlushed(_, response_id, played_ms):
                self._played[response_id] = played_ms
            case ConfigChanged():
                self._reach_while("session.update")
            case ClientDropped():
                self._reach_while("client lost")
            case ClientResumed():
                self._reach("client came back")
                if self._reply is not None:
                    self._reach("client came back to a reply")
                if self._running:
                    self._reach("client came back to a running tool")
            case EndRequested():
                self._reach_while("end asked for")
                if self._transferring & self._running.keys():
                    self._reach("ended while a transfer was under way")
            case ReplyRequested() if self._is_screening:
                self._reach("reply wanted before it is known who answered")
            case DigitPressed() if self._reply is not None:
                self._reach("key pressed while the agent speaks")
            case TransferFinished(_, _, error):
                self._reach("transferred" if error is None else "transfer refused")
            case _:
                pass

    def _hear(self, response_id: str) -> None:
        if response_id != self._reply or self._is_heard:
            return
        self._is_heard = True
        if self._now - self._reply_started > SLOW_SECONDS:
            self._reach("first audio later than 2 s")

    # What was done about it

    def _do(self, action: Action) -> None:
        match action:
            case Notify(notice):
                self._notice(notice)
            case Generate(response_id):
                self._generated[response_id] = self._generated.get(response_id, 0) + 1
                if self._generated[response_id] > 1:
                    self._reach("model answered nothing")
            case Flush(response_id) if response_id not in self._announced:
                self._reach("early reply thrown away")
            case ResumePlayout():
                self._reach("held, and went on where it stopped")
            case RecordTool(_, record):
                self._record(record)
            case CommitTurn(turn):
                self._commit(turn)
            case SendDigits():
                self._reach("keys sent")
            case TransferCall(call_id):
                self._reach("transfer asked for")
                self._transferring.add(call_id)
            case HangUp(reason):
                self._reach(f"ended: {reason.value}")
            case _:
                pass

    def _notice(self, notice: Notice) -> None:
        match notice:
            case ReplyStarted(reply_id, _):
                if reply_id in self._generated:
                    self._reach("early reply confirmed")
                self._announced.add(reply_id)
                self._reply, self._reply_started, self._is_heard = reply_id, self._now, False
            case ReplyDone(reply_id, status):
                if status is ReplyStatus.INTERRUPTED:
                    self._interrupt(reply_id)
                self._reply = None
            case ReplyError(_, "playout_stalled", _, _):
                self._reach("stalled reply healed")
            case ReplyError(_, "reply_too_long", _, _):
                self._reach("model never stopped")
            case UserSpeechStarted():
                self._is_user_speaking = True
            case UserSpeechStopped():
                self._is_user_speaking = False
            case ToolCallRequested() if len(self._running) > 1:
                self._reach("tools in parallel")
            case CallAnswered(answerer, _):
                self._is_screening = False
                is_person = answerer == "human"
                self._reach(f"call answered by a {'person' if is_person else 'machine'}")
            case _:
                pass

    def _interrupt(self, reply_id: str) -> None:
        self._interrupted = self._now
        self._reach("interrupted")
        if self._running:
            self._reach("interrupted while a tool runs")
        self._look_at_tools()
        played = self._played.get(reply_id, 0)
        if not played:
            self._reach("interrupted before the first word")
        edge = 0
        for length in self._lengths.get(reply_id, []):
            edge += length
            if abs(played - edge) <= EDGE_MS:
                self._reach("interrupted at the edge of a clause")

    def _look_at_tools(self) -> None:
        if self._interrupted < 0:
            return
        if abs(self._interrupted - self._tool_started) <= NEAR_SECONDS:
            self._reach("interrupted as a tool starts")
        if abs(self._interrupted - self._tool_ended) <= NEAR_SECONDS:
            self._reach("interrupted as a tool ends")

    def _record(self, record: ToolRecord) -> None:
        if record.status is ToolStatus.RUNNING:
            self._running[record.call_id] = record
            self._tool_started = self._now
        else:
            was_running = self._running.pop(record.call_id, None)
            self._reach(_OUTCOMES[record.status])
            if record.status is ToolStatus.REFUSED and self._runs_already(record):
                self._reach("running tool asked for again")
            if record.name == "collect_digits" and was_running:
                is_success = record.status is ToolStatus.SUCCEEDED
                self._reach("keys collected" if is_success else "keys that never came")
            self._tool_ended = self._now
        self._look_at_tools()

    def _runs_already(self, record: ToolRecord) -> bool:
        """As the model wrote it; other ways to write the same do not count."""
        wanted = (record.name, record.arguments)
        return any((other.name, other.arguments) == wanted for other in self._running.values())

    def _commit(self, turn: Turn) -> None:
        if turn.speaker is Speaker.USER:
            if turn.trigger != "speech":
                is_overlap = turn.end_reason == turn.trigger
                self._reach("overlap let pass" if is_overlap else "words in silence left alone")
            elif turn.text.startswith("[pressed"):
                self._reach("keys nobody asked for")
            elif self._running:
                self._reach("caller spoke while a tool ran")
            return
        if turn.trigger in _TRIGGERS:
            self._reach(_TRIGGERS[turn.trigger])
        if turn.error_code == "reply_too_long":
            self._reach("model never stopped")


_OUTCOMES = {
    ToolStatus.SUCCEEDED: "tool succeeded",
    ToolStatus.FAILED: "tool failed",
    ToolStatus.TIMED_OUT: "tool timed out",
    ToolStatus.REFUSED: "tool call refused",
    ToolStatus.CANCELLED: "tool cancelled by the end",
}
_TRIGGERS = {
    "filler": "filler",
    "tool_result": "reply to a tool's result",
    "silence": "asked again after silence",
    "goodbye": "goodbye",
    "voicemail": "message left",
    "apology": "apology",
}


def missed(reached: Sequence[frozenset[str]]) -> list[str]:
    """Situations that no conversation came to."""
    everything = frozenset[str]().union(*reached)
    return [situation for situation in SITUATIONS if situation not in everything]
