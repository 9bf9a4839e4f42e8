"""Making a prompt shorter that a model's context cannot hold."""

from collections.abc import Iterable
from dataclasses import replace

from nur_server.conversation.actions import ModelMessage
from nur_server.conversation.events import Role

KEPT_RESULT_CHARACTERS = 400
"""What is left of a tool's old result: about a hundred tokens."""
KEPT_NOTE_CHARACTERS = 400
KEPT_WORDS_CHARACTERS = 1_000
"""What is left of the user's last words at least: a minute of speech."""
CUT = " … (shortened) … "
HEAD_SHARE = 0.75
"""Of what is kept: from the beginning. The rest comes from the end."""

Messages = list[ModelMessage]


def prompt_characters(messages: Iterable[ModelMessage]) -> int:
    """The size of a prompt, as far as it is text."""
    return sum(_characters(message) for message in messages)


def shortened(messages: tuple[ModelMessage, ...], characters: int) -> tuple[ModelMessage, ...]:
    """The prompt in at most so many characters, as far as that can be.

    In this order, each only as far as needed: old tool results, the latest ones, notes, turns from
    the oldest on, the user's last words. The system prompt, which is the first of its role, and
    the last turn stay.
    """
    kept = list(messages)
    for shorten in (_old_results, _results, _notes, _turns, _last_words):
        if prompt_characters(kept) <= characters:
            break
        kept = shorten(kept, characters)
    return tuple(kept)


def _characters(message: ModelMessage) -> int:
    return len(message.content) + sum(len(call.arguments) for call in message.tool_calls)


def _old_results(messages: Messages, characters: int) -> Messages:
    last = _last_user(messages)
    old = [at for at, m in enumerate(messages) if m.role is Role.TOOL and at < last]
    return _cut_each(messages, characters, old, KEPT_RESULT_CHARACTERS)


def _results(messages: Messages, characters: int) -> Messages:
    """All of them, each with its share of the room there is."""
    places = [at for at, m in enumerate(messages) if m.role is Role.TOOL]
    others = prompt_characters(m for m in messages if m.role is not Role.TOOL)
    share = (characters - others) // max(1, len(places))
    return _cut_each(messages, characters, places, max(KEPT_RESULT_CHARACTERS, share))


def _notes(messages: Messages, characters: int) -> Messages:
    places = [at for at, m in enumerate(messages) if m.role is Role.SYSTEM][1:]
    return _cut_each(messages, characters, places, KEPT_NOTE_CHARACTERS)


def _turns(messages: Messages, characters: int) -> Messages:
    """Without the oldest turns: each ends where the user speaks next."""
    system = [m for m in messages if m.role is Role.SYSTEM]
    talk = [m for m in messages if m.role is not Role.SYSTEM]
    starts = [at for at, m in enumerate(talk) if m.role is Role.USER]
    for start in starts:
        kept = [*system, *talk[start:]]
        if prompt_characters(kept) <= characters:
            return kept
    return [*system, *talk[starts[-1] :]] if starts else messages


def _last_words(messages: Messages, characters: int) -> Messages:
    last = _last_user(messages)
    if last < 0:
        return messages
    others = prompt_characters(m for at, m in enumerate(messages) if at != last)
    room = max(KEPT_WORDS_CHARACTERS, characters - others)
    return _cut_each(messages, characters, [last], room)


def _last_user(messages: Messages) -> int:
    places = [at for at, m in enumerate(messages) if m.role is Role.USER]
    return places[-1] if places else -1


def _cut_each(messages: Messages, characters: int, places: list[int], kept: int) -> Messages:
    """With the messages at `places` cut, one after the other, until the prompt is short enough."""
    cut = list(messages)
    for at in places:
        if prompt_characters(cut) <= characters:
            break
        cut[at] = replace(cut[at], content=_cut(cut[at].content, kept))
    return cut


def _cut(text: str, characters: int) -> str:
    if len(text) <= characters + len(CUT):
        return text
    head = round(characters * HEAD_SHARE)
    return text[:head] + CUT + text[len(text) - (characters - head) :]
