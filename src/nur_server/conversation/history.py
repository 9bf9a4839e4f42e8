"""What was said, as heard, and the prompt made of it."""

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import takewhile

from nur_server.conversation.actions import ModelMessage, ToolCallMessage
from nur_server.conversation.events import Role
from nur_server.conversation.tools import ToolJournal
from nur_server.text.joining import joined

STILL_RUNNING = '{"status": "still running", "result": null}'
"""What the model is told of a call without a result. It is JSON, which is never spoken."""
CUT_OFF = "[I cut you off there and did not hear the rest.]"
MAX_NOTES_CHARACTERS = 16_000
"""Of the notes in a prompt, as of a tool's result: some four thousand tokens."""
MOST_REMOVED = 8
"""Messages taken out that may still be being said: one of either side is."""
MOST_ASIDES = 3
"""Asides that are told of before a user's turn: the latest."""


@dataclass(slots=True)
class _UserSaid:
    text: str
    item_id: str = ""


@dataclass(slots=True)
class _AgentSaid:
    text: str
    """The words heard."""
    was_cut: bool
    call_ids: tuple[str, ...]
    began_ms: int | None = None
    """Session time at which it was begun. None: not known."""
    item_id: str = ""


@dataclass(slots=True)
class _Note:
    role: Role
    content: str
    item_id: str = ""


_Entry = _UserSaid | _AgentSaid | _Note


@dataclass(slots=True)
class _Draft:
    """A prompt under construction: user messages in a row become one, since some chat templates
    refuse two."""

    messages: list[ModelMessage] = field(default_factory=list)
    owed_to_user: list[str] = field(default_factory=list)
    """Remarks that go in front of the user's next words."""

    def add_user(self, text: str) -> None:
        text = " ".join([*self.owed_to_user, text])
        self.owed_to_user.clear()
        if self.messages and self.messages[-1].role is Role.USER:
            text = f"{self.messages.pop().content}\n{text}"
        self.messages.append(ModelMessage(Role.USER, text))

    def add_agent(self, said: _AgentSaid, tools: ToolJournal) -> None:
        """Words said while tools ran stand with their calls, in front of the results."""
        calling = None if said.call_ids else self._running_at(said.began_ms, tools)
        if calling is None:
            calls = tuple(tools.message(call_id) for call_id in said.call_ids)
            self.messages.append(ModelMessage(Role.ASSISTANT, said.text, calls))
            self.messages.extend(_result(call, tools) for call in calls)
        else:
            before = self.messages[calling]
            text = joined(before.content, said.text)
            self.messages[calling] = replace(before, content=text)
        if said.was_cut:
            self.owed_to_user.append(CUT_OFF)

    def _running_at(self, at_ms: int | None, tools: ToolJournal) -> int | None:
        """Where the last message stands that called tools of which one still ran at that time."""
        results = list(takewhile(lambda m: m.role is Role.TOOL, reversed(self.messages)))
        known = [tools.get(result.tool_call_id or "") for result in results]
        if at_ms is not None and any(call and call.runs_at(at_ms) for call in known):
            return len(self.messages) - len(results) - 1
        return None


class History:
    """Everything said so far, in order. `prompt` shows it to a model."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._asides: list[str] = []
        """What is told of them before the user's next words."""
        self._removed: deque[str] = deque(maxlen=MOST_REMOVED)
        """Messages that the client has taken out, the latest."""
        self._told: list[str] = []
        """The same of the user's latest words."""

    def user_said(self, text: str, item_id: str = "") -> None:
        if not item_id or item_id not in self._removed:
            self._entries.append(_UserSaid(self._with_asides(text), item_id))
        self._told, self._asides = self._asides, []

    def user_goes_on(self) -> bool:
        """Take the user's latest words back: they go on with them. False, and nothing is changed,
        where something was said since."""
        if not self._entries or not isinstance(self._entries[-1], _UserSaid):
            return False
        self._entries.pop()
        self._asides, self._told = [*self._told, *self._asides][-MOST_ASIDES:], []
        return True

    def user_said_aside(self, text: str, *, is_for_agent: bool = True) -> None:
        """Words that were no turn of their own: context for the user's next one."""
        if is_for_agent:
            aside = f'[While you spoke I said "{text}".]'
        else:
            aside = f'[Somebody here said, not to you, "{text}".]'
        self._asides = [*self._asides[1 - MOST_ASIDES :], aside]

    def _with_asides(self, text: str) -> str:
        return " ".join([*self._asides, text])

    def agent_said(
        self,
        text: str,
        *,
        was_cut: bool,
        call_ids: tuple[str, ...],
        began_ms: int | None = None,
        item_id: str = "",
    ) -> None:
        """The words heard of a reply, and the tools it called. Neither: it leaves no trace."""
        if item_id and item_id in self._removed:
            text, was_cut = "", False
        if text or call_ids:
            self._entries.append(_AgentSaid(text, was_cut, call_ids, began_ms, item_id))

    def correct_agent(self, text: str, item_id: str) -> None:
        """No more than `text` was heard of these words of the agent's."""
        for entry in reversed(self._entries):
            if isinstance(entry, _AgentSaid) and entry.text and entry.item_id == item_id:
                entry.text, entry.was_cut = text, True
                if not text and not entry.call_ids:
                    self._entries = [other for other in self._entries if other is not entry]
                return

    def note(self, role: Role, content: str, item_id: str = "", after: str | None = None) -> None:
        """Context from the client, behind the item `after`; empty: in front of all others. None,
        or one that is not known: behind all others."""
        is_user = role is Role.USER
        entry = _UserSaid(content, item_id) if is_user else _Note(role, content, item_id)
        self._entries.insert(self._place_behind(after), entry)

    def note_call(self, call_id: str, item_id: str = "", after: str | None = None) -> None:
        """A tool call of an earlier conversation, which the journal knows."""
        entry = _AgentSaid("", False, (call_id,), None, item_id)
        self._entries.insert(self._place_behind(after), entry)

    def _place_behind(self, item_id: str | None) -> int:
        if item_id == "":
            return 0
        places = (i + 1 for i, entry in enumerate(self._entries) if entry.item_id == item_id)
        return len(self._entries) if item_id is None else next(places, len(self._entries))

    def remove(self, item_id: str) -> None:
        """Forget a message, or one that is still being said. Tool calls that were made with it
        stay, with their results."""
        self._removed.append(item_id)
        for entry in [entry for entry in self._entries if entry.item_id == item_id]:
            if isinstance(entry, _AgentSaid) and entry.text and entry.call_ids:
                entry.text = ""
            else:
                self._entries = [other for other in self._entries if other is not entry]

    @property
    def last_agent_text(self) -> str:
        """The agent's last words, if nobody has spoken since; else empty."""
        for entry in reversed(self._entries):
            if isinstance(entry, _AgentSaid) and entry.text:
                return entry.text
            if isinstance(entry, _UserSaid):
                return ""
        return ""

    def prompt(
        self,
        system_prompt: str,
        tools: ToolJournal,
        *,
        turns: int,
        user_text: str | None = None,
        instructions: str | None = None,
    ) -> tuple[ModelMessage, ...]:
        """The messages for a generation: the last `turns` user turns with all that belongs to them.

        `user_text` is a turn that is not in the history yet; `instructions` are for this reply
        alone. What the client has noted follows as system messages of its own, the latest of it.
        Every tool call is followed by exactly one result.
        """
        entries = [*self._entries]
        if user_text is not None:
            entries.append(_UserSaid(self._with_asides(user_text)))
        draft = _Draft()
        system = "\n\n".join(part for part in (system_prompt, instructions) if part)
        if system:
            draft.messages.append(ModelMessage(Role.SYSTEM, system))
        draft.messages += [ModelMessage(Role.SYSTEM, note) for note in _latest_notes(entries)]
        for entry in _last_turns(entries, turns):
            _write(entry, draft, tools)
        return tuple(draft.messages)


def _latest_notes(entries: list[_Entry]) -> list[str]:
    """As many of the last notes as there is room for, in order."""
    room, kept = MAX_NOTES_CHARACTERS, list[str]()
    for entry in reversed(entries):
        if isinstance(entry, _Note) and entry.role is Role.SYSTEM and entry.content and room > 0:
            kept.insert(0, entry.content[:room])
            room -= len(entry.content)
    return kept


def _last_turns(entries: list[_Entry], turns: int) -> list[_Entry]:
    """The entries from the start of the last `turns` user turns on."""
    seen = 0
    for index in range(len(entries) - 1, -1, -1):
        if isinstance(entries[index], _UserSaid):
            seen += 1
            if seen == max(1, turns):
                return entries[index:] if _has_earlier_user(entries, index) else entries
    return entries


def _has_earlier_user(entries: list[_Entry], index: int) -> bool:
    return any(isinstance(entry, _UserSaid) for entry in entries[:index])


def _write(entry: _Entry, draft: _Draft, tools: ToolJournal) -> None:
    match entry:
        case _UserSaid(text):
            draft.add_user(text)
        case _Note(Role.ASSISTANT, content):
            draft.messages.append(ModelMessage(Role.ASSISTANT, content))
        case _Note():
            pass
        case _AgentSaid():
            draft.add_agent(entry, tools)


def _result(call: ToolCallMessage, tools: ToolJournal) -> ModelMessage:
    result = tools.result(call.call_id)
    content = STILL_RUNNING if result is None else result
    return ModelMessage(Role.TOOL, content, tool_call_id=call.call_id)
