"""A program of its own that speaks with espeak-ng: text in, audio and word times out, over pipes.

espeak-ng is under the GPL-3; it is loaded here only, never in the server, and this file imports
nothing of the server. It ends when its input ends, so it never outlives the server.

Both directions carry frames: a little-endian 32-bit length, then so many bytes.

    in    JSON  {"id": 1, "text": "…", "voice": "en-us+f3", "rate": 165, "pitch": 50}
                {"stop": 1}                 give up the clause with this id
    out   one byte of kind, 32 bits of id, then
          0  ready     JSON {"sample_rate": 22050}; id 0, once, first
          1  audio     16-bit little-endian mono PCM
          2  words     JSON [[character, milliseconds], …], ahead of the audio they lie in
          3  end       nothing
          4  error     UTF-8 text; closes the clause, or with id 0 the program
"""

import ctypes
import json
import os
import queue
import struct
import sys
import threading
from typing import Any, BinaryIO

READY, AUDIO, WORDS, END, ERROR = range(5)

BUFFER_MS = 60
"""How much audio espeak-ng makes between two calls back."""
LIBRARIES = ("libespeak-ng.so.1", "libespeak-ng.1.dylib", "libespeak-ng.dll")

_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_UTF8 = 1
_END_PAUSE = 0x1000
_BY_CHARACTER = 1
_RATE, _PITCH = 1, 3
_EVENT_END, _EVENT_WORD = 0, 1


class Event(ctypes.Structure):
    """`espeak_EVENT`."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_int16), ctypes.c_int, ctypes.POINTER(Event)
)


class Output:
    """Frames to the server."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink

    def send(self, kind: int, clause: int, payload: bytes = b"") -> None:
        body = struct.pack("<BI", kind, clause) + payload
        self._sink.write(struct.pack("<I", len(body)) + body)
        self._sink.flush()


class Espeak:
    """The library, which has one global state: one clause at a time."""

    def __init__(self, output: Output) -> None:
        self._library, data = load()
        initialise = self._library.espeak_Initialize
        initialise.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        self.sample_rate: int = initialise(_SYNCHRONOUS, BUFFER_MS, data, _DO_NOT_EXIT)
        if self.sample_rate <= 0:
            raise OSError("espeak-ng found no voice data")
        self._output = output
        self._stopped: set[int] = set()
        self._clause = 0
        self._callback = Callback(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def stop(self, clause: int) -> None:
        """Give up a clause, running or still to come. Called from another thread."""
        self._stopped.add(clause)

    def say(self, request: dict[str, Any]) -> None:
        """Speak one clause: audio and words, then an end or an error."""
        clause = self._clause = int(request["id"])
        if clause not in self._stopped:
            error = self._say(request)
            if error:
                self._output.send(ERROR, clause, error.encode())
                return
        self._stopped.discard(clause)
        self._output.send(END, clause)

    def _say(self, request: dict[str, Any]) -> str:
        voice = str(request["voice"])
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            return f"unknown voice {voice!r}"
        self._library.espeak_SetParameter(_RATE, int(request["rate"]), 0)
        self._library.espeak_SetParameter(_PITCH, int(request["pitch"]), 0)
        text = str(request["text"]).encode()
        status = self._library.espeak_Synth(
            text,
            ctypes.c_size_t(len(text) + 1),
            0,
            _BY_CHARACTER,
            0,
            _UTF8 | _END_PAUSE,
            None,
            None,
        )
        return f"espeak_Synth returned {status}" if status != 0 else ""

    def _take(self, wave: Any, count: int, events: Any) -> int:
        """espeak-ng's callback; 1 stops it."""
        if self._clause in self._stopped:
            return 1
        words = []
        for event in events:
            if event.type == _EVENT_END:
                break
            if event.type == _EVENT_WORD:
                words.append([event.text_position - 1, event.audio_position])
        if words:
            self._output.send(WORDS, self._clause, json.dumps(words).encode())
        if count > 0:
            self._output.send(AUDIO, self._clause, ctypes.string_at(wave, count * 2))
        return 0


def load() -> tuple[ctypes.CDLL, bytes | None]:
    """The library and its data folder: the system's own, else that of the espeakng-loader wheel.

    Raises `OSError` when there is neither.
    """
    for name in LIBRARIES:
        try:
            return ctypes.CDLL(name), None
        except OSError:
            continue
    try:
        import espeakng_loader
    except ImportError as error:
        raise OSError(
            "neither libespeak-ng nor the package espeakng-loader is installed"
        ) from error
    library: str = espeakng_loader.get_library_path()  # type: ignore[no-untyped-call]
    data: str = espeakng_loader.get_data_path()  # type: ignore[no-untyped-call]
    return ctypes.CDLL(library), data.encode()


def read_frame(source: BinaryIO) -> bytes | None:
    """The next frame, or None when the server is gone."""
    head = source.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack("<I", head)
    body = source.read(length)
    return body if len(body) == length else None


def listen(source: BinaryIO, espeak: Espeak, clauses: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Take requests until the server is gone, and end the program then."""
    while (frame := read_frame(source)) is not None:
        request = json.loads(frame)
        if "stop" in request:
            espeak.stop(int(request["stop"]))
        else:
            clauses.put(request)
    os._exit(0)


def main() -> None:
    output = Output(sys.stdout.buffer)
    try:
        espeak = Espeak(output)
    except OSError as error:
        output.send(ERROR, 0, str(error).encode())
        sys.exit(1)
    output.send(READY, 0, json.dumps({"sample_rate": espeak.sample_rate}).encode())
    clauses: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(sys.stdin.buffer, espeak, clauses), daemon=True).start()
    while True:
        espeak.say(clauses.get())


if __name__ == "__main__":
    main()
