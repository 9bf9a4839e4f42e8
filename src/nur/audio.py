"""The little an application needs to bring audio to a session: standard library only.

Audio is PCM16 little-endian mono at 24 kHz, the default of every session.
"""

import array
import asyncio
import sys
import time
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

SAMPLE_RATE = 24_000
PIECE_MS = 50


def read_wav(path: str | Path, sample_rate: int = SAMPLE_RATE) -> bytes:
    """A WAV file as PCM16 mono at `sample_rate`.

    Channels are averaged and the rate is changed by linear interpolation, which is good enough
    for speech on its way to a recogniser. Raises `ValueError` for anything but 16-bit PCM.

        live.send_audio(read_wav("question.wav"))
    """
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise ValueError(
                f"expected a WAV of 16-bit PCM, got {8 * file.getsampwidth()} bits; "
                "convert it, e.g. with `ffmpeg -i in.wav -c:a pcm_s16le out.wav`"
            )
        channels, rate = file.getnchannels(), file.getframerate()
        samples = _samples(file.readframes(file.getnframes()))
    return _bytes(_at_rate(_mono(samples, channels), rate, sample_rate))


def write_wav(path: str | Path, audio: bytes, sample_rate: int = SAMPLE_RATE) -> None:
    """Write PCM16 mono to a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(audio)


def pieces(
    audio: bytes, piece_ms: int = PIECE_MS, sample_rate: int = SAMPLE_RATE
) -> Iterator[bytes]:
    """`audio` in pieces of `piece_ms` milliseconds; the last may be shorter."""
    size = 2 * (sample_rate * piece_ms // 1000)
    for start in range(0, len(audio), size):
        yield audio[start : start + size]


def paced(
    audio: bytes, piece_ms: int = PIECE_MS, sample_rate: int = SAMPLE_RATE
) -> Iterator[bytes]:
    """The same at the pace of speech: sleeps for the length of each piece after it.

    for piece in paced(read_wav("question.wav")):
        live.send_audio(piece)
    """
    for piece in pieces(audio, piece_ms, sample_rate):
        yield piece
        time.sleep(len(piece) / 2 / sample_rate)


async def paced_async(
    audio: bytes, piece_ms: int = PIECE_MS, sample_rate: int = SAMPLE_RATE
) -> AsyncIterator[bytes]:
    """The same without blocking the loop."""
    for piece in pieces(audio, piece_ms, sample_rate):
        yield piece
        await asyncio.sleep(len(piece) / 2 / sample_rate)


def silence(seconds: float, sample_rate: int = SAMPLE_RATE) -> bytes:
    """So many seconds of nothing. A turn ends with silence: send some after a recording."""
    return bytes(2 * round(seconds * sample_rate))


def _samples(data: bytes) -> "array.array[int]":
    samples = array.array("h", data)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _bytes(samples: "array.array[int]") -> bytes:
    if sys.byteorder == "big":
        samples = samples[:]
        samples.byteswap()
    return samples.tobytes()


def _mono(samples: "array.array[int]", channels: int) -> "array.array[int]":
    if channels == 1:
        return samples
    frames = range(0, len(samples), channels)
    return array.array("h", (sum(samples[i : i + channels]) // channels for i in frames))


def _at_rate(samples: "array.array[int]", rate: int, wanted: int) -> "array.array[int]":
    if rate == wanted or not samples:
        return samples
    last = len(samples) - 1

    def between(position: float) -> int:
        left = int(position)
        right = min(left + 1, last)
        return round(samples[left] + (samples[right] - samples[left]) * (position - left))

    count = len(samples) * wanted // rate
    return array.array("h", (between(min(i * rate / wanted, last)) for i in range(count)))
