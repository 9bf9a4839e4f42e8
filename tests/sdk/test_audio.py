"""The audio helpers."""

import array
import math
import wave

import pytest

from nur.audio import paced, paced_async, pieces, read_wav, silence, write_wav


def tone(rate, seconds=0.5, hertz=300):
    return array.array(
        "h",
        (
            round(8000 * math.sin(2 * math.pi * hertz * i / rate))
            for i in range(int(rate * seconds))
        ),
    )


def store(path, samples, rate, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


def test_a_file_at_the_right_rate_is_read_as_it_is(tmp_path):
    samples = tone(24_000)
    assert read_wav(store(tmp_path / "a.wav", samples, 24_000)) == samples.tobytes()


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_another_rate_becomes_the_same_tone(tmp_path, rate):
    audio = array.array("h", read_wav(store(tmp_path / "a.wav", tone(rate), rate)))
    expected = tone(24_000)
    assert abs(len(audio) - len(expected)) <= 3
    middle = range(100, 11_000)
    assert max(abs(audio[i] - expected[i]) for i in middle) < 150


def test_stereo_is_averaged(tmp_path):
    both = array.array("h", [100, 300, -100, -300])
    audio = read_wav(store(tmp_path / "a.wav", both, 24_000, channels=2))
    assert array.array("h", audio).tolist() == [200, -200]


def test_other_widths_are_refused_with_what_to_do(tmp_path):
    path = store(tmp_path / "a.wav", array.array("B", [1, 2]), 24_000, width=1)
    with pytest.raises(ValueError, match="16-bit"):
        read_wav(path)


def test_what_is_written_is_read(tmp_path):
    audio = tone(24_000).tobytes()
    write_wav(tmp_path / "a.wav", audio)
    assert read_wav(tmp_path / "a.wav") == audio


def test_pieces_add_up():
    audio = bytes(24_000 * 2 + 10)
    parts = list(pieces(audio, piece_ms=100))
    assert b"".join(parts) == audio
    assert {len(part) for part in parts[:-1]} == {4800}


def test_silence_lasts_as_long_as_it_says():
    assert silence(0.5) == bytes(24_000)


async def test_pacing_changes_nothing_of_the_audio():
    audio = bytes(range(240)) * 4
    assert b"".join(paced(audio, piece_ms=5)) == audio
    assert b"".join([part async for part in paced_async(audio, piece_ms=5)]) == audio
