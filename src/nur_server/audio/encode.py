"""A recording in another format, and what can be saved of one that was cut off."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

BLOCK_FRAMES = 4096
"""Samples per channel read at a time. A block of FLAC, so that all whole blocks are found."""


class RecordingFormat(StrEnum):
    """How a recording can be had."""

    FLAC = "flac"
    OPUS = "opus"
    """In an Ogg file; the smallest."""
    WAV = "wav"

    @property
    def media_type(self) -> str:
        return {"flac": "audio/flac", "opus": "audio/ogg", "wav": "audio/wav"}[self.value]

    @property
    def suffix(self) -> str:
        """Of file names."""
        return {"flac": "flac", "opus": "ogg", "wav": "wav"}[self.value]


_WRITTEN_AS = {
    RecordingFormat.FLAC: ("FLAC", "PCM_16"),
    RecordingFormat.OPUS: ("OGG", "OPUS"),
    RecordingFormat.WAV: ("WAV", "PCM_16"),
}


def transcode(source: Path, target: Path, wanted: RecordingFormat) -> float:
    """Write the audio of `source` to `target` and return its seconds.

    A source that breaks off is read as far as it goes. Blocks: a minute of stereo at 16 kHz takes
    0.05 s as FLAC or WAV, 1 s as Opus. Raises `OSError`, and `soundfile.LibsndfileError` for a
    source that is no audio.
    """
    container, encoding = _WRITTEN_AS[wanted]
    samples = 0
    with soundfile.SoundFile(source) as given:
        rate = int(given.samplerate)
        with soundfile.SoundFile(
            target, "w", rate, given.channels, subtype=encoding, format=container
        ) as made:
            for block in _blocks(given):
                made.write(block)
                samples += len(block)
    return samples / rate


def seconds_of(source: Path) -> float:
    """How much of a recording can be heard, also of one that breaks off; 0 where it is no audio."""
    try:
        with soundfile.SoundFile(source) as given:
            return sum(map(len, _blocks(given))) / int(given.samplerate)
    except soundfile.LibsndfileError:
        return 0.0


def _blocks(given: soundfile.SoundFile) -> Iterator[NDArray[np.int16]]:
    while True:
        try:
            block = np.asarray(given.read(BLOCK_FRAMES, dtype="int16", always_2d=True), np.int16)
        except soundfile.LibsndfileError:
            return
        if not len(block):
            return
        yield block
