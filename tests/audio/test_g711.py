"""G.711 is bit-exact: telephones decode with their own tables."""

import importlib
import warnings
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.audio import g711

EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)
EVERY_BYTE = bytes(range(256))
laws = pytest.mark.parametrize("law", ["mulaw", "alaw"])


def reference() -> ModuleType:
    """CPython's own codec, which left the standard library with 3.13."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return importlib.import_module("audioop")
        except ImportError:
            pytest.skip("audioop is not part of this Python (it left with 3.13)")


@laws
def test_every_sample_encodes_as_the_reference_does(law: g711.Law) -> None:
    encode = {"mulaw": reference().lin2ulaw, "alaw": reference().lin2alaw}[law]
    assert g711.encode(EVERY_SAMPLE, law) == encode(EVERY_SAMPLE.tobytes(), 2)


@laws
def test_every_byte_decodes_as_the_reference_does(law: g711.Law) -> None:
    decode = {"mulaw": reference().ulaw2lin, "alaw": reference().alaw2lin}[law]
    assert g711.decode(EVERY_BYTE, law).tobytes() == decode(EVERY_BYTE, 2)


@pytest.mark.parametrize(
    ("law", "sample", "byte"),
    [
        ("mulaw", 0, 0xFF),
        ("mulaw", -4, 0x7E),
        ("mulaw", 32767, 0x80),
        ("mulaw", -32768, 0x00),
        ("alaw", 0, 0xD5),
        ("alaw", -1, 0x55),
        ("alaw", 32767, 0xAA),
        ("alaw", -32768, 0x2A),
    ],
)
def test_known_values_of_the_standard(law: g711.Law, sample: int, byte: int) -> None:
    assert g711.encode(np.array([sample], np.int16), law) == bytes([byte])


@laws
def test_decoding_and_encoding_again_gives_the_same_loudness(law: g711.Law) -> None:
    once = g711.decode(EVERY_BYTE, law)
    assert np.array_equal(g711.decode(g711.encode(once, law), law), once)


@laws
@given(sample=st.integers(-32000, 32000))
def test_the_error_stays_within_a_step_of_the_segment(law: g711.Law, sample: int) -> None:
    (decoded,) = g711.decode(g711.encode(np.array([sample], np.int16), law), law)
    assert abs(int(decoded) - sample) <= max(16, abs(sample) / 16)


@laws
def test_no_audio_is_no_bytes(law: g711.Law) -> None:
    assert g711.encode(np.zeros(0, np.int16), law) == b""
    assert len(g711.decode(b"", law)) == 0
