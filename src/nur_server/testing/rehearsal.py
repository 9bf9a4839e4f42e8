"""One conversation with an agent, played and watched by a test."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from nur_server.commands import AddMessage, UpdateSession
from nur_server.conversation.config import ConversationConfig, ToolRunner
from nur_server.conversation.events import EndedReason, Role
from nur_server.conversation.notices import (
    Notice,
    ReplyDone,
    ReplyError,
    ReplyStarted,
    ReplyStatus,
    ToolCallRequested,
    UserSpeechStarted,
    UserSpeechStopped,
    UserTranscript,
)
from nur_server.conversation.record import Speaker, ToolRecord, Turn
from nur_server.options import SessionOptions
from nur_server.ports import (
    ReplyRequest,
    SessionSummary,
)
from nur_server.providers.scripted import (
    ScriptedLanguageModel,
)
from nur_server.session.live import LiveSessions
from nur_server.session.runner import Session
from nur_server.session.setup import SessionSetup
from nur_server.testing import invariants, transcript
from nur_server.testing.caller import Caller
from nur_server.testing.ear import Ear
from nur_server.testing.invariants import Evidence
from nur_server.testing.phone import Handset
from nur_server.testing.tools import Bench
from nur_server.testing.voice import Voice
from nur_server.testing.world import World
from nur_server.text.encoding import well_formed

STEP_SECONDS = 0.02
PATIENCE_SECONDS = 60.0
"""Longest wait for the agent, in the conversation's own time."""
TEARDOWN_SECONDS = 2.0
"""Nothing of a session is left so long after its end."""

MARKS = ".,;:!?… "
"""At the end of a turn they are the recogniser's guess."""

TASK_NAME = "rehearsal"
"""Of the tasks on the caller's side."""

Answer = Callable[[str], str | Awaitable[str | None] | None]
"""A simulated caller: what it says to what the agent said; None: it has nothing more to say."""


class Rehearsal:
    """A conversation under way. Times are seconds of the conversation's own, virtual time."""

    def __init__(
        self, live: LiveSessions, setup: SessionSetup, voice: Voice, world: World, bench: Bench
    ) -> None:
        self.live = live
        self.setup = setup
        self.session: Session = live.start(setup, self._configure)
        self._next_setup = setup
        self.memory = world.memory
        self.bench = bench
        self.voice = voice
        phone = world.phone
        self.handset = Handset(phone=phone) if phone is not None else None
        """Where the caller is on a phone: the keys the agent pressed, where it transferred to."""
        self.ear = self.handset or Ear()
        self.ears = [self.ear]
        """One for each connection the caller has had."""
        self.caller = Caller(self.session.hear, world.frame_seconds)
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: set[str] = set()
        self._added: list[str] = []
        self._spoken = 0
        """Utterances with words the caller has made."""
        self._owed = 0
        """Notices there were when the caller spoke last."""

    # The caller's side

    async def says(
        self, text: str, *, after: float = 0.0, seconds: float | None = None, faint: bool = False
    ) -> None:
        """The caller says `text`, `after` seconds from now; returns when it is said.

        `faint` is somebody further away from the microphone.
        """
        await self.waits(after)
        self.begins(text, seconds=seconds, faint=faint)
        await self.caller.finished()

    def begins(self, text: str, *, seconds: float | None = None, faint: bool = False) -> None:
        """The caller begins to say `text`, behind what they are saying; returns at once."""
        self._spoken += 1
        self._owed = len(self.notices)
        self.caller.speak(self.voice.say(text, seconds, faint=faint))

    async def interrupts_with(self, text: str, *, after: float = 1.0) -> None:
        """Wait until the agent is heard; say `text` `after` seconds later.

        Raises `AssertionError` when the agent says nothing.
        """
        await self.agent_speaks()
        await self.says(text, after=after)

    async def makes_noise(self, seconds: float) -> None:
        """A cough, a door: sound without words."""
        self.caller.speak(self.voice.noise(seconds))
        await self.caller.finished()

    async def waits(self, seconds: float) -> None:
        """Let time pass. Silence goes on being sent."""
        if seconds > 0:
            await asyncio.sleep(seconds)

    async def talks(self, answer: Answer, *, opening: str | None = None, turns: int = 20) -> None:
        """Let a simulated caller hold the conversation, for so many turns at most.

        `answer` is given what was heard of the agent since the caller spoke last. Returns when
        the caller has nothing more to say, or the session is over.
        """
        if opening is not None:
            await self.says(opening)
        told = 0
        for _ in range(turns):
            await self.agent_done()
            said = self.agent_said
            reply = answer(" ".join(said[told:]))
            told = len(said)
            text = await reply if isinstance(reply, Awaitable) else reply
            if text is None or self.session.is_over:
                return
            await self.says(text, after=0.3)

    def presses(self, keys: str) -> None:
        """The caller presses keys of their phone: `0` to `9`, `*`, `#`."""
        for key in keys:
            self.session.press(key)

    def mutes(self, muted: bool = True) -> None:
        """The client sends no audio at all, or does again."""
        self.caller.is_muted = muted

    def drops(self) -> None:
        """The connection is lost. What is played reaches nobody."""
        self.session.detach(self.ear)

    def comes_back(self) -> None:
        """The client connects again. A phone call that is gone does not."""
        self.ear = Ear()
        self.ears.append(self.ear)
        self.session.attach(self.ear)

    def reconfigures(self, **changes: Any) -> None:
        """`session.update`: fields of `ConversationConfig`, `TurnDetection` or `SilencePolicy`
        change."""
        conversation = _changed(self.session.setup.conversation, changes)
        self._next_setup = replace(self.session.setup, conversation=conversation)
        self.session.command(UpdateSession(SessionOptions()))

    def _configure(self, _options: SessionOptions, _warnings: tuple[str, ...]) -> SessionSetup:
        return self._next_setup

    def adds_message(self, role: Role | str, content: str) -> None:
        """The client adds context; it triggers no reply."""
        if role == Role.ASSISTANT:
            self._added.append(well_formed(content))
        self.session.command(AddMessage(Role(role), content))

    async def hangs_up(self, reason: EndedReason = EndedReason.CLIENT_ENDED) -> SessionSummary:
        """End the session and wait until it is stored."""
        self.session.end(reason)
        return await self.ended()

    # Waiting for the agent

    async def agent_speaks(self, timeout: float = PATIENCE_SECONDS) -> None:
        """Return as soon as the agent is heard."""
        await self._until(lambda: self.ear.is_hearing, timeout, "the agent to be heard")

    async def agent_done(self, timeout: float = PATIENCE_SECONDS) -> None:
        """Return when the agent has answered what was said last, and rests.

        It rests when no reply is being made or played, nobody's turn is open and no tool runs.
        """
        await self._until(lambda: self._is_resting, timeout, "the agent to have answered")

    async def ended(self, timeout: float = PATIENCE_SECONDS) -> SessionSummary:
        """The session's summary, once it has ended and was stored."""
        await self._until(lambda: self.memory.summary is not None, timeout, "the session to end")
        assert self.memory.summary is not None
        return self.memory.summary

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE_SECONDS) -> None:
        """Return when `condition` holds."""
        await self._until(condition, timeout, "a condition of the test to hold")

    # What happened

    @property
    def notices(self) -> list[Notice]:
        """Everything the client was told, over all its connections."""
        return [notice for ear in self.ears for notice in ear.notices]

    def notices_of(self, kind: type[Any]) -> list[Any]:
        return [notice for notice in self.notices if isinstance(notice, kind)]

    @property
    def turns(self) -> list[Turn]:
        """The stored turns, in order."""
        return self.memory.in_order()

    @property
    def agent_said(self) -> list[str]:
        """What was heard of the agent, turn by turn."""
        return self.memory.said_by(Speaker.AGENT)

    @property
    def user_said(self) -> list[str]:
        return self.memory.said_by(Speaker.USER)

    @property
    def tool_calls(self) -> list[ToolRecord]:
        """Every call, with its result where there is one."""
        return self.memory.calls()

    @property
    def prompts(self) -> list[ReplyRequest]:
        """What a scripted model was asked."""
        llm = self.setup.llm
        if not isinstance(llm, ScriptedLanguageModel):
            raise TypeError(f"expected a scripted model, which keeps prompts; got {llm.name}")
        return llm.requests

    @property
    def evidence(self) -> Evidence:
        """All of it, as the invariants are judged by."""
        llm = self.setup.llm
        return Evidence(
            config=self.setup.conversation,
            arrivals=[arrival for ear in self.ears for arrival in ear.arrivals],
            output_rate=self.setup.output_rate,
            turns=self.turns,
            tool_states=self.memory.tools,
            runs=self.bench.runs,
            prompts=llm.requests if isinstance(llm, ScriptedLanguageModel) else (),
            added=self._added,
            journal=self.memory.journal,
            summary=self.memory.summary,
            was_connected=self.memory.summary is None or self.ear.closed is not None,
        )

    def transcript(self) -> str:
        """The conversation as a person reads it."""
        shown = transcript.lines(self.turns)
        if self.memory.summary is not None:
            shown.append(f"          ended: {self.memory.summary.reason.value}")
        return "\n".join(shown) or "(nothing was said)"

    # Claims

    def assert_spoke(self, text: str) -> None:
        """The agent was heard to say `text`; case and white space do not matter."""
        __tracebackhide__ = True
        said = _flat(" ".join(self.agent_said))
        self._claim(_flat(text) in said, f"the agent to have said {text!r}")

    def assert_not_spoke(self, text: str) -> None:
        __tracebackhide__ = True
        said = _flat(" ".join(self.agent_said))
        self._claim(_flat(text) not in said, f"the agent not to have said {text!r}")

    def assert_understood(self, text: str) -> None:
        """A turn of the caller's was understood as `text`; case, white space and the mark at the
        end do not matter."""
        __tracebackhide__ = True
        understood = [_flat(said).rstrip(MARKS) for said in self.user_said]
        holds = _flat(text).rstrip(MARKS) in understood
        self._claim(holds, f"the caller to have been understood: {text!r}")

    def assert_tool_called(self, name: str, times: int | None = None, **arguments: Any) -> None:
        """The tool ran with these arguments among its own; `times` None is at least once."""
        __tracebackhide__ = True
        matching = [
            run
            for run in self.bench.runs
            if run.name == name and arguments.items() <= run.arguments.items()
        ]
        wanted = "at least once" if times is None else f"{times} times"
        holds = bool(matching) if times is None else len(matching) == times
        call = _call(name, arguments)
        self._claim(holds, f"{call} to have run {wanted}; what ran: {self._ran}")

    def assert_no_tool_called(self) -> None:
        __tracebackhide__ = True
        self._claim(not self.bench.runs, f"no tool to have run; what ran: {self._ran}")

    def assert_interrupted(self, reason: str | None = None) -> Turn:
        """The agent was interrupted (for `reason`). Returns the turn that was cut off last."""
        __tracebackhide__ = True
        cut = [turn for turn in self.turns if self._was_interrupted(turn)]
        fitting = [turn for turn in cut if reason in (None, turn.end_reason)]
        self._claim(bool(fitting), f"the agent to be interrupted ({reason or 'for any reason'})")
        return fitting[-1]

    def assert_not_interrupted(self) -> None:
        __tracebackhide__ = True
        cut = [turn for turn in self.turns if self._was_interrupted(turn)]
        self._claim(not cut, "the agent not to be interrupted")

    def assert_heard_is_stored(self) -> None:
        """The caller's ear, the client's events, the transcript and the model agree on what the
        agent said."""
        __tracebackhide__ = True
        self._claim_all(invariants.heard_is_stored(self.evidence))

    def assert_invariants(self) -> None:
        """Everything a conversation always keeps; best asked after its end."""
        __tracebackhide__ = True
        self._claim_all(invariants.broken(self.evidence))

    def assert_ended(self, reason: EndedReason | str) -> None:
        __tracebackhide__ = True
        summary = self.memory.summary
        got = "it goes on" if summary is None else f"it ended: {summary.reason}"
        holds = summary is not None and summary.reason == reason
        self._claim(holds, f"the session to have ended: {reason}; {got}")

    # Inside

    @property
    def _is_resting(self) -> bool:
        if self.session.is_over:
            return True
        told = self.notices
        started = [n.reply_id for n in told if isinstance(n, ReplyStarted)]
        done = [n.reply_id for n in told if isinstance(n, ReplyDone)]
        opened = sum(isinstance(n, UserSpeechStarted) for n in told)
        closed = sum(isinstance(n, UserSpeechStopped) for n in told)
        is_idle = len(started) == len(done) and opened == closed and not self.caller.is_speaking
        return is_idle and self._is_answered(told) and not self._is_tool_running

    @property
    def _is_tool_running(self) -> bool:
        called = {call.call_id for call in self.notices_of(ToolCallRequested)}
        return not called <= self.memory.answered_calls()

    def _is_answered(self, told: list[Notice]) -> bool:
        """Whether what the caller said last was taken up: answered, or let pass."""
        if not self._spoken:
            return any(isinstance(notice, ReplyDone) for notice in told) or not self._greets
        since = told[self._owed :]
        final = next((n for n in since if isinstance(n, UserTranscript) and n.is_final), None)
        if final is not None:
            left_alone = [turn.item_id for turn in self.turns if turn.trigger == "aside"]
            behind = since[since.index(final) :]
            is_replied = any(isinstance(notice, ReplyDone) for notice in behind)
            return is_replied or final.item_id in left_alone
        asides = [t for t in self.turns if t.speaker is Speaker.USER and t.trigger != "speech"]
        return bool(asides) and any(isinstance(notice, ReplyDone) for notice in since)

    @property
    def _greets(self) -> bool:
        return bool(self.setup.conversation.greeting)

    def _was_interrupted(self, turn: Turn) -> bool:
        interrupted = {
            done.reply_id
            for done in self.notices_of(ReplyDone)
            if done.status is ReplyStatus.INTERRUPTED
        }
        items = {n.item_id for n in self.notices_of(ReplyStarted) if n.reply_id in interrupted}
        return turn.item_id in items

    async def _until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        __tracebackhide__ = True
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while not condition():
            self.check_tools()
            if loop.time() >= end:
                raise AssertionError(self._failure(f"{what} within {timeout:g} s"))
            await asyncio.sleep(STEP_SECONDS)
        await asyncio.sleep(STEP_SECONDS)
        self.check_tools()

    def check_tools(self) -> None:
        if self.bench.mistakes:
            raise self.bench.mistakes[0]

    def _claim(self, holds: bool, what: str) -> None:
        __tracebackhide__ = True
        if not holds:
            raise AssertionError(self._failure(what))

    def _claim_all(self, broken: Sequence[str]) -> None:
        __tracebackhide__ = True
        if broken:
            raise AssertionError(self._failure("; ".join(broken)))

    def _failure(self, what: str) -> str:
        errors = [f"{error.code}: {error.message}" for error in self.notices_of(ReplyError)]
        return "\n".join([f"expected {what}", "", self.transcript(), *errors])

    @property
    def _ran(self) -> str:
        return ", ".join(_call(run.name, run.arguments) for run in self.bench.runs) or "none"

    # The client's side of tools

    async def _answer_tools(self) -> None:
        """Run the tools that are the client's to run. Until cancelled."""
        while True:
            for call in self.notices_of(ToolCallRequested):
                if call.runner == ToolRunner.CLIENT and call.call_id not in self._asked:
                    self._asked.add(call.call_id)
                    self._start(self._run_tool(call))
            await asyncio.sleep(STEP_SECONDS)

    async def _run_tool(self, call: ToolCallRequested) -> None:
        result = await self.bench.run(call.call_id, call.name, call.arguments)
        self.session.answer_tool(call.call_id, result.content, result.is_error)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=TASK_NAME)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def open(self, answers_after_seconds: float) -> None:
        self._start(self.caller.run())
        self._start(self._answer_tools())
        await asyncio.sleep(answers_after_seconds)
        self.session.attach(self.ear)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await self.live.close()
        if tasks:
            await asyncio.wait(tasks, timeout=TEARDOWN_SECONDS)


def _changed(config: ConversationConfig, changes: dict[str, Any]) -> ConversationConfig:
    """`config` with fields changed, wherever in it they are."""
    known: set[str] = {field.name for field in fields(config)}
    for part in ("turn_detection", "silence"):
        value = changes.get(part, getattr(config, part))
        names = {field.name for field in fields(value)}
        inner = {name: changes[name] for name in names & changes.keys()}
        changes = {name: changes[name] for name in changes.keys() - names}
        changes[part] = replace(value, **inner)
        known |= names
    unknown = sorted(changes.keys() - known)
    if unknown:
        raise TypeError(f"expected some of {', '.join(sorted(known))}; got {', '.join(unknown)}")
    return replace(config, **changes)


def _call(name: str, arguments: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def _flat(text: str) -> str:
    return " ".join(text.lower().split())
