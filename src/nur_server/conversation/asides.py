"""What a client asks the model beside the conversation: nothing of it is spoken or kept."""

from dataclasses import dataclass, field

from nur_server.conversation.actions import Flush, Generate, ModelMessage
from nur_server.conversation.context import Context
from nur_server.conversation.events import (
    AsideRequested,
    ReplyFailed,
    ReplyFinished,
    ReplyText,
    ReplyToolCall,
    Role,
)
from nur_server.conversation.notices import AsideDone, ReplyStatus

MOST_ASIDES = 4
"""That are answered at a time: each is a request to the model server."""
MAX_CHARACTERS = 20_000
"""An answer longer than this is cut: a model that never stops."""

Answered = ReplyText | ReplyToolCall | ReplyFinished | ReplyFailed


@dataclass(slots=True)
class _Aside:
    request_id: str
    parts: list[str] = field(default_factory=list)
    characters: int = 0


class Asides:
    """Questions to the model that run beside the replies, by the ids of their generations."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._running: dict[str, _Aside] = {}

    def ask(self, event: AsideRequested) -> None:
        """Put the question; `AsideDone` brings the answer."""
        context = self._context
        if len(self._running) >= MOST_ASIDES:
            done = AsideDone(event.request_id, "", ReplyStatus.FAILED, "too_many_asides")
            context.notify(done)
            return
        aside_id = context.new_id("aside")
        self._running[aside_id] = _Aside(event.request_id)
        context.do(Generate(aside_id, self._messages(event), ()))

    def _messages(self, event: AsideRequested) -> tuple[ModelMessage, ...]:
        context = self._context
        system = event.instructions or context.config.system_prompt
        if event.messages is None:
            return context.history.prompt(
                system, context.journal, turns=context.config.context_window
            )
        shown = [(Role.SYSTEM, system)] if system else []
        return tuple(ModelMessage(role, text) for role, text in (*shown, *event.messages))

    def cancel(self, request_id: str) -> None:
        """No answer is wanted any more."""
        for aside_id, aside in list(self._running.items()):
            if aside.request_id == request_id:
                self._end(aside_id, ReplyStatus.CANCELLED)

    def take(self, event: Answered) -> bool:
        """Take a piece of an answer. False: it belongs to no aside."""
        aside = self._running.get(event.response_id)
        if aside is None:
            return False
        match event:
            case ReplyText(_, aside_id, text):
                aside.parts.append(text)
                aside.characters += len(text)
                if aside.characters > MAX_CHARACTERS:
                    self._end(aside_id, ReplyStatus.COMPLETED)
            case ReplyFinished(_, aside_id, _, prompt_tokens, completion_tokens):
                self._end(
                    aside_id,
                    ReplyStatus.COMPLETED,
                    prompt_tokens=prompt_tokens,
                    completion_tokens=completion_tokens,
                )
            case ReplyFailed(_, aside_id, code):
                self._end(aside_id, ReplyStatus.FAILED, reason=code)
            case ReplyToolCall():
                pass  # None were offered.
        return True

    def _end(
        self,
        aside_id: str,
        status: ReplyStatus,
        *,
        reason: str | None = None,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
    ) -> None:
        aside = self._running.pop(aside_id)
        self._context.do(Flush(aside_id))
        text = "".join(aside.parts)[:MAX_CHARACTERS]
        self._context.notify(
            AsideDone(aside.request_id, text, status, reason, prompt_tokens, completion_tokens)
        )
