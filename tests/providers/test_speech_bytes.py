"""Only samples are played, whatever a synthesiser sends and however it is cut."""

import random
import struct
from collections.abc import Iterable

import numpy as np
import pytest

from nur_server.errors import ProviderError, ProviderGarbled, ProviderRejected
from nur_server.ports import Samples
from nur_server.providers.speech_bytes import SpeechBytes, wav_head

RAMP = np.arange(-600, 600, dtype=np.int16)
TONE = (6_000 * np.sin(np.arange(6_000) * 2 * np.pi * 220 / 24_000)).astype(np.int16)
PCM = TONE.tobytes()
KINDS = ("audio/pcm", "audio/wav", "application/octet-stream", "")


def header(
    rate: int = 22_050, channels: int = 1, bits: int = 16, coding: int = 1, size: int = 0xFFFFFFFF
) -> bytes:
    form = struct.pack("<HHIIHH", coding, channels, rate, rate * 2, 2 * channels, bits)
    info = b"LIST" + struct.pack("<I", 5) + b"odd!!\0"
    return (
        b"RIFF\xff\xff\xff\xffWAVEfmt "
        + struct.pack("<I", 16)
        + form
        + info
        + b"data"
        + struct.pack("<I", size)
    )


def test_a_header_is_waited_for_and_its_end_found() -> None:
    whole = header()
    assert all(wav_head(whole[:size]) is None for size in range(len(whole)))
    head = wav_head(whole)
    assert head is not None
    assert (head.sample_rate, head.channels, head.data_start) == (22_050, 1, len(whole))
    assert wav_head(header(size=9_000)[:-1] + b"\0") is not None


def listed(text: bytes) -> bytes:
    body = b"INFOISFT" + struct.pack("<I", len(text)) + text
    return b"LIST" + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def played(data: bytes, pieces: Iterable[int], kind: str = "audio/pcm", **more: int) -> Samples:
    audio = SpeechBytes("tts", kind, 24_000, **more)
    chunks, at = [], 0
    for size in pieces:
        chunks.append(audio.take(data[at : at + size]))
        at += size
    chunks += [audio.take(data[at:]), audio.finish()]
    return np.concatenate([chunk.samples for chunk in chunks if chunk is not None])


def assert_played(data: bytes, samples: Samples, kind: str = "audio/pcm", **more: int) -> None:
    """Whatever the pieces."""
    cuts = random.Random(7)
    for pieces in ([], [1] * 700, [len(data) - 1], [cuts.randint(1, 999) for _ in range(20)]):
        assert np.array_equal(played(data, pieces, kind, **more), samples)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF, len(PCM), 100, len(PCM) // 3, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_size_in_a_header_may_be_anything(size: int, kind: str) -> None:
    assert_played(header(size=size) + PCM, TONE, kind)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, len(PCM)])
@pytest.mark.parametrize(
    "behind", [listed(b"made by a synthesiser " * 60), listed(b"odd"), listed(b"x") * 3]
)
def test_metadata_behind_the_samples_is_skipped(size: int, behind: bytes) -> None:
    assert_played(header(size=size) + PCM + behind, TONE)


@pytest.mark.parametrize("name", [b"id3 ", b"cue ", b"fact", b"LIST"])
def test_other_chunks_are_skipped_where_the_size_is_true(name: bytes) -> None:
    chunk = name + struct.pack("<I", 4_000) + b"\x7f\x80" * 2_000
    assert_played(header(size=len(PCM)) + PCM + chunk + chunk, TONE)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, None])
def test_a_header_before_every_piece_is_skipped(size: int | None) -> None:
    pieces = [PCM[at : at + 3_000] for at in range(0, len(PCM), 3_000)]
    headed = [
        header(rate=24_000, size=len(piece) if size is None else size) + piece for piece in pieces
    ]
    assert_played(b"".join(headed), TONE, "audio/wav")
    assert_played(PCM + b"".join(headed), np.concatenate([TONE, TONE]), "audio/pcm")


def test_a_half_sample_before_a_header_is_dropped() -> None:
    assert_played(header() + PCM + b"\1" + header() + PCM, np.concatenate([TONE, TONE]))


def test_a_header_with_another_rate_in_mid_stream_is_refused() -> None:
    with pytest.raises(ProviderGarbled, match="another rate"):
        played(header() + PCM + header(rate=16_000) + PCM, [])


def test_the_bytes_of_each_sample_may_be_swapped_and_channels_two() -> None:
    assert_played(TONE.astype(">i2").tobytes(), TONE, "audio/l16")
    assert_played(np.repeat(TONE, 2).tobytes(), TONE, "audio/l16", channels=2)
    assert_played(header(channels=2) + np.repeat(TONE, 2).tobytes(), TONE)


def test_little_audio_is_played_all_the_same() -> None:
    assert_played(RAMP[:3].tobytes(), RAMP[:3])
    assert_played(header() + RAMP[:3].tobytes(), RAMP[:3])
    assert_played(np.zeros(2_000, np.int16).tobytes(), np.zeros(2_000, np.int16))


def test_loud_speech_is_no_noise() -> None:
    loud = np.clip(TONE.astype(int) * 8, -32_768, 32_767).astype(np.int16)
    hiss = (np.random.default_rng(1).standard_normal(6_000) * 6_000).astype(np.int16)
    for samples in (loud, hiss, np.concatenate([hiss, loud])):
        assert_played(samples.tobytes(), samples)


NOISE = random.Random(1).randbytes(20_000)
MP3_FRAME = b"\xff\xfb\x90\x64" + bytes(413)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfb\x90\x64" + NOISE, MP3_FRAME * 20,
        b"\xff\xf3\x64\xc4" + bytes(32) + b"Info" + bytes(900),
        b"ID3\4" + NOISE, b"OggS" + NOISE, b"fLaC" + NOISE, b"\x1aE\xdf\xa3" + NOISE,
        b"\0\0\0\x20ftypM4A " + NOISE, b"\x1f\x8b\x08" + NOISE, NOISE, bytes(2_000) + NOISE,
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_compressed_audio_is_refused_whatever_it_calls_itself(body: bytes, kind: str) -> None:
    for pieces in ([], [100] * 50):
        with pytest.raises(ProviderGarbled, match="Expected PCM16 or a WAV file"):
            played(body, pieces, kind)


@pytest.mark.parametrize("kind", ["audio/mpeg", "audio/ogg", "audio/basic", "video/mp4"])
def test_other_types_are_refused_unless_they_hold_a_wav_file(kind: str) -> None:
    with pytest.raises(ProviderGarbled, match=kind):
        played(PCM, [], kind)
    assert_played(header() + PCM, TONE, kind)


@pytest.mark.parametrize("kind", ["application/json", "text/html", "audio/pcm", "audio/wav", ""])
@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "out of memory", "code": 500}}',
        b' {"detail": "no such voice"}',
        b"<!DOCTYPE html><html><body>Bad gateway</body></html>",
        b"Internal Server Error: no such voice",
    ],
)
def test_an_error_in_writing_is_told_and_not_played(body: bytes, kind: str) -> None:
    for pieces in ([], [1] * 10):
        with pytest.raises(ProviderError) as caught:
            played(body, pieces, kind)
        assert isinstance(caught.value, ProviderRejected | ProviderGarbled)
        assert "memory" not in caught.value.message and "voice" not in caught.value.message
