"""Text to speech by espeak-ng, which lives in a child process.

The child (`espeak_worker.py`) starts with the first clause, is started anew after it died, and ends
with the engine or with this process, whichever is first. It makes one clause at a time, in the
order they were asked for; at about 0.0015 s of work per second of speech that is never the
bottleneck.

A voice is written as espeak-ng names it (`en-us`, `en-us+f3`, `es`), or with settings:
`en-us+f3:pitch=60,rate=160`. `pitch` is 0–99, 50 is the voice's own; `rate` is words a minute.
"""

import asyncio
import contextlib
import itertools
import struct
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import orjson

from nur_server.errors import (
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
)
from nur_server.ports import (
    EngineVoice,
    SpeakRequest,
    SpeechChunk,
    TextToSpeechCapabilities,
    WordMark,
)
from nur_server.providers.espeak_worker import AUDIO, END, ERROR, READY, WORDS

NAME = "espeak-ng"
WORKER = Path(__file__).with_name("espeak_worker.py")

RATE = 165
"""Words a minute of a voice that names no rate."""
MAX_CHARACTERS = 4000
"""Longest clause; it bounds the audio that can wait for a slow listener."""
MAX_WAITING = 256
"""Clauses in line before further ones are refused."""
START_SECONDS = 10.0
WAIT_SECONDS = 10.0
"""Longest wait for the next piece of audio."""
CLOSE_SECONDS = 1.0
LEAD_THRESHOLD = 64
"""Samples below this magnitude are silence, left out before the first sound."""
CHUNK_MS = 200


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """An engine voice, taken apart."""

    name: str
    pitch: int = 50
    rate: int = RATE

    @classmethod
    def parse(cls, voice: str) -> "VoiceSettings":
        """From `en-us+f3` or `en-us+f3:pitch=60,rate=160`. Raises `ProviderRejected`."""
        name, _, rest = voice.partition(":")
        try:
            values = dict(part.split("=", 1) for part in rest.split(",") if part)
            settings = cls(name, **{key: int(value) for key, value in values.items()})
        except (TypeError, ValueError) as error:
            raise _bad_voice(voice) from error
        if not name or not (0 <= settings.pitch <= 99 and 80 <= settings.rate <= 450):
            raise _bad_voice(voice)
        return settings

    def rate_at(self, speed: float) -> int:
        """Words a minute at `speed` times the voice's own rate."""
        return max(80, min(450, round(self.rate * speed)))


@dataclass(frozen=True, slots=True)
class _Words:
    marks: tuple[WordMark, ...]


class _End:
    """The clause is complete."""


_Piece = bytes | _Words | _End | ProviderError


class _Child(asyncio.SubprocessProtocol):
    """One run of the worker: its pipes, and the clauses it owes audio for."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The sample rate."""
        self.exited = asyncio.Event()
        self.clauses: dict[int, asyncio.Queue[_Piece]] = {}
        self._buffer = bytearray()
        self._is_killed = False
        self._transport: asyncio.SubprocessTransport | None = None

    # Called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is none by inheritance.
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= 4:
            (length,) = struct.unpack_from("<I", self._buffer, start)
            if len(self._buffer) - start - 4 < length:
                break
            self._dispatch(bytes(self._buffer[start + 4 : start + 4 + length]))
            start += 4 + length
        del self._buffer[:start]

    def process_exited(self) -> None:
        self.exited.set()
        if self._transport is not None:
            self._transport.close()
        self._fail(
            ProviderUnreachable("espeak-ng ended unexpectedly; it is started anew", provider=NAME)
        )

    # Called by the engine

    @property
    def is_alive(self) -> bool:
        """Whether it takes further clauses."""
        return not (self._is_killed or self.exited.is_set())

    @property
    def pid(self) -> int | None:
        return self._transport.get_pid() if self._transport is not None else None

    def send(self, message: dict[str, object]) -> None:
        """Write a frame. A child that is gone has failed its clauses already."""
        pipe = self._transport.get_pipe_transport(0) if self._transport else None
        if pipe is not None and not pipe.is_closing():
            body = orjson.dumps(message)
            cast(asyncio.WriteTransport, pipe).write(struct.pack("<I", len(body)) + body)

    def kill(self) -> None:
        self._is_killed = True
        if self._transport is not None:
            with contextlib.suppress(ProcessLookupError):
                self._transport.kill()

    async def close(self) -> None:
        """End the child: by closing its input, and after `CLOSE_SECONDS` by killing it."""
        if self._transport is None:
            return
        pipe = self._transport.get_pipe_transport(0)
        if pipe is not None:
            pipe.close()
        try:
            await asyncio.wait_for(self.exited.wait(), CLOSE_SECONDS)
        except TimeoutError:
            self.kill()
            await asyncio.wait_for(self.exited.wait(), CLOSE_SECONDS)

    def _dispatch(self, frame: bytes) -> None:
        kind, clause = struct.unpack_from("<BI", frame)
        payload = frame[5:]
        if clause == 0:
            self._start(kind, payload)
            return
        made = self.clauses.get(clause)
        if made is None:  # given up meanwhile
            return
        if kind == AUDIO:
            made.put_nowait(payload)
        elif kind == WORDS:
            made.put_nowait(_Words(tuple(WordMark(c, ms) for c, ms in orjson.loads(payload))))
        elif kind == END:
            made.put_nowait(_End())
        elif kind == ERROR:
            made.put_nowait(ProviderRejected(f"espeak-ng: {payload.decode()}", provider=NAME))

    def _start(self, kind: int, payload: bytes) -> None:
        if kind == READY:
            self.ready.set_result(int(orjson.loads(payload)["sample_rate"]))
        elif not self.ready.done():
            self.ready.set_exception(
                ProviderError(
                    f"espeak-ng cannot start: {payload.decode()}; install the package "
                    "espeakng-loader, or the system's espeak-ng",
                    provider=NAME,
                    code="engine_missing",
                )
            )

    def _fail(self, error: ProviderError) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)
            self.ready.exception()  # whoever starts the child still sees it
        for made in self.clauses.values():
            made.put_nowait(error)


class Espeak:
    """The `TextToSpeech` port on espeak-ng. For one event loop."""

    name = NAME
    capabilities = TextToSpeechCapabilities()

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._starting = asyncio.Lock()
        self._ids = itertools.count(1)

    @property
    def child_pid(self) -> int | None:
        """Process id of the child. None: it does not run."""
        return self._child.pid if self._child is not None and self._child.is_alive else None

    async def load(self) -> None:
        """Start the child now, so that the first clause does not wait for it."""
        await self._running()

    async def close(self) -> None:
        """End the child. Bounded by `CLOSE_SECONDS`; may be called twice."""
        child, self._child = self._child, None
        if child is not None:
            await child.close()

    async def voices(self) -> tuple[EngineVoice, ...]:
        """None: this server's list has them all."""
        return ()

    async def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk]:
        """Audio at the library's rate, 22 050 Hz. Closing the generator stops the synthesis."""
        voice = VoiceSettings.parse(request.voice)
        if len(request.text) > MAX_CHARACTERS:
            raise ProviderRejected(
                f"expected a clause of at most {MAX_CHARACTERS} characters, got "
                f"{len(request.text)}",
                provider=NAME,
                code="text_too_long",
            )
        if not any(character.isalnum() for character in request.text):
            return
        child, sample_rate = await self._running()
        if len(child.clauses) >= MAX_WAITING:
            raise ProviderRejected(
                f"{MAX_WAITING} clauses are already waiting for espeak-ng: try again later",
                provider=NAME,
                code="overloaded",
                retryable=True,
            )
        clause = next(self._ids)
        made = child.clauses[clause] = asyncio.Queue()
        child.send(
            {
                "id": clause,
                "text": request.text,
                "voice": voice.name,
                "rate": voice.rate_at(request.speed),
                "pitch": voice.pitch,
            }
        )
        is_complete = False
        lead = _Lead(sample_rate, request.text)
        try:
            while not isinstance(piece := await self._next(child, made), _End):
                if (chunk := lead.take(piece)) is not None:
                    yield chunk
            is_complete = True
        finally:
            del child.clauses[clause]
            if not is_complete:
                child.send({"stop": clause})

    async def _next(self, child: _Child, made: asyncio.Queue[_Piece]) -> bytes | _Words | _End:
        """The next piece of a clause. A child that gives none is ended."""
        try:
            piece = await asyncio.wait_for(made.get(), WAIT_SECONDS)
        except TimeoutError as error:
            child.kill()
            raise ProviderTimeout(
                f"espeak-ng gave no audio within {WAIT_SECONDS:.0f} s; it is started anew",
                provider=NAME,
            ) from error
        if isinstance(piece, ProviderError):
            raise piece
        return piece

    async def _running(self) -> tuple[_Child, int]:
        """A child that answers, and its sample rate."""
        async with self._starting:
            if self._child is None or not self._child.is_alive:
                self._child = await self._start()
            child = self._child
        return child, child.ready.result()

    async def _start(self) -> _Child:
        # -P: the folder of the worker is no place to import from.
        _, child = await asyncio.get_running_loop().subprocess_exec(
            _Child, sys.executable, "-P", str(WORKER), stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await asyncio.wait_for(asyncio.shield(child.ready), START_SECONDS)
        except BaseException as error:
            child.kill()
            await child.close()
            if isinstance(error, TimeoutError):
                raise ProviderTimeout(
                    f"expected espeak-ng to start within {START_SECONDS:.0f} s", provider=NAME
                ) from error
            raise
        return child


class _Lead:
    """Leaves the silence before the first sound out, and moves the word times with it.

    Word times that do not begin a written word are left out, too.
    """

    def __init__(self, sample_rate: int, text: str) -> None:
        self._rate = sample_rate
        self._text = text
        self._skipped = 0
        """Samples left out so far."""
        self._heard = False
        self._held: tuple[WordMark, ...] = ()
        self._word = -1
        """Where the written word of the last mark starts."""

    def take(self, piece: bytes | _Words | _End) -> SpeechChunk | None:
        """The chunk to hand on, if any."""
        if isinstance(piece, _Words):
            self._held += tuple(filter(self._begins_word, piece.marks))
            return None
        if not isinstance(piece, bytes):
            return None
        samples = np.frombuffer(piece, "<i2").astype(np.int16, copy=False)
        if not self._heard:
            loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= LEAD_THRESHOLD)
            silent = int(loud[0]) if len(loud) else len(samples)
            self._skipped += silent
            samples = samples[silent:]
            self._heard = len(loud) > 0
            if not self._heard:
                return None
        lead_ms = self._skipped * 1000 // self._rate
        words = tuple(WordMark(w.character, max(0, w.start_ms - lead_ms)) for w in self._held)
        self._held = ()
        return SpeechChunk(samples, self._rate, words)

    def _begins_word(self, mark: WordMark) -> bool:
        """Whether it is the first of its written word: a number is spoken as several."""
        word = self._text.rfind(" ", 0, mark.character) + 1
        is_first, self._word = word != self._word, word
        return is_first


def _bad_voice(voice: str) -> ProviderRejected:
    return ProviderRejected(
        "expected an espeak-ng voice such as `en-us`, `en-us+f3` or "
        f"`en-us+f3:pitch=60,rate=160` (pitch 0–99, rate 80–450); got {voice!r}",
        provider=NAME,
        code="unknown_voice",
    )
