"""WAV files: a writer whose file is whole at every moment, a reader for what users bring along.

The format: RIFF with a `fmt ` chunk (WAVEFORMATEX or WAVE_FORMAT_EXTENSIBLE) and a `data` chunk.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nur_server.audio import g711
from nur_server.audio.resample import resample
from nur_server.errors import BadRequest

PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE
HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
"""The 44 bytes in front of PCM16 samples."""
MAX_DATA_BYTES = 0xFFFF_FFFF - HEADER.size
"""RIFF counts bytes in 32 bits."""


class WavWriter:
    """Writes PCM16 as it comes.

    The header is brought up to date once a second of audio, after the samples it speaks of: a file
    left behind by a killed process opens everywhere and misses at most its last second. Raises
    `ValueError` for a channel count other than 1 or 2, `OSError` where the file cannot be written.
    """

    def __init__(self, path: Path, sample_rate: int, channels: int = 1) -> None:
        if channels not in (1, 2):
            raise ValueError(f"expected 1 or 2 channels, got {channels}")
        self.sample_rate = sample_rate
        self.channels = channels
        self._written = 0
        self._in_header = 0
        self._file = path.open("wb")
        self._write_header()

    def write(self, *channels: NDArray[np.int16]) -> None:
        """Append one array per channel, all of the same length. Beyond 4 GB nothing is kept."""
        if len(channels) != self.channels:
            raise ValueError(f"expected {self.channels} channels, got {len(channels)}")
        frames = channels[0] if self.channels == 1 else np.stack(channels, axis=1)
        data = frames.astype("<i2", copy=False).tobytes()
        if self._written + len(data) > MAX_DATA_BYTES:
            return
        self._file.write(data)
        self._written += len(data)
        if self._written - self._in_header >= self.sample_rate * self.channels * 2:
            self._write_header()

    def close(self) -> None:
        """Complete the file. May be called twice."""
        if not self._file.closed:
            self._write_header()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write_header(self) -> None:
        self._file.flush()
        self._file.seek(0)
        self._file.write(header(self.sample_rate, self.channels, self._written))
        self._file.seek(0, 2)
        self._file.flush()
        self._in_header = self._written


def header(sample_rate: int, channels: int, data_bytes: int) -> bytes:
    """What stands in front of `data_bytes` of PCM16."""
    frame_bytes = channels * 2
    return HEADER.pack(
        b"RIFF",
        HEADER.size - 8 + data_bytes,
        b"WAVE",
        b"fmt ",
        16,
        PCM,
        channels,
        sample_rate,
        sample_rate * frame_bytes,
        frame_bytes,
        16,
        b"data",
        data_bytes,
    )


def read_wav(path: Path, sample_rate: int) -> NDArray[np.int16]:
    """The recording as mono at `sample_rate`. Raises as `decode_wav` does, and `OSError`."""
    return decode_wav(path.read_bytes(), sample_rate)


def decode_wav(content: bytes, sample_rate: int) -> NDArray[np.int16]:
    """A WAV file's content as mono at `sample_rate`: channels are averaged.

    Understands PCM of 8, 16, 24 and 32 bits, floats of 32 and 64, mu-law and A-law, and files whose
    sizes were never filled in. Raises `errors.BadRequest` (code `invalid_audio`) for anything else.
    """
    layout, data = _parse(content)
    samples = _to_int16(layout, data)
    if layout.channels > 1:
        whole = len(samples) - len(samples) % layout.channels
        frames = samples[:whole].reshape(-1, layout.channels)
        samples = np.rint(frames.mean(axis=1)).astype(np.int16)
    return resample(samples, layout.sample_rate, sample_rate)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the samples of a file are stored."""

    encoding: int
    channels: int
    sample_rate: int
    bits: int
    """Per sample."""


def _parse(content: bytes) -> tuple[_Layout, bytes]:
    if content[:4] not in (b"RIFF", b"RF64") or content[8:12] != b"WAVE":
        raise _refused("expected a WAV file, got something without its RIFF header")
    layout: _Layout | None = None
    position = 12
    while position + 8 <= len(content):
        name = content[position : position + 4]
        (size,) = struct.unpack_from("<I", content, position + 4)
        body = content[position + 8 : position + 8 + size]
        if name == b"fmt ":
            layout = _layout(body)
        elif name == b"data":
            if layout is None:
                raise _refused("expected a fmt chunk before the data of the WAV file, got none")
            # A stream that was never closed says 0 here and goes on to the end of the file.
            return layout, body if size else content[position + 8 :]
        position += 8 + size + size % 2
    raise _refused("expected a data chunk in the WAV file, got none")


def _layout(body: bytes) -> _Layout:
    if len(body) < 16:
        raise _refused(f"expected a fmt chunk of 16 bytes or more, got {len(body)}")
    encoding, channels, sample_rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if encoding == EXTENSIBLE and len(body) >= 26:
        (encoding,) = struct.unpack_from("<H", body, 24)
    if not channels or not sample_rate:
        raise _refused(f"expected channels and a sample rate, got {channels} and {sample_rate} Hz")
    return _Layout(encoding, channels, sample_rate, bits)


def _to_int16(layout: _Layout, data: bytes) -> NDArray[np.int16]:
    sample_bytes = max(layout.bits // 8, 1)
    data = data[: len(data) - len(data) % sample_bytes]
    match layout.encoding, layout.bits:
        case (1, 8):
            return ((np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8).astype(np.int16)
        case (1, 16):
            return np.frombuffer(data, "<i2").astype(np.int16)
        case (1, 24):
            upper = np.frombuffer(data, np.uint8).reshape(-1, 3)[:, 1:].tobytes()
            return np.frombuffer(upper, "<i2").astype(np.int16)
        case (1, 32):
            return (np.frombuffer(data, "<i4") >> 16).astype(np.int16)
        case (3, 32 | 64):
            kind = np.dtype(np.float32 if layout.bits == 32 else np.float64).newbyteorder("<")
            floats: NDArray[np.float64] = np.nan_to_num(
                np.frombuffer(data, kind).astype(np.float64)
            )
            return np.rint(np.clip(floats, -1, 1) * 32767).astype(np.int16)
        case (6, _):
            return g711.decode(data, "alaw")
        case (7, _):
            return g711.decode(data, "mulaw")
        case _:
            raise _refused(
                "expected PCM of 8, 16, 24 or 32 bits, floats, mu-law or A-law in the WAV file; "
                f"got format {layout.encoding:#06x} with {layout.bits} bits: convert to 16-bit PCM"
            )


def _refused(message: str) -> BadRequest:
    return BadRequest(message, code="invalid_audio")
