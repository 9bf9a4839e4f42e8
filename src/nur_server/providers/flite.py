"""Text to speech by flite, the small synthesiser of Carnegie Mellon University, in this process.

The library is the system's own (Debian and Ubuntu: `libflite1`) and is called through ctypes. Its
voices are singletons with state in C, so one clause is made at a time, on one worker thread, in the
order the clauses were asked for: agents that speak at once take turns by clause. At about 0.02 s of
work per second of speech one thread carries some forty agents speaking at the same time.

A voice is written `slt`, or with settings `slt:pitch=1.12,stretch=0.95`: `pitch` multiplies the
fundamental frequency, `stretch` the length of every sound.
"""

import asyncio
import contextlib
import ctypes
import functools
import threading
import unicodedata
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from nur_server.errors import ProviderError, ProviderRejected, ProviderTimeout
from nur_server.ports import (
    EngineVoice,
    Samples,
    SpeakRequest,
    SpeechChunk,
    TextToSpeechCapabilities,
    WordMark,
)

NAME = "flite"
VOICES = ("slt", "rms", "awb", "kal16")
"""A woman and three men; `awb` speaks Scottish English, `kal16` sounds robotic and costs least."""

MAX_CHARACTERS = 4000
"""Longest clause; it bounds the audio that can wait for a slow listener."""
WAIT_SECONDS = 15.0
"""Longest wait for the next piece of audio, the clauses ahead included."""
MAX_WAITING = 256
"""Clauses in line before further ones are refused."""

FIRST_CHUNK_MS = 40
CHUNK_MS = 200
LEAD_MS = 20
"""Silence kept before the first word: flite begins every clause with 200 ms of it."""
BUFFER_SAMPLES = 480
"""How often flite hands over audio."""

_LIBRARIES = ("libflite.so.1", "libflite_cmulex.so.1", "libflite_usenglish.so.1")
_PROCESS = threading.Lock()
"""Held around every call of the library: its voices belong to the process, however many engines
it has."""

_CONTINUE = 0
_STOP = -1
_WORD_START = b"R:SylStructure.daughter1.daughter1.R:Segment.p.end"
_TOKEN = b"R:Token.parent.name"
_TYPOGRAPHY = {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "."}


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_int16)),
    )


class _Streaming(ctypes.Structure):
    """`cst_audio_streaming_info`."""


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(_Wave),
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(_Streaming),
)
_Streaming._fields_ = (
    ("min_buffsize", ctypes.c_int),
    ("asc", _Callback),
    ("utterance", ctypes.c_void_p),
    ("item", ctypes.c_void_p),
    ("userdata", ctypes.c_void_p),
)


class _VoiceHead(ctypes.Structure):
    """The first fields of `cst_voice`."""

    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


def available() -> bool:
    """Whether this machine has the library and at least one voice."""
    try:
        with _PROCESS:
            _load_voice(VOICES[0])
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """An engine voice, taken apart."""

    name: str
    pitch: float = 1.0
    stretch: float = 1.0

    @classmethod
    def parse(cls, voice: str) -> "VoiceSettings":
        """From `slt` or `slt:pitch=1.1,stretch=0.9`. Raises `ProviderRejected`."""
        name, _, rest = voice.partition(":")
        try:
            values = dict(part.split("=", 1) for part in rest.split(",") if part)
            settings = cls(name, **{key: float(value) for key, value in values.items()})
        except (TypeError, ValueError) as error:
            raise _unknown_voice(voice) from error
        if name not in VOICES or not (0.5 <= settings.pitch <= 2 and 0.5 <= settings.stretch <= 2):
            raise _unknown_voice(voice)
        return settings


class Flite:
    """The `TextToSpeech` port on flite. For one event loop."""

    name = NAME
    capabilities = TextToSpeechCapabilities(languages=frozenset({"en"}))

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="flite")
        self._waiting = 0

    async def load(self) -> None:
        """Load library and voices off the loop, so that the first clause does not wait for it."""
        await asyncio.get_running_loop().run_in_executor(self._worker, _load_all)

    async def close(self) -> None:
        """Refuse further clauses and let the running one end."""
        await asyncio.to_thread(self._worker.shutdown, wait=True, cancel_futures=True)

    async def voices(self) -> tuple[EngineVoice, ...]:
        """None: this server's list has them all."""
        return ()

    async def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechChunk]:
        """Audio at 16 kHz. Closing the generator stops the synthesis within 30 ms of audio."""
        voice = VoiceSettings.parse(request.voice)
        text = _ascii(request.text)
        self._admit(text)
        loop = asyncio.get_running_loop()
        made: asyncio.Queue[SpeechChunk | ProviderError | None] = asyncio.Queue()
        stopped = threading.Event()

        def deliver(piece: SpeechChunk | ProviderError | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(made.put_nowait, piece)

        self._waiting += 1
        work = self._worker.submit(_work, text, voice, request.speed, deliver, stopped)
        try:
            while (piece := await _next(made)) is not None:
                if isinstance(piece, ProviderError):
                    raise piece
                yield piece
        finally:
            self._waiting -= 1
            stopped.set()
            work.cancel()

    def _admit(self, text: str) -> None:
        if len(text) > MAX_CHARACTERS:
            raise ProviderRejected(
                f"expected a clause of at most {MAX_CHARACTERS} characters, got {len(text)}",
                provider=NAME,
                code="text_too_long",
            )
        if self._waiting >= MAX_WAITING:
            raise ProviderRejected(
                f"{MAX_WAITING} clauses are already waiting for flite: try again later",
                provider=NAME,
                code="overloaded",
                retryable=True,
            )


async def _next(
    made: asyncio.Queue[SpeechChunk | ProviderError | None],
) -> SpeechChunk | ProviderError | None:
    try:
        return await asyncio.wait_for(made.get(), WAIT_SECONDS)
    except TimeoutError as error:
        raise ProviderTimeout(
            f"flite gave no audio within {WAIT_SECONDS:.0f} s: the machine has more agents "
            "speaking than it can carry",
            provider=NAME,
        ) from error


# On the worker thread


def _work(
    text: str,
    voice: VoiceSettings,
    speed: float,
    deliver: Callable[[SpeechChunk | ProviderError | None], None],
    stopped: threading.Event,
) -> None:
    """Make one clause. The last thing delivered is None or an error."""
    if stopped.is_set():
        return
    try:
        if any(character.isalnum() for character in text):
            with _PROCESS:
                _synthesise(text, voice, speed, deliver, stopped)
        deliver(None)
    except OSError as error:
        deliver(
            ProviderError(
                f"expected flite to be installed (Debian: apt-get install libflite1), got {error}",
                provider=NAME,
                code="engine_missing",
            )
        )
    except Exception as error:
        deliver(ProviderError(f"flite failed: {error!r}", provider=NAME))


def _synthesise(
    text: str,
    voice: VoiceSettings,
    speed: float,
    deliver: Callable[[SpeechChunk | ProviderError | None], None],
    stopped: threading.Event,
) -> None:
    handle, library = _load_voice(voice.name), _load_library()
    features = ctypes.cast(handle, ctypes.POINTER(_VoiceHead)).contents.features
    cutter = _Cutter(library, text, deliver, stopped)
    callback = _Callback(cutter.take)
    streaming = library.new_audio_streaming_info()
    streaming.contents.asc = callback
    streaming.contents.min_buffsize = BUFFER_SAMPLES
    # The voice owns the streaming info from here on and frees it with the next one.
    library.flite_feat_set(features, b"streaming_info", library.audio_streaming_info_val(streaming))
    library.feat_set_float(features, b"f0_shift", voice.pitch)
    library.feat_set_float(features, b"duration_stretch", voice.stretch / max(0.25, speed))
    try:
        library.flite_text_to_speech(text.encode("ascii"), handle, b"none")
    finally:
        library.flite_feat_remove(features, b"streaming_info")
    if cutter.error is not None:
        raise cutter.error
    cutter.flush()


class _Cutter:
    """Cuts flite's small buffers into chunks: a short one first, then longer ones."""

    def __init__(
        self,
        library: ctypes.CDLL,
        text: str,
        deliver: Callable[[SpeechChunk | ProviderError | None], None],
        stopped: threading.Event,
    ) -> None:
        self._library = library
        self._text = text
        self._deliver = deliver
        self._stopped = stopped
        self._rate = 0
        self._skip = 0
        """Samples of leading silence still to be left out."""
        self._parts: list[Samples] = []
        self._held = 0
        self._wanted_ms = FIRST_CHUNK_MS
        self._words: tuple[WordMark, ...] = ()
        self.error: Exception | None = None

    def take(self, wave: object, start: int, size: int, last: int, streaming: object) -> int:
        """flite's callback. Exceptions cannot pass through C: the clause is stopped instead."""
        try:
            return self._take(wave, start, size, streaming)
        except Exception as error:
            self.error = error
            return _STOP

    def _take(self, wave: object, start: int, size: int, streaming: object) -> int:
        if self._stopped.is_set():
            return _STOP
        if size <= 0:
            return _CONTINUE
        audio = wave.contents  # type: ignore[attr-defined]
        if not self._rate:
            self._begin(audio.sample_rate, streaming.contents.utterance)  # type: ignore[attr-defined]
        samples = np.ctypeslib.as_array(audio.samples, (start + size,))[start:].copy()
        skipped = min(self._skip, size)
        self._skip -= skipped
        self._parts.append(samples[skipped:])
        self._held += size - skipped
        if self._held * 1000 >= self._wanted_ms * self._rate:
            self.flush()
            self._wanted_ms = CHUNK_MS
        return _CONTINUE

    def _begin(self, rate: int, utterance: int | None) -> None:
        self._rate = rate
        marks = list(_word_times(self._library, utterance, self._text)) if utterance else []
        lead_ms = max(0, marks[0].start_ms - LEAD_MS) if marks else 0
        self._skip = lead_ms * rate // 1000
        self._words = tuple(WordMark(mark.character, mark.start_ms - lead_ms) for mark in marks)

    def flush(self) -> None:
        """Hand on what is held."""
        if self._held and not self._stopped.is_set():
            self._deliver(SpeechChunk(np.concatenate(self._parts), self._rate, self._words))
            self._words = ()
        self._parts.clear()
        self._held = 0


def _word_times(library: ctypes.CDLL, utterance: int, text: str) -> Iterator[WordMark]:
    """Where each written word starts. A number spoken as several words is one written word."""
    position = 0
    item = library.relation_head(library.utt_relation(utterance, b"Word"))
    token_item: int | None = None
    while item:
        parent = library.item_parent(library.item_as(item, b"Token"))
        token = library.flite_ffeature_string(item, _TOKEN)
        if parent != token_item and token and token != b"0":
            word = token.decode("ascii", "replace")
            found = text.find(word, position)
            if found >= 0:
                start = library.flite_ffeature_float(item, _WORD_START)
                yield WordMark(found, round(start * 1000))
                position = found + len(word)
        token_item = parent
        item = library.item_next(item)


def _ascii(text: str) -> str:
    """What flite can read, character for character, so that offsets stay true."""
    return "".join(map(_ascii_character, text))


def _ascii_character(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else " "
    plain = _TYPOGRAPHY.get(character) or unicodedata.normalize("NFKD", character)[0]
    return plain if plain.isascii() and plain.isprintable() else " "


# The library


def _load_all() -> None:
    with contextlib.suppress(OSError), _PROCESS:  # the first clause says what is missing
        for voice in VOICES:
            _load_voice(voice)


@functools.cache
def _load_library() -> ctypes.CDLL:
    """The library, ready to use. Raises `OSError` when the system does not have it."""
    library, *_ = [ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL) for name in _LIBRARIES]
    _declare(library)
    library.flite_init()
    return library


@functools.cache
def _load_voice(name: str) -> int:
    """Address of the voice, the one of its kind in this process. Raises `OSError`."""
    _load_library()
    part = ctypes.CDLL(f"libflite_cmu_us_{name}.so.1", mode=ctypes.RTLD_GLOBAL)
    register = getattr(part, f"register_cmu_us_{name}")
    register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    address: int = register(None)
    return address


def _declare(library: ctypes.CDLL) -> None:
    """Result and argument types: addresses would be cut to 32 bits without them."""
    address, text = ctypes.c_void_p, ctypes.c_char_p
    streaming = ctypes.POINTER(_Streaming)
    signatures: dict[str, tuple[object, list[object]]] = {
        "new_audio_streaming_info": (streaming, []),
        "audio_streaming_info_val": (address, [streaming]),
        "flite_feat_set": (None, [address, text, address]),
        "flite_feat_remove": (ctypes.c_int, [address, text]),
        "feat_set_float": (None, [address, text, ctypes.c_float]),
        "flite_text_to_speech": (ctypes.c_float, [text, address, text]),
        "utt_relation": (address, [address, text]),
        "relation_head": (address, [address]),
        "item_next": (address, [address]),
        "item_as": (address, [address, text]),
        "item_parent": (address, [address]),
        "flite_ffeature_string": (text, [address, text]),
        "flite_ffeature_float": (ctypes.c_float, [address, text]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


def _unknown_voice(voice: str) -> ProviderRejected:
    return ProviderRejected(
        f"expected one of the flite voices {', '.join(VOICES)}, with settings such as "
        f"`slt:pitch=1.1,stretch=0.9` (0.5–2); got {voice!r}",
        provider=NAME,
        code="unknown_voice",
    )
