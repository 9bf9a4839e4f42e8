"""Audio as it travels between a client and its session, and the way to what a session hears."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from nur_server.audio import g711
from nur_server.audio.rates import LISTEN_RATE, TELEPHONE_RATE
from nur_server.audio.resample import StreamResampler

Samples = NDArray[np.int16]


PCM_RATE = 24_000
"""Samples per second of PCM where a client names no rate."""


class Encoding(StrEnum):
    PCM16 = "audio/pcm"
    """16-bit signed, little-endian."""
    MULAW = "audio/pcmu"
    ALAW = "audio/pcma"


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """One direction's audio: mono in one encoding at one rate.

    Raises `ValueError` for a rate that the encoding does not have.
    """

    encoding: Encoding = Encoding.PCM16
    sample_rate: int = PCM_RATE

    def __post_init__(self) -> None:
        is_telephone = self.encoding is not Encoding.PCM16
        rates = (TELEPHONE_RATE,) if is_telephone else (8_000, 16_000, 24_000, 48_000)
        if self.sample_rate not in rates:
            known = ", ".join(str(rate) for rate in rates)
            raise ValueError(
                f"expected a sample_rate of {known} for {self.encoding}, got {self.sample_rate}"
            )

    @classmethod
    def of(cls, encoding: str | None, sample_rate: int | None) -> "AudioFormat":
        """The format of these values; None is the usual one: PCM at 24 kHz, or G.711's 8 kHz.

        Raises `ValueError` for an encoding that is unknown, or a rate that it does not have.
        """
        kind = Encoding.PCM16 if encoding is None else Encoding(encoding)
        usual = PCM_RATE if kind is Encoding.PCM16 else TELEPHONE_RATE
        return cls(kind, sample_rate or usual)

    @property
    def sample_bytes(self) -> int:
        return 2 if self.encoding is Encoding.PCM16 else 1

    def encode(self, samples: Samples) -> bytes:
        match self.encoding:
            case Encoding.PCM16:
                return samples.astype("<i2", copy=False).tobytes()
            case Encoding.MULAW:
                return g711.encode(samples, "mulaw")
            case Encoding.ALAW:
                return g711.encode(samples, "alaw")

    def decode(self, data: bytes) -> Samples:
        """`data` holds whole samples."""
        match self.encoding:
            case Encoding.PCM16:
                return np.frombuffer(data, "<i2").astype(np.int16, copy=False)
            case Encoding.MULAW:
                return g711.decode(data, "mulaw")
            case Encoding.ALAW:
                return g711.decode(data, "alaw")


class Inlet:
    """A client's audio on its way to the session: bytes in, samples at 16 kHz out."""

    def __init__(self, audio: AudioFormat) -> None:
        self.format = audio
        self._resampler = StreamResampler(audio.sample_rate, LISTEN_RATE)
        self._half = b""
        """The first byte of a sample whose second one has not come."""

    @property
    def is_between_samples(self) -> bool:
        """False: the last message ended in the middle of a sample."""
        return not self._half

    def seconds(self, data: bytes) -> float:
        """How long `data` sounds."""
        return len(data) / (self.format.sample_bytes * self.format.sample_rate)

    def accept(self, data: bytes) -> Samples:
        """The samples ready for the session.

        A byte left over waits for its other half: it comes with a next message that is odd as
        well. One that is even proves it to be astray, and it is left out.
        """
        if self.format.sample_bytes == 2:
            data = self._whole_samples(data)
        return self._resampler.process(self.format.decode(data))

    def _whole_samples(self, data: bytes) -> bytes:
        if len(data) % 2 == 0:
            self._half = b""
            return data
        if self._half:
            data, self._half = self._half + data, b""
            return data
        self._half = data[-1:]
        return data[:-1]
