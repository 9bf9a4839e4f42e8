"""Recordings in other formats, and recordings that were cut off."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from nur_server.audio.encode import RecordingFormat, transcode
from nur_server.audio.flac import FlacEncoder
from tests.audio.test_flac import RATE, tones


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.flac"
    soundfile.write(path, tones(2), RATE)
    return path


@pytest.mark.parametrize("wanted", RecordingFormat)
def test_every_format_has_the_whole_recording(
    tmp_path: Path, source: Path, wanted: RecordingFormat
) -> None:
    target = tmp_path / "target"
    assert transcode(source, target, wanted) == 2
    info = soundfile.info(target)
    assert (info.samplerate, info.channels) == (RATE, 2)
    assert info.frames == pytest.approx(2 * RATE, abs=RATE // 50)
    assert info.format == {"flac": "FLAC", "opus": "OGG", "wav": "WAV"}[wanted.value]


@pytest.mark.parametrize("torn", [0, 1, 500, 3000])
def test_all_whole_blocks_of_a_torn_file_are_saved(tmp_path: Path, torn: int) -> None:
    given = tones(5)
    encoder = FlacEncoder(RATE, 2)
    stream = encoder.write(given)
    source, target = tmp_path / "torn.flac", tmp_path / "saved.flac"
    source.write_bytes(stream[: len(stream) - torn])
    seconds = transcode(source, target, RecordingFormat.FLAC)
    assert seconds >= 4.2
    saved, _ = soundfile.read(target, dtype="int16")
    assert len(saved) == seconds * RATE
    assert np.array_equal(saved, given[: len(saved)])


def test_what_is_no_audio_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "text"
    source.write_text("not audio")
    with pytest.raises(soundfile.LibsndfileError):
        transcode(source, tmp_path / "target", RecordingFormat.WAV)
