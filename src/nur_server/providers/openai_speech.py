"""Text to speech by an OpenAI-compatible server: vLLM-Omni, Kokoro and Speaches servers, OpenAI.

All are asked for a raw stream; what comes back is told by its `Content-Type` and first bytes:
server-sent events with base64, raw PCM16, or a WAV file, each possibly cut inside a sample.
"""

import base64
import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx2

from nur_server.errors import ProviderRejected
from nur_server.ports import EngineVoice, SpeakRequest, SpeechChunk, TextToSpeechCapabilities
from nur_server.providers.event_stream import server_events
from nur_server.providers.http import (
    ModelServer,
    answered,
    content_type,
    garbled,
    pieces,
    read_json,
    reported,
    retried,
)
from nur_server.providers.refused_fields import RefusedFields
from nur_server.providers.speech_bytes import DEFAULT_RATE, SpeechBytes
from nur_server.providers.speech_voices import listed_voices

EXTRAS = ("stream_format", "stream", "language")
"""What only some servers know, and others refuse."""
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
        self._fields = RefusedFields(
            EXTRAS, ("response_format",), ("speed",), instead={"response_format": "wav"}
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> TextToSpeechCapabilities:
        return TextToSpeechCapabilities()

    async def voices(self) -> tuple[EngineVoice, ...]:
        """Those of `GET {base}/audio/voices`, as vLLM-Omni and the Kokoro server have it; none
        where there is no such list. Raises `ProviderError`."""
        try:
            async with answered(
                self._client,
                self._name,
                "GET",
                self._server.url("audio/voices"),
                within_seconds=self._chunk_seconds,
                headers=self._server.headers,
            ) as response:
                return listed_voices(await read_json(response, self._name, self._chunk_seconds))
        except ProviderRejected as error:
            if error.provider_status in (404, 405, 501):
                return ()
            raise

    def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Audio as it arrives; retried twice while none was yielded. Closing aborts the synthesis.

        Raises `ProviderError`s; one raised after the first chunk is never `retryable`.
        """
        return retried(lambda: self._speak(request), patience_seconds=self._chunk_seconds)

    def _speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk, None]:
        payload = speech_payload(self._server.model, request)
        return self._fields.asked(payload, lambda told: self._ask(told, request.text))

    async def _ask(self, payload: dict[str, Any], text: str) -> AsyncGenerator[SpeechChunk, None]:
        async with answered(
            self._client,
            self._name,
            "POST",
            self._server.url("audio/speech"),
            within_seconds=self._chunk_seconds,
            headers=self._server.headers,
            json=payload,
        ) as response:
            kind, rate = content_type(response), declared_rate(response)
            audio = SpeechBytes(self._name, kind, rate, declared_channels(response))
            async with aclosing(self._bytes(response, kind)) as body:
                async for piece in body:
                    chunk = audio.take(piece)
                    if chunk is not None:
                        yield chunk
            chunk = audio.finish()
            if chunk is not None:
                yield chunk
            if not audio.has_samples and any(map(str.isalnum, text)):
                raise garbled(self._name, "audio", "an empty answer", is_quote=False)

    async def _bytes(self, response: httpx2.Response, kind: str) -> AsyncGenerator[bytes, None]:
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
        else:
            async with aclosing(pieces(response, self._name, self._chunk_seconds)) as body:
                async for piece in body:
                    yield piece

    def _delta(self, message: dict[str, Any]) -> bytes:
        if message.get("error"):
            raise reported(self._name, "audio", message["error"])
        encoded = message.get("audio") or message.get("delta") or ""
        try:
            return base64.b64decode(encoded, validate=True)
        except (ValueError, TypeError):
            raise garbled(self._name, "base64 audio", str(encoded)) from None


def speech_payload(model: str, request: SpeakRequest) -> dict[str, Any]:
    """The body of a speech request.

    A streaming Qwen3-TTS knows only its own speed, so other speeds are not streamed.
    """
    payload: dict[str, Any] = {
        "model": model,
        "input": request.text,
        "voice": request.voice,
        "response_format": "pcm",
        "language": LANGUAGES.get(request.language, "Auto"),
    }
    if request.speed != 1.0:
        return payload | {"speed": request.speed}
    return payload | {"stream": True, "stream_format": "audio"}


def _message(data: str, provider: str) -> dict[str, Any]:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise garbled(provider, "an event with audio", data)
    return message


def declared_rate(response: httpx2.Response) -> int:
    """Samples per second from `audio/pcm;rate=…`, `audio/L16;rate=…` or `X-Sample-Rate`."""
    declared = re.search(r"rate=(\d+)", response.headers.get("content-type", ""))
    text = declared[1] if declared else response.headers.get("x-sample-rate", "")
    rate = int(text) if text.isdecimal() else 0
    return rate if 8_000 <= rate <= 192_000 else DEFAULT_RATE


def declared_channels(response: httpx2.Response) -> int:
    """One, or two from `audio/L16;rate=…;channels=2`."""
    return 2 if re.search(r"channels=2\b", response.headers.get("content-type", "")) else 1
