"""How the demonstration is judged: nothing passes for a conversation that was none."""

import dataclasses

import numpy as np
import pytest

from nur import Transcript
from nur.events import ToolCall
from nur.objects import TranscriptTurn
from nur_server.cli.dialogue import Account, Reply
from nur_server.cli.line import Line, silence
from nur_server.cli.script import CUES, Passage, lookup_order, verify
from nur_server.providers.scripted import ScriptedSpeechToText

SAID = (
    "Hello, how can I help you today?",
    "We are open from nine in the morning until six in the evening.",
    "The status is out for delivery.",
    "Under our return policy I can",
    "You're welcome.",
    "Goodbye.",
)
ORDER_CALL = ToolCall(call_id="c1", name="lookup_order", arguments={"order_id": "1042"})
KEPT = Transcript(
    session_id="ses_1",
    turns=[TranscriptTurn(speaker="agent", text="Under our", interrupted=True, unheard="policy")],
)


@dataclasses.dataclass
class Performance:
    """A conversation as it should be, for a test to spoil."""

    passages: list[Passage] = dataclasses.field(default_factory=list)
    account: Account = dataclasses.field(default_factory=lambda: Account(tool_calls=[ORDER_CALL]))
    line: Line = dataclasses.field(default_factory=Line)
    heard: list[str] = dataclasses.field(default_factory=lambda: list(SAID))
    kept: Transcript = KEPT

    def __post_init__(self) -> None:
        for number, cue in enumerate((None, *CUES)):
            reply = Reply(f"r{number}", began_at=0, is_interrupted=number == 3)
            self.line.receive(reply.id, np.ones(480, "<i2").tobytes())
            user = () if cue is None else (cue.says,)
            self.passages.append(Passage(cue, user, (reply,)))
        for _ in self.passages:
            self.line.step(silence())

    async def problems(self) -> dict[str, str]:
        ears = ScriptedSpeechToText(self.heard)
        checks = await verify(self.passages, self.account, self.line, self.kept, ears)
        return {check.name: check.problem for check in checks if check.problem is not None}


async def test_a_conversation_that_happened_has_no_problems() -> None:
    assert await Performance().problems() == {}


@pytest.mark.parametrize("number", range(5))
async def test_what_could_not_be_understood_of_the_agent_is_a_problem(number: int) -> None:
    performance = Performance()
    performance.heard[number] = "Mumble."
    (name,) = await performance.problems()
    assert "aloud" in name


async def test_silence_is_no_answer() -> None:
    performance = Performance()
    performance.passages[5] = dataclasses.replace(performance.passages[5], replies=())
    (name,) = await performance.problems()
    assert "goodbye" in name and "aloud" in name


@pytest.mark.parametrize("number", range(1, 6))
async def test_a_caller_who_was_not_understood_is_a_problem(number: int) -> None:
    performance = Performance()
    performance.passages[number] = dataclasses.replace(
        performance.passages[number], user=("Mumble.",)
    )
    (name,) = await performance.problems()
    assert name.startswith("the agent understood")


@pytest.mark.parametrize(
    "calls",
    [
        [],
        [ORDER_CALL, ORDER_CALL],
        [ToolCall(call_id="c1", name="lookup_order", arguments={"order_id": "9"})],
    ],
)
async def test_the_tool_is_called_once_and_for_the_right_order(calls: list[ToolCall]) -> None:
    performance = Performance()
    performance.account.tool_calls = calls
    assert list(await performance.problems()) == ["the tool was called exactly once"]


async def test_an_answer_that_played_to_its_end_was_not_interrupted() -> None:
    performance = Performance()
    reply = dataclasses.replace(performance.passages[3].replies[0], is_interrupted=False)
    performance.passages[3] = dataclasses.replace(performance.passages[3], replies=(reply,))
    assert list(await performance.problems()) == ["the interruption cut the answer"]


async def test_the_kept_transcript_says_where_the_answer_was_cut() -> None:
    performance = Performance()
    performance.kept = Transcript(session_id="ses_1")
    assert list(await performance.problems()) == ["the interruption cut the answer"]


async def test_an_error_is_a_problem() -> None:
    performance = Performance()
    performance.account.errors.append("the model failed")
    assert await performance.problems() == {"nothing failed": "the model failed"}


def test_the_tool_knows_one_order() -> None:
    assert lookup_order("order 10-42")["status"] == "out for delivery"
    with pytest.raises(LookupError):
        lookup_order("7")
