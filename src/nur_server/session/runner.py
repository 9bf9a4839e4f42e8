"""One live session: performs the conversation's actions and feeds back what happens.

Everything of a session lives in one task group that ends with it. Events are handled one at a time
on the event loop; the conversation decides, this module only does.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, assert_never

import structlog

from nur_server.audio.beep import BeepDetector
from nur_server.audio.playout import Playout, Samples
from nur_server.audio.rates import LISTEN_RATE
from nur_server.audio.utterance import UtteranceAudio
from nur_server.clock import Clock
from nur_server.commands import (
    AddMessage,
    AnswerTool,
    AppendInput,
    CancelReply,
    ClearInput,
    Command,
    CommitInput,
    CreateReply,
    EndKind,
    EndSession,
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
from nur_server.conversation.config import ToolRunner
from nur_server.conversation.engine import Conversation
from nur_server.conversation.events import (
    BeepHeard,
    ClientDropped,
    ClientResumed,
    ConfigChanged,
    DigitPressed,
    EndedReason,
    EndRequested,
    Event,
    MessageAdded,
    PlayoutDrained,
    PlayoutFlushed,
    PlayoutProgressed,
    ReplyCancelled,
    ReplyRequested,
    SessionOpened,
    SpeechScored,
    Ticked,
    ToolAnswered,
    TranscriptFailed,
    TranscriptUpdated,
    TransferFinished,
    TurnScored,
)
from nur_server.conversation.journal import JournalWriter, as_stored
from nur_server.errors import BadRequest, NurError
from nur_server.meter import MessageMeter
from nur_server.options import SessionOptions
from nur_server.ports import (
    ActivityScore,
    CallLeg,
    HangupCause,
    SessionAbout,
    SessionNotice,
    SessionSummary,
    SessionUpdated,
    ToolRequest,
    ToolServer,
    Transport,
    TurnModel,
    VoiceActivityDetector,
)
from nur_server.session.metrics import Metrics, Stages, Tracer
from nur_server.session.pacer import Pacer
from nur_server.session.recent import RecentAudio
from nur_server.session.recorder import Recorder, Recorders
from nur_server.session.response import ResponseMaker
from nur_server.session.setup import SessionSetup
from nur_server.session.tally import Tally
from nur_server.session.writer import Writer
from nur_server.text.encoding import well_formed
from nur_server.text.heard import heard_words

log = structlog.get_logger()

TURN_MODEL_SECONDS = 0.5
"""Longest wait for the turn model: after it, silence and words decide."""
TURN_MODEL_AUDIO_SECONDS = 8
KEPT_NOTICES = 256
"""Notices kept for a client that is gone for a moment; the oldest are dropped."""
TEARDOWN_SECONDS = 2.0
TOOL_JOURNAL_SECONDS = 3.0
"""Longest wait for a tool call to be in the store or in a file before the tool is run: longer than
`writer.SPILL_SECONDS`."""
TRANSFER_SECONDS = 15.0

_HANGUPS = {
    HangupCause.CARRIER_ERROR: EndedReason.CARRIER_ERROR,
    HangupCause.NO_MEDIA: EndedReason.NO_MEDIA,
}
"""What a hang-up in mid-conversation means, where it is not just that."""


Configure = Callable[[SessionOptions, tuple[str, ...]], SessionSetup]
"""A running session's settings after a client's changes, and warnings of its dialect. Raises
`InvalidRequest`."""


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


@dataclass(slots=True)
class _Listening:
    """A live utterance and the task that recognises it."""

    audio: UtteranceAudio
    start: int
    task: asyncio.Task[None]


@dataclass(slots=True)
class _Responding:
    """A live response and the task that makes it."""

    maker: ResponseMaker
    task: asyncio.Task[None]


@dataclass(slots=True)
class _Live:
    """What belongs to the session while it runs."""

    utterances: dict[str, _Listening] = field(default_factory=dict)
    responses: dict[str, _Responding] = field(default_factory=dict)
    tools: dict[str, asyncio.Task[None]] = field(default_factory=dict)


class Session:
    """A conversation with somebody. For one event loop; methods return at once unless `async`."""

    def __init__(
        self, setup: SessionSetup, services: SessionServices, configure: Configure | None = None
    ) -> None:
        self._setup = setup
        self._configure = configure
        self.message_meter = MessageMeter(services.clock.monotonic())
        self._services = services
        config = as_stored(setup.conversation)
        self._conversation = Conversation(config)
        self._began = services.clock.monotonic()
        self._transport: Transport | None = None
        self._leg: CallLeg | None = None
        self._beep: BeepDetector | None = None
        """Where a machine may have answered."""
        self._delay_seconds = 0.0
        """Between sending audio and its being heard, as the client's marks tell it."""
        self._was_attached = False
        self._kept: deque[SessionNotice] = deque(maxlen=KEPT_NOTICES)
        self._inbox: deque[Callable[[float], Event]] = deque()
        self._is_handling = False
        self._recent = RecentAudio()
        self._recorder: Recorder | None = None
        self._activity = services.vad.open(self._scored)
        self._live = _Live()
        self._deadline: asyncio.TimerHandle | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._writer = services.writer.open(setup.session_id)
        self._journal = JournalWriter(config)
        self._tally = Tally()
        self._stages = Stages(setup.session_id, services.metrics, services.tracer)
        self._ended_reason: EndedReason | None = None
        self._over = asyncio.Event()
        self._summary: asyncio.Future[SessionSummary] = asyncio.get_running_loop().create_future()
        self._group: asyncio.TaskGroup | None = None

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
    def is_call(self) -> bool:
        """It is held over a phone call."""
        return self._leg is not None

    @property
    def is_attached(self) -> bool:
        """A client is connected."""
        return self._transport is not None

    # The connection

    def attach(self, transport: Transport) -> None:
        """Talk over `transport` from here on.

        The first one opens the conversation; a later one resumes it and replaces the one before.
        """
        if self._ended_reason is not None:
            transport.connect(self)
            transport.close(self._ended_reason)
            return
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        earlier, self._transport = self._transport, transport
        if earlier is not None:
            earlier.replaced()
        transport.connect(self)
        if not self._was_attached:
            self._was_attached = True
            self._services.metrics.sessions_started.inc()
            if self._setup.is_recorded and self._services.recorders is not None:
                self._recorder = self._services.recorders.open(self._setup)
            self._feed(SessionOpened)
            return
        while self._kept:
            transport.notify(self._kept.popleft())
        if earlier is None:
            self._feed(ClientResumed)

    def detach(self, transport: Transport) -> None:
        """The connection is lost. Ignored when another transport has been attached since."""
        if transport is not self._transport or self.is_over:
            return
        self._transport = None
        self._feed(ClientDropped)
        self._grace = asyncio.get_running_loop().call_later(
            self._services.resume_seconds, self.end, EndedReason.CLIENT_DISCONNECTED
        )

    def hear(self, samples: Samples) -> None:
        """Take the user's audio: mono int16 at 16 kHz, any length.

        Nothing is taken between `detach` and the next `attach`: what comes then was on its way.
        """
        is_gone = self._was_attached and self._transport is None
        if self.is_over or is_gone or not len(samples):
            return
        self._recent.append(samples)
        if self._recorder is not None:
            self._recorder.heard(samples)
        for listening in self._live.utterances.values():
            listening.audio.append(samples)
        self._activity.feed(samples)
        if self._beep is not None and self._beep.hear(samples):
            self._feed(BeepHeard)

    def command(self, command: Command) -> None:
        """Do what the client asks. Raises `NurError` for what it may not, or cannot, ask."""
        match command:
            case AppendInput(samples):
                self.hear(samples)
            case UpdateSession(options, warnings):
                self._update(options, warnings)
            case CreateReply(instructions):
                wanted = instructions and well_formed(instructions)
                self._feed(lambda at: ReplyRequested(at, wanted))
            case CancelReply(reply_id):
                self._feed(lambda at: ReplyCancelled(at, reply_id))
            case AnswerTool(call_id, result, is_error):
                self.answer_tool(call_id, result, is_error)
            case AddMessage(role, content):
                added = well_formed(content)
                self._feed(lambda at: MessageAdded(at, role, added))
            case EndSession(kind):
                is_patient = kind is EndKind.AFTER_REPLY
                self.end(EndedReason.CLIENT_ENDED, finish_speaking=is_patient)
            case ReportPlayed(reply_id, played_ms):
                self.played(reply_id, played_ms)
            case CommitInput() | ClearInput() | TruncateReply():
                raise BadRequest(
                    f"{type(command).__name__} is not supported by this session",
                    code="unsupported",
                )
            case _:
                assert_never(command)

    def _update(self, options: SessionOptions, warnings: tuple[str, ...]) -> None:
        if self._configure is None:
            raise BadRequest("this session cannot be changed", code="unsupported")
        self._setup = self._configure(options, warnings)
        config = as_stored(self._setup.conversation)
        self._feed(lambda at: ConfigChanged(at, config))
        self._notify(SessionUpdated(self.about))

    def connect(self, leg: CallLeg) -> None:
        """Talk over a phone call that was answered and whose media flows."""
        self._leg = leg
        if self._setup.conversation.answering is not None:
            self._beep = BeepDetector(LISTEN_RATE)
        self.attach(leg)

    def press(self, digit: str) -> None:
        """The far end of the call has pressed a key."""
        self._feed(lambda at: DigitPressed(at, digit))

    def played(self, response_id: str, played_ms: int) -> None:
        """The client, or the carrier, has played so much of a response by now."""
        responding = self._live.responses.get(response_id)
        if responding is not None:
            playout = responding.maker.playout
            playout.observe(played_ms, self._services.clock.monotonic())
            self._delay_seconds = playout.delay_seconds

    def hung_up(self, cause: HangupCause) -> None:
        """The far end of the call is gone."""
        self.end(_HANGUPS.get(cause, EndedReason.CALLER_HUNG_UP))

    def answer_tool(self, call_id: str, result: str, is_error: bool = False) -> bool:
        """Take a client's tool result. False when no such call waits for one."""
        if not self._tally.is_awaited(call_id):
            return False
        self._take_result(call_id, result, is_error)
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
            self._close_transport(EndedReason.INTERNAL_ERROR)
            if not self._summary.done():
                self._summary.cancel()
        return self._summary.result()

    async def _tear_down(self) -> None:
        """Stop everything and hand over what is left to be stored, which outlives the session
        where the store is slow or away. Bounded by `TEARDOWN_SECONDS` twice."""
        self._activity.close()
        if self._recorder is not None:
            self._recorder.stop()
        for handle in (self._deadline, self._grace):
            if handle is not None:
                handle.cancel()
        live = self._live
        for responding in live.responses.values():
            self._services.pacer.remove(responding.maker.playout)
        tasks = [
            *(listening.task for listening in live.utterances.values()),
            *(responding.task for responding in live.responses.values()),
            *live.tools.values(),
        ]
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
        self._close_transport(reason)
        if not self._summary.done():
            self._summary.set_result(summary)

    def _close_transport(self, reason: EndedReason) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close(reason)

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
                self._listen(action)
            case Generate() | StopGenerating() | Speak() | FinishSpeech():
                self._make(action)
            case Release() | SetVolume() | HoldPlayout() | ResumePlayout() | Flush():
                self._play(action)
            case CallTool() | CancelTool():
                self._run_tool(action)
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
                if self._leg is not None:
                    self._leg.send_digits(digits)
            case TransferCall(call_id):
                self._live.tools[call_id] = self._spawn(self._transfer(action), call_id)
            case HangUp(reason):
                self._finish(reason)
            case _:
                assert_never(action)

    def _notify(self, notice: SessionNotice) -> None:
        if not isinstance(notice, SessionUpdated):
            self._tally.notice(notice)
        if self._transport is not None:
            self._transport.notify(notice)
        else:
            self._kept.append(notice)

    def _set_deadline(self, at: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if at is not None:
            delay = max(0.001, at - self._at())
            self._deadline = asyncio.get_running_loop().call_later(delay, self._feed, Ticked)

    # Listening

    def _scored(self, score: ActivityScore) -> None:
        def scored(at: float) -> SpeechScored:
            return SpeechScored(
                at, score.position, score.probability, score.level_db, score.treble_db
            )

        self._feed(scored)

    def _listen(
        self,
        action: OpenUtterance | MarkPause | FinishUtterance | DropUtterance | ScoreTurn,
    ) -> None:
        if isinstance(action, OpenUtterance):
            audio = UtteranceAudio(LISTEN_RATE)
            start, samples = self._recent.since(action.start)
            audio.append(samples)
            task = self._spawn(
                self._transcribe(action.utterance_id, audio, start), action.utterance_id
            )
            self._live.utterances[action.utterance_id] = _Listening(audio, start, task)
            return
        listening = self._live.utterances.get(action.utterance_id)
        if listening is None:
            return
        match action:
            case MarkPause():
                listening.audio.mark_pause()
            case FinishUtterance():
                listening.audio.end()
            case DropUtterance():
                del self._live.utterances[action.utterance_id]
                listening.task.cancel()
            case ScoreTurn():
                self._score_turn(action, listening)
            case _:
                assert_never(action)

    async def _transcribe(self, utterance_id: str, audio: UtteranceAudio, start: int) -> None:
        setup = self._setup
        try:
            async with aclosing(setup.stt.transcribe(audio, setup.listen)) as hypotheses:
                async for transcript in hypotheses:
                    self._feed(
                        lambda at, heard=transcript: TranscriptUpdated(  # type: ignore[misc]
                            at,
                            utterance_id,
                            heard_words(well_formed(heard.text)),
                            start + heard.covers,
                            heard.is_final,
                            heard.confidence,
                        )
                    )
        except NurError as error:
            self._lose_transcript(utterance_id, error.code, error.message)
        except Exception:
            log.exception("transcription.crashed", session_id=setup.session_id)
            self._lose_transcript(
                utterance_id, "internal_error", "The speech-to-text adapter failed."
            )
        finally:
            listening = self._live.utterances.get(utterance_id)
            if listening is not None and listening.audio is audio:
                del self._live.utterances[utterance_id]

    def _lose_transcript(self, utterance_id: str, code: str, message: str) -> None:
        self._tally.recogniser_failed(code)
        told = well_formed(message)
        log.warning("recogniser failed", stt=self._setup.stt.name, code=code, reason=told)
        self._feed(lambda at: TranscriptFailed(at, utterance_id, code, told))

    def _score_turn(self, action: ScoreTurn, listening: _Listening) -> None:
        model = self._services.turn_model
        if model is None:
            return
        end = max(0, action.end - listening.start)
        begin = max(0, end - TURN_MODEL_AUDIO_SECONDS * LISTEN_RATE)
        samples = listening.audio.read(begin, end)
        name = f"turn:{action.utterance_id}:{action.pause}"
        self._spawn(self._ask_turn_model(model, action, samples), name)

    async def _ask_turn_model(self, model: TurnModel, action: ScoreTurn, samples: Samples) -> None:
        probability: float | None = None
        try:
            async with asyncio.timeout(TURN_MODEL_SECONDS):
                probability = round(float(await model.score(samples)), 3)
        except (TimeoutError, NurError):
            self._tally.count("turn_model_skipped")
        except Exception:
            log.exception("turn_model.crashed", session_id=self._setup.session_id)
        self._feed(lambda at: TurnScored(at, action.utterance_id, action.pause, probability))

    # Speaking

    def _make(self, action: Generate | StopGenerating | Speak | FinishSpeech) -> None:
        responding = self._live.responses.get(action.response_id)
        if responding is None:
            if not isinstance(action, Generate | Speak):
                return
            responding = self._open_response(action.response_id)
        match action:
            case Generate():
                responding.maker.generate(action)
            case StopGenerating():
                responding.maker.stop_generating()
            case Speak():
                responding.maker.speak(action)
            case FinishSpeech():
                responding.maker.finish()
            case _:
                assert_never(action)

    def _open_response(self, response_id: str) -> _Responding:
        playout = Playout(
            self._setup.output_rate,
            send=lambda samples: self._send_audio(response_id, samples),
            on_progress=lambda ms: self._feed(lambda at: PlayoutProgressed(at, response_id, ms)),
            on_drained=lambda ms: self._drained(response_id, ms),
            delay_seconds=self._delay_seconds,
        )
        playout.set_gain(self._setup.volume)
        maker = ResponseMaker(
            response_id,
            self._setup,
            playout,
            self._services.clock.monotonic,
            self._feed,
            self._services.pacer.add,
        )
        responding = _Responding(maker, self._spawn(maker.run(), response_id))
        self._live.responses[response_id] = responding
        return responding

    def _send_audio(self, response_id: str, samples: Samples) -> None:
        if self._transport is not None:
            self._transport.play(response_id, samples)
            if self._recorder is not None:
                self._recorder.played(response_id, samples, self._setup.output_rate)

    def _drained(self, response_id: str, played_ms: int) -> None:
        responding = self._live.responses.pop(response_id, None)
        if responding is not None:
            self._tally.count("underruns", responding.maker.playout.underruns)
        self._feed(lambda at: PlayoutDrained(at, response_id, played_ms))

    def _play(self, action: Release | SetVolume | HoldPlayout | ResumePlayout | Flush) -> None:
        responding = self._live.responses.get(action.response_id)
        if isinstance(action, Flush):
            self._flush(action.response_id, responding)
            return
        if responding is None:
            return
        playout = responding.maker.playout
        now = self._services.clock.monotonic()
        match action:
            case Release():
                playout.release(now)
            case SetVolume(_, gain):
                playout.set_gain(gain * self._setup.volume)
            case HoldPlayout():
                playout.hold(now)
            case ResumePlayout():
                playout.resume(now)
            case _:
                assert_never(action)
        self._services.pacer.add(playout)

    def _flush(self, response_id: str, responding: _Responding | None) -> None:
        played_ms = 0
        if responding is not None:
            del self._live.responses[response_id]
            played_ms = responding.maker.playout.flush(self._services.clock.monotonic())
            self._services.pacer.remove(responding.maker.playout)
            responding.task.cancel()
            if self._transport is not None:
                self._transport.clear(response_id)
            if self._recorder is not None:
                self._recorder.cut()
        self._feed(lambda at: PlayoutFlushed(at, response_id, played_ms))

    # The phone

    async def _transfer(self, action: TransferCall) -> None:
        error: str | None = None
        try:
            if self._leg is None:
                error = "this session is not a phone call"
            else:
                async with asyncio.timeout(TRANSFER_SECONDS):
                    await self._leg.transfer(action.to_number)
        except TimeoutError:
            error = f"the carrier did not answer within {TRANSFER_SECONDS:g} s"
        except NurError as failure:
            error = failure.message
        finally:
            self._live.tools.pop(action.call_id, None)
        self._feed(lambda at: TransferFinished(at, action.call_id, error))

    # Tools

    def _run_tool(self, action: CallTool | CancelTool) -> None:
        match action:
            case CancelTool(call_id):
                task = self._live.tools.pop(call_id, None)
                if task is not None:
                    task.cancel()
            case CallTool(call_id, _, tool):
                if tool.runner is ToolRunner.SERVER:
                    work = self._call_server(action)
                    self._live.tools[call_id] = self._spawn(work, call_id)
            case _:
                assert_never(action)

    async def _call_server(self, action: CallTool) -> None:
        """Run a tool over HTTP, once its call stands in the journal."""
        server = self._services.tool_server
        call_id = action.call_id
        if server is None:
            self._take_result(call_id, "This server cannot run tools.", True)
            return
        await self._writer.durable_within(TOOL_JOURNAL_SECONDS)
        setup = self._setup
        request = ToolRequest(
            call_id, setup.session_id, setup.agent_id or "", action.tool, action.arguments
        )
        try:
            result = await server.call(request)
            self._take_result(call_id, result.content, result.is_error)
        except Exception:
            log.exception("tool.crashed", session_id=setup.session_id, tool=action.tool.name)
            self._take_result(call_id, "The tool failed.", True)
        finally:
            self._live.tools.pop(call_id, None)

    def _take_result(self, call_id: str, result: str, is_error: bool) -> None:
        told = well_formed(result)
        self._feed(lambda at: ToolAnswered(at, call_id, told, is_error))
