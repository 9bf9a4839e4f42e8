"""The events of one response, from `response.created` to `response.done`."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nur_server.api.wire.openai import items
from nur_server.audio.formats import AudioFormat
from nur_server.conversation.notices import ReplyStatus
from nur_server.ports import Samples

Write = Callable[..., str]
"""Makes an event of its type and its fields."""

FAILED = "server_error"
"""The `type` of an error that ended a response."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client has asked for with `response.create`."""

    id: str
    metadata: Mapping[str, Any] | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Style:
    """How a response comes."""

    speaks: bool
    output: Mapping[str, Any]
    """Format, voice and speed, as clients are shown them."""
    audio: AudioFormat
    max_output_tokens: int | str = "inf"
    conversation_id: str | None = None
    """None: it is out of band."""


@dataclass(slots=True)
class Reply:
    """One response, and what of it its client has been sent."""

    id: str
    item_id: str
    trigger: str
    style: Style
    request: Request | None = None
    message_index: int | None = None
    """Of its message among its output. None: nothing was said yet."""
    said: dict[str, str] = field(default_factory=dict)
    """The words told so far, by the server's own items: a filler is one."""
    output: list[dict[str, Any]] = field(default_factory=list)
    call_ids: list[str] = field(default_factory=list)
    sent_samples: int = 0
    error: Mapping[str, Any] | None = None
    was_answered: bool = False
    """The client has given the result of a tool that it called."""

    @property
    def text(self) -> str:
        return " ".join(words for text in self.said.values() if (words := text.strip()))

    @property
    def sent_ms(self) -> int:
        return self.sent_samples * 1000 // self.style.audio.sample_rate

    @property
    def _part(self) -> dict[str, Any]:
        return {"type": "audio", "transcript": ""} if self.style.speaks else _text_part("")

    # Its events

    def begin(self, write: Write) -> str:
        return write("response.created", response=self.shown("in_progress"))

    def begin_message(self, write: Write, add: Callable[[dict[str, Any]], str]) -> list[str]:
        """Announce the message, the first time. `add` makes it an item of the conversation."""
        if self.message_index is not None:
            return []
        self.message_index = len(self.output)
        item = items.message(self.item_id, "assistant", [], "in_progress")
        self.output.append(item)
        return [
            self.item_added(write, self.message_index),
            *([add(item)] if self.style.conversation_id else []),
            write("response.content_part.added", **self._where, content_index=0, part=self._part),
        ]

    def item_added(self, write: Write, index: int) -> str:
        item = self.output[index]
        return write(
            "response.output_item.added", response_id=self.id, output_index=index, item=item
        )

    def item_done(self, write: Write, index: int) -> str:
        item = self.output[index]
        return write(
            "response.output_item.done", response_id=self.id, output_index=index, item=item
        )

    def audio(self, write: Write, samples: Samples) -> str:
        self.sent_samples += len(samples)
        delta = base64.b64encode(self.style.audio.encode(samples)).decode()
        return write("response.output_audio.delta", **self._where, content_index=0, delta=delta)

    def words(self, write: Write, item_id: str, delta: str) -> str:
        if self.said and item_id not in self.said and not delta[:1].isspace():
            delta = f" {delta}"
        self.said[item_id] = self.said.get(item_id, "") + delta
        kind = "response.output_audio_transcript.delta"
        if not self.style.speaks:
            kind = "response.output_text.delta"
        return write(kind, **self._where, content_index=0, delta=delta)

    def finish_message(self, write: Write, status: ReplyStatus) -> list[str]:
        """Close the message, where there is one."""
        if self.message_index is None:
            return []
        whole = "completed" if status is ReplyStatus.COMPLETED else "incomplete"
        text, where = self.text, {**self._where, "content_index": 0}
        if self.style.speaks:
            content = {"type": "output_audio", "transcript": text}
            part = {"type": "audio", "transcript": text}
            done = [
                write("response.output_audio.done", **where),
                write("response.output_audio_transcript.done", **where, transcript=text),
            ]
        else:
            content, part = {"type": "output_text", "text": text}, _text_part(text)
            done = [write("response.output_text.done", **where, text=text)]
        self.output[self.message_index].update(status=whole, content=[content])
        return [
            *done,
            write("response.content_part.done", **where, part=part),
            self.item_done(write, self.message_index),
        ]

    def finish(
        self,
        write: Write,
        status: ReplyStatus,
        reason: str | None,
        prompt_tokens: int | None,
        completion_tokens: int | None,
    ) -> str:
        response = self.shown(_STATUSES[status])
        response["status_details"] = self._details(status, reason)
        response["output"] = self.output
        response["usage"] = _usage(prompt_tokens or 0, completion_tokens or 0)
        return write("response.done", response=response)

    def shown(self, status: str) -> dict[str, Any]:
        style = self.style
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": None,
            "output": [],
            "conversation_id": style.conversation_id,
            "output_modalities": ["audio" if style.speaks else "text"],
            "max_output_tokens": style.max_output_tokens,
            "audio": {"output": {k: style.output[k] for k in ("format", "voice")}},
            "usage": None,
            "metadata": self.request.metadata if self.request else None,
        }

    @property
    def _where(self) -> dict[str, Any]:
        return {
            "response_id": self.id,
            "item_id": self.item_id,
            "output_index": self.message_index or 0,
        }

    def _details(self, status: ReplyStatus, reason: str | None) -> dict[str, Any] | None:
        match status:
            case ReplyStatus.COMPLETED:
                return None
            case ReplyStatus.INTERRUPTED:
                by_client = reason == "truncated"
                told = "client_cancelled" if by_client else "turn_detected"
                return {"type": "cancelled", "reason": told}
            case ReplyStatus.CANCELLED:
                return {"type": "cancelled", "reason": "client_cancelled"}
            case ReplyStatus.FAILED:
                error = self.error or {"type": FAILED, "code": reason or "internal_error"}
                return {"type": "failed", "error": dict(error)}


_STATUSES = {
    ReplyStatus.COMPLETED: "completed",
    ReplyStatus.INTERRUPTED: "cancelled",
    ReplyStatus.CANCELLED: "cancelled",
    ReplyStatus.FAILED: "failed",
}


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _usage(given: int, made: int) -> dict[str, Any]:
    """In tokens of the language model: speech takes none."""
    return {
        "total_tokens": given + made,
        "input_tokens": given,
        "output_tokens": made,
        "input_token_details": {
            "text_tokens": given,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": 0,
        },
        "output_token_details": {"text_tokens": made, "audio_tokens": 0},
    }
