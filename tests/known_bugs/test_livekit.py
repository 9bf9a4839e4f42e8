"""What users of LiveKit Agents complain about."""

import asyncio
import gc
import weakref

import pytest

from nur_server.conversation.events import EndedReason, Role
from nur_server.conversation.notices import ReplyDone, ReplyStatus, UserSpeechStopped
from nur_server.errors import ProviderUnreachable
from nur_server.ports import Samples, SpeakRequest
from nur_server.testing import (
    Call,
    Hang,
    Phone,
    Say,
    ScriptedTextToSpeech,
    Trouble,
    VoiceRecogniser,
    Wait,
    World,
    conversation,
)
from tests.known_bugs.agent import LONG, SHOP

SALES = "+15550100"


async def test_nothing_of_a_call_outlives_it() -> None:
    """lk#2166, lk#1186, python-sdks#449, agents-js#927: memory grows call after call."""
    left: list[weakref.ref[object]] = []
    before = asyncio.all_tasks()
    for _ in range(5):
        async with conversation(SHOP, replies=[LONG]) as call:
            await call.says("What do you have?")
            await call.agent_speaks()
            await call.hangs_up()
            left += [weakref.ref(call.session), weakref.ref(call.session._conversation)]
        del call
    gc.collect()
    assert [ref for ref in left if ref() is not None] == []
    assert asyncio.all_tasks() == before


async def test_a_barge_in_keeps_the_finished_tools_result_and_books_once() -> None:
    """lk#3702, #6349, #6227: the result is dropped and the model books twice."""
    replies = [[Call("book", {"guests": 2})], LONG, "As I said, it is booked."]
    async with conversation(SHOP, replies=replies, tools={"book": lambda guests: "ok"}) as call:
        await call.says("Book a table for two.")
        await call.interrupts_with("Wait, did you book it?", after=1.0)
        await call.agent_done()
        call.assert_tool_called("book", times=1)
        call.assert_interrupted()
        messages = call.prompts[-1].messages
        assert [m.content for m in messages if m.role is Role.TOOL] == ["ok"]
        call.assert_spoke("As I said")


async def test_a_reply_that_was_never_heard_is_not_taken_for_said() -> None:
    """lk#6859: the model skips the reply the caller never heard."""
    replies = [[Call("book", {"guests": 2})], [Wait(3), Say("It is booked.")], "It is booked."]
    async with conversation(SHOP, replies=replies, tools={"book": lambda guests: "ok"}) as call:
        await call.says("Book a table for two.")
        await call.waits(1.5)
        await call.says("Hello, are you still there?")
        await call.agent_done()
        said = [m.content for m in call.prompts[-1].messages if m.role is Role.ASSISTANT]
        assert said == [""], "only the call itself, no words nobody heard"
        assert call.agent_said[-1] == "It is booked."


@pytest.mark.parametrize("seconds", [1.0, 6.0])
@pytest.mark.parametrize("after", [0.1, 0.6, 1.1, 2.0])
async def test_an_interrupted_tool_call_is_paired_and_the_session_lives(
    after: float, seconds: float
) -> None:
    """lk#5092, lk#995: an unpaired message, and every further request is refused."""

    async def book(guests: int) -> str:
        await asyncio.sleep(seconds)
        return "ok"

    calls = [Say("Let me see about that for you."), Call("book", {"guests": 2})]
    replies = [calls, "Yes.", "Yes.", "Yes."]
    async with conversation(SHOP, replies=replies, tools={"book": book}) as call:
        await call.says("Book a table for two.")
        await call.interrupts_with("Wait, make that quick please.", after=after)
        await call.agent_done()
        await call.says("Is it done now?")
        await call.waits(9)
        call.assert_tool_called("book", times=1)
        for prompt in call.prompts[1:]:
            assert [m.role for m in prompt.messages].count(Role.TOOL) == 1
        await call.hangs_up()
        call.assert_invariants()


async def test_a_false_interruption_goes_on_where_it_stopped() -> None:
    """lk#4039, lk#1229, #4395: resuming breaks, or fires on nothing."""
    async with conversation(SHOP, replies=[LONG]) as call:
        await call.says("What do you have?")
        await call.agent_speaks()
        await call.waits(1.0)
        await call.makes_noise(0.9)
        await call.agent_done()
        call.assert_not_interrupted()
        assert call.agent_said == [LONG], "all of it, once"
        call.assert_heard_is_stored()


async def test_nothing_resumes_after_a_real_interruption() -> None:
    """lk#1229: what was cut off comes back."""
    async with conversation(SHOP, replies=[LONG, "Fine."]) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Stop, that is enough.")
        await call.agent_done()
        await call.waits(20)
        cut = call.assert_interrupted()
        assert call.agent_said == [cut.text, "Fine."]


class SilentSpeech(ScriptedTextToSpeech):
    """Says once that it speaks, and never does."""

    async def speak(self, request: SpeakRequest):  # type: ignore[no-untyped-def]
        if not self.spoken:
            self.spoken.append(request)
            await asyncio.Event().wait()
        async for chunk in super().speak(request):
            yield chunk


async def test_speaking_without_audio_heals_itself() -> None:
    """lk#3418, livekit#4777: stuck in "speaking", and silent."""
    async with conversation(SHOP, replies=[LONG, "Here."], world=World(tts=SilentSpeech())) as call:
        await call.says("What do you have?")
        await call.agent_done(timeout=30)
        assert call.notices_of(ReplyDone)[-1].status is ReplyStatus.FAILED
        await call.says("Hello, is anybody there?")
        await call.agent_done()
        call.assert_spoke("Here.")


@pytest.mark.parametrize(
    "trouble",
    [Trouble(hangs=True), Trouble(error=ProviderUnreachable("gone", provider="stt"))],
    ids=["hangs", "fails"],
)
async def test_the_agent_is_not_deaf_after_a_recogniser_broke(trouble: Trouble) -> None:
    """livekit#4484: deaf in the middle of a call."""
    world = World(
        stt=lambda voice: VoiceRecogniser(voice, trouble=lambda n: Trouble() if n else trouble)
    )
    async with conversation(SHOP, replies=["I hear you."], world=world) as call:
        await call.says("Do you hear me?")
        await call.waits(10)
        await call.says("Do you hear me now?")
        await call.agent_done()
        call.assert_understood("Do you hear me now?")
        call.assert_spoke("I hear you.")


async def test_nothing_is_spoken_or_judged_before_the_far_end_answers() -> None:
    """livekit#4377, livekit#4378, lk#1863: the greeting is spoken into the ringing."""
    agent = {**SHOP, "first_message": "Hello, this is the shop."}
    async with conversation(agent, world=World(answers_after_seconds=8.0)) as call:
        await call.agent_done()
        assert call.ear.arrivals[0].at >= 8.0
        heard_seconds = sum(played.length for played in call.ear.audio) / 24_000
        assert heard_seconds == pytest.approx(0.06 * len("Hello, this is the shop."), abs=0.05)
        assert call.agent_said == ["Hello, this is the shop."]


async def test_a_transfer_waits_for_its_announcement_and_takes_the_agent_out() -> None:
    """lk#6357, lk#5716, agents-js#2300: the hand-over is cut, the agent stays in."""
    agent = {**SHOP, "tools": [{"type": "transfer_call"}, {"type": "send_dtmf"}]}
    announced = "One moment please, I am connecting you with a colleague."
    calls = [Call("send_dtmf", {"digits": "1"}), Call("transfer_call", {"to_number": SALES})]
    world = World(phone=Phone())
    async with conversation(agent, replies=[[Say(announced), *calls], LONG], world=world) as call:
        await call.says("Let me speak to sales please.")
        await call.ended()
        call.assert_spoke(announced)
        call.assert_ended("transferred")
        assert call.handset is not None
        assert (call.handset.keys, call.handset.transferred_to) == ("1", SALES)
        await call.says("Hello, who is there?")
        await call.waits(5)
        assert len(call.prompts) == 1
        assert call.agent_said == [announced]


class SlowTurnModel:
    """Takes longer than anybody waits."""

    name = "slow"

    async def score(self, samples: Samples) -> float:
        await asyncio.sleep(60)
        return 1.0


async def test_a_slow_model_neither_delays_nor_loses_a_turn() -> None:
    """lk#4761, #6498, lk#3894, lk#4183: one slow call delays or loses what the user does."""
    world = World(turn_model=lambda voice: SlowTurnModel())
    async with conversation(SHOP, replies=[LONG, "Fine."], world=world) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Stop, I only want sandals.")
        await call.agent_done()
        call.assert_interrupted()
        assert call.agent_said[-1] == "Fine."
        pauses = [n.evidence["silence_ms"] for n in call.notices_of(UserSpeechStopped)]
        assert max(pauses) < 1500


async def test_an_interruption_before_the_first_word_empties_only_what_was_not_heard() -> None:
    """lk#1994: a played duration of 0 empties messages."""
    async with conversation(SHOP, replies=["Yes, we do.", LONG, "Fine."]) as call:
        await call.says("Do you sell boots?")
        await call.agent_done()
        await call.says("What else do you have?")
        await call.agent_speaks()
        await call.says("No wait, stop that.")
        await call.agent_done()
        said = [m.content for m in call.prompts[-1].messages if m.role is Role.ASSISTANT]
        assert said[0] == "Yes, we do."
        assert all(said), "no empty message"
        call.assert_heard_is_stored()


async def test_an_agent_that_cannot_be_interrupted_still_listens() -> None:
    """lk#2368: `allow_interruptions=False` makes the agent deaf."""
    agent = {**SHOP, "turn_detection": {"interrupt_response": False}}
    async with conversation(agent, replies=[LONG, "Sandals it is."]) as call:
        await call.says("What do you have?")
        await call.interrupts_with("I only want sandals please.")
        await call.agent_done()
        call.assert_not_interrupted()
        call.assert_understood("I only want sandals please.")
        assert call.agent_said == [LONG, "Sandals it is."]


async def test_a_short_remark_does_not_queue_a_stale_answer() -> None:
    """lk#4316, lk#563: words too few to interrupt are answered long after."""
    async with conversation(SHOP, replies=[LONG, "Yes, red ones."]) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Uh huh.", after=1.5)
        await call.agent_done()
        await call.waits(10)
        assert call.agent_said == [LONG], "no answer of its own"
        await call.says("Do you have red ones?")
        await call.agent_done()
        assert "Uh huh." in call.prompts[-1].messages[-1].content, "kept as context"


async def test_a_model_that_hangs_ends_with_the_call() -> None:
    """lk#3841: workers that die silently."""
    async with conversation(SHOP, replies=[[Hang()]]) as call:
        await call.says("Is anybody there?")
        await call.waits(2)
        summary = await call.hangs_up()
        assert summary.reason is EndedReason.CLIENT_ENDED
        assert call.setup.llm.open_replies == 0  # type: ignore[attr-defined]
