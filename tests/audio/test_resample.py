"""Streams of audio change their rate without seams, gaps or drift."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nur_server.audio.resample import StreamResampler, resample

RATES = (8_000, 16_000, 22_050, 24_000, 48_000)
rates = st.sampled_from(RATES)
cuts = st.lists(st.integers(1, 2_000), min_size=1, max_size=12)


def tone(frequency: float, rate: int, seconds: float) -> np.ndarray:
    moments = np.arange(int(rate * seconds)) / rate
    return np.rint(np.sin(2 * np.pi * frequency * moments) * 10_000).astype(np.int16)


@settings(deadline=None, max_examples=60)
@given(rate_in=rates, rate_out=rates, lengths=cuts, seed=st.integers(0, 2**16))
def test_cutting_a_stream_into_blocks_changes_nothing(
    rate_in: int, rate_out: int, lengths: list[int], seed: int
) -> None:
    total = np.random.default_rng(seed).integers(-20_000, 20_000, sum(lengths)).astype(np.int16)
    whole = StreamResampler(rate_in, rate_out)
    expected = np.concatenate([whole.process(total), whole.flush()])

    cut = StreamResampler(rate_in, rate_out)
    blocks = np.split(total, np.cumsum(lengths)[:-1])
    got = np.concatenate([*(cut.process(block) for block in blocks), cut.flush()])

    assert np.array_equal(got, expected)


@settings(deadline=None, max_examples=60)
@given(rate_in=rates, rate_out=rates, length=st.integers(0, 20_000))
def test_a_flushed_stream_lasts_as_long_as_its_input(
    rate_in: int, rate_out: int, length: int
) -> None:
    stream = StreamResampler(rate_in, rate_out)
    got = len(stream.process(np.zeros(length, np.int16))) + len(stream.flush())
    assert abs(got - length * rate_out / rate_in) <= 1


@pytest.mark.parametrize("rate_in", RATES)
@pytest.mark.parametrize("rate_out", RATES)
def test_a_tone_keeps_its_pitch_and_loudness(rate_in: int, rate_out: int) -> None:
    stream = StreamResampler(rate_in, rate_out)
    got = np.concatenate([stream.process(tone(1_000, rate_in, 1.0)), stream.flush()])
    middle = got[rate_out // 4 : rate_out * 3 // 4].astype(float)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * rate_out / len(middle) == pytest.approx(1_000, abs=3)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(10_000 / np.sqrt(2), rel=0.02)


def test_what_the_lower_rate_cannot_carry_is_removed_rather_than_folded_back() -> None:
    got = resample(tone(7_000, 16_000, 1.0), 16_000, 8_000).astype(float)
    assert np.sqrt(np.mean(got[1_000:-1_000] ** 2)) < 100


@pytest.mark.parametrize("rate_in", RATES)
def test_silence_stays_silence(rate_in: int) -> None:
    assert not resample(np.zeros(5_000, np.int16), rate_in, 16_000).any()


def test_the_loudest_audio_is_clipped_rather_than_wrapped_round() -> None:
    square = np.where(tone(400, 8_000, 0.5) > 0, 32767, -32768).astype(np.int16)
    loud = resample(square, 8_000, 16_000)
    assert np.count_nonzero(np.diff(np.sign(loud.astype(int)))) <= 2 * 400 * 0.5 + 2


def test_equal_rates_pass_audio_through_untouched() -> None:
    samples = tone(440, 16_000, 0.1)
    stream = StreamResampler(16_000, 16_000)
    assert stream.process(samples) is samples
    assert len(stream.flush()) == 0
    assert resample(samples, 16_000, 16_000) is samples


def test_after_a_flush_a_new_stream_begins() -> None:
    stream = StreamResampler(8_000, 16_000)
    first = np.concatenate([stream.process(tone(300, 8_000, 0.2)), stream.flush()])
    second = np.concatenate([stream.process(tone(300, 8_000, 0.2)), stream.flush()])
    assert np.array_equal(first, second)


def test_every_other_sample_of_an_array_is_audio_too() -> None:
    interleaved = np.repeat(tone(300, 8_000, 0.2), 2)
    stream = StreamResampler(8_000, 16_000)
    got = np.concatenate([stream.process(interleaved[::2]), stream.flush()])
    assert np.array_equal(got, resample(tone(300, 8_000, 0.2), 8_000, 16_000))


@pytest.mark.parametrize("rate", [0, -8_000])
def test_a_rate_must_be_positive(rate: int) -> None:
    with pytest.raises(ValueError, match="expected rates above 0 Hz"):
        StreamResampler(rate, 16_000)
