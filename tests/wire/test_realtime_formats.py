"""Audio from the wire reaches the session whole, at 16 kHz."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.audio.formats import AudioFormat, Encoding, Inlet

PCM_16K = AudioFormat(Encoding.PCM16, 16_000)


def samples_of(inlet: Inlet, *messages: bytes) -> list[int]:
    return [int(sample) for message in messages for sample in inlet.accept(message)]


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_pcm_of_every_rate_is_heard_for_as_long_as_it_lasts(rate: int) -> None:
    inlet = Inlet(AudioFormat(Encoding.PCM16, rate))
    message = np.full(rate // 50, 1_000, "<i2").tobytes()
    assert inlet.seconds(message) == pytest.approx(0.02)
    heard = sum(len(inlet.accept(message)) for _ in range(50))
    assert 15_000 <= heard <= 16_000


@pytest.mark.parametrize("encoding", [Encoding.MULAW, Encoding.ALAW])
def test_telephone_audio_is_heard_at_the_loudness_it_was_sent(encoding: Encoding) -> None:
    telephone = AudioFormat(encoding, 8_000)
    tone = (np.sin(np.arange(8_000) / 5) * 8_000).astype(np.int16)
    heard = Inlet(telephone).accept(telephone.encode(tone)).astype(float)
    assert np.sqrt(np.mean(heard[2_000:12_000] ** 2)) == pytest.approx(8_000 / 2**0.5, rel=0.05)
    assert Inlet(telephone).seconds(bytes(160)) == pytest.approx(0.02)


@pytest.mark.parametrize("encoding", [Encoding.MULAW, Encoding.ALAW])
def test_telephone_audio_has_one_rate(encoding: Encoding) -> None:
    with pytest.raises(ValueError, match="expected a sample_rate of 8000"):
        AudioFormat(encoding, 16_000)


def test_pcm_has_four_rates() -> None:
    with pytest.raises(ValueError, match="8000, 16000, 24000, 48000"):
        AudioFormat(Encoding.PCM16, 44_100)


def test_a_sample_cut_in_two_is_put_together_again() -> None:
    inlet = Inlet(PCM_16K)
    whole = np.array([100, -200, 300], "<i2").tobytes()
    assert samples_of(inlet, whole[:3]) == [100]
    assert not inlet.is_between_samples
    assert samples_of(inlet, whole[3:]) == [-200, 300]
    assert inlet.is_between_samples


def test_a_byte_astray_does_not_turn_the_rest_into_noise() -> None:
    inlet = Inlet(PCM_16K)
    whole = np.array([100, -200, 300], "<i2").tobytes()
    assert samples_of(inlet, whole + b"\x55", whole, whole) == [100, -200, 300] * 3


@given(
    audio=st.lists(st.integers(-32768, 32767), min_size=1, max_size=60),
    cut=st.integers(0, 30),
)
def test_a_stream_cut_once_anywhere_loses_nothing(audio: list[int], cut: int) -> None:
    data = np.array(audio, "<i2").tobytes()
    inlet = Inlet(PCM_16K)
    assert samples_of(inlet, data[:cut], data[cut:]) == audio
