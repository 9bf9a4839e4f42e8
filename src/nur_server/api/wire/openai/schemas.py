"""What clients of OpenAI's Realtime protocol send, as far as this server heeds it.

Unknown fields are ignored throughout: clients are written for a server that has them, and some end
their conversation on any error. Of the fields that are named here a wrong type is an error.
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType, field


class Part(Struct, kw_only=True):
    """An object within a message."""


class FormatPart(Part):
    type: str | None = None
    rate: int | None = None


class TurnDetectionPart(Part):
    type: str | None = "server_vad"
    threshold: float | UnsetType | None = UNSET
    silence_duration_ms: float | UnsetType | None = UNSET
    create_response: bool | UnsetType | None = UNSET
    interrupt_response: bool | UnsetType | None = UNSET
    eagerness: str | None = None


class TranscriptionPart(Part):
    model: str | None = None
    language: str | None = None
    prompt: str | None = None


class AudioInputPart(Part):
    format: FormatPart | str | UnsetType | None = UNSET
    turn_detection: TurnDetectionPart | UnsetType | None = UNSET
    transcription: TranscriptionPart | UnsetType | None = UNSET


class AudioOutputPart(Part):
    format: FormatPart | str | UnsetType | None = UNSET
    voice: str | dict[str, Any] | UnsetType | None = UNSET
    speed: float | UnsetType | None = UNSET


class AudioPart(Part):
    input: AudioInputPart | None = None
    output: AudioOutputPart | None = None


class SessionPart(Part):
    """The configuration of a session: what is left out stays as it is."""

    model: str | None = None
    instructions: str | UnsetType | None = UNSET
    output_modalities: list[str] | UnsetType | None = UNSET
    audio: AudioPart | None = None
    tools: list[dict[str, Any]] | UnsetType | None = UNSET
    tool_choice: str | dict[str, Any] | UnsetType | None = UNSET
    max_output_tokens: int | str | UnsetType | None = UNSET


class ContentPart(Part):
    type: str = ""
    text: str | None = None
    transcript: str | None = None


class ItemPart(Part):
    """A message, a tool call or its result; for the context of a response a reference, too."""

    type: str = "message"
    id: str | None = None
    role: str | None = None
    content: list[ContentPart] | str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: Any = None


class ResponsePart(Part):
    """What is wanted of one response."""

    instructions: str | None = None
    output_modalities: list[str] | None = None
    conversation: str | None = None
    metadata: dict[str, Any] | None = None
    input: list[ItemPart] | None = None
    tool_choice: str | dict[str, Any] | None = None


class ClientEvent(Struct, tag_field="type", kw_only=True):
    """A message of a client."""

    event_id: str | None = None


class SessionUpdate(ClientEvent, tag="session.update"):
    session: SessionPart


class AudioAppend(ClientEvent, tag="input_audio_buffer.append"):
    audio: bytes
    """Base64 on the wire."""


class AudioCommit(ClientEvent, tag="input_audio_buffer.commit"):
    pass


class AudioClear(ClientEvent, tag="input_audio_buffer.clear"):
    pass


class OutputClear(ClientEvent, tag="output_audio_buffer.clear"):
    pass


class ItemCreate(ClientEvent, tag="conversation.item.create"):
    item: ItemPart
    previous_item_id: str | None = None


class ItemRetrieve(ClientEvent, tag="conversation.item.retrieve"):
    item_id: str


class ItemTruncate(ClientEvent, tag="conversation.item.truncate"):
    item_id: str
    content_index: int = 0
    audio_end_ms: float = 0


class ItemDelete(ClientEvent, tag="conversation.item.delete"):
    item_id: str


class ResponseCreate(ClientEvent, tag="response.create"):
    response: ResponsePart | None = field(default_factory=ResponsePart)


class ResponseCancel(ClientEvent, tag="response.cancel"):
    response_id: str | None = None


ClientMessage = (
    SessionUpdate
    | AudioAppend
    | AudioCommit
    | AudioClear
    | OutputClear
    | ItemCreate
    | ItemRetrieve
    | ItemTruncate
    | ItemDelete
    | ResponseCreate
    | ResponseCancel
)
