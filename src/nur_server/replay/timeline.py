"""What happened when, and why: a replay as a person reads it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from nur_server.conversation.actions import (
    Action,
    CallTool,
    CancelTool,
    CommitTurn,
    Flush,
    Generate,
    HangUp,
    HoldPlayout,
    Notify,
    RecordTool,
    Release,
    ResumePlayout,
    ScoreTurn,
    SendDigits,
    SetVolume,
    Speak,
    TransferCall,
)
from nur_server.conversation.events import (
    AsideCancelled,
    AsideRequested,
    AudioMissing,
    BeepHeard,
    ClauseSynthesised,
    ClientDropped,
    ClientResumed,
    ConfigChanged,
    DigitPressed,
    EndRequested,
    Event,
    InputCleared,
    InputCommitted,
    ItemRemoved,
    MessageAdded,
    PlayoutDrained,
    PlayoutFlushed,
    PlayoutProgressed,
    ReplyCancelled,
    ReplyFailed,
    ReplyFinished,
    ReplyRequested,
    ReplyText,
    ReplyToolCall,
    ReplyTruncated,
    SessionOpened,
    SpeechFailed,
    SpeechScored,
    Ticked,
    ToolAnswered,
    ToolCallNoted,
    TranscriptFailed,
    TranscriptUpdated,
    TransferFinished,
    TurnScored,
)
from nur_server.conversation.notices import (
    AgentTranscript,
    CallAnswered,
    Notice,
    ReplyDone,
    ReplyError,
    ReplyStarted,
    UserSpeechStarted,
    UserSpeechStopped,
    UserTranscript,
)
from nur_server.conversation.record import ToolStatus, Turn
from nur_server.replay.recording import Step


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a timeline."""

    at: float
    """Session time in seconds."""
    who: str
    """`user`, `agent`, `model`, `tool`, `client` or `session`."""
    what: str


def timeline(steps: Iterable[Step]) -> list[Moment]:
    """The moments of a conversation, in order."""
    moments: list[Moment] = []
    heard: set[str] = set()
    for step in steps:
        at = step.event.at
        moments += [Moment(at, who, what) for who, what in _told(step.event, heard)]
        for action in step.actions:
            moments += [Moment(at, who, what) for who, what in _done(action)]
    return moments


def turns(steps: Iterable[Step]) -> list[Turn]:
    """The stored turns, in order, as they were stored last."""
    stored = {
        action.turn.index: action.turn
        for step in steps
        for action in step.actions
        if isinstance(action, CommitTurn)
    }
    return [turn for _, turn in sorted(stored.items())]


def ended_reason(steps: Sequence[Step]) -> str | None:
    """None: it was not ended."""
    for step in reversed(steps):
        for action in step.actions:
            if isinstance(action, HangUp):
                return action.reason.value
    return None


def _told(event: Event, heard: set[str]) -> Iterator[tuple[str, str]]:
    """What an event says by itself. `heard` are the responses whose first audio was seen."""
    match event:
        case SessionOpened():
            yield "session", "opens"
        case PlayoutProgressed(_, response_id, _) if response_id not in heard:
            heard.add(response_id)
            yield "agent", f"is heard ({_short(response_id)})"
        case TranscriptFailed(_, _, code, message):
            yield "user", f"transcription fails: {code}: {message}"
        case TurnScored(_, _, _, probability):
            yield "user", f"turn model: complete {_number(probability)}"
        case ReplyFailed(_, _, code, message, _):
            yield "model", f"fails: {code}: {message}"
        case SpeechFailed(_, _, clause, code, message):
            yield "agent", f"clause {clause} cannot be spoken: {code}: {message}"
        case ConfigChanged():
            yield "client", "changes the settings"
        case MessageAdded(_, role, content):
            yield "client", f"adds a {role.value} message: {content!r}"
        case ReplyRequested(_, instructions):
            yield "client", "asks for a reply" + (f": {instructions!r}" if instructions else "")
        case ToolCallNoted(_, call_id, name):
            yield "client", f"adds a call of {name} of before ({call_id})"
        case ItemRemoved(_, item_id):
            yield "client", f"takes out the message {item_id}"
        case AsideRequested(_, request_id):
            yield "client", f"asks the model beside the conversation ({request_id})"
        case AsideCancelled(_, request_id):
            yield "client", f"wants no answer any more ({request_id})"
        case ReplyCancelled():
            yield "client", "cancels the reply"
        case ClientDropped():
            yield "client", "is gone"
        case ClientResumed():
            yield "client", "is back"
        case DigitPressed(_, digit):
            yield "user", f"presses {digit}"
        case BeepHeard():
            yield "user", "is a machine, and beeps"
        case TransferFinished(_, call_id, error):
            yield "tool", f"{call_id} " + (f"fails: {error}" if error else "is connected elsewhere")
        case EndRequested(_, reason, finish_speaking):
            how = ", after the last word" if finish_speaking else ""
            yield "session", f"is to end: {reason.value}{how}"
        case InputCommitted():
            yield "client", "ends the user's turn"
        case InputCleared():
            yield "client", "takes back what the user has said"
        case ReplyTruncated(_, _, played_ms):
            yield "client", f"has played {played_ms} ms of the reply"
        case (
            SpeechScored()
            | AudioMissing()
            | TranscriptUpdated()
            | ReplyText()
            | ReplyToolCall()
            | ReplyFinished()
            | ClauseSynthesised()
            | PlayoutProgressed()
            | PlayoutDrained()
            | PlayoutFlushed()
            | ToolAnswered()
            | Ticked()
        ):
            pass  # What they lead to is on record as an action.
        case _:
            assert_never(event)


def _done(action: Action) -> Iterator[tuple[str, str]]:
    """What an action says."""
    match action:
        case Notify(notice):
            yield from _noticed(notice)
        case ScoreTurn(_, pause, _, _):
            yield "user", f"pauses ({pause}): is the turn complete?"
        case Generate(response_id, messages, _):
            yield "model", f"is asked ({_short(response_id)}): {messages[-1].content!r}"
        case Speak(response_id, _, text):
            yield "agent", f"makes {text!r} ({_short(response_id)})"
        case Release(response_id):
            yield "agent", f"may be heard ({_short(response_id)})"
        case SetVolume(_, gain):
            yield "agent", "speaks up again" if gain == 1 else f"ducks to {gain:g}"
        case HoldPlayout():
            yield "agent", "holds still"
        case ResumePlayout():
            yield "agent", "goes on where it stopped"
        case Flush(response_id):
            yield "agent", f"is stopped ({_short(response_id)})"
        case CallTool(call_id, _, tool, arguments):
            yield "tool", f"{tool.name}({arguments}) runs ({call_id})"
        case SendDigits(digits):
            yield "agent", f"presses {digits}"
        case TransferCall(call_id, to_number):
            yield "tool", f"transfers to {to_number} ({call_id})"
        case CancelTool(call_id):
            yield "tool", f"{call_id} is given up"
        case RecordTool(_, record) if record.status is not ToolStatus.RUNNING:
            yield "tool", f"{record.call_id} {record.status.value}: {record.result}"
        case HangUp(reason):
            yield "session", f"ends: {reason.value}"
        case _:
            pass


def _noticed(notice: Notice) -> Iterator[tuple[str, str]]:
    match notice:
        case UserSpeechStarted():
            yield "user", "has the floor"
        case UserSpeechStopped(reason, evidence):
            yield "user", f"has finished: {reason}{_figures(evidence)}"
        case UserTranscript(_, text, is_final):
            yield "user", f"said {text!r}" if is_final else f"says {text!r} …"
        case CallAnswered(answerer, reason):
            yield "user", f"is judged: {answerer} ({reason})"
        case ReplyStarted(reply_id, _):
            yield "agent", f"replies ({_short(reply_id)})"
        case AgentTranscript(_, _, text, interrupted):
            yield "agent", f"was heard to say {text!r}" + (" ✂" if interrupted else "")
        case ReplyDone(reply_id, status, reason, evidence):
            why = f": {reason}" if reason else ""
            yield "agent", f"is done, {status.value}{why}{_figures(evidence)} ({_short(reply_id)})"
        case ReplyError(_, code, message, _):
            yield "agent", f"error {code}: {message}"
        case _:
            pass


def _figures(evidence: dict[str, Any]) -> str:
    shown = [f"{name} {_number(value)}" for name, value in evidence.items()]
    return f" ({', '.join(shown)})" if shown else ""


def _number(value: object) -> str:
    if value is None:
        return "unknown"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _short(response_id: str) -> str:
    """`#7` for `resp_…_7`."""
    return f"#{response_id.rpartition('_')[2]}"
