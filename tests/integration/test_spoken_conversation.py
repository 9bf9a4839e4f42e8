"""A conversation by voice over a real socket: real speech in, recognisable speech out.

A server with the embedded engines and no language model listens on a port of its own. The caller is
a synthesised voice that goes through the SDK; what the agent says is transcribed again by the
embedded recogniser. Nothing is asserted on a clock, only on what was understood.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from nur import Agent, AsyncNurClient, Transcript
from nur_server.cli import node, place
from nur_server.cli.dialogue import Account, Dialogue
from nur_server.cli.line import Line
from nur_server.cli.mouth import Reciter
from nur_server.cli.node import Node
from nur_server.cli.talk import converse, recite
from nur_server.cli.voices import hear, speak
from nur_server.ports import Samples
from nur_server.providers.moonshine import NAME as EARS
from nur_server.settings import Settings
from nur_server.turn_taking.words import normalise
from tests.hearing import assert_heard
from tests.integration.conftest import Embedded

pytestmark = [pytest.mark.xdist_group("spoken"), pytest.mark.timeout(400)]

PROMPT = (
    "You are a friendly customer support agent for an e-commerce store. "
    "We are open from nine in the morning until six in the evening. "
    "Under the return policy of this store every parcel can come back within thirty days, as long "
    "as it is unused and in its original packaging, and the label is sent by email on the same day."
)
LOOKUP = {
    "name": "lookup_order",
    "description": "Look up order status by ID",
    "parameters": {"order_id": {"type": "string", "required": True}},
}
CUT_AFTER_SECONDS = 6.0
"""How much of the answer is heard before it is interrupted: that it is given by rule, and more."""
ANSWER_SECONDS = 30.0

Conduct = Callable[[Dialogue, Reciter, Sequence[Samples]], Awaitable[None]]
"""How a caller behaves who has these things to say."""


@dataclass
class Talk:
    """A conversation that has been held."""

    account: Account
    kept: Transcript
    said: list[str]
    """What can be understood of the agent's audio, reply by reply."""
    calls: list[str]
    """The orders the tool was called for."""


@pytest.fixture
def settings(embedded: Embedded) -> Settings:
    return embedded(port=0)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[Node, AsyncNurClient]]:
    with place.claimed(settings) as claimed:
        async with node.running(claimed) as here, asyncio.TaskGroup() as group:
            group.create_task(here.serve())
            await here.server.ready.wait()
            async with AsyncNurClient(await here.any_key(), claimed.address) as client:
                yield here, client
            here.server.stop()


class Stage:
    """Where a caller talks to an agent."""

    def __init__(self, here: Node, client: AsyncNurClient, agent: Agent) -> None:
        self._here = here
        self._client = client
        self._agent = agent
        self._calls: list[str] = []
        self.mouth = Reciter()

    async def hold(self, conduct: Conduct, *texts: str) -> Talk:
        """A session in which `conduct` has the caller say `texts`."""
        speech = await speak(texts)
        session = await self._client.agents.sessions.create(
            agent_id=self._agent.id, initial_message="Hello! How can I help you today?"
        )

        async def go(dialogue: Dialogue) -> None:
            dialogue.expect_reply()
            await conduct(dialogue, self.mouth, speech)

        with Line() as line:
            account = await converse(
                self._client,
                session,
                {"lookup_order": self._look_up},
                line,
                self.mouth,
                asyncio.Event(),
                go,
            )
        ears = self._here.services.catalogue.speech_to_text(EARS).engine
        said = [await hear(ears, line.heard_of(reply.id)) for reply in account.replies]
        kept = await self._client.sessions.transcript(session.session_id)
        return Talk(account, kept, said, self._calls)

    def _look_up(self, order_id: str) -> dict[str, str]:
        self._calls.append(order_id)
        return {"status": "waiting for payment"}


async def cut_in(dialogue: Dialogue, mouth: Reciter, speech: Sequence[Samples]) -> None:
    """Say the second over the answer to the first."""
    question, interruption = speech
    await dialogue.until_settled(ANSWER_SECONDS)
    mouth.say(question)
    dialogue.expect_reply()
    assert await dialogue.until(
        lambda: dialogue.heard_seconds() >= CUT_AFTER_SECONDS, ANSWER_SECONDS
    )
    mouth.say(interruption)
    dialogue.expect_reply()
    await dialogue.until_settled(ANSWER_SECONDS)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with serving(settings) as (here, client):
        agent = await client.agents.create(
            name="Support", voice_id="rachel_v2", system_prompt=PROMPT, tools=[LOOKUP]
        )
        yield Stage(here, client, agent)


async def test_a_question_is_understood_and_answered_aloud_and_kept_as_it_was_said(
    stage: Stage,
) -> None:
    question = "Could you tell me your opening hours?"
    talk = await stage.hold(recite, question)
    (heard,) = talk.account.user
    assert_heard(heard, question)
    assert talk.account.errors == []
    assert talk.account.ended_reason == "client_ended"

    assert [turn.speaker for turn in talk.kept.turns] == ["agent", "user", "agent"]
    kept = [turn.text for turn in talk.kept.turns]
    greeting, answer = (reply.text for reply in talk.account.replies)
    assert "from nine in the morning until six in the evening" in answer
    assert kept == [greeting, heard, answer]
    for said, text in zip(talk.said, (greeting, answer), strict=True):
        assert_heard(said, text)


async def test_a_tool_of_the_client_is_called_once_and_its_result_spoken(stage: Stage) -> None:
    talk = await stage.hold(recite, "What is the status of order nine one three five?")
    assert talk.calls == ["9135"]
    answer = talk.account.replies[-1].text
    assert "waiting for payment" in answer
    assert_heard(talk.said[-1], answer)
    (call,) = [call for turn in talk.kept.turns for call in turn.tool_calls]
    assert (call.name, call.status) == ("lookup_order", "succeeded")
    assert call.arguments == {"order_id": "9135"}


async def test_an_interruption_cuts_the_answer_to_what_was_heard(stage: Stage) -> None:
    question = "Please tell me about your return policy."
    interruption = "Great, thank you, that is all I wanted to know."
    talk = await stage.hold(cut_in, question, interruption)
    assert_heard(" ".join(talk.account.user), f"{question} {interruption}")

    cut = next(reply for reply in talk.account.replies if reply.is_interrupted)
    assert "eturn policy" in cut.text and "email" not in cut.text
    (turn,) = [turn for turn in talk.kept.turns if turn.interrupted]
    assert turn.text == cut.text
    assert turn.unheard.endswith("by email on the same day.")

    heard = talk.said[talk.account.replies.index(cut)]
    assert_heard(heard, cut.text)
    assert "email" not in normalise(heard)
    assert "welcome" in talk.account.replies[-1].text
    assert_heard(talk.said[-1], talk.account.replies[-1].text)
