"""What users of Pipecat complain about."""

import asyncio

import numpy as np
import pytest

from nur_server.conversation.events import Role
from nur_server.conversation.history import CUT_OFF
from nur_server.conversation.notices import AgentTranscriptDelta, ReplyDone, ReplyStatus
from nur_server.ports import Samples
from nur_server.testing import (
    Call,
    Hang,
    Reply,
    Say,
    ScriptedTextToSpeech,
    Trouble,
    VoiceRecogniser,
    Wait,
    World,
    conversation,
)
from nur_server.testing.ear import Cleared, Played
from tests.known_bugs.agent import LONG, SHOP


@pytest.mark.parametrize("word_times", [True, False], ids=["word times", "no word times"])
async def test_the_model_sees_no_word_that_was_not_spoken(word_times: bool) -> None:
    """pc#5426, pc#2791, pc#5605: the context holds words never spoken."""
    world = World(tts=ScriptedTextToSpeech(gives_word_times=word_times))
    async with conversation(SHOP, replies=[LONG, "Fine."], world=world) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Stop, I only want sandals.", after=2.0)
        await call.agent_done()
        cut = call.assert_interrupted()
        first = call.ear.audio[0].response_id
        played = sum(a.length for a in call.ear.audio if a.response_id == first) / 24_000
        assert len(cut.text) * 0.06 == pytest.approx(played, abs=0.6)
        call.assert_heard_is_stored()


@pytest.mark.parametrize("after", [0.05, 0.4, 1.0, 1.38, 1.44, 2.3, 3.7, 5.2])
async def test_no_heard_word_is_lost_to_an_interruption(after: float) -> None:
    """pc#4996, pc#3627, pc#1591: interruptions overtake text, and the bot repeats itself."""
    async with conversation(SHOP, replies=[LONG, "Fine."]) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Stop, I only want sandals.", after=after)
        await call.agent_done()
        cut = call.assert_interrupted()
        told = "".join(n.delta for n in call.notices_of(AgentTranscriptDelta)[:-1])
        assert told.strip().startswith(cut.text)
        cleared = next(i for i, a in enumerate(call.ear.arrivals) if isinstance(a, Cleared))
        late = [a for a in call.ear.arrivals[cleared:] if isinstance(a, Played)]
        assert {a.response_id for a in late}.isdisjoint({call.ear.audio[0].response_id})
        await call.hangs_up()
        call.assert_invariants()


async def test_a_long_call_keeps_no_audio() -> None:
    """pc#3116, pc#3750, pc#1809: memory grows with every minute."""

    def model(request: object) -> Reply:
        return "Yes, that is right."

    async with conversation(SHOP, model=model) as call:
        for number in range(20):
            await call.says(f"Is this question number {number}?")
            await call.agent_done()
            await call.waits(10)
        session = call.session
        assert session._listening.recent._kept <= 4 * 16_000
        assert not session._listening.utterances and not session._speaking.responses
        assert not session._inbox and not session._client.kept


async def _book(guests: int) -> str:
    await asyncio.sleep(30)
    return "ok"


@pytest.mark.parametrize("at", ["greeting", "listening", "thinking", "speaking", "tool", "held"])
async def test_hanging_up_at_any_time_ends_the_session(at: str) -> None:
    """pc#3179, pc#4838: teardown hangs when the caller hangs up at the wrong time."""
    agent = {**SHOP, "first_message": "Hello, this is the shop. How can I help you?"}
    replies = [[Wait(1.0), Say(LONG), Call("book", {"guests": 2})]]
    if at == "tool":
        replies = [[Call("book", {"guests": 2})]]
    async with conversation(agent, replies=replies, tools={"book": _book}) as call:
        await call.agent_speaks()
        if at != "greeting":
            await call.agent_done()
            call.begins("Book a table for two.")
            await call.waits({"listening": 0.8, "thinking": 2.4}.get(at, 5.0))
        if at == "held":
            call.drops()
            call.comes_back()
        before = asyncio.get_running_loop().time()
        await call.hangs_up()
        assert asyncio.get_running_loop().time() - before < 2.0
        names = {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}
        assert names <= {"pacer", "rehearsal"}
        call.assert_ended("client_ended")
        call.assert_invariants()


async def test_a_model_that_falls_silent_in_mid_answer_is_noticed() -> None:
    """pc#2941, pc#1605: silence in the middle of an answer until the user says "hello?"."""
    replies = [[Say("We have boots, and also"), Hang()], "Here I am."]
    async with conversation(SHOP, replies=replies) as call:
        await call.says("What do you have?")
        await call.agent_done(timeout=40)
        assert call.notices_of(ReplyDone)[-1].status is not ReplyStatus.INTERRUPTED
        assert call.turns[-1].error_code is not None
        await call.says("Hello?")
        await call.agent_done()
        call.assert_spoke("Here I am.")


async def test_input_that_was_lost_once_is_heard_again() -> None:
    """pc#721, pc#1217: input goes deaf, every ten minutes in production."""
    world = World(
        stt=lambda voice: VoiceRecogniser(voice, trouble=lambda n: Trouble(hangs=n % 2 == 0))
    )
    async with conversation(SHOP, model=lambda request: "Yes.", world=world) as call:
        for number in range(6):
            await call.says(f"Do you hear number {number}?")
            await call.waits(12)
        heard = [text for text in call.user_said if text.startswith("Do you hear")]
        assert heard == [f"Do you hear number {number}?" for number in (1, 3, 5)]


async def test_a_barge_in_stops_the_agent_within_a_second() -> None:
    """pc#3191: the interruption comes too late."""
    async with conversation(SHOP, replies=[LONG, "Fine."]) as call:
        await call.says("What do you have?")
        await call.agent_speaks()
        await call.waits(1.0)
        began = asyncio.get_running_loop().time()
        await call.says("No wait, I only want to hear about sandals please.")
        await call.agent_done()
        cleared = next(a for a in call.ear.arrivals if isinstance(a, Cleared))
        assert cleared.at - began < 1.2


async def test_a_cough_does_not_stop_the_agent() -> None:
    """pc#1391: the interruption comes on a cough."""
    async with conversation(SHOP, replies=[LONG]) as call:
        await call.says("What do you have?")
        await call.agent_speaks()
        await call.waits(1.0)
        await call.makes_noise(0.35)
        await call.agent_done()
        call.assert_not_interrupted()
        assert call.agent_said == [LONG]


async def test_the_model_is_told_that_and_where_it_was_interrupted() -> None:
    """pc#1663: the model does not know that it was cut off, nor where."""
    async with conversation(SHOP, replies=[LONG, "Fine."]) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Stop, I only want sandals.")
        await call.agent_done()
        cut = call.assert_interrupted()
        *_, said, asked = call.prompts[-1].messages
        assert (said.role, said.content) == (Role.ASSISTANT, cut.text)
        assert asked.content == f"{CUT_OFF} Stop, I only want sandals."


async def test_audio_faster_than_real_time_is_taken_as_it_is() -> None:
    """PR #5162: things break when audio is sent faster than real time."""
    async with conversation(SHOP, replies=["Yes."]) as call:
        await call.waits(0.5)
        silence: Samples = np.zeros(16_000 * 3, np.int16)
        call.session.hear(np.concatenate([call.voice.say("Do you sell boots?"), silence]))
        await call.until(lambda: bool(call.agent_said))
        call.assert_understood("Do you sell boots?")
        call.assert_spoke("Yes.")
