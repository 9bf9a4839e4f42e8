"""Text to speech by an OpenAI-compatible server: vLLM-Omni, Kokoro and Speaches servers, OpenAI.

All are asked for a raw stream; what comes back is told by its `Content-Type` and first bytes:
server-sent events with base64, raw PCM16, or a WAV file, each possibly cut inside a sample.
"""

import base64
import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np

from nur_server.ports import SpeakRequest, SpeechChunk, TextToSpeechCapabilities
from nur_server.providers.event_stream import server_events
from nur_server.providers.http import (
    ModelServer,
    OptionalFields,
    answered,
    content_type,
    garbled,
    pieces,
    reported,
    retried,
)
from nur_server.text.languages import primary

DEFAULT_RATE = 24_000
MAX_CLAUSE_BYTES = 24_000 * 2 * 300
"""Five minutes: no clause is that long, a runaway synthesis is."""
LANGUAGES = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "pt": "Portuguese",
    "ru": "Russian",
    "zh": "Chinese",
}
"""Qwen3-TTS's names; others ignore the field, or are asked without it."""


class OpenAISpeech:
    """`TextToSpeech` on `POST {base}/audio/speech`."""

    def __init__(
        self,
        server: ModelServer,
        client: httpx2.AsyncClient,
        *,
        name: str | None = None,
        chunk_seconds: float = 10.0,
    ) -> None:
        """`chunk_seconds` is the longest wait for the next piece of audio. `client` stays the
        caller's to close."""
        self._server = server
        self._client = client
        self._name = name or server.model
        self._chunk_seconds = chunk_seconds
        self._extras = OptionalFields()

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> TextToSpeechCapabilities:
        return TextToSpeechCapabilities(gives_word_times=False, streams=True)

    def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Audio as it arrives; retried twice while none was yielded. Closing aborts the synthesis.

        Raises `ProviderError`s; one raised after the first chunk is never `retryable`.
        """
        return retried(lambda: self._speak(request))

    def _speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk, None]:
        return self._extras.asked(lambda is_sent: self._ask(request, with_extras=is_sent))

    async def _ask(
        self, request: SpeakRequest, *, with_extras: bool
    ) -> AsyncGenerator[SpeechChunk, None]:
        async with answered(
            self._client,
            self._name,
            "POST",
            self._server.url("audio/speech"),
            within_seconds=self._chunk_seconds,
            headers=self._server.headers,
            json=speech_payload(self._server.model, request, with_extras=with_extras),
        ) as response:
            audio = _Audio(self._name, response)
            async with aclosing(self._bytes(response)) as body:
                async for piece in body:
                    chunk = audio.take(piece)
                    if chunk is not None:
                        yield chunk
            audio.finish(request.text)

    async def _bytes(self, response: httpx2.Response) -> AsyncGenerator[bytes, None]:
        kind = content_type(response)
        if kind == "text/event-stream":
            events = server_events(response, self._name, self._chunk_seconds)
            async with aclosing(events):
                async for event in events:
                    if event.is_last:
                        return
                    message = _message(event.data, self._name)
                    if message.get("type", event.name) == "speech.audio.done":
                        return
                    if audio := self._delta(message):
                        yield audio
        elif kind.startswith(("audio/", "application/octet-stream")) or not kind:
            async with aclosing(pieces(response, self._name, self._chunk_seconds)) as body:
                async for piece in body:
                    yield piece
        else:
            raise garbled(self._name, "audio", f"content type {kind}", is_quote=False)

    def _delta(self, message: dict[str, Any]) -> bytes:
        if message.get("error"):
            raise reported(self._name, "audio", message["error"])
        encoded = message.get("audio") or message.get("delta") or ""
        try:
            return base64.b64decode(encoded, validate=True)
        except (ValueError, TypeError):
            raise garbled(self._name, "base64 audio", str(encoded)) from None


def speech_payload(model: str, request: SpeakRequest, *, with_extras: bool) -> dict[str, Any]:
    """The body of a speech request.

    A streaming Qwen3-TTS knows only its own speed, so other speeds are not streamed.
    """
    payload: dict[str, Any] = {
        "model": model,
        "input": request.text,
        "voice": request.voice,
        "response_format": "pcm",
    }
    streams = request.speed == 1.0
    if not streams:
        payload["speed"] = request.speed
    if with_extras:
        payload["language"] = LANGUAGES.get(primary(request.language), "Auto")
        if streams:
            payload |= {"stream": True, "stream_format": "audio"}
    return payload


def _message(data: str, provider: str) -> dict[str, Any]:
    try:
        message = json.loads(data)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise garbled(provider, "an event with audio", data)
    return message


@dataclass(frozen=True, slots=True)
class WavHead:
    """What a WAV file's header says."""

    sample_rate: int
    channels: int
    data_start: int
    """Offset of the first sample."""


def wav_head(data: bytes) -> WavHead | None:
    """The header of a PCM16 WAV file; None while `data` ends inside it.

    Sizes are not believed: a stream's length is unknown when its header is written. Raises
    `ValueError` for anything but PCM16.
    """
    if len(data) >= 12 and data[8:12] != b"WAVE":
        raise ValueError("expected RIFF/WAVE")
    position, form = 12, b""
    while len(data) >= position + 8:
        name, size = (
            data[position : position + 4],
            int.from_bytes(data[position + 4 : position + 8], "little"),
        )
        position += 8
        if name == b"data":
            return _wav_form(form, position)
        if name == b"fmt ":
            form = data[position : position + 16]
        position += size + size % 2
    if position > 65_536:
        raise ValueError("expected audio within the first 64 KiB")
    return None


def _wav_form(form: bytes, data_start: int) -> WavHead:
    if len(form) < 16:
        raise ValueError("expected a format before the data")
    coding, channels = int.from_bytes(form[0:2], "little"), int.from_bytes(form[2:4], "little")
    rate, bits = int.from_bytes(form[4:8], "little"), int.from_bytes(form[14:16], "little")
    if coding not in (1, 0xFFFE) or bits != 16 or channels not in (1, 2) or not rate:
        raise ValueError(
            f"expected PCM16, got format {coding} with {bits} bits, {channels} channels"
        )
    return WavHead(rate, channels, data_start)


class _Audio:
    """Bytes as they come, to samples."""

    def __init__(self, provider: str, response: httpx2.Response) -> None:
        self._provider = provider
        self._rate = declared_rate(response)
        self._channels = 1
        self._rest = b""
        self._has_begun = False
        self._taken = 0
        self._coding = content_type(response)

    def take(self, piece: bytes) -> SpeechChunk | None:
        """The whole samples so far. Raises `ProviderGarbled` for another coding than PCM16."""
        self._taken += len(piece)
        if self._taken > MAX_CLAUSE_BYTES:
            raise garbled(
                self._provider, "the audio of one clause", "more than five minutes", is_quote=False
            )
        data = self._rest + piece
        if not self._has_begun:
            begun = self._begin(data)
            if begun is None:
                self._rest = data
                return None
            data = begun
        frame = 2 * self._channels
        whole = len(data) - len(data) % frame
        self._rest = data[whole:]
        if not whole:
            return None
        samples = np.frombuffer(data[:whole], "<i2").astype(np.int16)
        if self._channels == 2:
            samples = samples.reshape(-1, 2).mean(axis=1).astype(np.int16)
        return SpeechChunk(samples, self._rate)

    def finish(self, text: str) -> None:
        """Raise `ProviderGarbled` when words gave no audio."""
        if not self._has_begun and any(character.isalnum() for character in text):
            raise garbled(self._provider, "audio", "an empty answer", is_quote=False)

    def _begin(self, data: bytes) -> bytes | None:
        """What of the first bytes is audio; None while that cannot be told."""
        if len(data) < 4:
            return None
        if data[:4] == b"RIFF":
            try:
                head = wav_head(data)
            except ValueError as error:
                raise garbled(self._provider, "a PCM16 WAV file", str(error)) from None
            if head is None:
                return None
            self._rate, self._channels = head.sample_rate, head.channels
            data = data[head.data_start :]
        elif _is_other_coding(self._coding, data):
            raise garbled(self._provider, "PCM16", f"{self._coding} {data[:4]!r}")
        self._has_begun = True
        return data


def _is_other_coding(kind: str, data: bytes) -> bool:
    """Whether the body is neither PCM nor to be taken for it."""
    coded = ("audio/mpeg", "audio/mp3", "audio/ogg", "audio/opus", "audio/flac", "audio/aac")
    return kind.startswith(coded) or data[:4] in (b"OggS", b"fLaC") or data[:3] == b"ID3"


def declared_rate(response: httpx2.Response) -> int:
    """Samples per second from `audio/pcm;rate=…`, `audio/L16;rate=…` or `X-Sample-Rate`."""
    declared = re.search(r"rate=(\d+)", response.headers.get("content-type", ""))
    text = declared[1] if declared else response.headers.get("x-sample-rate", "")
    rate = int(text) if text.isdecimal() else 0
    return rate if 8_000 <= rate <= 192_000 else DEFAULT_RATE
