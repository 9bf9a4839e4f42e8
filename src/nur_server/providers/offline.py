"""The honest answer where no language model is configured: a small dialogue by rule.

It says what it is when first used, answers with sentences of the system prompt, calls the agent's
tools when the words match, and asks for arguments it lacks. It keeps no state: everything follows
from the messages, so that the same conversation always gets the same answer.
"""

import json
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nur_server.conversation.actions import ModelMessage
from nur_server.conversation.config import ToolSpec
from nur_server.conversation.events import Role
from nur_server.ports import (
    LanguageModelCapabilities,
    ReplyEnd,
    ReplyPart,
    ReplyRequest,
    TextDelta,
    ToolCallDelta,
)
from nur_server.providers.offline_report import report
from nur_server.providers.offline_slots import (
    first_missing,
    is_speakable,
    properties,
    question_for,
    read_arguments,
    required,
)
from nur_server.providers.offline_text import (
    content,
    facts,
    first_person,
    fitting,
    listed,
    overlap,
    plain_name,
    sentences,
    words,
)

NAME = "offline"
DISCLOSURE = "I'm running without a language model, so I answer from my instructions."
CHECKING = "Let me check."
UNKNOWN = "I have nothing on that in my instructions."
STILL_WAITING = "I'm still waiting for that."
LONGEST_CHARACTERS = 4_000
"""Of what a user says at a time, the end: rules are tried at every place of it."""
MAX_CHAIN = 16
"""Most questions in a row that are taken for one request."""
MATCH_SCORE = 2.0
_PLAIN_VERBS = frozenset(
    content("lookup look get check find fetch set create make list show search update use call")
)
"""Words of tool names that say little about what the tool is for."""

_SMALL_TALK: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"^(?:{pattern})[\s,.!?]*$", re.I), answer)
    for pattern, answer in (
        (
            r"(?:(?:hi|hello|hey|good (?:morning|afternoon|evening)|greetings)(?: there)?[\s,.!]*)+"
            r"(?:how are you(?: doing)?(?: today)?)?",
            "Hello! How can I help you?",
        ),
        (r"how are you(?: doing)?(?: today)?", "I'm well, thank you. How can I help you?"),
        (
            r"(?:(?:ok|okay|great|perfect|good|no|alright|all right)[\s,.!]*)*"
            r"(?:thanks|thank you|cheers)(?:.{0,40})",
            "You're welcome. Is there anything else?",
        ),
        (
            r"(?:.{0,30}\b)?(?:bye|bye bye|goodbye|good bye|see you|that's all|that is all|"
            r"have a (?:good|nice) \w+)(?: (?:for now|then|later|soon))?",
            "Goodbye!",
        ),
        (
            r"(?:no|nope|yes|yeah|ok|okay|alright|all right|sure|fine|great)",
            "All right. What can I do for you?",
        ),
        (r"(?:never ?mind|forget it|cancel that|stop)(?:.{0,20})", "All right, I'll leave that."),
    )
)
_REPEAT = re.compile(
    r"\b(?:repeat (?:that|it|this|please)|say (?:that|it) again|what did you (?:just )?say|pardon|"
    r"come again|once more|(?:didn't|did not) (?:catch|hear|get) (?:that|you|it))\b|^repeat\W*$",
    re.I,
)
_WHO = re.compile(
    r"\b(?:who (?:are you|am i (?:talking|speaking) (?:to|with)|is this)|what are you|"
    r"what(?:'s| is) your name|are you (?:a )?(?:human|person|robot|bot|real|ai|machine)|"
    r"tell me about yourself)\b",
    re.I,
)
_HELP = re.compile(
    r"\b(?:what (?:can|do) you do|how can you help|what can you help|can you help me|help me)\b\W*"
    r"(?:with|please)?\W*$|^help\W*(?:please)?\W*$",
    re.I,
)
_LET_GO = re.compile(r"\b(?:never ?mind|forget it|cancel that|leave it)\b", re.I)
_REMARK = re.compile(r"\[[^\]]*\]\s*")
"""Notes in square brackets that the conversation puts in front of the user's words."""
_QUESTION = re.compile(r"^(?:what|where|when|who|why|how|which|do you|are you|can you)\b", re.I)


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say, and the tool to call behind it."""

    text: str
    tool: ToolSpec | None = None
    arguments: dict[str, Any] | None = None


class OfflineResponder:
    """`LanguageModel` without a model. Never fails, never waits."""

    name = NAME
    capabilities = LanguageModelCapabilities(calls_tools=True)

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[ReplyPart, None]:
        """The answer word by word, and at most one tool call."""
        answer = Dialogue(request).answer()
        for piece in re.findall(r"\s*\S+", answer.text):
            yield TextDelta(piece)
        if answer.tool is not None:
            number = 1 + sum(len(message.tool_calls) for message in request.messages)
            arguments = json.dumps(answer.arguments or {})
            yield ToolCallDelta(f"offline_{number}", answer.tool.name, arguments)
        yield ReplyEnd("tool_calls" if answer.tool is not None else "stop")


class Dialogue:
    """One conversation so far, and the answer that is due."""

    def __init__(self, request: ReplyRequest) -> None:
        messages = request.messages
        self._tools = request.tools
        self._prompt = "\n\n".join(m.content for m in messages if m.role is Role.SYSTEM)
        self._turns = [
            replace(message, content=message.content[-LONGEST_CHARACTERS:])
            if message.role is Role.USER
            else message
            for message in messages
            if message.role is not Role.SYSTEM
        ]
        users = [i for i, turn in enumerate(self._turns) if turn.role is Role.USER]
        self._last_user = users[-1] if users else None
        self._is_first = not any(
            turn.role is Role.ASSISTANT for turn in self._turns[users[0] if users else 0 :]
        )

    def answer(self) -> Answer:
        """What to say now."""
        results = self._due_results()
        if results:
            return Answer(" ".join(map(_reported, results)))
        if self._last_user is None or self._turns[-1].role is not Role.USER:
            return Answer("How can I help you?")
        answer = self._to_user(_REMARK.sub("", self._turns[self._last_user].content).strip())
        if not self._is_first:
            return answer
        return Answer(f"{DISCLOSURE} {answer.text}", answer.tool, answer.arguments)

    def _due_results(self) -> list[ModelMessage]:
        """The tool results nobody has spoken about: those since the user spoke, or, where they came
        late, the latest ones."""
        if self._turns and self._turns[-1].role is Role.USER:
            return []
        since = self._turns[(self._last_user or 0) :]
        results = [turn for turn in since if turn.role is Role.TOOL]
        return results or [turn for turn in self._turns if turn.role is Role.TOOL][-1:]

    def _to_user(self, text: str) -> Answer:
        if _REPEAT.search(text) and (said := self._last_said()):
            return Answer(said)
        pending = self._pending(text)
        if pending is not None:
            return pending
        if small_talk := _small_talk(text):
            return Answer(small_talk)
        tool = matching_tool(text, self._tools)
        if tool is not None:
            return self._use(tool, read_arguments(tool, text))
        if _WHO.search(text):
            return Answer(persona(self._prompt))
        if _HELP.search(text):
            return Answer(self._help())
        found = fitting(text, facts(self._prompt))
        if found:
            return Answer(" ".join(map(first_person, found)))
        return Answer(" ".join([UNKNOWN, *_abilities(self._tools)]))

    def _use(self, tool: ToolSpec, arguments: dict[str, Any]) -> Answer:
        missing = first_missing(tool, arguments)
        if missing is not None:
            return Answer(question_for(tool, missing))
        return Answer(CHECKING, tool, arguments)

    def _pending(self, text: str) -> Answer | None:
        """The answer to somebody who was asked for an argument; None where nobody was, or they
        speak of something else."""
        asked = self._asked_before(self._last_user)
        if asked is None:
            return None
        if _LET_GO.search(text):
            return Answer("All right, I'll leave that.")
        tool, name = asked
        if _QUESTION.match(text) and fitting(text, facts(self._prompt)):
            return None
        given = read_arguments(tool, text, asked=name)
        if not given and _speaks_of_something_else(text, self._prompt, self._tools, tool):
            return None
        return self._use(tool, {**self._given_before(tool), **given})

    def _given_before(self, tool: ToolSpec) -> dict[str, Any]:
        """Arguments given earlier, back to the request that began it."""
        arguments: dict[str, Any] = {}
        place = self._last_user
        for _ in range(MAX_CHAIN):
            asked = self._asked_before(place)
            if place is None or asked is None or asked[0] is not tool:
                break
            place = self._user_before(place)
            if place is None:
                break
            text = _REMARK.sub("", self._turns[place].content)
            before = self._asked_before(place)
            name = before[1] if before is not None and before[0] is tool else None
            arguments = {**read_arguments(tool, text, asked=name), **arguments}
        return arguments

    def _user_before(self, place: int) -> int | None:
        earlier = range(place - 1, -1, -1)
        return next((i for i in earlier if self._turns[i].role is Role.USER), None)

    def _asked_before(self, place: int | None) -> tuple[ToolSpec, str] | None:
        """The tool and the parameter the agent asked for just before a user's turn."""
        if not place:
            return None
        before = self._turns[place - 1]
        if before.role is not Role.ASSISTANT:
            return None
        said = " ".join(before.content.split())
        return next(
            (
                (tool, name)
                for tool in self._tools
                for name in required(tool)
                if said.endswith(question_for(tool, name))
            ),
            None,
        )

    def _last_said(self) -> str:
        said = (t.content for t in reversed(self._turns) if t.role is Role.ASSISTANT and t.content)
        return next(said, "").removeprefix(DISCLOSURE).strip()

    def _help(self) -> str:
        return " ".join(_abilities(self._tools)) or persona(self._prompt)


def _reported(result: ModelMessage) -> str:
    return STILL_WAITING if "still running" in result.content[:60] else report(result.content)


def _small_talk(text: str) -> str | None:
    return next((answer for pattern, answer in _SMALL_TALK if pattern.match(text)), None)


def _speaks_of_something_else(
    text: str, prompt: str, tools: Sequence[ToolSpec], asked: ToolSpec
) -> bool:
    other = matching_tool(text, tools)
    return (
        (other is not None and other is not asked)
        or bool(fitting(text, facts(prompt)))
        or _small_talk(text) is not None
        or bool(_WHO.search(text) or _HELP.search(text))
    )


def matching_tool(text: str, tools: Sequence[ToolSpec]) -> ToolSpec | None:
    """The tool somebody's words ask for.

    Words of its name count twice, words of its description and parameters once; verbs most tools
    have in common count little. Two points are needed.
    """
    said = content(text)
    scores = [(_score(said, tool), -i) for i, tool in enumerate(tools) if is_speakable(tool)]
    best, place = max(scores, default=(0.0, 0))
    return tools[-place] if best >= MATCH_SCORE else None


def _score(said: list[str], tool: ToolSpec) -> float:
    name = content(plain_name(tool.name))
    more = content(f"{tool.description} {' '.join(map(plain_name, properties(tool)))}")
    hits = overlap(said, name)
    more_hits = overlap(said, more) - hits
    specific = 2.0 * len(hits - _PLAIN_VERBS) + len(more_hits - _PLAIN_VERBS)
    if not specific:
        return 0.0
    return specific + 0.5 * len((hits | more_hits) & _PLAIN_VERBS)


def persona(prompt: str) -> str:
    """Who the agent is, by its own instructions."""
    about = re.compile(r"(?:you are|you're|your name is|you’re)\b", re.I)
    who = next((s for s in sentences(prompt) if about.match(s)), None)
    return first_person(who) if who is not None else "I'm the assistant on this line."


def _abilities(tools: Sequence[ToolSpec]) -> list[str]:
    """What the tools can do, as a sentence; none without tools."""
    said = [_ability(tool) for tool in tools[:2]]
    return [f"I can {listed(said)}."] if said else []


def _ability(tool: ToolSpec) -> str:
    """`Looks up order status by ID.` → `look up order status by ID`."""
    described = (sentences(tool.description) or [plain_name(tool.name)])[0].rstrip(".!?")
    verb, _, rest = described.partition(" ")
    verb = verb.lower()
    if re.search(r"(?:ch|sh|ss|x)es$", verb):
        verb = verb[:-2]
    elif verb.endswith("s") and not verb.endswith("ss"):
        verb = verb[:-1]
    return f"{verb} {rest}".strip() if words(described) else plain_name(tool.name)
