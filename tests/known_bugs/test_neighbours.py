"""What users of neighbouring projects complain about."""

import pytest

from nur_server.commands import CreateReply
from nur_server.conversation.notices import ReplyDone, ReplyStatus
from nur_server.testing import Rehearsal, World, conversation
from nur_server.testing.tools import Bench
from nur_server.testing.voice import Voice
from tests.known_bugs.agent import LONG, SHOP


@pytest.mark.parametrize("seconds", [0.3, 1.6, 3.0])
async def test_the_next_call_is_answered_after_a_hang_up_in_the_middle(seconds: float) -> None:
    """Home Assistant core#175718: silent after a hang-up in mid-pipeline."""
    async with conversation(SHOP, replies=[LONG, "Hello again."]) as call:
        call.begins("What do you have?")
        await call.waits(seconds)
        await call.hangs_up()
        other = Rehearsal(call.live, call.setup, Voice(), World(), Bench({}))
        other.session.attach(other.ear)
        other.session.command(CreateReply())
        await call.until(lambda: bool(other.ear.of(ReplyDone)))
        assert other.ear.of(ReplyDone)[0].status is ReplyStatus.COMPLETED
        assert other.ear.audio


async def test_the_agents_transcript_outlives_what_the_user_says() -> None:
    """openai-agents-js#523: the assistant's transcript is dropped at each user utterance."""
    async with conversation(SHOP, replies=["Yes, we do.", "Red ones too.", LONG]) as call:
        for question in ("Do you sell boots?", "And red ones?", "What else is there?"):
            await call.says(question)
            await call.agent_done()
        assert call.agent_said == ["Yes, we do.", "Red ones too.", LONG]
        said = [m.content for m in call.prompts[-1].messages if m.role.value == "assistant"]
        assert said == ["Yes, we do.", "Red ones too."]
