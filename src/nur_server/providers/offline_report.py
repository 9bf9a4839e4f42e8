"""What a tool answered, as one spoken sentence."""

import json
import re
from typing import Any

from nur_server.providers.offline_text import capitalised, listed, plain_name

MAX_FIELDS = 4
MAX_ITEMS = 3
MAX_CHARACTERS = 300
_IDENTIFIERS = frozenset({"id", "uuid", "guid", "url", "href", "token", "object", "hash"})
"""Last words of field names that are for machines."""
FAILED = "I'm sorry, that did not work."
_FOR_PROGRAMMERS = re.compile(
    r"\w(?:Error|Exception)\b|Traceback|\b(?:errno|null|undefined|NoneType|stack|SQL|HTTP)\b"
    r"|\w+\.\w+\(|::|[{}<>\\]|\bline [0-9]+\b|/\w+/\w+|\bstatus [45][0-9]{2}\b",
)
"""Marks of an exception, a trace or a protocol: nothing of such a text is for the user."""
_WRAPPERS = ("result", "data", "response")


def report(content: str) -> str:
    """A sentence or two for the content of a tool message.

    JSON becomes `The status is shipped, the eta is Tuesday.`; text is said as it stands. What
    follows the JSON, instructions for a language model, is left out.
    """
    value = _leading_json(content)
    if value is None:
        return _said_text(content)
    return _sentence(value)


def _leading_json(content: str) -> Any | None:
    try:
        value, _ = json.JSONDecoder().raw_decode(content.lstrip())
    except ValueError:
        return None
    return value if isinstance(value, dict | list | bool) or not content.strip() else (value,)


def _said_text(content: str) -> str:
    text = " ".join(content.partition("\n\n")[0].split())
    if not text:
        return "That is done."
    if text[0] in "{[" or len(text) > MAX_CHARACTERS:
        return "I have an answer, but it is too long to read out."
    if _FOR_PROGRAMMERS.search(text):
        return FAILED
    return capitalised(text if text[-1] in ".!?" else f"{text}.")


def _sentence(value: Any) -> str:
    match value:
        case tuple():
            return _said_text("" if value[0] is None else _plain(value[0]))
        case bool():
            return "Yes." if value else "No."
        case list():
            return _list(value)
        case {"ok": False}:
            return FAILED
        case {"error": error} if error:
            return _failure(str(_plain(_reason(error))))
        case dict():
            return _fields({str(name): inner for name, inner in value.items()})
        case _:
            return _said_text(_plain(value))


def _failure(reason: str) -> str:
    """A tool's own words for what went wrong, unless they are a programmer's."""
    is_for_people = reason and " " in reason and _FOR_PROGRAMMERS.search(reason) is None
    return f"That did not work: {reason}." if is_for_people else FAILED


def _reason(error: Any) -> Any:
    return error.get("message", "there was an error") if isinstance(error, dict) else error


def _fields(fields: dict[str, Any]) -> str:
    if len(fields) == 1 and next(iter(fields)) in _WRAPPERS:
        inner = next(iter(fields.values()))
        return _sentence(inner) if isinstance(inner, dict | list | bool) else _sentence((inner,))
    known = {name: value for name, value in fields.items() if value not in (None, "", [], {})}
    speakable = {name: v for name, v in known.items() if not _is_identifier(name)} or known
    clauses = [_clause(name, value) for name, value in list(speakable.items())[:MAX_FIELDS]]
    if not clauses:
        return "That is done."
    return capitalised(f"{', '.join(clauses)}.")


def _is_identifier(name: str) -> bool:
    parts = plain_name(name).lower().split()
    return bool(parts) and parts[-1] in _IDENTIFIERS


def _clause(name: str, value: Any) -> str:
    said = plain_name(name)
    match value:
        case bool():
            return f"{said}: {'yes' if value else 'no'}"
        case list():
            return f"the {said} {'is' if len(value) == 1 else 'are'} {_items(value)}"
        case _:
            return f"the {said} is {_plain(value)}"


def _list(items: list[Any]) -> str:
    if not items:
        return "I found nothing."
    if len(items) == 1:
        return _sentence(items[0]) if isinstance(items[0], dict) else _said_text(_plain(items[0]))
    return f"I found {len(items)}: {_items(items)}."


def _items(items: list[Any]) -> str:
    said = [_plain(item) for item in items[:MAX_ITEMS]]
    rest = len(items) - len(said)
    return listed([*said, f"{rest} more"] if rest > 0 else said)


def _plain(value: Any) -> str:
    """A value inside a sentence."""
    match value:
        case bool():
            return "yes" if value else "no"
        case float() if value.is_integer():
            return str(int(value))
        case dict():
            inner = [
                _plain(v)
                for name, v in value.items()
                if not _is_identifier(str(name)) and v not in (None, "")
            ]
            return " ".join(inner[:MAX_ITEMS]) or "there"
        case list():
            return _items(value) if value else "none"
        case str():
            text = " ".join(value.split()).rstrip(".")
            return plain_name(text) if "_" in text and " " not in text else text[:MAX_CHARACTERS]
        case _:
            return str(value)
