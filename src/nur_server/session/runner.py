"""One live session: performs the conversation's actions and feeds back what happens.

Everything of a session lives in one task group that ends with it. Events are handled one at a time
on the event loop; the conversation decides, this module and the session's parts only do.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, assert_never

import structlog

from nur_server.clock import Clock
from nur_server.commands import (
    AddMessage,
    AnswerTool,
    AppendInput,
    AskAside,
    CancelAside,
    CancelReply,
    ClearInput,
    Command,
    CommitInput,
    CreateReply,
    EndKind,
    EndSession,
    NoteToolCall,
    RemoveItem,
    ReportPlayed,
    TruncateReply,
    UpdateSession,
)
from nur_server.conversation.actions import (
    Action,
    CallTool,
    CancelTool,
    CommitTurn,
    DropUtterance,
    FinishSpeech,
    FinishUtterance,
    Flush,
    Generate,
    HangUp,
    HoldPlayout,
    MarkPause,
    Notify,
    OpenUtterance,
    RecordTool,
    Release,
    ResumePlayout,
    ScoreTurn,
    SendDigits,
    SetDeadline,
    SetVolume,
    Speak,
    StopGenerating,
    TransferCall,
)
from nur_server.conversation.engine import Conversation
from nur_server.conversation.events import (
    AsideCancelled,
    AsideRequested,
    ClientDropped,
    ClientResumed,
    ConfigChanged,
    DigitPressed,
    EndedReason,
    EndRequested,
    Event,
    InputCleared,
    InputCommitted,
    ItemRemoved,
    MessageAdded,
    ReplyCancelled,
    ReplyRequested,
    ReplyTruncated,
    SessionOpened,
    Ticked,
    ToolCallNoted,
)
from nur_server.conversation.journal import JournalWriter, as_stored
from nur_server.errors import BadRequest
from nur_server.meter import MessageMeter
from nur_server.options import SessionOptions
from nur_server.ports import (
    HangupCause,
    Samples,
    SessionAbout,
    SessionNotice,
    SessionSummary,
    SessionUpdated,
    ToolServer,
    Transport,
    TurnModel,
    VoiceActivityDetector,
)
from nur_server.session.client_link import Arrival, ClientLink
from nur_server.session.host import Host
from nur_server.session.listening import Listening
from nur_server.session.metrics import Metrics, Stages, Tracer
from nur_server.session.pacer import Pacer
from nur_server.session.recorder import Recorders
from nur_server.session.setup import SessionSetup
from nur_server.session.speaking import Speaking
from nur_server.session.tally import Tally
from nur_server.session.tool_runs import ToolRuns
from nur_server.session.writer import Writer
from nur_server.text.encoding import well_formed, well_formed_json

log = structlog.get_logger()

TEARDOWN_SECONDS = 2.0
"""Longest wait for the parts of a session to stop."""

Configure = Callable[[SessionOptions, tuple[str, ...]], SessionSetup]
"""A running session's settings after a client's changes, and warnings of its dialect. Raises
`InvalidRequest`."""

Observer = Callable[[SessionNotice], None]
"""Watches a session: is given each notice, in order. Returns at once and never raises."""


@dataclass(frozen=True, slots=True)
class SessionServices:
    """What all sessions of the process share."""

    vad: VoiceActivityDetector
    turn_model: TurnModel | None
    tool_server: ToolServer | None
    writer: Writer
    clock: Clock
    pacer: Pacer
    resume_seconds: float = 30.0
    """How long a dropped client may come back."""
    recorders: Recorders | None = None
    """None: nothing can be recorded."""
    metrics: Metrics = field(default_factory=Metrics)
    tracer: Tracer | None = None


class Session:
    """A conversation with somebody. For one event loop; methods return at once unless `async`.

    It orders the events and performs the conversation's actions through its parts: `Listening`,
    `Speaking`, `ToolRuns` and `ClientLink`. It implements `ports.SessionInput`.
    """

    def __init__(
        self, setup: SessionSetup, services: SessionServices, configure: Configure | None = None
    ) -> None:
        self._setup = setup
        self._configure = configure
        self._services = services
        self.message_meter = MessageMeter(services.clock.monotonic())
        config = as_stored(setup.conversation)
        self._conversation = Conversation(config)
        self._journal = JournalWriter(config)
        self._began = self._heard_at = services.clock.monotonic()
        self._inbox: deque[Callable[[float], Event]] = deque()
        self._is_handling = False
        self._group: asyncio.TaskGroup | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._writer = services.writer.open(setup.session_id)
        self._tally = Tally()
        self._stages = Stages(setup.session_id, services.metrics, services.tracer)
        self.has_heard = False
        """Whether any audio has come."""
        self.is_call = False
        """It is held over a phone call."""
        host = Host(setup.session_id, self._feed, self._spawn, services.clock)
        self._client = ClientLink(services.resume_seconds, self._give_up_client)
        self._listening = Listening(setup, host, services.vad, services.turn_model, self._tally)
        self._speaking = Speaking(setup, host, self._client, services.pacer, self._tally)
        self._tools = ToolRuns(setup, host, services.tool_server, self._writer)
        self._observers: list[Observer] = [self._tally.notice, self._client.notify]
        self._ended_reason: EndedReason | None = None
        self._over = asyncio.Event()
        self._summary: asyncio.Future[SessionSummary] = asyncio.get_running_loop().create_future()

    @property
    def setup(self) -> SessionSetup:
        return self._setup

    @property
    def about(self) -> SessionAbout:
        return self._setup.about

    @property
    def is_over(self) -> bool:
        """It has ended: nothing it is given has an effect any more."""
        return self._ended_reason is not None

    @property
    def is_attached(self) -> bool:
        """A client is connected."""
        return self._client.is_connected

    @property
    def quiet_seconds(self) -> float:
        """Since audio last came, silence included; at first, since the session began."""
        return self._services.clock.monotonic() - self._heard_at

    # The connection

    def observe(self, observer: Observer) -> None:
        """Show `observer` every notice from here on, behind those who watch already."""
        self._observers.append(observer)

    def attach(self, transport: Transport) -> None:
        """Talk over `transport` from here on.

        The first one opens the conversation; a later one resumes it and replaces the one before.
        One that comes after the end is told what it has missed, and closed.
        """
        if self._ended_reason is not None:
            self._client.say_farewell(transport, self, self._ended_reason)
            return
        self.is_call = transport.call_control is not None
        match self._client.attach(transport, self):
            case Arrival.FIRST:
                self._open()
            case Arrival.RETURN:
                self._feed(ClientResumed)
            case Arrival.TAKE_OVER:
                pass

    def _open(self) -> None:
        self._services.metrics.sessions_started.inc()
        if self._setup.is_recorded and self._services.recorders is not None:
            self._client.recorder = self._services.recorders.open(self._setup)
        if self.is_call and self._setup.conversation.answering is not None:
            self._listening.expect_a_beep()
        self._feed(SessionOpened)

    def detach(self, transport: Transport) -> None:
        """The connection is lost. Ignored when another transport has been attached since."""
        if not self.is_over and self._client.detach(transport):
            self._feed(ClientDropped)
            self._client.await_return(transport)

    def _give_up_client(self) -> None:
        self.end(EndedReason.CLIENT_DISCONNECTED)

    def hear(self, samples: Samples) -> None:
        """Take the user's audio: mono int16 at 16 kHz, any length.

        Nothing is taken between `detach` and the next `attach`: what comes then was on its way.
        """
        if self.is_over or self._client.is_away or not len(samples):
            return
        self.has_heard = True
        self._heard_at = self._services.clock.monotonic()
        if self._client.recorder is not None:
            self._client.recorder.heard(samples)
        self._listening.hear(samples)

    def command(self, command: Command) -> None:
        """Do what the client asks. Raises `NurError` for what it may not, or cannot, ask."""
        match command:
            case AppendInput(samples):
                self.hear(samples)
            case UpdateSession(options, warnings):
                self._update(options, warnings)
            case CreateReply():
                self._feed(partial(_requested, command))
            case AskAside(request_id, instructions, messages):
                asked = instructions and well_formed(instructions)
                shown = messages and tuple((role, well_formed(text)) for role, text in messages)
                self._feed(lambda at: AsideRequested(at, request_id, asked, shown))
            case CancelAside(request_id):
                self._feed(lambda at: AsideCancelled(at, request_id))
            case NoteToolCall():
                self._feed(partial(_noted, command))
            case RemoveItem(item_id):
                self._feed(lambda at: ItemRemoved(at, item_id))
            case CancelReply(reply_id):
                self._feed(lambda at: ReplyCancelled(at, reply_id))
            case AnswerTool(call_id, result, is_error, triggers_reply):
                self.answer_tool(call_id, result, is_error, triggers_reply=triggers_reply)
            case AddMessage(role, content, item_id, after):
                added = well_formed(content)
                self._feed(lambda at: MessageAdded(at, role, added, item_id, after))
            case EndSession(kind):
                is_patient = kind is EndKind.AFTER_REPLY
                self.end(EndedReason.CLIENT_ENDED, finish_speaking=is_patient)
            case ReportPlayed(reply_id, played_ms):
                self.played(reply_id, played_ms)
            case CommitInput(triggers_reply):
                self._feed(lambda at: InputCommitted(at, triggers_reply))
            case ClearInput():
                self._feed(InputCleared)
            case TruncateReply(item_id, played_ms):
                self._feed(lambda at: ReplyTruncated(at, item_id, played_ms))
            case _:
                assert_never(command)

    def _update(self, options: SessionOptions, warnings: tuple[str, ...]) -> None:
        if self._configure is None:
            raise BadRequest("this session cannot be changed", code="unsupported")
        self._setup = self._configure(options, warnings)
        for part in (self._listening, self._speaking, self._tools):
            part.setup = self._setup
        config = as_stored(self._setup.conversation)
        self._feed(lambda at: ConfigChanged(at, config))
        self._notify(SessionUpdated(self.about))

    def press(self, digit: str) -> None:
        """The far end of the call has pressed a key."""
        self._feed(lambda at: DigitPressed(at, digit))

    def played(self, response_id: str, played_ms: int) -> None:
        """The client, or the carrier, has played so much of a response by now."""
        self._speaking.played(response_id, played_ms)

    def hung_up(self, cause: HangupCause) -> None:
        """The far end of the call is gone. While it is transferred, the transfer's outcome counts:
        a carrier may report the end of our leg before it confirms the transfer."""
        if not self._tools.is_transferring:
            self.end(cause.ended_reason)

    def answer_tool(
        self, call_id: str, result: str, is_error: bool = False, *, triggers_reply: bool = True
    ) -> bool:
        """Take a client's tool result. False when no call of the client's waits for it: it is
        counted and has no other effect."""
        if not self._tally.is_awaited(call_id):
            self._tally.count("tool_results_ignored")
            return False
        self._tools.answer(call_id, result, is_error, triggers_reply=triggers_reply)
        return True

    def end(self, reason: EndedReason, *, finish_speaking: bool = False) -> None:
        """End the session. May be called at any time, more than once."""
        self._feed(lambda at: EndRequested(at, reason, finish_speaking))

    async def wait_ended(self) -> SessionSummary:
        """The summary, once everything was stored, or waits to be. Safe to cancel."""
        return await asyncio.shield(self._summary)

    # Its life

    async def run(self) -> SessionSummary:
        """From the start to the end. Returns when nothing of the session is left running."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._writer.session_started()
                self._handle_all()
                try:
                    await self._over.wait()
                finally:
                    await self._tear_down()
        finally:
            self._client.close(EndedReason.INTERNAL_ERROR)
            if not self._summary.done():
                self._summary.cancel()
        return self._summary.result()

    async def _tear_down(self) -> None:
        """Stop everything and hand over what is left to be stored, which outlives the session
        where the store is slow or away. Bounded by `TEARDOWN_SECONDS` twice."""
        if self._client.recorder is not None:
            self._client.recorder.stop()
        self._client.stop_waiting()
        self._set_deadline(None)
        tasks = [*self._listening.stop(), *self._speaking.stop(), *self._tools.stop()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=TEARDOWN_SECONDS)
        reason = self._ended_reason or EndedReason.SERVER_SHUTDOWN
        summary = self._tally.summary(reason, self._at())
        self._store_journal()
        self._stages.ended(reason, summary.metrics)
        self._writer.session_ended(summary)
        await self._writer.stored_within(TEARDOWN_SECONDS)
        self._client.close(reason)
        if not self._summary.done():
            self._summary.set_result(summary)

    def _at(self) -> float:
        """Session time: seconds since it began, to the millisecond, as the journal stores it."""
        return round(self._services.clock.monotonic() - self._began, 3)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        assert self._group is not None, "events are handled only while the session runs"
        return self._group.create_task(work, name=name)

    # Events in, actions out

    def _feed(self, make: Callable[[float], Event]) -> None:
        """Handle an event, behind those that are being handled."""
        if self.is_over:
            return
        self._inbox.append(make)
        if self._group is not None and not self._is_handling:
            self._handle_all()

    def _handle_all(self) -> None:
        self._is_handling = True
        try:
            while self._inbox and not self.is_over:
                self._handle(self._inbox.popleft()(self._at()))
        except Exception:
            log.exception("session.crashed", session_id=self._setup.session_id)
            self._finish(EndedReason.INTERNAL_ERROR)
        finally:
            self._is_handling = False

    def _handle(self, event: Event) -> None:
        self._journal.add(event)
        actions = self._conversation.receive(event)
        self._journal.answered(actions)
        self._stages.event(event)
        for action in actions:
            self._stages.action(event.at, action)
            self._perform(action)
        if self._journal.is_due:
            self._store_journal()

    def _store_journal(self) -> None:
        chunk = self._journal.take()
        if chunk is not None:
            self._writer.journal(*chunk)

    def _finish(self, reason: EndedReason) -> None:
        self._ended_reason = reason
        self._over.set()

    def _perform(self, action: Action) -> None:
        match action:
            case OpenUtterance() | MarkPause() | FinishUtterance() | DropUtterance() | ScoreTurn():
                self._listening.perform(action)
            case Generate() | StopGenerating() | Speak() | FinishSpeech():
                self._speaking.make(action)
            case Release() | SetVolume() | HoldPlayout() | ResumePlayout() | Flush():
                self._speaking.play(action)
            case CallTool() | CancelTool():
                self._tools.perform(action)
            case RecordTool(response_id, record):
                self._tally.tool(record)
                self._writer.tool(response_id, record)
            case Notify(notice):
                self._notify(notice)
            case CommitTurn(turn):
                self._tally.turn(turn)
                self._writer.turn(turn)
            case SetDeadline(at):
                self._set_deadline(at)
            case SendDigits(digits):
                control = self._client.call_control
                if control is not None:
                    control.send_digits(digits)
            case TransferCall():
                self._tools.transfer(action, self._client.call_control)
            case HangUp(reason):
                self._finish(reason)
            case _:
                assert_never(action)

    def _notify(self, notice: SessionNotice) -> None:
        for observe in self._observers:
            observe(notice)

    def _set_deadline(self, at: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if at is not None:
            delay = max(0.001, at - self._at())
            self._deadline = asyncio.get_running_loop().call_later(delay, self._feed, Ticked)


def _requested(command: CreateReply, at: float) -> ReplyRequested:
    instructions = command.instructions
    return ReplyRequested(
        at,
        instructions and well_formed(instructions),
        command.request_id,
        command.waits,
        command.offers_tools,
        command.speaks,
        command.is_kept,
    )


def _noted(command: NoteToolCall, at: float) -> ToolCallNoted:
    return ToolCallNoted(
        at,
        command.call_id,
        well_formed(command.name),
        well_formed_json(command.arguments),
        well_formed(command.result),
        command.item_id,
        command.after,
    )
