"""What users of Vocode complain about."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from nur_server.conversation.notices import ReplyDone, ReplyError, ReplyStatus
from nur_server.ports import ReplyPart, ReplyRequest, SpeakRequest, SpeechChunk, WordMark
from nur_server.testing import (
    Call,
    ScriptedLanguageModel,
    ScriptedTextToSpeech,
    World,
    conversation,
)
from nur_server.testing.ear import Cleared
from tests.known_bugs.agent import LONG, SHOP


async def test_no_audio_follows_a_barge_in() -> None:
    """#477: the agent talks on for seconds after a barge-in."""
    async with conversation(SHOP, replies=[LONG, "Fine."]) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Stop, I only want sandals.")
        await call.agent_done()
        first = call.ear.audio[0].response_id
        cleared = next(a for a in call.ear.arrivals if isinstance(a, Cleared))
        assert max(a.at for a in call.ear.audio if a.response_id == first) <= cleared.at


async def test_the_transcript_keeps_every_word() -> None:
    """#620: the bot's transcript keeps only the first word."""
    async with conversation(SHOP, replies=[LONG]) as call:
        await call.says("What do you have?")
        await call.agent_done()
        assert call.agent_said == [LONG]
        call.assert_heard_is_stored()


@pytest.mark.parametrize("seconds", [3.05, 3.5, 4.2, 6.0])
async def test_a_filler_is_not_cut_by_the_answer(seconds: float) -> None:
    """#205: fillers are cut by the answer."""

    async def book(guests: int) -> str:
        await asyncio.sleep(seconds)
        return "ok"

    agent = {**SHOP, "tool_filler": "One moment, please.", "tool_filler_seconds": 3.0}
    replies = [[Call("book", {"guests": 2})], "It is booked."]
    async with conversation(agent, replies=replies, tools={"book": book}) as call:
        await call.says("Book a table for two.")
        await call.waits(seconds + 3)
        await call.agent_done()
        assert call.agent_said == ["One moment, please.", "It is booked."]
        assert all(d.status is ReplyStatus.COMPLETED for d in call.notices_of(ReplyDone))


async def test_an_interruption_says_why() -> None:
    """#708: interrupts without a stated cause."""
    async with conversation(SHOP, replies=[LONG, "Fine."]) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Stop, I only want sandals.")
        await call.agent_done()
        cut = call.assert_interrupted()
        assert cut.end_reason
        assert cut.evidence["speech_ms"] > 0 and cut.evidence["words"] > 0
        done = next(d for d in call.notices_of(ReplyDone) if d.status is ReplyStatus.INTERRUPTED)
        assert (done.reason, done.evidence) == (cut.end_reason, cut.evidence)


class Drawl(ScriptedTextToSpeech):
    """Takes two seconds over the first word."""

    async def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk, None]:
        second = request.text.find(" ") + 1
        marks = (WordMark(0, 0), WordMark(second, 2000)) if second else (WordMark(0, 0),)
        async for chunk in super().speak(request):
            yield replace(chunk, words=marks if chunk.words else ())


async def test_the_cut_is_placed_by_word_times() -> None:
    """#700: the cut-off position is guessed."""
    answer = "Well the other words all come one by one by one by one and fast."
    async with conversation(SHOP, replies=[answer, "Fine."], world=World(tts=Drawl())) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Stop that now, please.", after=0.6)
        await call.agent_done()
        assert call.assert_interrupted().text == "Well"


class Broken(ScriptedLanguageModel):
    """Breaks every promise of its port."""

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        if not self.requests:
            self.requests.append(request)
            raise KeyError("surprise")
        async for part in super().reply(request):
            yield part


async def test_an_error_nobody_foresaw_is_logged_and_told() -> None:
    """#605: a catch-all handler hides errors."""
    model = Broken(lambda request: "Here again.")
    with capture_logs() as logs:
        async with conversation(SHOP, model=model) as call:
            call.reconfigures(eager_replies=False)
            await call.says("What do you have?")
            await call.agent_done()
            assert [error.code for error in call.notices_of(ReplyError)] == ["internal_error"]
            await call.says("Are you there?")
            await call.agent_done()
            call.assert_spoke("Here again.")
    crashed = [entry for entry in logs if entry["event"] == "reply.crashed"]
    assert len(crashed) == 1 and crashed[0]["exc_info"]


async def test_asking_again_counts_per_silence() -> None:
    """#694, #696, #692: idle and human-present counters are wrong."""
    agent = {**SHOP, "silence": {"reprompt_seconds": 2.0, "max_reprompts": 1}}
    async with conversation(agent, replies=["Yes.", "Yes."]) as call:
        for question in ("Do you sell boots?", "Do you sell hats?"):
            await call.says(question)
            await call.waits(15)
        triggers = [turn.trigger for turn in call.turns]
        assert triggers == ["speech", "user_speech", "silence"] * 2
