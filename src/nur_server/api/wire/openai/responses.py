"""Responses of one connection: asked for, running, cut, and told of."""

from collections.abc import Sequence
from typing import Any

import structlog

from nur_server.api.wire.openai import items
from nur_server.api.wire.openai import schemas as wire
from nur_server.api.wire.openai.items import Item, Items, role_of, text_of
from nur_server.api.wire.openai.options import shown_output
from nur_server.api.wire.openai.replies import FAILED, Reply, Request, Style, Write
from nur_server.commands import AskAside, CancelAside, CancelReply, CreateReply, TruncateReply
from nur_server.conversation import notices
from nur_server.conversation.config import ToolRunner
from nur_server.conversation.events import Role
from nur_server.conversation.notices import ReplyStatus
from nur_server.conversation.response import Trigger
from nur_server.errors import BadRequest
from nur_server.options import SessionOptions, given
from nur_server.ports import Samples
from nur_server.transports.client import Answer, Decoded

log = structlog.get_logger(__name__)

UNASKED = frozenset(
    {Trigger.GREETING, Trigger.FILLER, Trigger.SILENCE, Trigger.APOLOGY, Trigger.GOODBYE}
)
"""What the agent says of its own accord: a client cannot know that it is being said, so that its
`response.create` waits instead of being refused."""
MOST_METADATA = 16
"""Pairs, as OpenAI documents it."""
MOST_ASIDES = 16
"""Out-of-band responses under way; the conversation has a bound of its own."""


class Responses:
    """At most one response runs; others may run out of band."""

    def __init__(self, write: Write, known: Items) -> None:
        self._write = write
        self._items = known
        self.options = SessionOptions()
        """In force, for the next reply."""
        self.conversation_id = ""
        self._running: Reply | None = None
        self._asked: dict[str, Request] = {}
        """Requests whose reply has not begun."""
        self._asides: dict[str, Reply] = {}
        self._calls: set[str] = set()
        """Of the client's tools, by their ids: the model calls few hundreds in three hours."""
        self._made = 0
        self._replies: dict[str, Reply] = {}
        """By the item of its message: those whose message may still be truncated."""

    # What a client asks for

    def create(
        self, event: wire.ResponseCreate, part: wire.ResponsePart, offers_tools: bool
    ) -> Sequence[Decoded]:
        metadata = _metadata(part)
        speaks = self._speaks(part)
        is_kept = part.conversation != "none"
        self._made += 1
        request = Request(f"resp_asked_{self._made}", metadata, event.event_id)
        if not is_kept and not speaks:
            return self._ask_aside(request, part)
        self._require_idle()
        self._asked[request.id] = request
        return [
            CreateReply(
                part.instructions or None,
                request.id,
                waits=True,
                offers_tools=offers_tools and part.tool_choice != "none",
                speaks=speaks,
                is_kept=is_kept,
            )
        ]

    def _require_idle(self) -> None:
        running = self._running
        may_wait = running is None or running.trigger in UNASKED or running.was_answered
        if self._asked or not may_wait:
            raise BadRequest(
                "expected no response to be under way, but one is; wait for response.done, or send "
                "response.cancel first",
                code="conversation_already_has_active_response",
            )

    def _ask_aside(self, request: Request, part: wire.ResponsePart) -> Sequence[Decoded]:
        if len(self._asides) >= MOST_ASIDES:
            raise BadRequest(
                f"expected at most {MOST_ASIDES} responses out of band at a time, got one more",
                code="rate_limit_exceeded",
            )
        messages = None if part.input is None else tuple(self._context(part.input))
        item_id = request.id.replace("resp", "msg", 1)
        reply = Reply(request.id, item_id, "aside", self._style(False, None), request)
        self._asides[request.id] = reply
        return [
            Answer((reply.begin(self._write),)),
            AskAside(request.id, part.instructions or None, messages),
        ]

    def _context(self, given_items: Sequence[wire.ItemPart]) -> list[tuple[Role, str]]:
        """What the model is shown instead of the conversation. Raises `BadRequest`."""
        shown = []
        for part in given_items:
            if part.type == "item_reference":
                item = self._items.get(part.id or "", "response.input.id")
                role = Role(item.object_.get("role") or Role.SYSTEM)
                shown.append((role, item.text))
            elif part.type == "message":
                shown.append((role_of(part), text_of(part)))
            else:
                said = f"{part.name or part.type}: {part.arguments or part.output}"
                shown.append((Role.SYSTEM, said))
        return shown

    def cancel(self, response_id: str | None) -> Sequence[Decoded]:
        running = self._running
        if response_id in self._asides:
            return [CancelAside(response_id or "")]
        if running is not None and response_id in (None, running.id):
            return [CancelReply(running.id)]
        if self._asked and response_id is None:
            told = [message for request in self._asked.values() for message in self._never(request)]
            self._asked.clear()
            return [CancelReply(), Answer(tuple(told))]
        raise BadRequest(
            "expected a response to be under way, but none is, or it has another id",
            code="response_cancel_not_active",
            param="response_id" if response_id else None,
        )

    def _never(self, request: Request) -> list[str]:
        """A response that was cancelled before it began."""
        reply = Reply(request.id, "", "reply_create", self._style(True), request)
        done = reply.finish(self._write, ReplyStatus.CANCELLED, None, None, None)
        return [reply.begin(self._write), done]

    def stop_playing(self) -> Sequence[Decoded]:
        """Of clients with media of their own: stop the agent's voice."""
        answer = Answer((self._write("output_audio_buffer.cleared", response_id=self._running_id),))
        return [CancelReply(), answer] if self._running is not None else [answer]

    @property
    def _running_id(self) -> str:
        return self._running.id if self._running is not None else ""

    def truncate(self, event: wire.ItemTruncate) -> Sequence[Decoded]:
        """By the client's clock, which may be ahead of what it was sent: the smaller counts."""
        item = self._items.get(event.item_id)
        if item.object_.get("role") != "assistant":
            raise BadRequest(
                "expected the id of a message of the assistant's, got that of another item",
                code="invalid_value",
                param="item_id",
            )
        asked_ms = max(0, round(event.audio_end_ms))
        answer = Answer(
            (
                self._write(
                    "conversation.item.truncated",
                    item_id=event.item_id,
                    content_index=event.content_index,
                    audio_end_ms=asked_ms,
                ),
            )
        )
        reply = self._replies.get(event.item_id)
        if reply is None or not reply.style.speaks:
            return [answer]
        played_ms = min(asked_ms, reply.sent_ms) if reply.sent_samples else asked_ms
        return [TruncateReply(event.item_id, played_ms), answer]

    def answered(self, call_id: str) -> None:
        """The client has given the result of this call."""
        if self._running is not None and call_id in self._running.call_ids:
            self._running.was_answered = True

    def has_called(self, call_id: str) -> bool:
        """The agent has called this tool, and left it to the client."""
        return call_id in self._calls

    # What the client is told

    def encode(
        self,
        notice: notices.ReplyStarted
        | notices.AgentTranscriptDelta
        | notices.AgentTranscript
        | notices.ReplyCorrected
        | notices.ReplyDone
        | notices.ReplyError
        | notices.AsideDone
        | notices.ToolCallRequested,
    ) -> Sequence[str]:
        match notice:
            case notices.ReplyStarted():
                return self._begin(notice)
            case notices.AgentTranscriptDelta(item_id=item_id, delta=delta):
                reply = self._running
                if reply is None:
                    return []
                return [*self._begin_message(reply), reply.words(self._write, item_id, delta)]
            case notices.AgentTranscript(item_id=item_id, text=text):
                self._hold_words(self._running, item_id, text)
                return []
            case notices.ReplyCorrected(item_id=item_id, text=text):
                self._hold_words(self._replies.get(item_id), item_id, text)
                self._correct(item_id)
                return []
            case notices.ReplyDone():
                return self._finish(notice)
            case notices.ReplyError(_, code, message):
                if self._running is not None:
                    self._running.error = {"type": FAILED, "code": code, "message": message}
                return []
            case notices.AsideDone():
                return self._finish_aside(notice)
            case notices.ToolCallRequested():
                return self._call(notice)

    def audio(self, response_id: str, samples: Samples) -> Sequence[str]:
        reply = self._running
        if reply is None or reply.id != response_id:
            log.warning("audio of no response", response_id=response_id)
            return [self._write("response.output_audio.delta", response_id=response_id, delta="")]
        return [*self._begin_message(reply), reply.audio(self._write, samples)]

    def _begin(self, notice: notices.ReplyStarted) -> Sequence[str]:
        request = self._asked.pop(notice.request_id, None)
        style = self._style(notice.speaks, self.conversation_id)
        reply = Reply(notice.reply_id, notice.item_id, notice.trigger, style, request)
        self._running = reply
        return [reply.begin(self._write)]

    def _style(self, speaks: bool, conversation_id: str | None = None) -> Style:
        options = self.options
        limit = given(options.models.max_tokens, None) or "inf"
        return Style(speaks, shown_output(options), options.output_format, limit, conversation_id)

    def _begin_message(self, reply: Reply) -> list[str]:
        def add(item: dict[str, Any]) -> str:
            self._replies = {**self._recent, reply.item_id: reply}
            return self._add(Item(item, reply_id=reply.id))

        return reply.begin_message(self._write, add)

    @property
    def _recent(self) -> dict[str, Reply]:
        """The last reply: of earlier ones nothing is truncated any more."""
        return dict(list(self._replies.items())[-1:])

    def _add(self, item: Item) -> str:
        previous = self._items.add(item)
        self._items.trim()
        return self._write("conversation.item.added", previous_item_id=previous, item=item.object_)

    def _done(self, item_id: str) -> list[str]:
        if item_id not in self._items:
            return []
        item = self._items.get(item_id).object_
        previous = self._items.before(item_id)
        return [self._write("conversation.item.done", previous_item_id=previous, item=item)]

    def _hold_words(self, reply: Reply | None, item_id: str, text: str) -> None:
        if reply is not None:
            reply.said[item_id] = text

    def _correct(self, item_id: str) -> None:
        """The client has played less than it was told."""
        reply = self._replies.get(item_id)
        if reply is None or item_id not in self._items:
            return
        item = self._items.get(item_id)
        item.text = reply.text
        for content in item.object_["content"]:
            content["transcript"] = reply.text

    def _call(self, notice: notices.ToolCallRequested) -> Sequence[str]:
        """Those that the server runs itself are not the client's business."""
        reply = self._running
        if notice.runner != ToolRunner.CLIENT.value or reply is None:
            return []
        item_id, index = f"fc_{notice.call_id}"[: items.MAX_ID], len(reply.output)
        call_id, name, arguments = notice.call_id, notice.name, notice.raw_arguments or "{}"
        begun = items.function_call(item_id, call_id, name, "", "in_progress")
        whole = items.function_call(item_id, call_id, name, arguments)
        reply.call_ids.append(call_id)
        self._calls.add(call_id)
        reply.output.append(begun)
        where = {"response_id": reply.id, "item_id": item_id, "output_index": index}
        stem = "response.function_call_arguments"
        told = [
            reply.item_added(self._write, index),
            self._add(Item(begun)),
            self._write(f"{stem}.delta", **where, call_id=call_id, delta=arguments),
            self._write(f"{stem}.done", **where, call_id=call_id, name=name, arguments=arguments),
        ]
        begun.update(whole)
        return [*told, reply.item_done(self._write, index), *self._done(item_id)]

    def _finish(self, notice: notices.ReplyDone) -> Sequence[str]:
        reply, self._running = self._running, None
        if reply is None or reply.id != notice.reply_id:
            return []
        told = reply.finish_message(self._write, notice.status)
        if reply.message_index is not None and reply.item_id in self._items:
            self._items.get(reply.item_id).text = reply.text
            told += self._done(reply.item_id)
        done = reply.finish(
            self._write,
            notice.status,
            notice.reason,
            notice.prompt_tokens,
            notice.completion_tokens,
        )
        return [*told, done]

    def _finish_aside(self, notice: notices.AsideDone) -> Sequence[str]:
        reply = self._asides.pop(notice.request_id, None)
        if reply is None:
            return []
        told: list[str] = []
        if notice.text:
            told += reply.begin_message(self._write, lambda item: "")
            told.append(reply.words(self._write, reply.item_id, notice.text))
            told += reply.finish_message(self._write, notice.status)
        done = reply.finish(
            self._write,
            notice.status,
            notice.reason,
            notice.prompt_tokens,
            notice.completion_tokens,
        )
        return [*told, done]

    def _speaks(self, part: wire.ResponsePart) -> bool:
        asked = part.output_modalities
        return self.options.speaks if not asked else asked != ["text"]


def _metadata(part: wire.ResponsePart) -> dict[str, Any] | None:
    """Raises `BadRequest`."""
    metadata = part.metadata
    if metadata is not None and len(metadata) > MOST_METADATA:
        raise BadRequest(
            f"expected metadata of at most {MOST_METADATA} pairs, got {len(metadata)}",
            code="invalid_value",
            param="response.metadata",
        )
    return metadata
