"""What a conversation always keeps, whatever happens in it, judged from what reached the world.

Each function returns what is broken, in words; nothing, when all is well.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.engine import Conversation
from nur_server.conversation.events import ClauseSynthesised, EndedReason, Role
from nur_server.conversation.history import CUT_OFF
from nur_server.conversation.journal import ActionsDigest, Checkpoint, read, read_rows
from nur_server.conversation.listener import TRANSCRIPT_SECONDS
from nur_server.conversation.notices import (
    AgentTranscript,
    AgentTranscriptDelta,
    CallAnswered,
    Notice,
    ReplyCorrected,
    ReplyDone,
    ReplyStarted,
    ReplyStatus,
    SessionEnded,
    ToolCallRequested,
    UserSpeechStarted,
    UserSpeechStopped,
)
from nur_server.conversation.record import Speaker, ToolRecord, ToolStatus, Turn
from nur_server.ports import ReplyRequest, SessionSummary
from nur_server.testing.ear import Arrival, Cleared, Closed, Played, Told
from nur_server.testing.tools import Run
from nur_server.turn_taking.endless import LONGEST_TURN_SECONDS

FRAME_MS = 20


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a conversation left behind."""

    config: ConversationConfig
    """As it began."""
    arrivals: Sequence[Arrival]
    """What reached the caller, in order."""
    output_rate: int
    turns: Sequence[Turn]
    tool_states: Sequence[ToolRecord]
    """Every state of every call that was stored, in order."""
    runs: Sequence[Run]
    """Tools that really ran."""
    prompts: Sequence[ReplyRequest]
    """What the model was asked, where it is a scripted one."""
    added: Sequence[str]
    """Assistant messages the client added: the model sees them, nobody heard them."""
    journal: Sequence[bytes]
    summary: SessionSummary | None
    """None: it has not ended."""
    was_connected: bool = True
    """The caller was there to the end. Otherwise the last notices reached nobody."""

    @property
    def notices(self) -> list[Notice]:
        return [arrival.notice for arrival in self.arrivals if isinstance(arrival, Told)]


def broken(evidence: Evidence) -> list[str]:
    """Everything that is broken."""
    checks = (
        heard_is_stored,
        replies_are_in_order,
        completed_replies_are_whole,
        done_waits_for_the_last_frame,
        calls_have_one_result,
        tools_run_once_at_a_time,
        cuts_are_told,
        silence_counts_from_the_end,
        nobody_unknown_is_spoken_to,
        everything_has_a_reason,
        asides_carry_their_evidence,
        discarded_words_are_on_record,
        turns_of_the_user_end,
        the_end_is_the_end,
        journal_replays,
    )
    return [problem for check in checks for problem in check(evidence)]


def heard_is_stored(evidence: Evidence) -> list[str]:
    """The words told as they were played, the whole of them at the end, the stored turn and the
    model's history are the same."""
    told: dict[str, str] = {}
    whole: dict[str, str] = {}
    for notice in evidence.notices:
        if isinstance(notice, AgentTranscriptDelta):
            told[notice.item_id] = told.get(notice.item_id, "") + notice.delta
        elif isinstance(notice, AgentTranscript):
            whole[notice.item_id] = notice.text
        elif isinstance(notice, ReplyCorrected):
            told[notice.item_id] = notice.text
            if notice.item_id in whole:
                whole[notice.item_id] = notice.text
    told, whole = _with_words(told), _with_words(whole)
    done = _done_items(evidence)
    told = {item: text.strip() for item, text in told.items() if item in done}
    stored = {t.item_id: t.text for t in evidence.turns if t.speaker is Speaker.AGENT and t.text}
    found = []
    known = {*stored.values(), *evidence.added, ""}
    if not evidence.was_connected:
        untold = {t.item_id for t in evidence.turns if t.end_reason == "truncated"}
        stored = {item: text for item, text in stored.items() if item in whole}
        told, whole, stored = (
            {item: text for item, text in texts.items() if item not in untold}
            for texts in (told, whole, stored)
        )
    if not told == whole == stored:
        found.append(f"heard = stored; told {told}, at the end {whole}, stored {stored}")
    for request in evidence.prompts:
        strange = [
            m.content
            for m in request.messages
            if m.role is Role.ASSISTANT and not _is_made_of(m.content, known)
        ]
        found += [f"the model to see only what was heard; it saw {text!r}" for text in strange]
    return [*found, *_unplayed_words(evidence)]


def _is_made_of(text: str, parts: Collection[str]) -> bool:
    """Whether `text` is one of `parts`, or several joined: what is said while a tool runs stands
    with the words before the call."""
    if text in parts:
        return True
    starts = [part for part in parts if part and text.startswith(f"{part} ")]
    return any(_is_made_of(text[len(part) + 1 :], parts) for part in starts)


def _with_words(texts: dict[str, str]) -> dict[str, str]:
    return {item: text for item, text in texts.items() if text.strip()}


def _done_items(evidence: Evidence) -> set[str]:
    """Of replies that are over. A filler is an item of its own within the reply."""
    done = {n.reply_id for n in evidence.notices if isinstance(n, ReplyDone)}
    told = (ReplyStarted, AgentTranscript)
    return {n.item_id for n in evidence.notices if isinstance(n, told) and n.reply_id in done}


def _unplayed_words(evidence: Evidence) -> Iterator[str]:
    """Words told although their audio never left."""
    sent_ms: Counter[str] = Counter()
    for played in evidence.arrivals:
        if isinstance(played, Played):
            sent_ms[played.response_id] += played.length * 1000 // evidence.output_rate
    for notice in evidence.notices:
        if not isinstance(notice, AgentTranscriptDelta) or notice.start_ms is None:
            continue
        if notice.start_ms > sent_ms[notice.reply_id] + FRAME_MS:
            yield f"words only once played; {notice.delta!r} at {notice.start_ms} ms was not"


def replies_are_in_order(evidence: Evidence) -> list[str]:
    """One reply at a time; its audio and words between its start and its end; none after a cut."""
    found: list[str] = []
    active: str | None = None
    over: set[str] = set()
    for arrival in evidence.arrivals:
        match arrival:
            case Played(_, reply_id, _):
                if reply_id in over or reply_id != active:
                    found.append(f"audio of {reply_id} only while it runs; {active} does")
            case Cleared(_, reply_id):
                over.add(reply_id)
            case Told(_, ReplyStarted(reply_id, _)):
                if active is not None:
                    found.append(f"{reply_id} to start after {active} is done")
                active = reply_id
            case Told(_, AgentTranscriptDelta(reply_id=reply_id) | AgentTranscript(reply_id)):
                if reply_id != active:
                    found.append(f"words of {reply_id} only while it runs; {active} does")
            case Told(_, ReplyDone(reply_id)):
                if reply_id != active:
                    found.append(f"{reply_id} to be done once, after its start")
                over.add(reply_id)
                active = None
            case _:
                pass
    if active is not None and evidence.summary is not None and evidence.was_connected:
        found.append(f"{active} to be done before the end")
    return found


def completed_replies_are_whole(evidence: Evidence) -> list[str]:
    """Of a completed reply every clause was played once from its start to its end, and its words
    were told up to the last one."""
    if evidence.summary is None:
        return []
    _, events = read(evidence.journal)
    made = [event for event in events if isinstance(event, ClauseSynthesised)]
    sent: Counter[str] = Counter()
    for arrival in evidence.arrivals:
        if isinstance(arrival, Played):
            sent[arrival.response_id] += arrival.length
    told_ms: dict[str, int] = {}
    found = []
    for notice in evidence.notices:
        match notice:
            case AgentTranscriptDelta(reply_id=reply_id, end_ms=int(end_ms)):
                told_ms[reply_id] = end_ms
            case ReplyDone(reply_id, ReplyStatus.COMPLETED):
                clauses = [clause.duration_ms for clause in made if clause.response_id == reply_id]
                made_ms, played_ms = sum(clauses), sent[reply_id] * 1000 // evidence.output_rate
                if abs(played_ms - made_ms) > len(clauses) + FRAME_MS:
                    found.append(f"{made_ms} ms of {reply_id} to be played; {played_ms} were")
                if clauses and told_ms.get(reply_id, 0) < made_ms:
                    found.append(
                        f"all words of {reply_id}, {made_ms} ms long, to be told; "
                        f"those up to {told_ms.get(reply_id, 0)} ms were"
                    )
            case _:
                pass
    return found


def done_waits_for_the_last_frame(evidence: Evidence) -> list[str]:
    """A completed reply is over when its last frame was heard, and the end comes after that."""
    first: dict[str, float] = {}
    length: Counter[str] = Counter()
    found = []
    for arrival in evidence.arrivals:
        match arrival:
            case Played(at, reply_id, samples):
                first.setdefault(reply_id, at)
                length[reply_id] += samples
            case Told(at, ReplyDone(reply_id, ReplyStatus.COMPLETED)) if reply_id in first:
                heard_at = first[reply_id] + length[reply_id] / evidence.output_rate
                if at < heard_at - 0.025:
                    found.append(
                        f"{reply_id} to be done at {heard_at:.3f} s or later; it was at {at:.3f} s"
                    )
            case _:
                pass
    return found


def calls_have_one_result(evidence: Evidence) -> list[str]:
    """Each tool call is stored before it runs, runs at most once, and has one result everywhere."""
    found = []
    states: dict[str, list[ToolStatus]] = {}
    for record in evidence.tool_states:
        states.setdefault(record.call_id, []).append(record.status)
    for call_id, seen in states.items():
        final = [status for status in seen if status is not ToolStatus.RUNNING]
        if len(final) > 1 or (seen and ToolStatus.RUNNING in seen[1:]):
            found.append(f"one result for {call_id}; its states were {seen}")
        if not final and evidence.summary is not None:
            found.append(f"a result for {call_id} at the end; it has none")
    ran = Counter(run.call_id for run in evidence.runs)
    found += [f"{call_id} to run once; it ran {n} times" for call_id, n in ran.items() if n > 1]
    found += [f"{call_id} to be journalled; it was not" for call_id in ran if call_id not in states]
    asked = Counter(n.call_id for n in evidence.notices if isinstance(n, ToolCallRequested))
    found += [f"{call_id} to be asked for once; {n} times" for call_id, n in asked.items() if n > 1]
    for request in evidence.prompts:
        wanted = [call.call_id for m in request.messages for call in m.tool_calls]
        given = [m.tool_call_id for m in request.messages if m.role is Role.TOOL]
        if wanted != given:
            found.append(f"each call in a prompt to have its one result; {wanted} have {given}")
    return found


def tools_run_once_at_a_time(evidence: Evidence) -> list[str]:
    """A tool that runs is not run again with the same arguments before it has its result."""
    running: dict[str, ToolRecord] = {}
    found = []
    for record in evidence.tool_states:
        if record.status is not ToolStatus.RUNNING:
            running.pop(record.call_id, None)
            continue
        wanted = _signature(record)
        for call_id, other in running.items():
            if call_id != record.call_id and _signature(other) == wanted:
                found.append(f"{call_id} to be answered before {record.call_id}, the same, runs")
        running[record.call_id] = record
    return found


def _signature(record: ToolRecord) -> tuple[str, str]:
    """The tool and its arguments: of a call that ran they are JSON."""
    return record.name, json.dumps(json.loads(record.arguments or "{}"), sort_keys=True)


def cuts_are_told(evidence: Evidence) -> list[str]:
    """The model is told where it was cut off, in front of the user's next words."""
    spoken = [t for t in evidence.turns if t.speaker is Speaker.AGENT and t.text]
    cut = {t.text for t in spoken if t.interrupted_at_ms is not None}
    cut -= {t.text for t in spoken if t.interrupted_at_ms is None} | set(evidence.added)
    found = []
    for request in evidence.prompts:
        for number, message in enumerate(request.messages):
            if message.role is not Role.ASSISTANT or message.content not in cut:
                continue
            after = (m.content for m in request.messages[number:] if m.role is Role.USER)
            reply = next(after, None)
            if reply is not None and CUT_OFF not in reply:
                found.append(f"the model to know that {message.content!r} was cut off")
    return found


def silence_counts_from_the_end(evidence: Evidence) -> list[str]:
    """The agent asks again, and ends the session for silence, only after the silence it is set to
    wait, from its last frame on."""
    silence = evidence.config.silence
    asked_again = {t.item_id for t in evidence.turns if t.trigger == "silence"}
    last_frame: float | None = None
    found: list[str] = []
    for arrival in evidence.arrivals:
        match arrival:
            case Played(at, _, _):
                last_frame = at
            case Told(at, ReplyStarted(_, item_id)) if item_id in asked_again:
                found += _too_early("asking again", at, last_frame, silence.reprompt_seconds)
            case Told(at, SessionEnded(EndedReason.SILENCE, _)):
                found += _too_early("the end", at, last_frame, silence.end_seconds)
            case _:
                pass
    return found


def _too_early(
    what: str, at: float, last_frame: float | None, seconds: float | None
) -> Iterator[str]:
    if seconds is None or last_frame is None:
        return
    if at - last_frame < seconds - FRAME_MS / 1000:
        yield (
            f"{seconds} s of silence before {what} at {at:.2f} s; "
            f"the agent spoke until {last_frame:.2f} s"
        )


def nobody_unknown_is_spoken_to(evidence: Evidence) -> list[str]:
    """Where it has to be found out who has answered a call, that comes before any word."""
    if evidence.config.answering is None:
        return []
    found: list[str] = []
    for arrival in evidence.arrivals:
        match arrival:
            case Told(_, CallAnswered()):
                return found
            case Played(_, reply_id, _) | Told(_, ReplyStarted(reply_id, _)):
                found.append(f"it to be known who has answered before {reply_id}")
            case _:
                pass
    return found


def everything_has_a_reason(evidence: Evidence) -> list[str]:
    """Ends of turns, cut replies and the end of the session say why."""
    found = []
    opened = 0
    for notice in evidence.notices:
        match notice:
            case ReplyDone(reply_id, status, reason):
                if status is not ReplyStatus.COMPLETED and not reason:
                    found.append(f"a reason for {status.value} of {reply_id}")
            case UserSpeechStarted():
                opened += 1
            case UserSpeechStopped(reason, _):
                opened -= 1
                if not reason:
                    found.append("a reason for the end of the user's turn")
                if opened < 0:
                    found.append("the user's speech to start before it stops")
            case _:
                pass
    if opened and evidence.summary is not None and evidence.was_connected:
        found.append("the user's speech to stop as often as it starts")
    found += [f"a reason for the end of turn {t.index}" for t in evidence.turns if not t.end_reason]
    numbers = [turn.index for turn in evidence.turns]
    if numbers != list(range(len(numbers))):
        found.append(f"turns to be numbered without gaps; got {numbers}")
    return found


def asides_carry_their_evidence(evidence: Evidence) -> list[str]:
    """What was taken to be for somebody else is stored with how it sounded."""
    wanted = {"away", "level_db", "brightness_db"}
    return [
        f"turn {turn.index}, an aside, to carry {sorted(wanted - turn.evidence.keys())}"
        for turn in evidence.turns
        if turn.trigger == "aside" and not wanted <= turn.evidence.keys()
    ]


def discarded_words_are_on_record(evidence: Evidence) -> list[str]:
    """The user is told of words that are not answered, and they are stored with the reason."""
    told = sum(
        isinstance(notice, UserSpeechStopped)
        and notice.evidence.get("discarded") not in (None, "no_words")
        for notice in evidence.notices
    )
    stored = sum("discarded" in turn.evidence for turn in evidence.turns)
    if told > stored:
        return [f"{told} turns with words that were discarded to be stored; {stored} are"]
    return []


def turns_of_the_user_end(evidence: Evidence) -> list[str]:
    """Whatever is heard, the user's turn is over within the longest one, and its transcript."""
    longest = LONGEST_TURN_SECONDS + TRANSCRIPT_SECONDS
    began: float | None = None
    found = []
    for arrival in evidence.arrivals:
        match arrival:
            case Told(at, UserSpeechStarted()):
                began = at
            case Told(at, UserSpeechStopped(reason)):
                if began is not None and at - began > longest:
                    found.append(
                        f"the turn begun at {began:.2f} s to end within {longest} s; "
                        f"it ended at {at:.2f} s: {reason}"
                    )
                began = None
            case _:
                pass
    return found


def the_end_is_the_end(evidence: Evidence) -> list[str]:
    """The end is told last, and the connection closed with the reason that is stored."""
    if evidence.summary is None:
        return []
    reason = evidence.summary.reason
    ended = [n.reason for n in evidence.notices if isinstance(n, SessionEnded)]
    closed = [a.reason for a in evidence.arrivals if isinstance(a, Closed)]
    found = []
    if any(other != reason for other in (*ended, *closed)) or len(ended) > 1:
        found.append(f"one end for one reason; stored {reason}, told {ended}, closed {closed}")
    if closed and not (
        isinstance(evidence.arrivals[-1], Closed) and isinstance(evidence.notices[-1], SessionEnded)
    ):
        found.append("the end to be told last, and the connection closed behind it")
    return found


def journal_replays(evidence: Evidence) -> list[str]:
    """The journal, run through the core again, gives the same actions, byte for byte."""
    if evidence.summary is None:
        return []
    config, rows = read_rows(evidence.journal)
    again = Conversation(config)
    digest = ActionsDigest()
    for row in rows:
        if isinstance(row, Checkpoint):
            if row != digest.checkpoint():
                return [f"the replay to be as recorded: {row}, got {digest.checkpoint()}"]
        else:
            digest.add(again.receive(row))
    return []
