"""What users of Dograh complain about."""

from nur_server.conversation.notices import (
    AgentTranscript,
    AgentTranscriptDelta,
    ReplyDone,
    ReplyError,
    ReplyStarted,
    UserSpeechStarted,
    UserSpeechStopped,
    UserTranscript,
)
from nur_server.errors import ProviderUnreachable
from nur_server.testing import ScriptedTextToSpeech, World, conversation
from tests.known_bugs.agent import LONG, SHOP


async def test_the_interruption_switch_is_not_ignored() -> None:
    """#236: the interruption switch is ignored."""
    for switch in (
        {"turn_detection": {"interrupt_response": False}},
        {"interruption_threshold": 1},
    ):
        async with conversation({**SHOP, **switch}, replies=[LONG, "Fine."]) as call:
            await call.says("What do you have?")
            await call.interrupts_with("Stop, I only want sandals.")
            await call.agent_done()
            call.assert_not_interrupted()


async def test_the_switch_can_be_thrown_during_the_call() -> None:
    """#236."""
    async with conversation(SHOP, replies=[LONG, "Fine."]) as call:
        await call.says("What do you have?")
        await call.agent_speaks()
        call.reconfigures(interruption_threshold=1.0)
        await call.says("Stop, I only want sandals.", after=0.5)
        await call.agent_done()
        call.assert_not_interrupted()


async def test_events_come_in_order_and_the_greeting_once() -> None:
    """#534, #481, #545: the order of realtime events, and greetings."""
    agent = {**SHOP, "first_message": "Hello!"}
    async with conversation(agent, replies=["Yes."]) as call:
        await call.agent_done()
        await call.says("Do you sell boots?")
        await call.agent_done()
        kinds = [type(notice) for notice in call.notices]
        once = list(dict.fromkeys(kinds[4:]))
        assert kinds[:4] == [ReplyStarted, AgentTranscriptDelta, AgentTranscript, ReplyDone]
        assert once == [
            UserSpeechStarted,
            UserTranscript,
            UserSpeechStopped,
            ReplyStarted,
            AgentTranscriptDelta,
            AgentTranscript,
            ReplyDone,
        ]
        assert call.agent_said == ["Hello!", "Yes."]


async def test_a_failure_at_the_very_start_is_visible() -> None:
    """#587: failures before the call are invisible."""
    gone = ProviderUnreachable("the speech server is gone", provider="tts")
    world = World(tts=ScriptedTextToSpeech(failures={0: gone}))
    async with conversation({**SHOP, "first_message": "Hello!"}, world=world) as call:
        await call.waits(1)
        [error] = call.notices_of(ReplyError)
        assert (error.code, error.message) == ("provider_unreachable", "the speech server is gone")
        assert call.turns[0].error_code == "provider_unreachable"
        summary = await call.hangs_up()
        assert summary.error_code == "provider_unreachable"
