"""Recordings to replay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nur_server.conversation.config import ConversationConfig
from nur_server.replay.recording import Recording
from nur_server.testing import Rehearsal, conversation

LONG = (
    "We have running shoes, walking shoes, hiking boots and a few pairs of sandals, "
    "all of them in stock and ready to be sent to you tomorrow morning."
)
CONFIG = ConversationConfig("ses_0123456789ab0123456789ab01234567", system_prompt="Sell shoes.")


@asynccontextmanager
async def recorded(**given: Any) -> AsyncIterator[Rehearsal]:
    """A conversation that is over when the block is left."""
    async with conversation(given.pop("config", CONFIG), **given) as call:
        yield call
        await call.hangs_up()


def recording(call: Rehearsal) -> Recording:
    return Recording.read(call.memory.journal)


async def an_interrupted_call() -> Rehearsal:
    """The caller asks, interrupts, and gets what they wanted."""
    async with recorded(replies=[LONG, "All right."]) as call:
        await call.says("What do you have?")
        await call.interrupts_with("Stop please, only sandals.", after=1.0)
        await call.agent_done()
        await call.waits(12)
    return call
