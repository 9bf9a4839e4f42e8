"""Fuzz the runtime: random conversations through real sessions, in virtual time.

    python -m bench.fuzz --runs 10000 --seed 1 --jobs 2
    python -m bench.fuzz --only 4711          # replay one, and show it
    python -m bench.fuzz --replays 1000       # record 1,000 sessions, replay each journal

Callers interrupt tools and clauses, drop, come back, mute themselves, press every button of the
protocol, and in a third of the runs the keys of a phone; engines are slow, hang, die, answer
garbage. After each run every invariant of `nur_server.testing.invariants` and of `bench.kept` is
checked, and that nothing of the session is left two seconds after its end. A run depends on its
seed alone; the seeds of failures are printed. At the end stands in how many runs each situation
of `bench.reached` came up; from 1,000 runs on, one that never did is a failure.
"""

import argparse
import asyncio
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from structlog.testing import capture_logs

from bench.kept import Judge
from bench.reached import SITUATIONS, Watch, missed
from nur_server.commands import (
    AnswerTool,
    CancelReply,
    ClearInput,
    CommitInput,
    CreateReply,
    TruncateReply,
)
from nur_server.conversation.config import (
    AnsweringPolicy,
    ConversationConfig,
    ExecutionMode,
    OnMachine,
    SilencePolicy,
    ToolRunner,
    ToolSpec,
)
from nur_server.conversation.events import EndedReason, Role
from nur_server.conversation.history import STILL_RUNNING
from nur_server.conversation.notices import (
    AgentTranscriptDelta,
    Notice,
    ReplyDone,
    ReplyStarted,
    ToolCallRequested,
    UserSpeechStarted,
)
from nur_server.conversation.phone import PhoneTool, phone_tool
from nur_server.errors import ProviderRejected, ProviderTimeout, ProviderUnreachable
from nur_server.ports import (
    HangupCause,
    ReplyEnd,
    ReplyPart,
    ReplyRequest,
    SpeakRequest,
    SpeechChunk,
    TextDelta,
    ToolCallDelta,
    WordMark,
)
from nur_server.providers.scripted import (
    Call,
    Fail,
    Hang,
    Reply,
    Say,
    ScriptedLanguageModel,
    ScriptedTextToSpeech,
    Step,
    Wait,
)
from nur_server.replay.recording import Recording, replay
from nur_server.testing import (
    Memory,
    Phone,
    Rehearsal,
    ToolFailed,
    Trouble,
    VoiceRecogniser,
    VoiceTurnModel,
    World,
    conversation,
    invariants,
)
from nur_server.testing.ear import Played, Told
from nur_server.testing.rehearsal import TASK_NAME
from nur_server.turn_taking.settings import TurnDetection

RATE = 8_000
MS_PER_CHARACTER = 60
MANY_RUNS = 1_000
"""From so many runs on, every situation has to come up."""
FRAME_SECONDS = 0.064
QUIET_SECONDS = 30.0
SETTLE_SECONDS = 150.0
"""Longest the agent may go on by itself: slow tools and models, eight rounds of them."""
TEARDOWN_SECONDS = 2.0
STUCK_SECONDS = 36.0
"""A reply without a frame of audio for longer, while it should be heard, is stuck."""
EXPECTED_ERRORS = {"reply.crashed", "speech.crashed", "transcription.crashed", "turn_model.crashed"}
"""Logged where an adapter breaks its port's promises, as some here do on purpose."""

USER_WORDS = (
    "Mm-hmm.", "Stop.", "Stop that please.", "What about the other one?", "um", "Yes.", "uh huh",
    "My number is four two", "seven seven one.", "Could you tell me more about all of this please?",
    "No, wait.", "I would like to order the", "Where is my order?", "okay", "Thanks, goodbye.",
)  # fmt: skip
INTERRUPTIONS = (
    "Stop.", "No, wait.", "Hold on, that is not what I want.", "Wait, what about the other one?",
    "Excuse me, I have a question about that.",
)  # fmt: skip
AGENT_WORDS = (
    "Sure.",
    "Well, let me think, there are several of them, and all are good. Really!",
    "One. Two, three and four. And then a much longer sentence that goes on and on and on.",
    "Yes",
    "",
    "   ",
    "- **bold** item\n- [link](https://example.com/x)\n",
    "It costs $12.50, on 3 May at 10:30. Call 555-0134!",
    "Half a character \ud83d and on it goes, then some more words.",
    "<think>hidden</think>Hello there, how can I help you with your order today, my friend?",
)
TOOL_SCHEMA: dict[str, Any] = {"type": "object", "properties": {"id": {"type": "string"}}}
TOOLS = (
    ToolSpec("look", "Look", TOOL_SCHEMA, timeout_seconds=4),
    ToolSpec("serve", "Serve", TOOL_SCHEMA, timeout_seconds=4, runner=ToolRunner.SERVER),
    ToolSpec("hold_on", "Wait", TOOL_SCHEMA, ExecutionMode.HOLD, 4),
    ToolSpec("server_hold", "Wait", TOOL_SCHEMA, ExecutionMode.HOLD, 4, ToolRunner.SERVER),
)
PHONE_TOOLS = tuple(map(phone_tool, PhoneTool))
PHONE_ARGUMENTS: dict[str, str] = {
    PhoneTool.END_CALL: "{}",
    PhoneTool.TRANSFER_CALL: '{"to_number": "+15550100"}',
    PhoneTool.SEND_DTMF: '{"digits": "12#"}',
    PhoneTool.COLLECT_DIGITS: '{"max_digits": 2}',
    PhoneTool.LEAVE_VOICEMAIL: '{"message": "Please call us back."}',
}
FIRST_WORDS = (
    "Hello?", "Yes, hello, this is Ada speaking.", "Press one for sales, or hold the line.",
    "You have reached Ada, please leave a message after the tone.", None,
)  # fmt: skip
"""What is said when a call is answered."""
ARGUMENTS = ('{"id": "1"}', '{"id": "2"}', '{"id": 1}', "{", "", '{"id": "\\ud83d"}', "[" * 2000)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first run; the next is one more"
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", type=int, help="run this seed alone, and show the conversation")
    parser.add_argument("--replays", type=int, help="only replay the journals of so many runs")
    given = parser.parse_args()
    if given.only is not None:
        outcome = run(given.only)
        print(outcome.shown)
        return _report([outcome], 1, 0.0)
    runs = given.replays or given.runs
    began = time.perf_counter()
    failures = []
    reached: list[frozenset[str]] = []
    events = actions = 0
    for number, outcome in enumerate(_outcomes(given.seed, runs, given.jobs), 1):
        events += outcome.events
        actions += outcome.actions
        reached.append(outcome.reached)
        problems = outcome.unequal if given.replays else outcome.problems
        if problems:
            failures.append(outcome)
            print(f"seed {outcome.seed}: {problems[0][:300]}", flush=True)
        if number % 500 == 0:
            print(f"{number} of {runs}, {len(failures)} failed", flush=True)
    _show_reached(reached)
    print(f"{events} events and {actions} actions replayed")
    lacking = missed(reached) if runs >= MANY_RUNS else []
    if lacking:
        print("never came up:", ", ".join(lacking))
    return _report(failures, runs, time.perf_counter() - began) or bool(lacking)


def _show_reached(reached: Sequence[frozenset[str]]) -> None:
    counts = Counter(situation for found in reached for situation in found)
    print(f"\n{'runs':>7}  in which")
    for situation in (*SITUATIONS, *sorted(counts.keys() - set(SITUATIONS))):
        print(f"{counts[situation]:>7}  {situation}")
    print()


def _outcomes(seed: int, runs: int, jobs: int) -> Iterator["Outcome"]:
    seeds = range(seed, seed + runs)
    if jobs == 1:
        yield from map(run, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(run, seeds, chunksize=8)


def _report(failures: list["Outcome"], runs: int, seconds: float) -> int:
    failed = [outcome for outcome in failures if outcome.problems]
    for outcome in failed[:20]:
        print(f"\nseed {outcome.seed}")
        for problem, times in list(Counter(outcome.problems).items())[:10]:
            print(f"  expected {problem[:1000]}" + (f" ({times} times)" if times > 1 else ""))
    took = f" in {seconds:.0f} s" if seconds else ""
    print(f"{runs} runs{took}, {len(failed)} failed", *sorted(o.seed for o in failed))
    return 1 if failed else 0


# One run


@dataclass
class Outcome:
    """What became of one run."""

    seed: int
    problems: list[str] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)
    """Where the replay of the journal differs from what was recorded."""
    reached: frozenset[str] = frozenset()
    """Situations of `bench.reached` that came up."""
    events: int = 0
    actions: int = 0
    shown: str = ""


def run(seed: int) -> Outcome:
    """Play, end and judge the conversation of a seed."""
    outcome = Outcome(seed)
    with capture_logs() as logs:
        try:
            with asyncio.Runner() as runner:
                runner.run(_play(seed, outcome))
        except Exception as error:
            outcome.problems.append(f"no exception; got {type(error).__name__}: {error}")
    for entry in logs:
        if entry["log_level"] in ("error", "critical") and entry["event"] not in EXPECTED_ERRORS:
            outcome.problems.append(f"no error in the log; got {entry}")
    return outcome


async def _play(seed: int, outcome: Outcome) -> None:
    chance = random.Random(seed)
    plan = Plan(chance)
    config = plan.config()
    llm = ChaoticModel(chance, config.tools, plan.moment)
    world = plan.world()
    async with conversation(
        config, model=llm, tools=plan.tools(), world=world, virtual=True
    ) as call:
        plan.moment.call = call
        if call.ear.arrivals[:1] and world.answers_after_seconds:
            first = call.ear.arrivals[0].at
            if first < world.answers_after_seconds:
                outcome.problems.append(f"nothing before the answer; {call.ear.arrivals[0]}")
        script = Script(chance, call, outcome)
        await script.play()
        await script.settle()
        await script.end()
        outcome.problems += _left_over(call, llm)
        outcome.problems += invariants.broken(call.evidence)
        outcome.problems += _stuck(call)
        outcome.shown = "\n".join([*script.log, "", call.transcript()])
        _replay(call, outcome)


def _replay(call: Rehearsal, outcome: Outcome) -> None:
    again = replay(Recording.read(call.memory.journal))
    outcome.events, outcome.actions = again.events, again.actions
    watch, judge = Watch(again.recording.config), Judge(again.recording.config)
    watch.see(again.steps)
    judge.see(again.steps)
    outcome.reached = frozenset(watch.reached)
    outcome.problems += judge.broken
    if not again.is_equal:
        outcome.unequal.append(f"the replay to be equal; {again.verdict}")
        outcome.problems += outcome.unequal


def _left_over(call: Rehearsal, llm: ScriptedLanguageModel) -> list[str]:
    """What two seconds after the end should be gone."""
    own = asyncio.current_task()
    names = {TASK_NAME, "pacer"}
    tasks = [t for t in asyncio.all_tasks() if t is not own and t.get_name() not in names]
    stt: Any = call.setup.stt
    tts: Any = call.setup.tts
    found = [f"no task left; got {task}" for task in tasks]
    if llm.open_replies or tts.open_clauses or stt.open_utterances:
        found.append(
            f"no engine at work; {llm.open_replies} replies, {tts.open_clauses} clauses, "
            f"{stt.open_utterances} utterances are open"
        )
    loop: Any = asyncio.get_running_loop()
    timers = [h for h in loop._scheduled if not h.cancelled()]
    timers = [h for h in timers if getattr(h._callback, "__self__", None) is call.session]
    found += [f"no timer left; got {timer}" for timer in timers]
    if len(call.live):
        found.append("no session left; there is one")
    return found


def _stuck(call: Rehearsal) -> list[str]:
    """Replies that claimed to be under way without a frame of audio."""
    if call.memory.summary is None:
        return ["the session to have ended"]
    open_since: dict[str, float] = {}
    found = []
    for at, kind, reply_id in _signs(call):
        if kind == "away":
            open_since.clear()
            continue
        since = open_since.get(reply_id)
        if since is not None and at - since > STUCK_SECONDS:
            found.append(f"no reply without audio; {reply_id} had none for {at - since:.1f} s")
        if kind == "done":
            open_since.pop(reply_id, None)
        else:
            open_since[reply_id] = at
    return found


def _signs(call: Rehearsal) -> Iterator[tuple[float, str, str]]:
    for ear in call.ears:
        for arrival in ear.arrivals:
            match arrival:
                case Played(at, reply_id, _):
                    yield at, "audio", reply_id
                case Told(at, ReplyStarted(reply_id, _)):
                    yield at, "started", reply_id
                case Told(at, ReplyDone(reply_id)):
                    yield at, "done", reply_id
                case _:
                    pass
        yield 0.0, "away", ""


# What happens


class Plan:
    """The settings and engines of a run."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._is_call = chance.random() < 0.35
        self.moment = Moment()

    def config(self) -> ConversationConfig:
        pick = self._chance.choice
        answering = (AnsweringPolicy(pick(list(OnMachine)), "Please call us back."), None)
        return ConversationConfig(
            "ses_00000000000000000123456789abcdef",
            system_prompt="Be kind.",
            greeting=pick([None, "Hello there, how can I help you?", "Hi!"]),
            tools=(*TOOLS, *PHONE_TOOLS) if self._is_call else TOOLS,
            answering=pick(answering) if self._is_call else None,
            first_audio_seconds=pick([0.0, 0.4]),
            hello_seconds=pick([None, 0.0, 1.0, 2.5]) if self._is_call else None,
            turn_detection=detection(self._chance),
            interruption_threshold=pick([0.0, 0.5, 0.5, 0.5, 1.0]),
            context_window=pick([1, 3, 10]),
            max_turns=pick([None, None, None, None, 1, 3]),
            max_duration_seconds=pick([None] * 8 + [4.0, 12.0]),
            goodbye=pick(["I have to go. Goodbye.", ""]),
            tool_filler=pick([None, "One moment, please."]),
            tool_filler_seconds=pick([0.5, 3.0]),
            silence=pick([SilencePolicy(), SilencePolicy(2.0, "Still there?", 1, 20.0)]),
            speaks=self._chance.random() > 0.1,
            eager_replies=self._chance.random() > 0.3,
        )

    def world(self) -> World:
        chance = self._chance
        delay = chance.choice([0.0, 0.1, 0.1, 0.4, 1.5])
        return World(
            stt=lambda voice: VoiceRecogniser(
                voice, delay_seconds=delay, trouble=lambda number: trouble(chance)
            ),
            tts=ChaoticSpeech(chance),
            turn_model=VoiceTurnModel if chance.random() < 0.7 else None,
            memory=FlakyMemory(chance),
            resume_seconds=chance.choice([1.0, 5.0, 30.0]),
            output_rate=RATE,
            frame_seconds=FRAME_SECONDS,
            phone=self._phone(),
            answers_after_seconds=chance.choice([0.0, 0.0, 1.5]),
        )

    def _phone(self) -> Phone | None:
        if not self._is_call:
            return None
        return Phone(self._chance.choice([0.1, 2.0, 20.0]), self._chance.random() < 0.4)

    def tools(self) -> dict[str, Any]:
        chance = self._chance

        async def answer(**_: Any) -> Any:
            if chance.random() < 0.3:
                await self.moment.passes(chance)
            else:
                seconds = chance.choice([0.0, 0.05, 0.3, 1.0, 2.5, 3.98, 4.0, 4.02, 8.0, 500.0])
                await asyncio.sleep(seconds)
            if chance.random() < 0.2:
                raise ToolFailed("It did not work.")
            return chance.choice(["done", {"status": "sent"}, "half \ud83d", "x" * 20_000])

        return {tool.name: answer for tool in TOOLS}


class Moment:
    """When an interruption is decided: what happens then happens at the same time as it."""

    def __init__(self) -> None:
        self.call: Rehearsal | None = None

    async def passes(self, chance: random.Random) -> None:
        """Return when the agent has just yielded, or is about to; after a few seconds anyhow."""
        is_early = chance.random() < 0.5
        before = self._signs(is_early)
        for _ in range(175):
            await asyncio.sleep(0.02)
            if self._signs(is_early) != before:
                break
        await asyncio.sleep(chance.choice([0.3, 0.4, 0.5]) if is_early else 0.0)

    def _signs(self, is_early: bool) -> int:
        if self.call is None:
            return 0
        if is_early:
            return int(self.call.caller.is_speaking)
        return len(self.call.notices_of(UserSpeechStarted))


def detection(chance: random.Random) -> TurnDetection:
    pick = chance.choice
    return TurnDetection(
        min_silence_ms=pick([None, None, 200, 900]),
        max_silence_ms=pick([None, None, 1000]),
        interrupt_response=chance.random() > 0.1,
        interruption_delay_ms=pick([0, 0, 400]),
        uninterruptible_turns=pick([frozenset(), frozenset({"greeting"})]),
        client_commits=chance.random() < 0.1,
    )


def trouble(chance: random.Random) -> Trouble:
    luck = chance.random()
    if luck < 0.85:
        return Trouble()
    if luck < 0.90:
        return Trouble(hangs=True)
    if luck < 0.95:
        return Trouble(error=ProviderUnreachable("gone", provider="stt"))
    return Trouble(delay_seconds=chance.choice([0.5, 3.5]))


class Script:
    """What the caller and their client do."""

    def __init__(self, chance: random.Random, call: Rehearsal, outcome: Outcome) -> None:
        self._chance = chance
        self._call = call
        self._outcome = outcome
        self.log: list[str] = []

    async def play(self) -> None:
        if self._call.setup.conversation.answering is not None:
            words = self._chance.choice(FIRST_WORDS)
            if self._chance.random() < 0.2:
                await self._requests()
            if words is not None:
                await self._call.says(words, after=0.3)
        for _ in range(self._chance.randint(3, 14)):
            if self._call.session.is_over:
                return
            await self._step()
            if self._is_to_be_transferred:
                await self._chance.choice([self._waits, self._waits, self._interrupts])()
            if self._is_being_transferred and self._chance.random() < 0.3:
                return
            await self._call.waits(self._chance.choice([0.0, 0.01, 0.1, 0.4, 1.0, 2.5]))

    @property
    def _is_to_be_transferred(self) -> bool:
        """The agent has said so, or is saying it."""
        if self._call.handset is None:
            return False
        asked = self._call.notices_of(ToolCallRequested)
        return bool(asked) and asked[-1].name == PhoneTool.TRANSFER_CALL

    @property
    def _is_being_transferred(self) -> bool:
        return self._call.handset is not None and self._call.handset.is_transferring

    async def _step(self) -> None:
        steps = (
            (self._says, 6), (self._awaits, 5), (self._interrupts, 5), (self._waits, 2),
            (self._noise, 1),
            (self._mutes, 1), (self._drops, 1), (self._comes_back, 2), (self._reconfigures, 1),
            (self._adds, 1), (self._requests, 1), (self._cancels, 1), (self._answers, 1),
            (self._commits, 1), (self._clears, 0.5), (self._truncates, 1),
            (self._ends, 0.3), (self._presses, 2 if self._call.handset else 0.2),
        )  # fmt: skip
        step = self._chance.choices([s for s, _ in steps], [weight for _, weight in steps])[0]
        now = asyncio.get_running_loop().time()
        self.log.append(f"{now:7.3f} {step.__name__[1:]}")
        await step()

    async def _says(self) -> None:
        text = self._chance.choice(USER_WORDS)
        self.log[-1] += f" {text!r}"
        seconds = self._chance.choice([None, None, 0.15, 0.7])
        self._call.begins(text, seconds=seconds, faint=self._chance.random() < 0.1)
        if self._chance.random() < 0.7:
            await self._call.caller.finished()

    async def _awaits(self) -> None:
        """Wait for something to happen, to act right at it."""
        kinds = [
            ReplyStarted,
            AgentTranscriptDelta,
            ReplyDone,
            ToolCallRequested,
            ToolCallRequested,
            UserSpeechStarted,
        ]
        kind: type[Notice] = self._chance.choice(kinds)
        self.log[-1] += f" {kind.__name__}"
        before = len(self._call.notices_of(kind))
        end = asyncio.get_running_loop().time() + 5
        while len(self._call.notices_of(kind)) == before:
            if asyncio.get_running_loop().time() > end or self._call.session.is_over:
                return
            await asyncio.sleep(0.01)
        await asyncio.sleep(self._chance.choice([0.0, 0.001, 0.05]))
        if self._chance.random() < 0.6:
            await self._says()
        elif kind is ToolCallRequested:
            await self._noise()

    async def _interrupts(self) -> None:
        """Speak up while the agent does, should it say something soon."""
        end = asyncio.get_running_loop().time() + 4
        while not self._call.ear.is_hearing:
            if asyncio.get_running_loop().time() > end or self._call.session.is_over:
                return
            await asyncio.sleep(0.02)
        text = self._chance.choice(INTERRUPTIONS)
        self.log[-1] += f" {text!r}"
        await self._call.waits(self._chance.choice([0.0, 0.1, 0.3, 0.6, 1.0, 2.0]))
        self._call.begins(text)
        if self._chance.random() < 0.5:
            await self._call.caller.finished()

    async def _waits(self) -> None:
        await self._call.waits(self._chance.choice([0.5, 3.0, 9.0]))

    async def _noise(self) -> None:
        await self._call.makes_noise(self._chance.choice([0.1, 0.6, 2.0]))

    async def _mutes(self) -> None:
        self._call.mutes(self._chance.random() < 0.6)

    async def _presses(self) -> None:
        for _ in range(self._chance.choice([1, 1, 2, 5])):
            self._call.presses(self._chance.choice("0123456789*#"))
            await self._call.waits(self._chance.choice([0.05, 0.4, 4.1]))

    async def _drops(self) -> None:
        if self._call.handset is not None:
            self._call.session.hung_up(HangupCause.NORMAL)
            return
        if self._chance.random() < 0.5:
            self._call.begins(self._chance.choice(USER_WORDS))
            await self._call.waits(self._chance.choice([1.0, 1.5, 2.0]))
        self._call.drops()
        if self._chance.random() < 0.5:
            await self._call.waits(self._chance.choice([0.1, 0.8, 3.0]))
            self._call.comes_back()
            await self._call.waits(self._chance.choice([0.0, 4.0]))

    async def _comes_back(self) -> None:
        self._call.comes_back()

    async def _reconfigures(self) -> None:
        chance = self._chance
        changes: dict[str, Any] = {
            "interruption_threshold": chance.choice([0.0, 0.5, 1.0]),
            "turn_detection": detection(chance),
            "tools": chance.choice([self._call.setup.conversation.tools, TOOLS[:1], ()]),
            "max_turns": chance.choice([None, None, None, 2]),
            "max_duration_seconds": chance.choice([None, None, None, 20.0]),
            "speaks": self._call.session.setup.conversation.speaks,
        }
        names = chance.sample(sorted(changes), 2)
        self._call.reconfigures(**{name: changes[name] for name in names})

    async def _adds(self) -> None:
        role = self._chance.choice(list(Role)[:3])
        self._call.adds_message(role, self._chance.choice(["Context.", "half \ud83d"]))

    async def _requests(self) -> None:
        self._call.session.command(CreateReply(self._chance.choice([None, "Be brief."])))

    async def _cancels(self) -> None:
        known = [n.reply_id for n in self._call.notices_of(ReplyStarted)]
        self._call.session.command(CancelReply(self._chance.choice([None, "resp_unknown", *known])))

    async def _answers(self) -> None:
        calls = [n.call_id for n in self._call.notices_of(ToolCallRequested)]
        self._call.session.command(
            AnswerTool(
                self._chance.choice(["nobody", *calls]),
                "Answered.",
                triggers_reply=self._chance.random() < 0.8,
            )
        )

    async def _commits(self) -> None:
        self._call.session.command(CommitInput(triggers_reply=self._chance.random() < 0.7))

    async def _clears(self) -> None:
        self._call.session.command(ClearInput())

    async def _truncates(self) -> None:
        known = [n.item_id for n in self._call.notices_of(ReplyStarted)]
        item_id = self._chance.choice(["msg_unknown", *known, *known[-1:] * 5])
        played_ms = self._chance.choice([0, 300, 2_000, 60_000])
        self._call.session.command(TruncateReply(item_id, played_ms))

    async def _ends(self) -> None:
        reason = self._chance.choice([EndedReason.AGENT_ENDED, EndedReason.EXPIRED])
        self._call.session.end(reason, finish_speaking=self._chance.random() < 0.7)

    async def settle(self) -> None:
        """Everybody falls silent: what was begun comes to its end."""
        call = self._call
        if call.session.is_over or self._is_being_transferred or self._chance.random() < 0.3:
            return
        call.mutes(False)
        if not call.session.is_attached:
            call.comes_back()
        await call.waits(QUIET_SECONDS)
        try:
            await call.until(self._is_silent, SETTLE_SECONDS)
        except AssertionError:
            self._outcome.problems.append(f"everybody to be silent after {SETTLE_SECONDS:g} s")

    def _is_silent(self) -> bool:
        call = self._call
        running = len(call.notices_of(ReplyStarted)) - len(call.notices_of(ReplyDone))
        return call.session.is_over or not running

    async def end(self) -> None:
        """End the session, and give it the time it has for that."""
        call = self._call
        now = asyncio.get_running_loop().time()
        self.log.append(f"{now:7.3f} end")
        if not call.session.is_over:
            await asyncio.sleep(self._chance.choice([0.0, 0.005, 0.3]))
            call.session.end(EndedReason.CLIENT_ENDED)
            if call.session.is_attached and not call.session.is_over:
                self._outcome.problems.append("an end at once; the session goes on")
        await asyncio.sleep(TEARDOWN_SECONDS)
        while call.memory.summary is None:
            await asyncio.sleep(0.5)
            late = asyncio.get_running_loop().time() - now
            if late > 60:
                self._outcome.problems.append(f"the end to be stored; it is not after {late:.0f} s")
                return


# Engines that misbehave


class ChaoticModel(ScriptedLanguageModel):
    """Answers, calls tools, stops, dies, hangs and babbles."""

    def __init__(self, chance: random.Random, tools: Sequence[ToolSpec], moment: Moment) -> None:
        super().__init__(self._answer)
        self._chance = chance
        self._moment = moment
        self._tools = [tool.name for tool in tools]
        self._last_call = Call("look", {"id": "1"})

    def _answer(self, request: ReplyRequest) -> Reply:
        chance = self._chance
        running = _running_call(request)
        if running is not None and chance.random() < 0.4:
            return [running]
        steps = [self._a_step() for _ in range(chance.choice([1, 1, 2, 3]))]
        if isinstance(steps[0], Call) and chance.random() < 0.5:
            steps.insert(0, Say(chance.choice(AGENT_WORDS)))
        return steps

    def _a_step(self) -> Step:
        chance = self._chance
        luck = chance.random()
        if luck < 0.5:
            return Say(chance.choice(AGENT_WORDS))
        if luck < 0.78:
            if chance.random() < 0.25:
                return self._last_call
            self._last_call = self._a_call()
            return self._last_call
        if luck < 0.90:
            return Wait(chance.choice([0.05, 0.3, 1.0, 4.0]))
        if luck < 0.96:
            return Fail(
                chance.choice(
                    [
                        ProviderTimeout("late", provider="llm"),
                        ProviderRejected("no", provider="llm"),
                    ]
                )
            )
        return Hang()

    def _a_call(self) -> Call:
        chance = self._chance
        is_call = PhoneTool.TRANSFER_CALL in self._tools
        often = [PhoneTool.TRANSFER_CALL.value, PhoneTool.COLLECT_DIGITS.value] * (4 * is_call)
        name = chance.choice([*self._tools * 2, *often, "unknown"])
        if name == PhoneTool.END_CALL and chance.random() < 0.7:
            name = PhoneTool.TRANSFER_CALL.value
        usual = (PHONE_ARGUMENTS[name],) if name in PHONE_ARGUMENTS else ARGUMENTS[:2]
        arguments = chance.choice(usual * (8 // len(usual)) + ARGUMENTS)
        return Call(name, arguments, chance.choice([None, None, "same_id", "bad id!"]))

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        luck = self._chance.random()
        async for part in super().reply(request):
            if isinstance(part, ReplyEnd) and luck < 0.03:
                return
            if isinstance(part, ReplyEnd) and luck < 0.06:
                raise ValueError("garbage")
            if isinstance(part, ToolCallDelta) and luck < 0.2:
                await self._moment.passes(self._chance)
            yield part
            await asyncio.sleep(0.002)
            if isinstance(part, TextDelta) and luck > 0.99:
                yield TextDelta("More and more words. " * 400)


def _running_call(request: ReplyRequest) -> Call | None:
    """A call whose result the model still waits for: it may lose patience."""
    made = {call.call_id: call for message in request.messages for call in message.tool_calls}
    for message in request.messages:
        if message.content == STILL_RUNNING and message.tool_call_id in made:
            call = made[message.tool_call_id]
            return Call(call.name, call.arguments)
    return None


class ChaoticSpeech(ScriptedTextToSpeech):
    """Speaks; sometimes late, nothing, half, or not at all."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(
            ms_per_character=MS_PER_CHARACTER,
            sample_rate=RATE,
            gives_word_times=chance.random() < 0.6,
        )
        self._chance = chance
        self._lateness = chance.choice([1.0, 1.0, 1.4])
        """Of its word times: some synthesisers' are off, beyond the end of the clause too."""

    async def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk, None]:
        luck = self._chance.random()
        if luck < 0.02:
            raise ProviderUnreachable("gone", provider="tts")
        if luck < 0.03:
            raise ValueError("garbage")
        if luck < 0.04:
            await asyncio.Event().wait()
        if luck < 0.05:
            return
        await asyncio.sleep(self._chance.choice([0.0, 0.05, 0.3, 2.0]) if luck < 0.3 else 0.02)
        async for chunk in super().speak(request):
            yield replace(chunk, words=tuple(map(self._late, chunk.words)))
            if luck > 0.98:
                raise ProviderTimeout("late", provider="tts")
            if luck > 0.9:
                await asyncio.sleep(0.15)

    def _late(self, word: WordMark) -> WordMark:
        return replace(word, start_ms=round(word.start_ms * self._lateness))


class FlakyMemory(Memory):
    """A store that is slow, and now and then fails once: what is tried again is stored."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(write_seconds=chance.choice([0.0, 0.0, 0.01, 0.2]))
        self._chance = chance
        self._has_just_failed = False

    async def _write(self) -> None:
        await super()._write()
        self._has_just_failed = self._chance.random() < 0.01 and not self._has_just_failed
        if self._has_just_failed:
            raise OSError("the disk is busy")


if __name__ == "__main__":
    structlog.configure(cache_logger_on_first_use=False)
    sys.exit(main())
