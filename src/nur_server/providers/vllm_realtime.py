"""Speech to text over vLLM's realtime socket (`WS {base}/realtime`, vLLM 0.16 and later).

One socket per utterance: after `transcription.done` the server drops audio that is still queued, so
a socket cannot be shared by two utterances in a row. The audio is kept, so that a socket which dies
or stalls is replaced once and fed from the start. Source: vLLM's
`entrypoints/speech_to_text/realtime/{protocol,connection}.py`.
"""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from nur_server.audio.utterance import UtteranceAudio
from nur_server.errors import (
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
)
from nur_server.ports import ListenOptions, SpeechToTextCapabilities, Transcript
from nur_server.providers.http import RETRYABLE_STATUSES, ModelServer, garbled
from nur_server.providers.refusals import tidy

log = structlog.get_logger()

DELAY_SAMPLES = 7_680
"""0.48 s: how far the model's words trail the audio it has taken."""
BLOCK_MS = 80
"""One step of the model."""
CATCH_UP_SAMPLES = 16_000
"""Most audio in one message, when a socket is fed what was said before it opened."""
CONNECT_SECONDS = 3.0
CLOSE_SECONDS = 0.5
SETTLE_SECONDS = 2.0
"""Older servers may never send `done`: after the last audio, so long a silence stands for it."""
REOPENINGS = 1


class VLLMRealtime:
    """`SpeechToText` on the realtime socket."""

    def __init__(
        self,
        server: ModelServer,
        *,
        name: str | None = None,
        stall_seconds: float = 10.0,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        """`stall_seconds` is the longest silence of a server that is being sent audio."""
        self._server = server
        self._name = name or server.model
        self._stall_seconds = stall_seconds
        self._settle_seconds = min(settle_seconds, stall_seconds)

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> SpeechToTextCapabilities:
        return SpeechToTextCapabilities()

    async def transcribe(
        self, audio: UtteranceAudio, options: ListenOptions
    ) -> AsyncGenerator[Transcript, None]:
        """Hypotheses while the audio grows, one final at its end. Safe to close at any time.

        A pause cannot be asked for: words are known about half a second after they were said.
        Raises `ProviderRejected` when the server has no such socket or model, `ProviderTimeout`
        when it stalls twice, `ProviderUnreachable` when it dies twice.
        """
        await audio.wait(0)
        if audio.ended and audio.length == 0:
            yield Transcript("", True, 0)
            return
        covered = 0
        for reopenings in range(REOPENINGS + 1):
            try:
                async with aclosing(self._listen(audio)) as transcripts:
                    async for transcript in transcripts:
                        if transcript.is_final:
                            yield transcript
                            return
                        # A socket fed from the start repeats what its predecessor said.
                        if options.wants_partials and transcript.covers >= covered:
                            covered = transcript.covers
                            yield transcript
            except ProviderError as error:
                if reopenings == REOPENINGS or not error.retryable:
                    raise
                log.warning("realtime socket lost, reopening", stt=self._name, code=error.code)

    async def _listen(self, audio: UtteranceAudio) -> AsyncGenerator[Transcript, None]:
        """One socket's view of the utterance."""
        async with self._open() as socket:
            feed = _Feed()
            feeding = asyncio.ensure_future(self._feed(socket, audio, feed))
            try:
                text = ""
                while (delta := await self._delta(socket, feed, feeding, text)) is not None:
                    text += delta
                    if delta.strip():
                        covers = max(0, feed.sent - DELAY_SAMPLES)
                        yield Transcript(_clean(text), False, covers)
                yield Transcript(_clean(feed.done_text or text), True, audio.length)
            finally:
                feeding.cancel()
                with suppress(asyncio.CancelledError, ConnectionClosed, TimeoutError):
                    await feeding

    async def _delta(
        self,
        socket: ClientConnection,
        feed: "_Feed",
        feeding: "asyncio.Future[None]",
        text: str,
    ) -> str | None:
        """The next piece of text; None at the end of the transcript."""
        while True:
            message = await self._message(socket, feed, has_text=bool(text))
            if message is None:
                if feed.has_ended and text:
                    log.warning("no end of transcript from the server", stt=self._name)
                    return None
                if feed.is_waiting_for_audio and not feeding.done():
                    continue
                raise ProviderTimeout(
                    f"Expected words within {self._stall_seconds} s of the audio; none came. "
                    "Check the speech server's load and version (vLLM 0.20 or later).",
                    provider=self._name,
                )
            feed.sent_when_heard = feed.sent
            match message.get("type"):
                case "session.created":
                    feed.greeted.set()
                case "transcription.delta":
                    return str(message.get("delta") or "")
                case "transcription.done" if feed.has_ended:
                    feed.done_text = str(message.get("text") or "")
                    return None
                case "transcription.done":
                    raise self._lost("it ended the transcript before the audio ended")
                case "error":
                    raise self._reported(message)
                case _:
                    pass

    async def _message(
        self, socket: ClientConnection, feed: "_Feed", *, has_text: bool
    ) -> dict[str, Any] | None:
        """The next message; None when the server has been silent for too long."""
        try:
            async with asyncio.timeout(None) as watchdog:
                feed.watch(
                    watchdog, self._stall_seconds, self._settle_seconds if has_text else None
                )
                raw = await socket.recv()
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise self._lost(error) from error
        try:
            message = json.loads(raw)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise garbled(self._name, "a JSON message", raw)
        return message

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[ClientConnection]:
        try:
            socket = await connect(
                realtime_url(self._server.base_url),
                additional_headers=self._server.headers,
                compression=None,
                proxy=None,
                open_timeout=CONNECT_SECONDS,
                close_timeout=CLOSE_SECONDS,
                max_size=1_048_576,
                max_queue=64,
            )
        except InvalidStatus as error:
            raise self._refused(error.response.status_code) from error
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI, EOFError) as error:
            raise self._lost(error) from error
        try:
            yield socket
        finally:
            await socket.close()

    async def _feed(self, socket: ClientConnection, audio: UtteranceAudio, feed: "_Feed") -> None:
        """Wait for the greeting, then send the audio as it comes, and the end.

        `commit` starts the generation; a second one while it runs would be ignored.
        """
        await feed.greeted.wait()
        await _send(socket, type="session.update", model=self._server.model)
        await _send(socket, type="input_audio_buffer.commit")
        async with aclosing(audio.blocks(BLOCK_MS)) as blocks:  # type: ignore[type-var]
            async for block in blocks:
                for start in range(0, len(block), CATCH_UP_SAMPLES):
                    piece = block[start : start + CATCH_UP_SAMPLES]
                    pcm = base64.b64encode(piece.astype("<i2", copy=False).tobytes())
                    async with asyncio.timeout(self._stall_seconds):
                        await _send(socket, type="input_audio_buffer.append", audio=pcm.decode())
                    feed.sent += len(piece)
        await _send(socket, type="input_audio_buffer.commit", final=True)
        feed.end()

    def _refused(self, status: int) -> ProviderRejected:
        return ProviderRejected(
            f"Expected a realtime socket at the speech server; got status {status}. "
            "For a server without one, set NUR_STT_REALTIME=0.",
            provider=self._name,
            provider_status=status,
            retryable=status in RETRYABLE_STATUSES,
        )

    def _reported(self, message: dict[str, Any]) -> ProviderRejected:
        code, said = str(message.get("code") or ""), tidy(str(message.get("error")))
        log.warning("speech server reported an error", stt=self._name, code=code, said=said)
        return ProviderRejected(
            "Expected a transcript; the speech server reported an error. "
            "The server's log has its words.",
            provider=self._name,
            retryable=code == "processing_error",
            details={"provider_code": code},
            said=said,
        )

    def _lost(self, reason: Exception | str) -> ProviderUnreachable:
        log.warning("realtime socket lost", stt=self._name, reason=tidy(str(reason)))
        return ProviderUnreachable(
            "Expected the speech server to keep its realtime socket open; it is lost. "
            "Check that the server runs and that its address is right.",
            provider=self._name,
            said=tidy(str(reason)),
        )


class _Feed:
    """How far the audio has got, and what the watchdog waits for."""

    def __init__(self) -> None:
        self.greeted = asyncio.Event()
        self.sent = 0
        """Samples."""
        self.sent_when_heard = 0
        """`sent` when the server last said something."""
        self.has_ended = False
        self.done_text: str | None = None
        self._watchdog: asyncio.Timeout | None = None
        self._settle_seconds: float | None = None

    @property
    def is_waiting_for_audio(self) -> bool:
        """The server's silence is ours: it was given too little to answer."""
        given = self.sent - self.sent_when_heard
        return self.greeted.is_set() and not self.has_ended and given < 2 * DELAY_SAMPLES

    def watch(
        self, watchdog: asyncio.Timeout, stall_seconds: float, settle_seconds: float | None
    ) -> None:
        """Start the watchdog for one message. `settle_seconds` counts once the audio has ended."""
        self._watchdog, self._settle_seconds = watchdog, settle_seconds
        settles = self.has_ended and settle_seconds is not None
        self._wake_in(settle_seconds if settles and settle_seconds else stall_seconds)

    def end(self) -> None:
        """All audio was sent."""
        self.has_ended = True
        if self._settle_seconds is not None:
            self._wake_in(self._settle_seconds)

    def _wake_in(self, seconds: float) -> None:
        if self._watchdog is not None and not self._watchdog.expired():
            with suppress(RuntimeError):
                self._watchdog.reschedule(asyncio.get_running_loop().time() + seconds)


async def _send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


def _clean(text: str) -> str:
    return " ".join(text.split())


def realtime_url(base_url: str) -> str:
    """`http://host/v1` → `ws://host/v1/realtime`."""
    parts = urlsplit(base_url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, f"{parts.path.rstrip('/')}/realtime", parts.query, ""))
