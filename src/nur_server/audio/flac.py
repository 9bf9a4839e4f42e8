"""FLAC as it is made: bytes that can be kept at once, playable up to wherever they stop.

RFC 9639. The stream begins with `fLaC`, a block header and STREAMINFO, 42 bytes in all. They say
"length not known" until the encoder is closed, then they can be replaced.
"""

from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

HEADER_BYTES = 42
"""What `close` gives anew: `fLaC`, the block header and STREAMINFO."""


class FlacEncoder:
    """PCM16 in, FLAC out. Blocks while it encodes: 0.5 ms for a second of stereo at 16 kHz."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._tail = _Tail()
        target: Any = self._tail
        self._file = soundfile.SoundFile(
            target, "w", sample_rate, channels, subtype="PCM_16", format="FLAC"
        )

    def write(self, frames: NDArray[np.int16]) -> bytes:
        """What `frames`, samples by channels, add to the stream; up to 4096 samples stay inside."""
        self._file.write(frames)
        return self._tail.take()

    def close(self) -> tuple[bytes, bytes]:
        """The rest of the stream, and the header that replaces its first `HEADER_BYTES`."""
        self._file.close()
        return self._tail.take(), bytes(self._tail.header)


class _Tail:
    """The file libsndfile writes to: keeps the header, gives away everything behind it."""

    def __init__(self) -> None:
        self.header = bytearray()
        self._position = 0
        self._end = 0
        self._new = bytearray()

    def take(self) -> bytes:
        new, self._new = bytes(self._new), bytearray()
        return new

    def write(self, data: Any) -> int:
        written = bytes(data)
        begin, self._position = self._position, self._position + len(written)
        if begin < HEADER_BYTES:
            self.header[begin : begin + len(written)] = written
            del self.header[HEADER_BYTES:]
        if begin == self._end:
            self._new += written
            self._end = self._position
        return len(written)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = (0, self._position, self._end)[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, _size: int = -1) -> bytes:
        return b""

    def flush(self) -> None:
        """Nothing is held back."""
