"""Speech to text by an OpenAI-compatible server that takes whole recordings.

Such a server knows no partial results: it is asked anew at every pause, for all audio up to there.
"""

import asyncio
import io
import json
import sys
import wave
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import httpx2
import structlog

from nur_server.audio.utterance import UtteranceAudio
from nur_server.errors import ProviderError
from nur_server.ports import (
    ListenOptions,
    Samples,
    SpeechToTextCapabilities,
    Transcript,
)
from nur_server.providers.http import (
    ModelServer,
    answered,
    content_type,
    garbled,
    read_json,
    read_text,
    retried,
)
from nur_server.providers.refused_fields import RefusedFields
from nur_server.text.languages import primary

log = structlog.get_logger()

MIN_SAMPLES = 1_600
"""Servers refuse recordings shorter than 0.1 s; nobody says a word in one either."""


class OpenAITranscriptions:
    """`SpeechToText` on `POST {base}/audio/transcriptions`."""

    def __init__(
        self,
        server: ModelServer,
        client: httpx2.AsyncClient,
        *,
        name: str | None = None,
        answer_seconds: float = 10.0,
    ) -> None:
        """`answer_seconds` is the longest wait for one transcript. `client` stays the caller's to
        close."""
        self._server = server
        self._client = client
        self._name = name or server.model
        self._answer_seconds = answer_seconds
        self._fields = RefusedFields(("prompt",), ("response_format",), ("language",))

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> SpeechToTextCapabilities:
        return SpeechToTextCapabilities(takes_hints=True)

    async def transcribe(
        self, audio: UtteranceAudio, options: ListenOptions
    ) -> AsyncGenerator[Transcript, None]:
        """A hypothesis at each pause, and the final one at the end.

        A question the speaker has overtaken is dropped. A failure at a pause is logged and waits
        for the next; at the end it is raised as a `ProviderError`.
        """
        asked_up_to = 0
        latest: Transcript | None = None
        while not audio.ended:
            pause = audio.last_pause or 0
            if options.wants_partials and pause > asked_up_to:
                asked_up_to = pause
                latest = await self._partial(audio, pause, options)
                if latest is not None:
                    yield latest
            else:
                await audio.wait(sys.maxsize)
        if latest is not None and latest.covers == audio.length:
            yield Transcript(latest.text, True, latest.covers)
            return
        text = await self._final(audio, options)
        yield Transcript(text, True, audio.length)

    async def _partial(
        self, audio: UtteranceAudio, pause: int, options: ListenOptions
    ) -> Transcript | None:
        question = asyncio.ensure_future(self._ask(audio.read(0, pause), options))
        try:
            while not question.done() and not _is_overtaken(audio, pause):
                await _news(audio, question)
            if not question.done():
                return None
            return Transcript(question.result(), False, pause)
        except ProviderError as error:
            log.info("partial transcript failed", stt=self._name, code=error.code)
            return None
        finally:
            question.cancel()
            with suppress(asyncio.CancelledError, ProviderError):
                await question

    async def _final(self, audio: UtteranceAudio, options: ListenOptions) -> str:
        async def attempt() -> AsyncGenerator[str, None]:
            yield await self._ask(audio.read(), options)

        return "".join(
            [text async for text in retried(attempt, patience_seconds=self._answer_seconds)]
        )

    async def _ask(self, samples: Samples, options: ListenOptions) -> str:
        if len(samples) < MIN_SAMPLES:
            return ""
        file = wav(samples)
        told = self._fields.asked(self._wanted(options), lambda fields: self._post(file, fields))
        return "".join([text async for text in told])

    async def _post(self, file: bytes, fields: dict[str, Any]) -> AsyncGenerator[str, None]:
        """The transcript, from JSON or from plain text."""
        async with answered(
            self._client,
            self._name,
            "POST",
            self._server.url("audio/transcriptions"),
            within_seconds=self._answer_seconds,
            headers=self._server.headers,
            data=fields,
            files={"file": ("utterance.wav", file, "audio/wav")},
        ) as response:
            if content_type(response) == "text/plain":
                body = await read_text(response, self._name, self._answer_seconds)
                answer: Any = _parsed(body)
            else:
                answer = await read_json(response, self._name, self._answer_seconds)
        text = answer.get("text") if isinstance(answer, dict) else None
        if not isinstance(text, str):
            raise garbled(self._name, 'a JSON object with "text"', repr(answer))
        yield " ".join(text.split())

    def _wanted(self, options: ListenOptions) -> dict[str, str]:
        prompt = " ".join([options.prompt or "", ", ".join(options.keyterms)]).strip()
        fields = {
            "model": self._server.model,
            "language": primary(options.language),
            "response_format": "json",
        }
        return {**fields, "prompt": prompt} if prompt else fields


def _parsed(body: str) -> Any:
    """JSON that calls itself plain text, or words as they are."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {"text": body}
    return answer if isinstance(answer, dict) else {"text": body}


def _is_overtaken(audio: UtteranceAudio, pause: int) -> bool:
    """Whether a transcript up to `pause` is no longer the one wanted."""
    return (audio.ended and audio.length > pause) or (audio.last_pause or 0) > pause


async def _news(audio: UtteranceAudio, question: "asyncio.Future[str]") -> None:
    """Return when the question is answered, or something happened to the audio."""
    if audio.ended:
        await asyncio.wait({question})
        return
    event = asyncio.ensure_future(audio.wait(sys.maxsize))
    either: set[asyncio.Future[Any]] = {question, event}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        event.cancel()
        with suppress(asyncio.CancelledError):
            await event


def wav(samples: Samples, sample_rate: int = 16_000) -> bytes:
    """Mono PCM16 as a RIFF file in memory."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes(samples.astype("<i2", copy=False).tobytes())
    return file.getvalue()
