"""What is said in the demonstration, and how to tell whether it really happened."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nur import Transcript
from nur_server.cli.dialogue import Account, Dialogue, Reply
from nur_server.cli.line import Line
from nur_server.cli.mouth import Reciter
from nur_server.cli.voices import hear
from nur_server.ports import Samples, SpeechToText
from nur_server.turn_taking.words import normalise

AGENT: dict[str, Any] = {
    "name": "Customer Support",
    "voice_id": "rachel_v2",
    "system_prompt": (
        "You are a friendly customer support agent for an e-commerce store. "
        "Answer in one or two short sentences. "
        "We are open from nine in the morning until six in the evening. "
        "Under our return policy you can return anything within thirty days, as long as it is "
        "unused and in its original packaging, and we send you a free label by email, so that "
        "you only have to hand the parcel in at any post office."
    ),
    "language": "en",
    "tools": [
        {
            "name": "lookup_order",
            "description": "Look up order status by ID",
            "parameters": {"order_id": {"type": "string", "required": True}},
        }
    ],
}
GREETING = "Hello! How can I help you today?"
ORDER = "1042"
CUT_AFTER_SECONDS = 2.0
"""How much is heard of the answer that is interrupted."""
ANSWER_SECONDS = 25.0
"""Longest wait for the agent to have answered."""


def lookup_order(order_id: str) -> dict[str, str]:
    """The agent's tool, run on the caller's side. Raises `LookupError` for any other order."""
    if order_digits(order_id) != ORDER:
        raise LookupError(f"there is no order {order_id}")
    return {"order_id": ORDER, "status": "out for delivery"}


def order_digits(order_id: object) -> str:
    return "".join(character for character in str(order_id) if character.isdigit())


@dataclass(frozen=True, slots=True)
class Cue:
    """One thing the caller says, and what must come of it."""

    says: str
    understood: tuple[str, ...]
    """Patterns that what the server understood must match."""
    answered: tuple[str, ...] = ()
    """Patterns that the agent's audio must match, once it is transcribed again."""
    cuts_in: bool = False
    """Said over the agent's answer, rather than after it."""


CUES = (
    Cue("Could you tell me your opening hours?", ("opening", "hours"), ("morning", "evening")),
    Cue(
        "What is the status of order one zero four two?",
        ("status", "order"),
        ("delivery|out for",),
    ),
    Cue("Please tell me about your return policy.", ("return",), ("return|policy",)),
    Cue(
        "Great, thank you, that is all I wanted to know.",
        ("thank", "all i wanted"),
        ("welcome",),
        cuts_in=True,
    ),
    Cue("All right, goodbye, and have a nice day.", ("have an?",)),
)


@dataclass(frozen=True, slots=True)
class Passage:
    """What came of one cue; the first passage is the greeting's and has none."""

    cue: Cue | None
    user: tuple[str, ...]
    replies: tuple[Reply, ...]


async def perform(dialogue: Dialogue, mouth: Reciter, speech: Sequence[Samples]) -> list[Passage]:
    """Say every cue when its time has come. `speech`: the audio of each."""
    account = dialogue.account
    marks = [(0, 0)]
    for cue, samples in zip(CUES, speech, strict=True):
        if cue.cuts_in:
            await dialogue.until(
                lambda: dialogue.heard_seconds() >= CUT_AFTER_SECONDS, ANSWER_SECONDS
            )
        else:
            await dialogue.until_settled(ANSWER_SECONDS)
        marks.append((len(account.user), len(account.replies)))
        mouth.say(samples)
        dialogue.expect_reply()
    await dialogue.until_settled(ANSWER_SECONDS)
    marks.append((len(account.user), len(account.replies)))
    return [
        Passage(cue, tuple(account.user[a:b]), tuple(account.replies[c:d]))
        for cue, ((a, c), (b, d)) in zip((None, *CUES), pairwise(marks), strict=True)
    ]


# What must have happened


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must have happened."""

    name: str
    problem: str | None
    """What came instead. None: it happened."""


async def verify(
    passages: Sequence[Passage], account: Account, line: Line, kept: Transcript, ears: SpeechToText
) -> list[Check]:
    """Judge a performance by what was understood, by the agent's audio, which `ears` transcribe
    again, and by the transcript the server has kept."""
    said = [await _said(passage.replies, line, ears) for passage in passages]
    return [
        Check("the agent greeted the caller aloud", _lacks(said[0], ("help",))),
        *_turns(passages[1:], said[1:]),
        Check("the tool was called exactly once", _tool_problem(account)),
        Check("the interruption cut the answer", _cut_problem(passages, kept)),
        Check("nothing failed", "; ".join(account.errors) or None),
    ]


def _turns(passages: Sequence[Passage], said: Sequence[str]) -> Iterator[Check]:
    for passage, words in zip(passages, said, strict=True):
        cue = passage.cue
        assert cue is not None
        yield Check(
            f"the agent understood “{cue.says}”", _lacks(" ".join(passage.user), cue.understood)
        )
        problem = _lacks(words, cue.answered) if cue.answered else _unanswered(passage)
        yield Check(f"the agent answered “{cue.says}” aloud", problem)


async def _said(replies: Sequence[Reply], line: Line, ears: SpeechToText) -> str:
    """What can be understood of the agent's audio."""
    return " ".join([await hear(ears, line.heard_of(reply.id)) for reply in replies])


def _unanswered(passage: Passage) -> str | None:
    return None if any(reply.began_at is not None for reply in passage.replies) else "it was silent"


def _lacks(text: str, patterns: Sequence[str]) -> str | None:
    words = normalise(text)
    if not words:
        return "nothing was heard"
    missing = [p for p in patterns if not re.search(rf"\b(?:{p})", words)]
    return f"expected {' and '.join(missing)} in “{text}”" if missing else None


def _tool_problem(account: Account) -> str | None:
    given = [order_digits(call.arguments.get("order_id")) for call in account.tool_calls]
    return None if given == [ORDER] else f"expected one call for {ORDER}, got {given or 'none'}"


def _cut_problem(passages: Sequence[Passage], kept: Transcript) -> str | None:
    place = next(i for i, p in enumerate(passages) if p.cue is not None and p.cue.cuts_in)
    before = passages[place - 1].replies
    if not before or not before[-1].is_interrupted:
        return "the answer was not interrupted"
    turn = next((turn for turn in kept.turns if turn.interrupted), None)
    if turn is None or not turn.unheard:
        return "the kept transcript does not say where the answer was cut"
    return None
