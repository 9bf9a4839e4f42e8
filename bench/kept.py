"""What a conversation keeps, judged from its inside: what reached the world does not show it.

`Judge` is shown every event of a replayed session with its actions, as the fuzz plays it. What
the world shows is judged by `nur_server.testing.invariants`.
"""

import re
from collections.abc import Iterable
from typing import assert_never

from nur_server.conversation.actions import (
    Action,
    CallTool,
    CommitTurn,
    DropUtterance,
    FinishUtterance,
    Flush,
    Generate,
    HangUp,
    HoldPlayout,
    Notify,
    OpenUtterance,
    RecordTool,
    ResumePlayout,
    SetVolume,
    Speak,
    TransferCall,
)
from nur_server.conversation.config import ConversationConfig, ExecutionMode
from nur_server.conversation.events import (
    ClientDropped,
    ClientResumed,
    ConfigChanged,
    DigitPressed,
    EndedReason,
    EndRequested,
    Event,
    InputCommitted,
    PlayoutProgressed,
    ReplyCancelled,
    ReplyTruncated,
    SessionOpened,
    ToolAnswered,
    TransferFinished,
)
from nur_server.conversation.notices import (
    CallAnswered,
    Notice,
    ReplyDone,
    ReplyStarted,
    ReplyStatus,
    UserSpeechStopped,
)
from nur_server.conversation.phone import PhoneTool
from nur_server.conversation.record import Speaker, ToolRecord, ToolStatus, Turn
from nur_server.replay.recording import Step

SLACK_SECONDS = 0.1
"""How late a timer may be."""
PATIENCE_SECONDS = 3.0
"""Longest wait for a reply that is owed, while nobody speaks and no tool runs."""
INTERNAL = ("hidden", "<", "**", "](", "https:")
"""In what the models of the fuzz write, and for nobody's ears."""
PRESSED = "[pressed "
MOST_LEFT_ALONE = 2
"""Turns in the agent's silence that may be taken to be for somebody else before one is not."""

_COLLECTED = re.compile(r'\{"digits": "([0-9*#A-D]*)"\}')
_ENDS = frozenset(reason.value for reason in EndedReason)


class Judge:
    """One conversation, judged from its start to its end."""

    def __init__(self, config: ConversationConfig) -> None:
        self.broken: list[str] = []
        """What was expected and did not happen."""
        self._config = config
        self._was_changed = False
        self._now = 0.0
        self._is_connected = False
        self._is_screening = config.answering is not None
        """It is not known who has answered."""
        self._keys = ""
        """Pressed, and not seen again yet."""
        # The agent
        self._reply: str | None = None
        self._started: set[str] = set()
        self._generated: set[str] = set()
        self._interrupted: set[str] = set()
        """Items that the caller has cut off."""
        self._item = ""
        """Of the running reply."""
        self._ducked: set[str] = set()
        self._held: str | None = None
        # The caller
        self._utterances: set[str] = set()
        """Being listened to."""
        self._are_words_awaited = False
        self._left_alone = 0
        """Turns in a row that were said while the agent was silent, and got no answer."""
        # Who waits for whom
        self._owed: set[str] = set()
        """What the caller has said, and results of tools, that wait for a reply."""
        self._is_reply_wanted = True
        """By the client that committed the user's turn last."""
        self._unrequested: set[str] = set()
        """Tool calls whose result the client gave without asking for a reply."""
        self._idle_since = 0.0
        """Since then nobody speaks and nothing runs."""
        # Tools
        self._running: dict[str, ToolRecord] = {}
        self._due: dict[str, float] = {}
        """When a running tool has to have its result."""
        self._running_at_start: frozenset[str] = frozenset()
        """Of the running reply."""
        self._filled: set[str] = set()
        """Tools about which a filler was said."""
        self._awaited: set[str] = set()
        """Replies whose answer was long in coming, so that a filler was said first."""
        self._spoken_since: set[str] = set()
        """Tools during which the caller has said something that is answered."""
        # The end
        self._is_ending = False
        """It was asked for, or the caller is gone: no further reply is made."""
        self._cutting = {EndedReason.MAX_DURATION, EndedReason.TRANSFERRED}
        """Ends that wait for no last word."""
        self._has_said_goodbye = False
        """Or could not: the synthesiser failed, the client stopped it."""

    def see(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self._now = step.event.at
            self._look_at_the_clock()
            self._take(step.event)
            for action in step.actions:
                self._do(action)
            is_for_somebody = self._utterances or not self._is_connected
            if self._held is not None and not is_for_somebody:
                self._expect(False, f"{self._held} to be held only while the caller speaks")
                self._held = None
            if not self._is_idle:
                self._idle_since = self._now

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.broken.append(f"{what}; at {self._now:.3f} s")

    @property
    def _is_idle(self) -> bool:
        """Somebody is there who may be spoken to, and neither side is at work."""
        is_anybody_there = self._is_connected and not self._is_screening
        is_caller_busy = self._utterances or self._are_words_awaited
        is_agent_busy = self._reply is not None or self._running
        return is_anybody_there and not is_caller_busy and not is_agent_busy

    def _look_at_the_clock(self) -> None:
        for call_id, due in list(self._due.items()):
            if self._now > due + SLACK_SECONDS and call_id in self._running:
                self._expect(False, f"a result of {call_id} by its time-out at {due:.3f} s")
                del self._due[call_id]
        if self._owed and self._is_idle and self._now - self._idle_since > PATIENCE_SECONDS:
            self._expect(False, f"a reply to {', '.join(sorted(self._owed))}")
            self._owed.clear()

    # What happened

    def _take(self, event: Event) -> None:
        match event:
            case SessionOpened() | ClientResumed():
                self._is_connected = True
            case ClientDropped():
                self._is_connected = False
            case ConfigChanged(_, config):
                self._config = config
                self._was_changed = True
            case DigitPressed(_, digit):
                self._keys += digit
            case PlayoutProgressed(_, response_id, _):
                is_loud = response_id not in self._ducked or self._utterances
                self._expect(bool(is_loud), "the usual volume while nobody else speaks")
            case ReplyCancelled() | ReplyTruncated():
                self._has_said_goodbye = True
            case InputCommitted(_, triggers_reply):
                self._is_reply_wanted = triggers_reply
            case ToolAnswered(_, call_id, triggers_reply=False):
                self._unrequested.add(call_id)
            case TransferFinished(_, _, None):
                self._is_ending = True
            case EndRequested(_, reason, finish_speaking):
                self._is_ending = True
                if not finish_speaking or not self._is_connected:
                    self._cutting.add(reason)
            case _:
                pass

    # What was done about it

    def _do(self, action: Action) -> None:
        match action:
            case Notify(notice):
                self._notice(notice)
            case Generate(response_id):
                self._generate(response_id)
            case Speak(_, _, text):
                is_internal = any(mark in text for mark in INTERNAL)
                self._expect(not is_internal, f"nothing internal to be spoken; got {text!r}")
            case SetVolume(response_id, gain):
                (self._ducked.add if gain < 1.0 else self._ducked.discard)(response_id)
            case HoldPlayout(response_id):
                self._held = response_id
            case ResumePlayout() | Flush():
                self._held = None
            case OpenUtterance(utterance_id):
                self._utterances.add(utterance_id)
            case FinishUtterance(utterance_id):
                self._utterances.discard(utterance_id)
                self._are_words_awaited = True
            case DropUtterance(utterance_id):
                self._utterances.discard(utterance_id)
            case CallTool(call_id, response_id, tool):
                self._due[call_id] = self._now + tool.timeout_seconds
                is_confirmed = response_id in self._started
                self._expect(is_confirmed, "no tool of a reply that may be thrown away")
            case TransferCall(call_id):
                self._expect(self._reply is None, "a transfer after the last word")
                has_spoken = call_id in self._spoken_since
                self._expect(not has_spoken, "no transfer of a caller who has spoken since")
            case RecordTool(_, record):
                self._record(record)
            case CommitTurn(turn) if turn.speaker is Speaker.USER:
                self._commit_user(turn)
            case CommitTurn(turn):
                self._commit_agent(turn)
            case HangUp(reason):
                self._hang_up(reason)
            case _:
                pass

    def _notice(self, notice: Notice) -> None:
        match notice:
            case ReplyStarted(reply_id, item_id):
                self._expect(not self._is_screening, "nothing said before it is known to whom")
                self._reply, self._item = reply_id, item_id
                self._started.add(reply_id)
                self._running_at_start = frozenset(self._running)
                is_opening = self._config.hello_seconds is not None and self._config.greeting
                if reply_id in self._generated or is_opening:
                    # The opening of a call answers who says hello.
                    self._owed.clear()
            case ReplyDone(_, status, reason):
                self._reply = self._held = None
                if status is ReplyStatus.INTERRUPTED and reason != "truncated":
                    self._interrupted.add(self._item)
                if status is ReplyStatus.CANCELLED and reason in _ENDS:
                    is_cut = EndedReason(reason) in self._cutting
                    self._expect(is_cut, f"the last word to be heard out before {reason}")
            case UserSpeechStopped():
                self._are_words_awaited = False
            case CallAnswered():
                self._is_screening = False
                if self._config.greeting:
                    self._owed.clear()
            case _:
                pass

    def _generate(self, response_id: str) -> None:
        """A reply takes up everything that is owed, once it may be heard."""
        if response_id in self._started:
            self._owed.clear()
        if response_id in self._generated:
            return
        self._generated.add(response_id)
        self._expect(not self._is_ending, "no reply behind the last one")
        is_held = any(map(self._holds, self._running.values()))
        self._expect(not is_held, "no reply while a tool holds the agent")

    def _holds(self, record: ToolRecord) -> bool:
        tool = self._config.tool(record.name)
        return tool is not None and tool.execution_mode is ExecutionMode.HOLD

    def _record(self, record: ToolRecord) -> None:
        match record.status:
            case ToolStatus.RUNNING:
                self._running[record.call_id] = record
                return
            case ToolStatus.SUCCEEDED if record.name == PhoneTool.COLLECT_DIGITS:
                found = _COLLECTED.fullmatch(record.result or "")
                self._see_keys(found[1] if found is not None else "")
            case (
                ToolStatus.SUCCEEDED
                | ToolStatus.FAILED
                | ToolStatus.TIMED_OUT
                | ToolStatus.REFUSED
                | ToolStatus.CANCELLED
            ):
                pass
            case _:
                assert_never(record.status)
        self._running.pop(record.call_id, None)
        if record.call_id not in self._unrequested:
            self._owed.add(record.call_id)

    def _see_keys(self, digits: str) -> None:
        """The model is told of each key once, in order; only a terminator is left out."""
        for digit in digits:
            lost, found, rest = self._keys.partition(digit)
            is_next = bool(found) and not lost.strip("#")
            self._expect(is_next, f"the key after {self._keys!r}, each once; got {digits!r}")
            self._keys = rest

    def _commit_user(self, turn: Turn) -> None:
        if turn.trigger != "speech":
            self._left_alone += turn.end_reason != turn.trigger
            self._expect(self._left_alone <= MOST_LEFT_ALONE, f"an answer to {turn.text!r} at last")
            return
        self._left_alone = 0
        if turn.end_reason != "committed" or self._is_reply_wanted:
            self._owed.add(turn.item_id)
        if self._config.max_turns is None:
            self._spoken_since.update(self._running)
        if turn.text.startswith(PRESSED):
            self._see_keys(turn.text.removeprefix(PRESSED).removesuffix("]"))

    def _commit_agent(self, turn: Turn) -> None:
        if turn.error_code == "too_many_tool_calls":
            self._owed.clear()
        if turn.trigger == "filler" and turn.item_id != self._item:
            is_new = self._item not in self._awaited
            self._expect(is_new, "one filler for an answer that is long in coming")
            self._awaited.add(self._item)
        elif turn.trigger == "filler":
            is_new = not self._running_at_start <= self._filled
            self._expect(is_new, "one filler, whatever the tools take")
            self._filled |= self._running_at_start
        if turn.trigger == "goodbye":
            was_cut = turn.interrupted_at_ms is not None and turn.error_code is None
            self._has_said_goodbye = self._has_said_goodbye or not was_cut
        if turn.item_id in self._interrupted and not self._was_changed:
            detection = self._config.turn_detection
            may_be_cut = (
                detection.interrupt_response
                and self._config.interruption_threshold < 1.0
                and turn.trigger not in detection.uninterruptible_turns
            )
            self._expect(may_be_cut, f"no interruption of a {turn.trigger}")

    def _hang_up(self, reason: EndedReason) -> None:
        if reason is EndedReason.SILENCE:
            self._expect(not self._running, "no end for silence while a tool runs")
        is_somebody_there = self._is_connected and not self._is_screening
        if reason is EndedReason.MAX_DURATION and self._config.goodbye and is_somebody_there:
            self._expect(self._has_said_goodbye, "a goodbye before the end, heard out")
