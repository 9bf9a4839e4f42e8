"""G.711, the codec of the telephone network: one byte per sample, by table.

ITU-T G.711 with the bit conventions of its reference code (ITU-T G.191): mu-law keeps the upper 14
bits of a sample and A-law the upper 13; bytes are complemented on the line as the standard says.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Law = Literal["mulaw", "alaw"]

MULAW_BIAS = 33
MULAW_CLIP = 8158
"""Largest 14-bit magnitude that stays within the last segment once the bias is added."""


def encode(samples: NDArray[np.int16], law: Law) -> bytes:
    """One byte per sample."""
    return _ENCODE[law][samples.view(np.uint16)].tobytes()


def decode(data: bytes, law: Law) -> NDArray[np.int16]:
    """One sample per byte."""
    return _DECODE[law][np.frombuffer(data, np.uint8)]


def _mulaw_encode_table() -> NDArray[np.uint8]:
    """Byte of each sample, indexed by the sample's bits read as uint16."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2
    is_negative = sample < 0
    magnitude = np.minimum(np.abs(sample), MULAW_CLIP) + MULAW_BIAS
    segment = np.floor(np.log2(magnitude)).astype(np.int32) - 5
    step = (magnitude >> (segment + 1)) & 0x0F
    coded: NDArray[np.int32] = (segment << 4 | step) ^ np.where(is_negative, 0x7F, 0xFF)
    return coded.astype(np.uint8)


def _mulaw_decode_table() -> NDArray[np.int16]:
    byte = ~np.arange(256, dtype=np.int32) & 0xFF
    segment = (byte >> 4) & 7
    step = byte & 0x0F
    magnitude = ((step << 1) + MULAW_BIAS << segment) - MULAW_BIAS
    return (np.where(byte & 0x80, -magnitude, magnitude) << 2).astype(np.int16)


def _alaw_encode_table() -> NDArray[np.uint8]:
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 3
    is_negative = sample < 0
    magnitude = np.where(is_negative, ~sample, sample)
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
    step = (magnitude >> np.maximum(segment, 1)) & 0x0F
    return ((segment << 4 | step) ^ np.where(is_negative, 0x55, 0xD5)).astype(np.uint8)


def _alaw_decode_table() -> NDArray[np.int16]:
    byte = np.arange(256, dtype=np.int32) ^ 0x55
    segment = (byte >> 4) & 7
    step = byte & 0x0F
    linear = (step << 4) + 8
    above = (linear + 0x100) << np.maximum(segment - 1, 0)
    magnitude = np.where(segment == 0, linear, above)
    return np.where(byte & 0x80, magnitude, -magnitude).astype(np.int16)


_ENCODE: dict[Law, NDArray[np.uint8]] = {
    "mulaw": _mulaw_encode_table(),
    "alaw": _alaw_encode_table(),
}
_DECODE: dict[Law, NDArray[np.int16]] = {
    "mulaw": _mulaw_decode_table(),
    "alaw": _alaw_decode_table(),
}
