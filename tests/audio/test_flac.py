"""FLAC that plays wherever it stops."""

from pathlib import Path

import numpy as np
import soundfile

from nur_server.audio.flac import HEADER_BYTES, FlacEncoder

RATE = 16_000


def tones(seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    left, right = np.sin(time * 440 * 6.283), np.sin(time * 880 * 6.283)
    return (np.stack([left, right], axis=1) * 8000).astype(np.int16)


def test_the_stream_with_its_last_header_is_the_file(tmp_path: Path) -> None:
    given = tones(2.3)
    encoder = FlacEncoder(RATE, 2)
    stream = b"".join(encoder.write(part) for part in np.array_split(given, 7))
    rest, header = encoder.close()
    whole = header + (stream + rest)[HEADER_BYTES:]
    path = tmp_path / "whole.flac"
    path.write_bytes(whole)
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    assert np.array_equal(samples, given)
    assert soundfile.info(path).frames == len(given)


def test_what_was_given_so_far_plays(tmp_path: Path) -> None:
    given = tones(3)
    encoder = FlacEncoder(RATE, 2)
    path = tmp_path / "part.flac"
    path.write_bytes(encoder.write(given))
    with soundfile.SoundFile(path) as file:
        block = file.read(RATE * 2, dtype="int16")
    assert np.array_equal(block, given[: RATE * 2])
