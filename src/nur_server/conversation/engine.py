"""The conversation: events in, actions out.

Three parts share one `Context`: the `Listener` follows the user's speech and says when a turn is
over or an interruption has come, the `Talker` makes the agent's responses and follows them to the
last word heard, `ToolCalls` runs tools. Here is what binds them: the phases of a conversation, its
timers, and `_next`: what comes when nobody speaks.
"""

from enum import Enum, auto
from typing import assert_never

from nur_server.conversation.actions import Action, HangUp
from nur_server.conversation.additions import Additions
from nur_server.conversation.asides import Asides
from nur_server.conversation.callee import INTRODUCTION, Callee
from nur_server.conversation.config import ConversationConfig
from nur_server.conversation.context import Context
from nur_server.conversation.deadlines import Timer
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
    EndedReason,
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
from nur_server.conversation.listener import Listener
from nur_server.conversation.notices import ReplyStatus, SessionEnded
from nur_server.conversation.phone import Phone
from nur_server.conversation.record import ToolStatus
from nur_server.conversation.response import ReplyWish, Trigger
from nur_server.conversation.talker import WORDS_LOST, Talker
from nur_server.conversation.tool_calls import ToolCalls
from nur_server.conversation.user_turn import UserTurn
from nur_server.turn_taking.words import normalise


class Phase(Enum):
    WAITING = auto()
    """The far end has not answered yet."""
    OPEN = auto()
    CLOSING = auto()
    """The last words are playing; then it ends."""
    ENDED = auto()


class Conversation:
    """One conversation. Deterministic: the same events give the same actions."""

    def __init__(self, config: ConversationConfig) -> None:
        self._context = Context(config)
        self._phone = Phone(
            self._context,
            answer=self._answer_phone_tool,
            leave=self._leave_after_last_word,
            leave_message=self._leave_message,
            on_keys=self._take_keys,
        )
        self._calls = ToolCalls(self._context, on_answer=self._next, run_built_in=self._phone.run)
        self._talker = Talker(self._context, self._calls, on_done=self._take_last_word)
        self._listener = Listener(
            self._context, self._talker, on_turn=self._take_turn, on_idle=self._take_idle
        )
        self._phase = Phase.WAITING
        self._opened_at = 0.0
        self._additions = Additions(self._context)
        self._asides = Asides(self._context)
        self._due: tuple[Trigger, ReplyWish] | None = None
        """A reply owed as soon as nobody speaks, and what is wanted of it."""
        self._farewell: tuple[Trigger, str] | None = None
        """Said before hanging up."""
        self._callee = Callee(
            self._context,
            self._listener,
            self._talker,
            greet=self._greet,
            introduce=self._introduce,
            leave_message=self._leave_message,
            hang_up=lambda: self._close(EndedReason.VOICEMAIL),
        )
        self._is_leaving = False
        """The agent ends the conversation after its last word."""
        self._ended_reason: EndedReason | None = None
        self._is_turn_over = False
        """The user has said something, and it is still to be seen what comes next: only once the
        event is dealt with is it known whether they say more."""
        self._user_turns = 0
        self._reprompts = 0

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def is_agent_busy(self) -> bool:
        """A response is being made or played."""
        return self._talker.is_busy

    def receive(self, event: Event) -> list[Action]:
        """What to do about `event`. Nothing, once the conversation has ended."""
        if self._has_ended:
            return []
        self._context.now = max(self._context.now, event.at)
        self._ring_due_timers()
        if not self._has_ended:
            self._dispatch(event)
        if self._is_turn_over:
            self._is_turn_over = False
            self._next()
        return self._context.take_actions()

    def _dispatch(self, event: Event) -> None:
        self._callee.see(event)
        match event:
            case SpeechScored():
                self._listener.hear(event, is_open=self._phase is Phase.OPEN)
            case AudioMissing():
                self._listener.miss_audio(event)
            case TranscriptUpdated():
                self._listener.understand(event)
            case TranscriptFailed():
                self._listener.lose_transcript(event)
            case TurnScored():
                self._listener.take_turn_score(event)
            case ReplyText() | ReplyToolCall() | ReplyFinished() | ReplyFailed():
                if not self._asides.take(event):
                    self._talker.take_reply(event)
            case ClauseSynthesised() | SpeechFailed():
                self._talker.take_speech(event)
            case PlayoutProgressed() | PlayoutDrained() | PlayoutFlushed():
                self._talker.take_playout(event)
            case ToolAnswered():
                status = ToolStatus.FAILED if event.is_error else ToolStatus.SUCCEEDED
                self._calls.answer(
                    event.call_id, status, event.result, triggers_reply=event.triggers_reply
                )
            case InputCommitted():
                self._listener.commit_input(triggers_reply=event.triggers_reply)
            case InputCleared():
                self._listener.clear_input()
            case ReplyTruncated():
                self._talker.truncate(event.item_id, event.played_ms)
            case SessionOpened():
                self._open()
            case ConfigChanged():
                self._context.config = event.config
                self._talker.drop_speculation()
                self._arm_duration()
            case MessageAdded():
                self._additions.add(event)
            case ToolCallNoted():
                self._additions.note_call(event)
            case ItemRemoved():
                self._additions.remove(event)
            case ReplyRequested():
                self._request_reply(event)
            case AsideRequested():
                self._asides.ask(event)
            case AsideCancelled():
                self._asides.cancel(event.request_id)
            case ReplyCancelled():
                self._cancel_reply(event.response_id)
            case ClientDropped():
                self._drop_client()
            case ClientResumed():
                self._resume_client()
            case EndRequested():
                self._close(event.reason, finish_speaking=event.finish_speaking)
            case DigitPressed():
                self._press(event.digit)
            case BeepHeard():
                self._callee.beep()
            case TransferFinished():
                self._take_transfer(event)
            case Ticked():
                self._context.wake_up()
            case _:
                assert_never(event)
        self._callee.look()

    @property
    def _has_ended(self) -> bool:
        return self._phase is Phase.ENDED

    # Timers

    def _ring_due_timers(self) -> None:
        while not self._has_ended:
            due = self._context.deadlines.take_due(self._context.now)
            if due is None:
                return
            self._ring(*due)

    def _ring(self, timer: Timer, name: str) -> None:
        match timer:
            case Timer.TRANSCRIPT:
                self._listener.give_up_words()
            case Timer.STALLED:
                self._talker.heal()
            case Timer.TOOL:
                self._calls.time_out(name)
            case Timer.FILLER:
                self._fill(name)
            case Timer.SLOW_ANSWER:
                self._talker.fill()
            case Timer.REPROMPT:
                self._reprompt()
            case Timer.SILENCE:
                self._close(EndedReason.SILENCE)
            case Timer.DURATION:
                self._say_goodbye()
            case Timer.DIGITS:
                if not (self._talker.is_busy and self._phone.awaits_first_key):
                    self._phone.finish_entry()
            case Timer.SCREENING:
                self._callee.time_out()
            case _:
                assert_never(timer)

    # What comes next

    def _next(self) -> None:
        """Whatever comes when nobody speaks. Does nothing while somebody does."""
        if self._has_ended or self._talker.is_busy:
            return
        if self._phase is Phase.CLOSING:
            if not self._callee.holds_message:
                self._leave()
            return
        if self._phase is not Phase.OPEN or not self._context.is_connected:
            return
        if self._callee.is_held_back:
            return
        self._listener.give_floor()
        if self._listener.is_user_speaking or self._listener.is_awaiting_words:
            return
        if self._is_leaving:
            self._close(EndedReason.AGENT_ENDED)
        elif self._calls.is_holding:
            return
        elif self._due is not None:
            trigger, wish = self._due
            self._due = None
            self._reply(trigger, wish)
        elif self._phone.is_transfer_due:
            self._phone.transfer()
        elif self._context.journal.ready():
            self._reply(Trigger.TOOL_RESULT, ReplyWish())
        elif self._calls.is_running:
            return
        elif self._has_used_up_turns():
            self._close(EndedReason.MAX_TURNS)
        else:
            self._start_silence_timers()

    def _take_last_word(self) -> None:
        """A response is over: what waits for somebody counts from here."""
        self._callee.take_end()
        if not self._has_ended:
            self._calls.restart_fillers()
            self._phone.restart_wait()
        self._next()

    def _reply(self, trigger: Trigger, wish: ReplyWish) -> None:
        answers = self._listener.speech_ended_at if trigger is Trigger.USER_SPEECH else None
        self._talker.reply(trigger, wish, answers)

    def _has_used_up_turns(self) -> bool:
        limit = self._context.config.max_turns
        return limit is not None and self._user_turns >= limit

    def _take_turn(self, turn: UserTurn) -> None:
        """The user has said something that wants an answer."""
        self._reprompts = 0
        self._is_leaving = False
        if self._has_used_up_turns() and turn.resumed is None:
            self._talker.drop_speculation()
            self._is_turn_over = True
            return
        self._user_turns += turn.resumed is None
        if not turn.wants_reply:
            self._talker.drop_speculation()
            self._is_turn_over = True
            return
        has_floor = not self._listener.is_user_speaking and self._context.is_connected
        if has_floor and self._callee.hears_opening_again(turn.text):
            return
        wish, self._due = self._owed_wish or ReplyWish(self._callee.instructions()), None
        if not has_floor or self._callee.is_held_back or wish != ReplyWish():
            self._talker.drop_speculation()
        elif self._talker.confirm(normalise(turn.text), self._listener.speech_ended_at):
            return
        self._due = (Trigger.USER_SPEECH, wish)
        self._phone.keep_here()
        self._is_turn_over = True

    @property
    def _owed_wish(self) -> ReplyWish | None:
        """Of the reply that is owed: it holds for one that answers the user as well."""
        return self._due[1] if self._due is not None else None

    def _take_idle(self, failure: str | None) -> None:
        """Somebody has stopped speaking and there is nothing to answer; `failure` says why, where
        words were lost."""
        if failure is not None and self._is_quiet:
            self._talker.apologise(Trigger.APOLOGY, failure, WORDS_LOST)
        elif not (self._is_quiet and self._callee.hears_opening_again("")):
            self._next()

    def _fill(self, call_id: str) -> None:
        """A tool takes long: say so as soon as nobody speaks, once for all that run."""
        filler = self._context.config.tool_filler
        if filler is None or not self._calls.wants_filler(call_id):
            return
        if not self._is_quiet:
            self._calls.put_off_filler(call_id)
            return
        self._calls.fill()
        self._talker.say(Trigger.FILLER, filler)

    @property
    def _is_quiet(self) -> bool:
        """Nobody speaks, and somebody who may be spoken to would hear the agent."""
        return (
            self._phase is Phase.OPEN
            and not self._callee.is_held_back
            and self._context.is_connected
            and not self._talker.is_busy
            and not self._listener.is_user_speaking
            and not self._listener.is_awaiting_words
        )

    # The phone

    def _introduce(self) -> None:
        """A service that screens calls wants to know who calls and why."""
        self._due = None
        if self._context.config.greeting:
            self._talker.say(Trigger.GREETING, self._context.config.greeting)
        else:
            self._talker.reply(Trigger.GREETING, ReplyWish(INTRODUCTION), None)

    def _leave_message(self, message: str) -> None:
        """Speak a message to a machine, and hang up behind it."""
        self._begin_closing(EndedReason.VOICEMAIL)
        if message:
            self._callee.leave(lambda: self._speak_message(message), self._stop_message)
        if self._context.is_connected:
            self._talker.play_on()
        self._speak_message(message)

    def _speak_message(self, message: str) -> None:
        self._farewell = (Trigger.VOICEMAIL, message) if message else None
        self._next()

    def _stop_message(self) -> None:
        """The machine speaks on: what was said is not recorded."""
        self._talker.cut(ReplyStatus.CANCELLED, "machine_spoke_on")

    def _leave_after_last_word(self) -> None:
        self._is_leaving = True

    def _answer_phone_tool(self, call_id: str, result: str, is_error: bool) -> None:
        status = ToolStatus.FAILED if is_error else ToolStatus.SUCCEEDED
        self._calls.answer(call_id, status, result)

    def _press(self, digit: str) -> None:
        if self._phase is Phase.OPEN:
            self._phone.press(digit)

    def _take_keys(self, digits: str) -> None:
        """Keys the agent had not asked for: the user has said something with them."""
        self._listener.take_keys(digits)

    def _take_transfer(self, event: TransferFinished) -> None:
        if event.error is None:
            self._stop(EndedReason.TRANSFERRED)
        self._phone.take_outcome(event.call_id, event.error)
        if event.error is None:
            self._next()

    # What the client asks for

    def _request_reply(self, event: ReplyRequested) -> None:
        if self._phase is not Phase.OPEN:
            return
        self._additions.record_typed()
        wish = ReplyWish(
            event.instructions, event.request_id, event.offers_tools, event.speaks, event.is_kept
        )
        self._due = (Trigger.REPLY_CREATE, wish)
        self._talker.drop_speculation()
        if self._talker.response is not None:
            if not event.waits:
                self._talker.cut(ReplyStatus.CANCELLED, "replaced")
        else:
            self._next()

    def _cancel_reply(self, response_id: str | None) -> None:
        response = self._talker.response
        if response_id is None and self._due is not None and self._due[0] is Trigger.REPLY_CREATE:
            self._due = None
        if response is not None and response_id in (None, response.id):
            self._talker.cut(ReplyStatus.CANCELLED, "cancelled")

    def _drop_client(self) -> None:
        """Nobody hears anything: hold what is playing, and judge nothing."""
        self._context.is_connected = False
        self._context.stop_silence_timers()
        self._talker.drop_speculation()
        if self._listener.stop("client_dropped"):
            self._due = (Trigger.USER_SPEECH, self._owed_wish or ReplyWish())
        self._talker.hold()

    def _resume_client(self) -> None:
        self._context.is_connected = True
        self._listener.forget_voice()
        self._talker.play_on()
        self._next()

    # Beginning, silence, end

    def _open(self) -> None:
        if self._phase is not Phase.WAITING:
            return
        self._phase = Phase.OPEN
        self._opened_at = self._context.now
        self._arm_duration()
        self._callee.open()

    def _greet(self) -> None:
        if self._context.config.greeting:
            self._due = None
            self._talker.say(Trigger.GREETING, self._context.config.greeting)
        else:
            self._next()

    def _arm_duration(self) -> None:
        limit = self._context.config.max_duration_seconds
        if limit is None:
            self._context.deadlines.clear(Timer.DURATION)
        elif self._phase is Phase.OPEN:
            self._context.deadlines.set(Timer.DURATION, self._opened_at + limit)

    def _start_silence_timers(self) -> None:
        silence = self._context.config.silence
        deadlines = self._context.deadlines
        now = self._context.now
        if silence.reprompt_seconds is not None and self._reprompts < silence.max_reprompts:
            deadlines.set(Timer.REPROMPT, now + silence.reprompt_seconds)
        if silence.end_seconds is not None:
            deadlines.set(Timer.SILENCE, now + silence.end_seconds)

    def _reprompt(self) -> None:
        if self._is_quiet:
            self._reprompts += 1
            self._talker.say(Trigger.SILENCE, self._context.config.silence.reprompt_message)

    def _say_goodbye(self) -> None:
        """The longest duration is reached: one last sentence, then the end. None is said to
        somebody unknown."""
        goodbye = "" if self._callee.is_held_back else self._context.config.goodbye
        self._farewell = (Trigger.GOODBYE, goodbye) if goodbye else None
        self._begin_closing(EndedReason.MAX_DURATION)
        self._talker.cut(ReplyStatus.CANCELLED, "max_duration")
        self._next()

    def _close(self, reason: EndedReason, *, finish_speaking: bool = False) -> None:
        """End the conversation: at once, or after the reply that is playing."""
        if self._phase is Phase.CLOSING and finish_speaking:
            return
        if finish_speaking and self._context.is_connected:
            self._farewell = None
            self._begin_closing(reason)
            self._talker.play_on()
        else:
            self._stop(reason)
        self._next()

    def _stop(self, reason: EndedReason) -> None:
        """Nothing more is said; what comes next is the end."""
        self._farewell = None
        self._begin_closing(reason)
        self._talker.cut(ReplyStatus.CANCELLED, reason.value)

    def _begin_closing(self, reason: EndedReason) -> None:
        self._phase = Phase.CLOSING
        self._ended_reason = reason
        self._callee.close()
        self._due = None
        self._talker.drop_speculation()
        self._context.stop_silence_timers()
        self._context.deadlines.clear(Timer.DURATION)
        self._listener.stop(reason.value)

    def _leave(self) -> None:
        """Say the farewell, if there is one, and hang up behind it."""
        farewell, self._farewell = self._farewell, None
        if farewell is not None and self._context.is_connected:
            self._talker.say(*farewell)
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        self._phase = Phase.ENDED
        self._calls.cancel_all()
        self._context.deadlines.clear_all()
        reason = self._ended_reason or EndedReason.CLIENT_ENDED
        duration_seconds = round(self._context.now - self._opened_at, 3)
        self._context.notify(SessionEnded(reason, duration_seconds))
        self._context.do(HangUp(reason))
