"""Whatever happens, in whatever order, these hold (ARCHITECTURE.md names them)."""

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from nur_server.conversation.actions import CallTool, FinishSpeech, HangUp, RecordTool, SetDeadline
from nur_server.conversation.config import (
    ConversationConfig,
    ExecutionMode,
    SilencePolicy,
    ToolSpec,
)
from nur_server.conversation.engine import Conversation
from nur_server.conversation.events import (
    ClauseSynthesised,
    ClientDropped,
    ClientResumed,
    ConfigChanged,
    EndedReason,
    EndRequested,
    Event,
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
    Role,
    SessionOpened,
    SpeechFailed,
    SpeechScored,
    Ticked,
    ToolAnswered,
    TranscriptFailed,
    TranscriptUpdated,
    TurnScored,
)
from nur_server.conversation.journal import JournalWriter, read
from nur_server.conversation.notices import (
    AgentTranscript,
    AgentTranscriptDelta,
    ReplyDone,
    ReplyStarted,
)
from nur_server.conversation.record import Speaker, ToolStatus
from nur_server.turn_taking.settings import TurnDetection
from tests.conversation.stage import Call, Fail, Hang, Part, Say, Stage

TOOL = ToolSpec(
    "look", "Look", {"type": "object", "properties": {"id": {"type": "string"}}}, timeout_seconds=4
)
HOLDING = replace(TOOL, name="wait_for", execution_mode=ExecutionMode.HOLD)

USER_WORDS = st.sampled_from(
    ["Mm-hmm.", "Stop that please.", "What about the other one?", "um", "My number is four two",
     "Yes.", "Could you tell me more about all of this please?", "No, wait."]
)  # fmt: skip
PARTS = st.one_of(
    st.builds(
        Say,
        st.sampled_from(
            ["Sure.", "Well, let me think, there are several of them, and all good. Really!", "",
             "One. Two, three and four. And then a much longer sentence that goes on."]
        ),
        delay=st.sampled_from([0.0, 0.05, 1.0]),
        piece=st.sampled_from([3, 200]),
    ),
    st.builds(
        Call,
        st.sampled_from(["look", "wait_for", "unknown"]),
        st.sampled_from(['{"id": "1"}', '{"id": 1}', "{", ""]),
        st.sampled_from(["", "call_0", "!"]),
    ),
    st.just(Fail()),
    st.just(Hang()),
)  # fmt: skip
STEPS = st.one_of(
    st.tuples(st.just("say"), USER_WORDS, st.sampled_from([0.3, 0.9, 2.5])),
    st.tuples(st.just("noise"), st.sampled_from([0.2, 1.5]), st.just(0)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 0.4, 1.0, 3.0, 9.0]), st.just(0)),
    st.tuples(st.just("drop"), st.just(0), st.just(0)),
    st.tuples(st.just("resume"), st.just(0), st.just(0)),
    st.tuples(st.just("reply"), st.just(0), st.just(0)),
    st.tuples(st.just("cancel"), st.just(0), st.just(0)),
    st.tuples(st.just("mute"), st.booleans(), st.just(0)),
)
CONFIGS = st.builds(
    ConversationConfig,
    session_id=st.just("ses_0123456789ab"),
    system_prompt=st.just("Be kind."),
    greeting=st.sampled_from([None, "Hello there, how can I help you?"]),
    tools=st.just((TOOL, HOLDING)),
    turn_detection=st.builds(
        TurnDetection,
        interrupt_response=st.booleans(),
        uninterruptible_turns=st.sampled_from([frozenset(), frozenset({"greeting"})]),
    ),
    interruption_threshold=st.sampled_from([0.0, 0.5, 1.0]),
    max_turns=st.sampled_from([None, 2]),
    max_duration_seconds=st.sampled_from([None, 6.0]),
    tool_filler_seconds=st.just(1.0),
    silence=st.sampled_from([SilencePolicy(), SilencePolicy(2.0, "Still there?", 1, 20.0)]),
    speaks=st.sampled_from([True, True, True, False]),
    has_turn_model=st.booleans(),
    eager_replies=st.booleans(),
)


def play(
    config: ConversationConfig, answers: list[list[Part]], steps: list[Any], **more: Any
) -> Stage:
    left = list(answers)
    stage = Stage(config=config, model=lambda m: left.pop(0) if left else [Say("Fine.")], **more)
    stage.open()
    for kind, one, two in steps:
        match kind:
            case "say":
                stage.say(one, seconds=two)
            case "noise":
                stage.say("", seconds=one, is_noise=True)
            case "wait":
                stage.run(one)
            case "drop":
                stage.feed(ClientDropped(stage.now))
            case "resume":
                stage.feed(ClientResumed(stage.now))
            case "reply":
                stage.feed(ReplyRequested(stage.now))
            case "cancel":
                stage.feed(ReplyCancelled(stage.now))
            case "mute":
                stage.is_sending_audio = not one
        stage.run(0.2)
    return stage


def settle(stage: Stage) -> None:
    """Let everything that was begun come to its end, then end the session."""
    stage.is_sending_audio = True
    stage.feed(ClientResumed(stage.now))
    stage.run(90)


def check_replies(stage: Stage) -> None:
    """Every reply has one start and one end, and says the same words everywhere."""
    started = [n.reply_id for n in stage.notices_of(ReplyStarted)]
    done = [n.reply_id for n in stage.notices_of(ReplyDone)]
    assert Counter(started) == Counter(done), "each reply starts once and is done once"
    told: dict[str, str] = {}
    for notice in stage.notices:
        if isinstance(notice, AgentTranscriptDelta):
            assert notice.reply_id in started
            told[notice.item_id] = told.get(notice.item_id, "") + notice.delta
    transcripts = {n.item_id: n.text for n in stage.notices_of(AgentTranscript)}
    stored = {
        t.item_id: t.text for t in stage.turns.values() if t.speaker is Speaker.AGENT and t.text
    }
    assert {k: v.strip() for k, v in told.items()} == transcripts == stored
    for prompt in stage.prompts:
        said = [m.content for m in prompt if m.role is Role.ASSISTANT and m.content]
        heard = set(stored.values())
        assert all(is_made_of(text, heard) for text in said), "the model sees what was heard"


def is_made_of(text: str, heard: set[str]) -> bool:
    """Whether the text is one of those heard, or several: words said while a tool ran are shown to
    the model in one message with the call."""
    rest = (text.removeprefix(part).strip() for part in heard if text.startswith(part))
    return text in heard or any(is_made_of(part, heard) for part in rest if part)


def check_order(stage: Stage) -> None:
    """A reply's notices come in order, and never two replies at once."""
    active: str | None = None
    for notice in stage.notices:
        match notice:
            case ReplyStarted(reply_id, _):
                assert active is None, "a reply starts when the one before is done"
                active = reply_id
            case AgentTranscriptDelta(reply_id) | AgentTranscript(reply_id):
                assert reply_id == active
            case ReplyDone(reply_id):
                assert reply_id == active
                active = None
    order = [response for _, response in stage.frames]
    seen = list(dict.fromkeys(order))
    assert order == sorted(order, key=seen.index), "audio of two replies is never mixed"


def check_tools(stage: Stage) -> None:
    """At most one effect and exactly one result per call, always paired."""
    calls = Counter(action.call_id for action in stage.of(CallTool))
    assert all(times == 1 for times in calls.values())
    for records in stage.tool_records.values():
        final = [r for r in records if r.status is not ToolStatus.RUNNING]
        assert len(final) <= 1
        assert all(r.status is ToolStatus.RUNNING for r in records[:-1])
    journalled = [a.record.call_id for a in stage.of(RecordTool)]
    for action in stage.of(CallTool):
        assert action.call_id in journalled, "a call is journalled before it runs"
    for prompt in stage.prompts:
        asked = [call.call_id for m in prompt for call in m.tool_calls]
        answered = [m.tool_call_id for m in prompt if m.role is Role.TOOL]
        assert asked == answered, "every call has its one result, in place"


def check_rest(stage: Stage) -> None:
    """Once everybody is silent, nobody is "speaking"."""
    assert not stage.conversation.is_agent_busy or stage.ended is not None
    indices = list(stage.turns)
    assert indices == sorted(indices) == list(range(len(indices)))
    if stage.ended is not None:
        hang_up = next(i for i, (_, a) in enumerate(stage.actions) if isinstance(a, HangUp))
        rest = [a for _, a in stage.actions[hang_up + 1 :]]
        assert all(isinstance(a, SetDeadline) and a.at is None for a in rest)
        for records in stage.tool_records.values():
            assert records[-1].status is not ToolStatus.RUNNING


def check_replay(stage: Stage) -> None:
    """The journal gives the same actions again."""
    writer = JournalWriter(stage.config)
    for event in stage.events:
        writer.add(event)
    chunk = writer.take()
    assert chunk is not None
    config, events = read([chunk[1]])
    assert config == stage.config
    again = Conversation(config)
    actions = [action for event in events for action in again.receive(event)]
    assert actions == [action for _, action in stage.actions]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    config=CONFIGS,
    answers=st.lists(st.lists(PARTS, min_size=1, max_size=3), max_size=5),
    steps=st.lists(STEPS, max_size=12),
    tool_seconds=st.sampled_from([0.1, 2.0, 6.0]),
    transcript_delay=st.sampled_from([0.0, 0.1, 1.5, 5.0]),
    transcript_fails=st.sampled_from([False, False, False, True]),
    speech_fails=st.sampled_from([False, False, False, True]),
    probability=st.sampled_from([0.1, 0.6, 0.95]),
)
def test_every_conversation_keeps_the_invariants(
    config: ConversationConfig,
    answers: list[list[Part]],
    steps: list[Any],
    tool_seconds: float,
    transcript_delay: float,
    transcript_fails: bool,
    speech_fails: bool,
    probability: float,
) -> None:
    note(f"{config=} {answers=} {steps=} {tool_seconds=} {transcript_delay=} {probability=}")
    stage = play(
        config,
        answers,
        steps,
        tool_seconds=tool_seconds,
        transcript_delay=transcript_delay,
        transcript_fails=transcript_fails,
        speech_fails=speech_fails,
        turn_probability=lambda text: probability,
    )
    settle(stage)
    check_rest(stage)
    stage.feed(EndRequested(stage.now, EndedReason.CLIENT_ENDED))
    stage.run(6)
    assert stage.ended is not None
    check_rest(stage)
    check_replies(stage)
    check_order(stage)
    check_tools(stage)
    check_replay(stage)


RESPONSES = st.sampled_from([f"resp_0123456789ab_{n}" for n in range(1, 8)])
UTTERANCES = st.sampled_from([f"utt_0123456789ab_{n}" for n in range(1, 8)])
TEXTS = st.sampled_from(["", "Yes.", "Stop it now.", "a b c"])
AT = st.just(0.0)
ANY_EVENT: st.SearchStrategy[Event] = st.one_of(
    st.builds(SessionOpened, AT),
    st.builds(SpeechScored, AT, st.integers(0, 10**6), st.sampled_from([0.0, 0.9]), st.just(-20.0)),
    st.builds(TranscriptUpdated, AT, UTTERANCES, TEXTS, st.integers(0, 10**6), st.booleans()),
    st.builds(TranscriptFailed, AT, UTTERANCES, st.just("x"), st.just("y")),
    st.builds(TurnScored, AT, UTTERANCES, st.integers(0, 3), st.sampled_from([None, 0.1, 0.9])),
    st.builds(ReplyText, AT, RESPONSES, TEXTS),
    st.builds(ReplyToolCall, AT, RESPONSES, st.just("c"), st.just("look"), st.just("{}")),
    st.builds(ReplyFinished, AT, RESPONSES, st.just("stop")),
    st.builds(ReplyFailed, AT, RESPONSES, st.just("x"), st.just("y"), st.booleans()),
    st.builds(ClauseSynthesised, AT, RESPONSES, st.integers(-1, 3), st.integers(0, 5000)),
    st.builds(SpeechFailed, AT, RESPONSES, st.integers(0, 3), st.just("x"), st.just("y")),
    st.builds(PlayoutProgressed, AT, RESPONSES, st.integers(0, 9000)),
    st.builds(PlayoutDrained, AT, RESPONSES, st.integers(0, 9000)),
    st.builds(PlayoutFlushed, AT, RESPONSES, st.integers(0, 9000)),
    st.builds(ToolAnswered, AT, st.sampled_from(["c", "d"]), TEXTS, st.booleans()),
    st.builds(ConfigChanged, AT, CONFIGS),
    st.builds(MessageAdded, AT, st.sampled_from(list(Role)), TEXTS),
    st.builds(ReplyRequested, AT, st.sampled_from([None, "be brief"])),
    st.builds(ReplyCancelled, AT, st.one_of(st.none(), RESPONSES)),
    st.builds(ClientDropped, AT),
    st.builds(ClientResumed, AT),
    st.builds(EndRequested, AT, st.sampled_from(list(EndedReason)), st.booleans()),
    st.builds(Ticked, AT),
)


@settings(max_examples=300, deadline=None)
@given(
    config=CONFIGS,
    script=st.lists(st.tuples(ANY_EVENT, st.sampled_from([0.0, 0.03, 0.5, 5.0])), max_size=60),
)
def test_no_order_of_events_breaks_it(
    config: ConversationConfig, script: list[tuple[Event, float]]
) -> None:
    conversation = Conversation(config)
    now = 0.0
    called: Counter[str] = Counter()
    finished: Counter[str] = Counter()
    for event, pause in script:
        now += pause
        actions = conversation.receive(replace(event, at=now))
        called.update(a.call_id for a in actions if isinstance(a, CallTool))
        finished.update(a.response_id for a in actions if isinstance(a, FinishSpeech))
    assert all(times == 1 for times in called.values())
    assert all(times == 1 for times in finished.values())
