"""What a client is sent of the user's speech: turns, and their words."""

from typing import Any

from nur_server.api.wire.openai import items
from nur_server.api.wire.openai.items import Item, Items
from nur_server.api.wire.openai.replies import Write
from nur_server.conversation import notices

TRANSCRIPTION = "conversation.item.input_audio_transcription"


class Hearing:
    """Follows the user's turns of one connection."""

    def __init__(self, write: Write, known: Items) -> None:
        self._write = write
        self._items = known
        self._started_ms: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._hypothesis: tuple[str, str] = ("", "")
        """The turn whose words are coming, and the latest of them."""
        self._sent: tuple[str, str] = ("", "")
        """The same of the words that were sent: they cannot be taken back."""

    def started(self, notice: notices.UserSpeechStarted) -> list[str]:
        self._started_ms = {notice.item_id: notice.at_ms}
        return [
            self._write(
                "input_audio_buffer.speech_started",
                audio_start_ms=notice.at_ms,
                item_id=notice.item_id,
            )
        ]

    def stopped(self, notice: notices.UserSpeechStopped) -> list[str]:
        began = self._started_ms.get(notice.item_id, notice.at_ms)
        self._seconds = {notice.item_id: max(0, notice.at_ms - began) / 1000}
        return [
            self._write(
                "input_audio_buffer.speech_stopped",
                audio_end_ms=notice.at_ms,
                item_id=notice.item_id,
            )
        ]

    def taken(self, item_id: str) -> list[str]:
        """A turn is over and has become an item. Nothing, where it is one already."""
        if item_id in self._items:
            return []
        previous = self._items.last_id
        self._items.add(Item(items.spoken(item_id, None)))
        self._items.trim()
        item = self._items.get(item_id).object_
        return [
            self._write("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous),
            self._write("conversation.item.added", previous_item_id=previous, item=item),
            self._write("conversation.item.done", previous_item_id=previous, item=item),
        ]

    def partial(self, notice: notices.UserTranscript) -> list[str]:
        """The words that two hypotheses in a row agree on, apart from the last one: what was sent
        cannot be taken back."""
        item_id, text = notice.item_id, notice.text
        before = self._hypothesis[1] if self._hypothesis[0] == item_id else ""
        self._hypothesis = (item_id, text)
        agreed = _common(before, text)
        return self._send(item_id, agreed[: agreed.rfind(" ") + 1])

    def final(self, notice: notices.UserTranscript, *, transcribes: bool) -> list[str]:
        item_id, text = notice.item_id, notice.text
        told = self.taken(item_id)
        if item_id in self._items:
            item = self._items.get(item_id)
            item.object_, item.text = items.spoken(item_id, text), text
        if transcribes:
            told += self._send(item_id, text)
            told.append(
                self._write(
                    f"{TRANSCRIPTION}.completed",
                    item_id=item_id,
                    content_index=0,
                    transcript=text,
                    usage={"type": "duration", "seconds": self._seconds.get(item_id, 0.0)},
                )
            )
        return told

    def _send(self, item_id: str, text: str) -> list[str]:
        sent = self._sent[1] if self._sent[0] == item_id else ""
        if len(text) <= len(sent) or not text.startswith(sent):
            return []
        self._sent = (item_id, text)
        delta: dict[str, Any] = {"item_id": item_id, "content_index": 0, "delta": text[len(sent) :]}
        return [self._write(f"{TRANSCRIPTION}.delta", **delta)]


def _common(one: str, other: str) -> str:
    length = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    return one[:length]
