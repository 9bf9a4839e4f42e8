"""What users of Bolna complain about."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from nur_server.conversation.events import EndedReason
from nur_server.conversation.notices import ReplyDone, ReplyError, ReplyStatus
from nur_server.ports import SpeakRequest, SpeechChunk
from nur_server.testing import (
    Call,
    Say,
    ScriptedTextToSpeech,
    Trouble,
    VoiceRecogniser,
    World,
    conversation,
)
from nur_server.testing.ear import Closed
from tests.known_bugs.agent import LONG, SHOP


class Mute(ScriptedTextToSpeech):
    """Reports success and gives no audio."""

    async def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk, None]:
        self.spoken.append(request)
        return
        yield


async def test_words_without_audio_are_no_success() -> None:
    """#507, #498, #260, #225: callers hear nothing although every stage logs success."""
    async with conversation(SHOP, replies=[LONG], world=World(tts=Mute())) as call:
        await call.says("What do you have?")
        await call.agent_done()
        assert call.notices_of(ReplyDone)[-1].status is ReplyStatus.FAILED
        assert call.notices_of(ReplyError)[0].code == "provider_garbled"
        assert call.agent_said == [], "nothing was heard, so nothing is stored as said"
        assert call.turns[-1].error_code == "provider_garbled"


@pytest.mark.parametrize("limit", ["max_turns", "max_duration"])
async def test_the_goodbye_is_not_cut_by_the_hang_up(limit: str) -> None:
    """#942, #936, #926, #849: the goodbye is cut by the hang-up."""
    agent = {**SHOP, "max_duration_seconds": 12.0, "goodbye": "I have to go now. Goodbye!"}
    if limit == "max_turns":
        agent = {**SHOP, "max_turns": 1}
    async with conversation(agent, replies=["We are open until six. Goodbye!"]) as call:
        if limit == "max_turns":
            await call.says("When are you open?")
        await call.ended()
        call.assert_ended(limit)
        assert call.agent_said[-1].endswith("Goodbye!")
        last = call.ear.audio[-1]
        closed = next(a for a in call.ear.arrivals if isinstance(a, Closed))
        assert closed.at >= last.at + last.length / 24_000
        call.assert_invariants()


async def test_silence_counts_from_the_end_of_playout() -> None:
    """#886, #887: the inactivity timer fires while audio is still queued."""
    agent = {**SHOP, "silence": {"reprompt_seconds": 2.0, "end_seconds": 5.0}}
    async with conversation(agent, replies=[f"{LONG} {LONG}"]) as call:
        await call.says("What do you have?")
        summary = await call.ended()
        assert summary.reason is EndedReason.SILENCE
        assert call.agent_said[0] == f"{LONG} {LONG}"
        answer = next(turn for turn in call.turns if turn.trigger == "user_speech")
        asked = next(turn for turn in call.turns if turn.trigger == "silence")
        assert 2000 <= asked.started_ms - answer.ended_ms < 2200


@pytest.mark.parametrize("after", [0.3, 0.9, 1.5])
async def test_a_barge_in_during_a_tool_runs_it_once(after: float) -> None:
    """#819, #827: a barge-in during a tool runs it twice."""

    async def book(guests: int) -> str:
        await asyncio.sleep(1.2)
        return "ok"

    replies = [[Say("One moment, I will book that."), Call("book", {"guests": 2})], "Hm.", "Hm."]
    async with conversation(SHOP, replies=replies, tools={"book": book}) as call:
        await call.says("Book a table for two.")
        await call.interrupts_with("Wait a moment please.", after=after)
        await call.waits(8)
        call.assert_tool_called("book", guests=2, times=1)
        assert [c.result for c in call.tool_calls if c.name == "book"] == ["ok"]


async def test_a_model_that_calls_again_during_a_barge_in_runs_nothing_twice() -> None:
    """#819, #827: a barge-in during a tool runs it twice."""

    async def book(guests: int) -> str:
        await asyncio.sleep(6)
        return "ok"

    calls = [Call("book", {"guests": 2})]
    replies = [calls, calls, "I am still at it.", "It is booked."]
    async with conversation(SHOP, replies=replies, tools={"book": book}) as call:
        await call.says("Book a table for two.")
        await call.says("Please be quick about it.", after=1)
        await call.agent_done()
        call.assert_tool_called("book", guests=2, times=1)
        call.assert_spoke("It is booked.")


@pytest.mark.parametrize(
    "internal",
    [
        '<tool_call>{"name": "book", "arguments": {"guests": 2}}</tool_call>',
        '```json\n{"tool": "book"}\n```',
        "[call_5f0c1d2e3a4b5c6d7e8f9a0b1c2d3e4f]",
        "<think>The user wants shoes.</think>",
    ],
)
async def test_nothing_internal_is_read_aloud(internal: str) -> None:
    """#825, #826: call ids and tool syntax are read aloud to the caller."""
    async with conversation(SHOP, replies=[[Say(f"Certainly. {internal} Here you are.")]]) as call:
        await call.says("What do you have?")
        await call.agent_done()
        spoken = " ".join(request.text for request in call.setup.tts.spoken)  # type: ignore[attr-defined]
        assert "Certainly." in spoken and "Here you are." in spoken
        for sign in ("<", "{", "`", "tool_call", "call_5f", "think", "guests"):
            assert sign not in spoken


async def test_an_empty_answer_does_not_kill_the_call() -> None:
    """#932, #955: dead calls after an empty model turn."""
    async with conversation(SHOP, replies=["", "", "Here again."]) as call:
        await call.says("What do you have?")
        await call.agent_done()
        assert call.turns[-1].error_code == "empty_reply"
        assert call.agent_said, "the caller hears an apology"
        await call.says("Hello, are you there?")
        await call.agent_done()
        call.assert_spoke("Here again.")


async def test_a_transcript_that_never_becomes_final_is_not_waited_for() -> None:
    """#939: dead calls after a transcript that never becomes final."""
    world = World(stt=lambda voice: VoiceRecogniser(voice, trouble=lambda n: Trouble(hangs=n == 0)))
    async with conversation(SHOP, replies=["I hear you."], world=world) as call:
        await call.says("What do you have?")
        await call.waits(8)
        assert call.agent_said, "the caller hears an apology"
        await call.says("Do you hear me?")
        await call.agent_done()
        call.assert_spoke("I hear you.")


@pytest.mark.parametrize("made_at", [8_000, 22_050, 24_000, 48_000])
@pytest.mark.parametrize("sent_at", [8_000, 16_000, 48_000])
async def test_audio_is_as_long_at_every_rate(made_at: int, sent_at: int) -> None:
    """#860, #855, #974: wrong rates, and a filter built anew for every chunk."""
    world = World(tts=ScriptedTextToSpeech(sample_rate=made_at, tone_hz=300.0), output_rate=sent_at)
    async with conversation({"first_message": LONG}, world=world) as call:
        await call.agent_done()
        seconds = sum(played.length for played in call.ear.audio) / sent_at
        assert seconds == pytest.approx(0.06 * len(LONG), abs=0.05)
