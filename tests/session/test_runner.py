"""A session end to end, with scripted engines, in virtual time."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from nur_server.audio.utterance import UtteranceAudio
from nur_server.commands import AddMessage, AnswerTool, CreateReply
from nur_server.conversation.config import ToolRunner, ToolSpec
from nur_server.conversation.engine import Conversation
from nur_server.conversation.events import EndedReason, Role
from nur_server.conversation.journal import read
from nur_server.conversation.notices import (
    AgentTranscript,
    AgentTranscriptDelta,
    ReplyDone,
    ReplyError,
    ReplyStatus,
    SessionEnded,
    ToolCallRequested,
    UserTranscript,
)
from nur_server.conversation.record import ToolStatus
from nur_server.errors import ProviderUnreachable
from nur_server.ports import ListenOptions, ToolRequest, ToolResult, Transcript
from nur_server.providers.scripted import (
    Call,
    Fail,
    Hang,
    Say,
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
    ScriptedToolServer,
    ScriptedTurnModel,
)
from tests.session.scene import CONFIG, Ear, scene

pytestmark = pytest.mark.looptime

LONG = (
    "We have running shoes, walking shoes, hiking boots and a few pairs of sandals, "
    "all of them in stock and ready to be sent to you tomorrow morning."
)
TOOL = ToolSpec("lookup", "Look up", {"type": "object", "properties": {}})


async def test_a_greeting_and_a_turn() -> None:
    config = replace(CONFIG, greeting="Hello there!")
    async with scene(config=config, replies=["Yes, we do."], hears=["Do you sell boots?"]) as s:
        await asyncio.sleep(3)
        await s.speak(1.2)
        await asyncio.sleep(4)
        assert s.memory.said_by("agent") == ["Hello there!", "Yes, we do."]
        assert s.memory.said_by("user") == ["Do you sell boots?"]
        assert s.ear.of(UserTranscript)[-1].text == "Do you sell boots?"
        assert s.ear.seconds_heard == pytest.approx(
            60 * len("Hello there!Yes, we do.") / 1000, abs=0.1
        )


async def test_agent_audio_is_paced_at_the_speed_of_speech() -> None:
    async with scene(config=replace(CONFIG, greeting=LONG)) as s:
        start = asyncio.get_running_loop().time()
        await asyncio.sleep(5)
        sent = 0.0
        for at, _, samples in s.ear.audio:
            sent += len(samples) / 24_000
            assert sent <= at - start + 0.1, "audio runs at most a little ahead of real time"
        assert sent == pytest.approx(5, abs=0.2)


async def test_an_interruption_stops_audio_and_engines() -> None:
    async with scene(replies=[LONG, "Fine."], hears=["What is there?", "Stop, only sandals."]) as s:
        await s.speak(1.0)
        await asyncio.sleep(2.5)
        began = asyncio.get_running_loop().time()
        await s.speak(1.5)
        await asyncio.sleep(4)
        cut = next(t for t in s.memory.turns.values() if t.interrupted_at_ms)
        assert LONG.startswith(cut.text) and cut.text != LONG
        first = s.ear.audio[0][1]
        last = max(at for at, response, _ in s.ear.audio if response == first)
        assert last - began < 1.9
        clears = [i for i, h in enumerate(s.ear.heard) if h[1:] == ("clear", first)]
        assert all(h[1] != first for h in s.ear.heard[clears[0] :]), "nothing plays after the cut"
        assert s.llm.open_replies == 0 and s.tts.open_clauses == 0
        assert s.memory.said_by("agent")[-1] == "Fine."


async def test_heard_is_the_same_everywhere() -> None:
    async with scene(replies=[LONG, "Fine."], hears=["What is there?", "Stop, only sandals."]) as s:
        await s.speak(1.0)
        await asyncio.sleep(2.5)
        await s.speak(1.5)
        await asyncio.sleep(4)
        cut = next(t for t in s.memory.turns.values() if t.interrupted_at_ms)
        deltas = [d for d in s.ear.of(AgentTranscriptDelta) if d.item_id == cut.item_id]
        assert "".join(d.delta for d in deltas).strip() == cut.text
        assert next(t for t in s.ear.of(AgentTranscript) if t.interrupted).text == cut.text
        said = [m.content for m in s.llm.requests[-1].messages if m.role is Role.ASSISTANT]
        assert said == [cut.text]


async def test_a_client_runs_a_tool() -> None:
    config = replace(CONFIG, tools=(TOOL,))
    replies = [[Call("lookup", {}, "c1")], "It is there."]
    async with scene(config=config, replies=replies, hears=["Is it there?"]) as s:
        await s.speak(1.0)
        await asyncio.sleep(1)
        [call] = s.ear.of(ToolCallRequested)
        assert s.session.answer_tool(call.call_id, '{"there": true}')
        assert not s.session.answer_tool(call.call_id, '{"there": false}')
        assert not s.session.answer_tool("unknown", "")
        await asyncio.sleep(3)
        assert s.memory.said_by("agent")[-1] == "It is there."
        assert s.llm.requests[-1].messages[-1].content == '{"there": true}'
        assert [r.status for r in s.memory.tools] == [ToolStatus.RUNNING, ToolStatus.SUCCEEDED]


@pytest.mark.parametrize("calls_tools", [True, False])
async def test_a_model_that_calls_no_tools_is_sent_none(calls_tools: bool) -> None:
    llm = ScriptedLanguageModel(["It is there."], calls_tools=calls_tools)
    async with scene(config=replace(CONFIG, tools=(TOOL,)), llm=llm, hears=["Is it there?"]) as s:
        await s.speak(1.0)
        await asyncio.sleep(3)
        assert [request.tools for request in llm.requests] == [(TOOL,) if calls_tools else ()]


async def test_the_server_runs_a_tool_after_it_was_journalled() -> None:
    tool = replace(TOOL, runner=ToolRunner.SERVER)
    journalled: list[int] = []

    def answer(*_: object) -> str:
        journalled.append(len(s.memory.tools))
        return '"yes"'

    server = ScriptedToolServer({"lookup": answer})
    replies = [[Call("lookup", {}, "c1")], "It is there."]
    async with scene(
        config=replace(CONFIG, tools=(tool,)), replies=replies, hears=["Is it?"], tool_server=server
    ) as s:
        await s.speak(1.0)
        await asyncio.sleep(3)
        assert journalled == [1]
        assert s.memory.said_by("agent")[-1] == "It is there."


@pytest.mark.parametrize(
    "arguments", [r'{"a": "\ud800"}', r'{"a": "\u0000"}', '{"a": "\ud800"}', '{"a": "\\udc00\x00"}']
)
async def test_arguments_that_cannot_be_encoded_are_made_harmless(arguments: str) -> None:
    tool = replace(TOOL, runner=ToolRunner.SERVER)
    server = ScriptedToolServer({"lookup": lambda *_: "half \ud800 of it"})
    replies = [[Call("lookup", arguments, "c1")], "It is there."]
    async with scene(
        config=replace(CONFIG, tools=(tool,)), replies=replies, hears=["Is it?"], tool_server=server
    ) as s:
        await s.speak(1.0)
        await asyncio.sleep(3)
        for record in s.memory.tools:
            assert set(json.loads(record.arguments)["a"]) == {"\ufffd"}
        assert s.memory.tools[-1].result == "half \ufffd of it"
        assert s.memory.said_by("agent")[-1] == "It is there."


async def test_a_client_does_not_answer_for_the_server() -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedToolServer):
        async def call(self, request: ToolRequest) -> ToolResult:
            asked.set()
            await may_answer.wait()
            return ToolResult('"fetched"')

    replies = [[Call("lookup", {}, "c1")], "It is there."]
    async with scene(
        config=replace(CONFIG, tools=(replace(TOOL, runner=ToolRunner.SERVER),)),
        replies=replies,
        hears=["Is it?"],
        tool_server=Slow({}),
    ) as s:
        await s.speak(1.0)
        await asked.wait()
        [call] = s.ear.of(ToolCallRequested)
        for result in ('"forged"', "", '{"error": "no"}'):
            s.session.command(AnswerTool(call.call_id, result, is_error=False))
        assert not s.session.answer_tool(call.call_id, '"forged"', is_error=True)
        may_answer.set()
        await asyncio.sleep(3)
        assert not s.session.answer_tool(call.call_id, '"forged"')
        assert s.llm.requests[-1].messages[-1].content == '"fetched"'
        assert [r.result for r in s.memory.tools] == [None, '"fetched"']
        s.session.end(EndedReason.CLIENT_ENDED)
        summary = await s.session.wait_ended()
    assert summary.metrics["tool_results_ignored"] == 5


async def test_a_model_that_fails_is_apologised_for() -> None:
    gone = ProviderUnreachable("gone", provider="scripted-llm")
    replies = [[Fail(gone)], [Fail(gone)], "Back again."]
    async with scene(replies=replies, hears=["Hello, anybody there?", "Hello again?"]) as s:
        await s.speak(1.0)
        await asyncio.sleep(6)
        await s.speak(1.0)
        await asyncio.sleep(4)
        assert s.memory.said_by("agent") == [CONFIG.apology, "Back again."]
        assert s.ear.of(ReplyError)[0].code == "provider_unreachable"


async def test_a_model_that_hangs_does_not_hang_the_session() -> None:
    async with scene(replies=[[Hang()], [Hang()]], hears=["Hello, anybody there?"]) as s:
        await s.speak(1.0)
        await asyncio.sleep(30)
        assert s.ear.of(ReplyDone)[0].status is ReplyStatus.FAILED
        assert s.llm.open_replies == 0
        assert not s.session.is_over


async def test_a_synthesiser_that_fails_ends_the_reply() -> None:
    tts = ScriptedTextToSpeech(failures={0: ProviderUnreachable("gone", provider="tts")})
    config = replace(CONFIG, greeting="Hello there!")
    async with scene(config=config, tts=tts, replies=["Yes."], hears=["Hello?"]) as s:
        await asyncio.sleep(1)
        assert s.ear.of(ReplyDone)[0].status is ReplyStatus.FAILED
        await s.speak(1.0)
        await asyncio.sleep(3)
        assert s.memory.said_by("agent")[-1] == "Yes."


class BrokenSpeechToText(ScriptedSpeechToText):
    """A recogniser whose server is gone."""

    def __init__(self) -> None:
        super().__init__([])

    async def transcribe(
        self, audio: UtteranceAudio, options: ListenOptions
    ) -> AsyncGenerator[Transcript, None]:
        while not audio.ended:
            await audio.wait(sys.maxsize)
        raise ProviderUnreachable("It is lost.", provider="stt", said="gone")
        yield


async def test_a_recogniser_that_fails_is_apologised_for() -> None:
    async with scene(stt=BrokenSpeechToText()) as s:
        await s.speak(1.0)
        await asyncio.sleep(8)
        assert s.memory.said_by("agent") == [CONFIG.apology]
        (told,) = s.ear.of(ReplyError)
        assert told.code == "provider_unreachable"
        assert "gone" not in told.message
        [reply] = s.ear.of(ReplyDone)
        assert reply.reply_id == told.reply_id
    assert s.memory.summary is not None
    assert s.memory.summary.error_code == "provider_unreachable"
    assert s.memory.summary.metrics["recogniser_failures"] == 1


@pytest.mark.parametrize("mark", ["[BLANK_AUDIO]", "(music)", ".", "♪", "<|nospeech|>"])
async def test_marks_for_noise_are_no_turn(mark: str) -> None:
    async with scene(hears=[mark]) as s:
        await s.speak(1.0)
        await asyncio.sleep(5)
        assert s.ear.of(UserTranscript) == []
        assert s.memory.turns == {}
        assert s.llm.requests == []


async def test_the_turn_model_is_asked_at_a_pause() -> None:
    model = ScriptedTurnModel([0.9])
    async with scene(replies=["Yes."], hears=["Do you sell boots?"], turn_model=model) as s:
        await s.speak(1.2)
        await asyncio.sleep(3)
        assert s.memory.turns[0].evidence["turn_probability"] == 0.9
        assert s.memory.turns[0].end_reason == "turn_complete"


async def test_a_client_that_comes_back_hears_the_rest() -> None:
    async with scene(config=replace(CONFIG, greeting=LONG)) as s:
        await asyncio.sleep(2)
        s.session.detach(s.ear)
        heard = len(s.ear.audio)
        await asyncio.sleep(10)
        assert len(s.ear.audio) == heard
        again = Ear()
        s.session.attach(again)
        await asyncio.sleep(12)
        assert s.memory.said_by("agent") == [LONG]
        assert s.ear.seconds_heard + again.seconds_heard == pytest.approx(len(LONG) * 0.06, abs=0.1)


async def test_a_client_that_does_not_come_back_ends_the_session() -> None:
    async with scene(config=replace(CONFIG, greeting="Hello!"), resume_seconds=5) as s:
        await asyncio.sleep(2)
        s.session.detach(s.ear)
        await asyncio.sleep(6)
        assert s.session.is_over
        assert s.memory.summary is not None
        assert s.memory.summary.reason is EndedReason.CLIENT_DISCONNECTED


async def test_the_end_leaves_nothing_running() -> None:
    async with scene(replies=[LONG], hears=["What is there?"]) as s:
        await s.speak(1.0)
        await asyncio.sleep(2)
        before = {t for t in asyncio.all_tasks() if "pacer" not in t.get_name()}
        s.session.end(EndedReason.CLIENT_ENDED)
        summary = await s.session.wait_ended()
        await asyncio.sleep(0.1)
        assert summary.reason is EndedReason.CLIENT_ENDED
        assert s.ear.closed is EndedReason.CLIENT_ENDED
        assert isinstance(s.ear.notices[-1], SessionEnded)
        left = {t for t in asyncio.all_tasks() if not t.done()} & before
        assert {t.get_name() for t in left} <= {
            asyncio.current_task().get_name(),  # type: ignore[union-attr]
            *(t.get_name() for t in left if "send_audio" in repr(t)),
        }
        assert s.llm.open_replies == s.tts.open_clauses == s.stt.open_utterances == 0
        assert len(s.live) == 0


async def test_the_journal_replays_to_the_same_turns() -> None:
    async with scene(replies=[LONG, "Fine."], hears=["What is there?", "Stop, only sandals."]) as s:
        await s.speak(1.0)
        await asyncio.sleep(2.5)
        await s.speak(1.5)
        await asyncio.sleep(4)
        s.session.end(EndedReason.CLIENT_ENDED)
        await s.session.wait_ended()
    config, events = read(s.memory.journal)
    conversation = Conversation(config)
    actions = [action for event in events for action in conversation.receive(event)]
    turns = [a.turn for a in actions if type(a).__name__ == "CommitTurn"]
    assert {t.index: t for t in turns} == s.memory.turns


async def test_a_reply_without_speech() -> None:
    async with scene(config=replace(CONFIG, speaks=False), replies=[[Say("In words.")]]) as s:
        s.session.command(AddMessage(Role.USER, "Say it in words."))
        s.session.command(CreateReply())
        await asyncio.sleep(1)
        assert s.memory.said_by("agent") == ["In words."]
        assert s.ear.audio == []
