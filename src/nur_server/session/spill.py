"""A file in which one session's writes wait while the store is away.

Records follow one another, each behind its length and its checksum. A record that is cut short,
because the process or the disk gave out in the middle of writing it, ends the file.
"""

import os
import zlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from struct import Struct
from typing import Self

SUFFIX = ".writes"
MAX_RECORD_BYTES = 64 * 1024 * 1024
"""A length beyond it is not one that was written here: the largest record is a journal chunk of
some 100 KB."""
_HEAD = Struct("<II")
"""Length and CRC-32 of the record behind it."""


class SpillFile:
    """Appends at the end, reads from the beginning. Every method blocks and may raise `OSError`;
    one may run at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lengths: deque[int] = deque()
        """Of the records that were not taken yet, each with its head."""
        self._at = 0
        """Where the first of them begins."""
        self._end = 0
        """Where the last of them ends."""

    @classmethod
    def found(cls, path: Path) -> Self:
        """The file that an earlier process has left."""
        file = cls(path)
        with path.open("rb") as opened:
            while True:
                head = opened.read(_HEAD.size)
                if len(head) < _HEAD.size:
                    return file
                length, checksum = _HEAD.unpack(head)
                if length > MAX_RECORD_BYTES:
                    return file
                record = opened.read(length)
                if len(record) < length or zlib.crc32(record) != checksum:
                    return file
                file._lengths.append(_HEAD.size + length)
                file._end += _HEAD.size + length

    def __len__(self) -> int:
        """Records that were not taken yet."""
        return len(self._lengths)

    @property
    def waiting_bytes(self) -> int:
        return self._end - self._at

    def append(self, records: Iterable[bytes]) -> None:
        """Durable when it returns. Where it raises, nothing was appended."""
        framed = [_HEAD.pack(len(each), zlib.crc32(each)) + each for each in records]
        data = memoryview(b"".join(framed))
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, self._end)
            os.lseek(descriptor, self._end, os.SEEK_SET)
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._lengths.extend(map(len, framed))
        self._end += sum(map(len, framed))

    def first(self) -> bytes:
        """The next record. Raises `IndexError` where there is none."""
        length = self._lengths[0]
        with self._path.open("rb") as opened:
            opened.seek(self._at + _HEAD.size)
            return opened.read(length - _HEAD.size)

    def skip(self) -> None:
        """Take the next record. With the last one the file is removed."""
        if len(self) == 1:
            self._path.unlink(missing_ok=True)
            self._at = self._end = 0
            self._lengths.clear()
        else:
            self._at += self._lengths.popleft()
