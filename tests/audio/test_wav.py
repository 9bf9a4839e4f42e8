"""Recordings survive a crash; recordings of any kind can be read."""

import io
import signal
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from nur_server.audio import g711
from nur_server.audio.wav import PCM, WavWriter, decode_wav, header, read_wav
from nur_server.errors import BadRequest

RATE = 16_000


def speechlike(length: int = 4_000, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-30_000, 30_000, length).astype(np.int16)


def file_of(samples: np.ndarray, subtype: str, kind: str = "WAV") -> bytes:
    target = io.BytesIO()
    if subtype in ("FLOAT", "DOUBLE"):
        samples = samples / 32767
    soundfile.write(target, samples, RATE, subtype=subtype, format=kind)
    return target.getvalue()


def handmade(encoding: int, bits: int, data: bytes, channels: int = 1) -> bytes:
    body = struct.pack("<HHIIHH", encoding, channels, RATE, RATE * channels, channels, bits)
    chunks = b"fmt " + struct.pack("<I", len(body)) + body
    chunks += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


@settings(deadline=None, max_examples=25)
@given(lengths=st.lists(st.integers(0, 9_000), max_size=6), stereo=st.booleans())
def test_other_programs_read_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], stereo: bool
) -> None:
    path = tmp_path_factory.mktemp("wav") / "call.wav"
    blocks = [speechlike(length, seed) for seed, length in enumerate(lengths)]
    with WavWriter(path, RATE, 2 if stereo else 1) as recording:
        for block in blocks:
            recording.write(*([block, -block] if stereo else [block]))

    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE, 2 if stereo else 1)
        got = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    left = np.concatenate([np.zeros(0, np.int16), *blocks])
    assert np.array_equal(got, np.stack([left, -left], axis=1).ravel() if stereo else left)


def test_the_recording_of_a_killed_process_misses_its_last_second_at_most(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    program = (
        "import sys, time, pathlib, numpy as np\n"
        "from nur_server.audio.wav import WavWriter\n"
        f"recording = WavWriter(pathlib.Path({str(path)!r}), {RATE}, 2)\n"
        "half = np.full(8000, 7, np.int16)\n"
        "for _ in range(7): recording.write(half, half)\n"
        "print('written', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    with wave.open(str(path)) as file:
        seconds = file.getnframes() / RATE
    assert 2.5 <= seconds <= 3.5
    assert set(read_wav(path, RATE)) == {7}


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    recording = WavWriter(tmp_path / "call.wav", RATE)
    recording.write(speechlike())
    recording.close()
    recording.close()
    assert len(read_wav(tmp_path / "call.wav", RATE)) == 4_000


def test_a_recording_has_one_or_two_channels(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 1 or 2 channels, got 3"):
        WavWriter(tmp_path / "call.wav", RATE, 3)
    with (
        WavWriter(tmp_path / "call.wav", RATE, 2) as recording,
        pytest.raises(ValueError, match="expected 2 channels, got 1"),
    ):
        recording.write(speechlike())


@pytest.mark.parametrize(
    ("subtype", "kind", "tolerance"),
    [
        ("PCM_U8", "WAV", 256),
        ("PCM_16", "WAV", 0),
        ("PCM_24", "WAV", 0),
        ("PCM_32", "WAV", 0),
        ("FLOAT", "WAV", 1),
        ("DOUBLE", "WAV", 1),
        ("ULAW", "WAV", 1_100),
        ("ALAW", "WAV", 1_100),
        ("PCM_16", "WAVEX", 0),
        ("FLOAT", "WAVEX", 1),
    ],
)
def test_every_usual_kind_of_wav_is_read(subtype: str, kind: str, tolerance: int) -> None:
    samples = speechlike()
    got = decode_wav(file_of(samples, subtype, kind), RATE)
    assert len(got) == len(samples)
    assert np.max(np.abs(got.astype(int) - samples.astype(int))) <= tolerance


def test_channels_are_averaged() -> None:
    samples = speechlike()
    stereo = np.stack([samples, np.zeros_like(samples)], axis=1)
    got = decode_wav(file_of(stereo, "PCM_16"), RATE)
    assert np.max(np.abs(got - samples / 2)) <= 1


@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
def test_the_reader_is_given_the_rate_it_wants(rate: int) -> None:
    got = decode_wav(file_of(speechlike(), "PCM_16"), rate)
    assert abs(len(got) - 4_000 * rate / RATE) <= 1


@pytest.mark.parametrize("claimed", [0, 0xFFFF_FFFF, 2_000_000_000])
def test_a_stream_whose_size_was_never_filled_in_is_read_to_its_end(claimed: int) -> None:
    samples = speechlike(500)
    content = bytearray(header(RATE, 1, 0) + samples.tobytes())
    struct.pack_into("<I", content, 40, claimed)
    assert np.array_equal(decode_wav(bytes(content), RATE), samples)


def test_other_chunks_are_passed_over() -> None:
    content = handmade(PCM, 16, speechlike(100).tobytes())
    tagged = content[:12] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + content[12:]
    assert np.array_equal(decode_wav(tagged, RATE), speechlike(100))


def test_an_odd_byte_at_the_end_is_left_out() -> None:
    content = header(RATE, 1, 0) + speechlike(100).tobytes() + b"\x01"
    assert np.array_equal(decode_wav(content, RATE), speechlike(100))


def test_floats_that_are_no_numbers_are_silence() -> None:
    data = np.array([np.nan, 2.0, -2.0], "<f4").tobytes()
    assert list(decode_wav(handmade(3, 32, data), RATE)) == [0, 32767, -32767]


def test_telephone_recordings_are_read() -> None:
    data = bytes(range(256))
    got = decode_wav(handmade(7, 8, data), RATE)
    assert np.array_equal(got, g711.decode(data, "mulaw"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a WAV file"),
        (b"ID3\x04mp3 mp3 mp3", "expected a WAV file"),
        (header(RATE, 1, 0)[:36], "expected a data chunk"),
        (b"RIFF\0\0\0\0WAVEdata\2\0\0\0ab", "expected a fmt chunk before the data"),
        (b"RIFF\0\0\0\0WAVEfmt \2\0\0\0ab", "expected a fmt chunk of 16 bytes"),
        (handmade(PCM, 16, b"ab", channels=0), "expected channels and a sample rate"),
        (handmade(0x0055, 0, b"ab"), "convert to 16-bit PCM"),
        (handmade(PCM, 12, b"ab"), "got format 0x0001 with 12 bits"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(content: bytes, message: str) -> None:
    with pytest.raises(BadRequest, match=message) as refused:
        decode_wav(content, RATE)
    assert refused.value.code == "invalid_audio"


@given(content=st.binary(max_size=200))
def test_garbage_behind_a_riff_header_never_does_worse_than_a_refusal(content: bytes) -> None:
    try:
        decode_wav(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + content, RATE)
    except BadRequest as refused:
        assert refused.code == "invalid_audio"
