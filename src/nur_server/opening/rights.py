"""What a client without a key may set in a stored agent's session, and what it is shown.

A page's visitor holds the address of a session or a browser token, never a key. The agent stays its
owner's: such a client sets what the agent's `client_overrides` allow and sees no prompt. Whoever
brings the whole configuration sees it and may change it, but without a key brings no addresses:
this server would call them, and sign for them, in the name of the key's owner.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from nur_server.agents.access import CLIENT_OVERRIDES, USUAL_OVERRIDES
from nur_server.agents.tools import has_address
from nur_server.commands import (
    AddMessage,
    AskAside,
    Command,
    CreateReply,
    NoteToolCall,
    UpdateSession,
)
from nur_server.conversation.events import Role
from nur_server.errors import InvalidRequest
from nur_server.options import UNSET, SessionOptions, given
from nur_server.ports import SessionAbout

NOT_ALLOWED = "field_not_allowed"
"""The code of what a client without a key may not set."""
SEALED = frozenset({"system_prompt", "tools", "webhook"})
"""Options that are refused even where they change nothing: an answer would tell what they are."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What the client of one connection may do in its session."""

    has_key: bool
    """It has shown a key of the account that is valid, or what was given to who had."""

    def sees_prompt(self, about: SessionAbout) -> bool:
        return self.has_key or about.agent_id is None

    def require_configuration(self, asked: SessionOptions) -> None:
        """Of a client that brings the whole configuration. Raises `InvalidRequest`."""
        if self.has_key:
            return
        if given(asked.webhook, None) is not None:
            raise _refused("webhook", "bring an API key, or register the webhook with one")
        for i, tool in enumerate(given(asked.tools, ())):
            if has_address(tool):
                raise _refused(f"tools[{i}].http", "run the tool in the client, or use an API key")

    def permitted(self, asked: SessionOptions, about: SessionAbout) -> SessionOptions:
        """`asked` without what a client may not set, for protocols whose clients set everything and
        end their session on an error. Audio formats stay, for `require` to refuse: audio that is
        taken for another kind is noise."""
        if self.has_key or about.agent_id is None:
            return asked
        allowed = {CLIENT_OVERRIDES[name] for name in _overrides(about)} | _FORMATS
        kept = {option: value for option, value in _set(asked) if option in allowed}
        permitted: SessionOptions = _with(SessionOptions(), kept)
        return permitted

    def require(self, command: Command, about: SessionAbout) -> None:
        """Of a client in a session. Raises `InvalidRequest`."""
        match command:
            case UpdateSession(options):
                self._require_update(options, about)
            case CreateReply(str()) | AskAside():
                self._require_words("instructions", about)
            case AddMessage(Role.SYSTEM) | NoteToolCall():
                self._require_words("role", about)
            case _:
                pass

    def _require_words(self, field: str, about: SessionAbout) -> None:
        """Words that the model takes for its owner's are as good as a prompt."""
        if not self.sees_prompt(about) and "system_prompt" not in _overrides(about):
            raise _refused(
                field,
                "connect with an API key, or allow system_prompt in the agent's client_overrides",
            )

    def _require_update(self, asked: SessionOptions, about: SessionAbout) -> None:
        self.require_configuration(asked)
        if self.has_key or about.agent_id is None:
            return
        allowed = {CLIENT_OVERRIDES[name] for name in _overrides(about)}
        for option, value in _set(asked):
            if option in allowed or _is_as_before(option, value, about.options):
                continue
            raise _refused(
                option, "connect with an API key, or allow it in the agent's client_overrides"
            )


def _overrides(about: SessionAbout) -> frozenset[str]:
    return frozenset(given(about.options.client_overrides, USUAL_OVERRIDES)) & set(CLIENT_OVERRIDES)


def _set(options: SessionOptions) -> Iterator[tuple[str, Any]]:
    """The options that are set, by their paths."""

    def below(group: Any, path: str) -> Iterator[tuple[str, Any]]:
        for field in fields(group):
            value, where = getattr(group, field.name), f"{path}{field.name}"
            if value is UNSET:
                continue
            if is_dataclass(value) and where in _GROUPS:
                yield from below(value, f"{where}.")
            else:
                yield where, value

    return below(options, "")


def _with(options: Any, values: Mapping[str, Any]) -> Any:
    """`options` with those at these paths."""
    changes: dict[str, Any] = {}
    for group in {path.partition(".")[0] for path in values if "." in path}:
        inner = {p.partition(".")[2]: v for p, v in values.items() if p.startswith(f"{group}.")}
        changes[group] = _with(getattr(options, group), inner)
    changes |= {path: value for path, value in values.items() if "." not in path}
    return replace(options, **changes)


_FORMATS = frozenset({"input.format", "output.format"})
_GROUPS = frozenset({"input", "output", "models", "silence", "recording"})
"""Options that are groups, and always there."""


def _is_as_before(option: str, value: Any, current: SessionOptions) -> bool:
    """A client may repeat what it was shown."""
    if option in SEALED:
        return False
    before: Any = current
    for name in option.split("."):
        before = getattr(before, name)
    return bool(given(value, None) == given(before, None))


def _refused(option: str, advice: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{option}' cannot be set by a client without an API key; {advice}",
        code=NOT_ALLOWED,
        param=option,
    )
