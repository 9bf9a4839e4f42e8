"""The log-mel spectrogram against properties of its definition."""

import numpy as np
import pytest

from nur_server.providers import mel


def tone(hertz: float, seconds: float = 1.0) -> mel.Floats:
    time = np.arange(int(seconds * mel.RATE)) / mel.RATE
    return np.sin(2 * np.pi * hertz * time).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.5, 1, 8])
def test_it_has_a_column_every_ten_milliseconds(seconds: float) -> None:
    spectrogram = mel.log_mel(tone(440, seconds))
    assert spectrogram.shape == (80, int(seconds * 100))
    assert spectrogram.dtype == np.float32


@pytest.mark.parametrize(("hertz", "band"), [(200, 4), (1000, 26), (3000, 54), (7000, 76)])
def test_a_tone_lies_in_its_band_on_slaneys_scale(hertz: float, band: int) -> None:
    assert abs(int(mel.log_mel(tone(hertz)).mean(axis=1).argmax()) - band) <= 1


def test_level_does_not_matter() -> None:
    loud, quiet = (mel.log_mel(mel.normalised(tone(440) / by)) for by in (1, 100))
    assert np.allclose(loud, quiet, atol=0.01)


def test_normalised_audio_has_no_offset_and_unit_variance() -> None:
    normal = mel.normalised(tone(440) / 7 + np.float32(0.1))
    assert normal.mean() == pytest.approx(0, abs=1e-5)
    assert normal.var() == pytest.approx(1, abs=1e-3)


def test_it_spans_eighty_decibels() -> None:
    spectrogram = mel.log_mel(np.concatenate([tone(440), np.zeros(mel.RATE, np.float32)]))
    assert spectrogram.max() - spectrogram.min() == pytest.approx(8 / 4)


def test_silence_is_even() -> None:
    spectrogram = mel.log_mel(np.zeros(mel.RATE, np.float32))
    assert np.unique(spectrogram).size == 1


def test_it_matches_the_definition_written_out() -> None:
    noise = np.random.default_rng(7).standard_normal(mel.RATE).astype(np.float32)
    assert np.allclose(mel.log_mel(noise), reference(noise), atol=1e-4)


def reference(audio: mel.Floats) -> np.ndarray:
    """The definition written out, without matrices or strides."""
    padded = np.pad(audio.astype(np.float64), 200, mode="reflect")
    window = np.hanning(401)[:400]
    power = np.array(
        [
            np.abs(np.fft.rfft(padded[at : at + 400] * window)) ** 2
            for at in range(0, len(audio), 160)
        ]
    )
    edges = [hertz_of(m) for m in np.linspace(0, mel_of(8000), 82)]
    bands = np.zeros((80, len(power)))
    for band, (low, centre, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for k, hertz in enumerate(np.linspace(0, 8000, 201)):
            weight = min((hertz - low) / (centre - low), (high - hertz) / (high - centre))
            bands[band] += max(0, weight) * 2 / (high - low) * power[:, k]
    decades = np.log10(np.maximum(bands, 1e-10))
    return (np.maximum(decades, decades.max() - 8) + 4) / 4


def mel_of(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)


def hertz_of(value: float) -> float:
    return value * 200 / 3 if value < 15 else 1000 * np.exp((value - 15) * np.log(6.4) / 27)
