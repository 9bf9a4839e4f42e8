"""Silero VAD: the batches, the states and the backlog."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from contracts import PATIENCE_SECONDS, scored

from nur_server.errors import Unavailable
from nur_server.ports import ActivityScore, Samples
from nur_server.providers import silero
from nur_server.providers.silero import WINDOW, SileroModel, SileroVad

SENTENCE = "Please turn on the light in the kitchen."


@pytest.fixture
async def vad(models_dir: Path) -> AsyncIterator[SileroVad]:
    engine = SileroVad(models_dir)
    await engine.load()
    yield engine
    await engine.close()


def windows(samples: Samples) -> Samples:
    """Shape (n, WINDOW)."""
    return samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)


def probabilities(model: SileroModel, samples: Samples) -> list[float]:
    """Of a stream of its own."""
    model.reset(0)
    return [float(model.score([0], w[None]).probability[0]) for w in windows(samples)]


def test_a_batch_scores_as_each_window_alone(
    silero_model: SileroModel, say: Callable[[str], Samples]
) -> None:
    streams = [np.roll(windows(say(SENTENCE)), shift, axis=0) for shift in range(70)]
    for slot in range(len(streams)):
        silero_model.reset(slot)
    together = [
        silero_model.score(range(len(streams)), np.stack(round_)).probability
        for round_ in zip(*streams, strict=True)
    ]
    for slot in (0, 33, 69):
        alone = probabilities(silero_model, streams[slot].reshape(-1))
        assert [float(scores[slot]) for scores in together] == alone


def test_digital_silence_that_is_not_run_moves_no_onset_by_more_than_a_window(
    silero_model: SileroModel, say: Callable[[str], Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    speech = say(SENTENCE)
    samples = np.concatenate([speech, np.zeros(WINDOW * 300, np.int16), speech])
    skipped = probabilities(silero_model, samples)
    monkeypatch.setattr(silero, "SETTLED_WINDOWS", 10_000)
    run = probabilities(silero_model, samples)
    differing = [a for a, b in zip(skipped, run, strict=True) if (a >= 0.5) != (b >= 0.5)]
    assert len(differing) <= 1
    assert max(run) > 0.9


@pytest.mark.parametrize(("peak", "level_db"), [(32767, -3.0), (16384, -9.0), (328, -43.0)])
def test_level_is_the_rms_of_the_window(
    silero_model: SileroModel, peak: int, level_db: float
) -> None:
    wave = peak * np.sin(2 * np.pi * np.arange(WINDOW) / 32)
    silero_model.reset(0)
    assert silero_model.score([0], wave.astype(np.int16)[None]).level_db[0] == level_db


async def test_speech_with_its_treble_taken_off_is_as_loud_and_duller(
    vad: SileroVad, say: Callable[[str], Samples]
) -> None:
    speech = say(SENTENCE)
    spectrum = np.fft.rfft(speech)
    spectrum[len(spectrum) // 8 :] = 0
    dull = np.fft.irfft(spectrum, len(speech)).astype(np.int16)
    plain_db, dull_db = [
        np.array(
            [(s.level_db, s.treble_db) for s in await scored(vad, each) if s.probability > 0.5]
        )
        for each in (speech, dull)
    ]
    quieter, duller = plain_db.mean(axis=0) - dull_db.mean(axis=0)
    assert quieter < 3.0 and duller > 10.0


async def test_a_burst_is_judged_to_its_end(vad: SileroVad, say: Callable[[str], Samples]) -> None:
    sentence = say(SENTENCE)
    assert await scored(vad, sentence, len(sentence)) == await scored(vad, sentence, 320)


async def test_of_too_long_a_backlog_the_newest_audio_is_judged(
    vad: SileroVad, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silero, "BACKLOG_WINDOWS", 4)
    scores: list[ActivityScore] = []
    judged = asyncio.Event()

    def on_score(score: ActivityScore) -> None:
        scores.append(score)
        if score.position == WINDOW * 10:
            judged.set()

    stream = vad.open(on_score)
    stream.feed(np.ones(WINDOW * 10, np.int16))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await judged.wait()
    assert [score.position // WINDOW for score in scores] == [7, 8, 9, 10]
    assert stream.dropped == 6


async def test_feeding_neither_blocks_nor_calls_back(vad: SileroVad) -> None:
    scores: list[ActivityScore] = []
    stream = vad.open(scores.append)
    stream.feed(np.ones(16_000, np.int16))
    assert scores == []
    stream.close()


async def test_a_slot_in_use_by_a_batch_is_clean_for_the_next_stream(
    vad: SileroVad, say: Callable[[str], Samples]
) -> None:
    sentence = say(SENTENCE)
    expected = await scored(vad, sentence)
    for _ in range(20):
        stream = vad.open(lambda score: None)
        stream.feed(sentence)
        await asyncio.sleep(0)
        stream.close()
    assert await scored(vad, sentence) == expected


async def test_streams_that_come_and_go_reuse_slots(vad: SileroVad) -> None:
    for _ in range(5):
        streams = [vad.open(lambda score: None) for _ in range(3)]
        assert {stream.slot for stream in streams} == {0, 1, 2}
        for stream in streams:
            stream.close()


async def test_a_listener_that_fails_does_not_stop_the_others(
    vad: SileroVad, say: Callable[[str], Samples]
) -> None:
    expected = await scored(vad, say(SENTENCE))

    def fail(score: ActivityScore) -> None:
        raise RuntimeError("expected by the test")

    broken = vad.open(fail)
    broken.feed(say(SENTENCE))
    assert await scored(vad, say(SENTENCE)) == expected


async def test_a_closed_engine_calls_nobody(models_dir: Path) -> None:
    vad = SileroVad(models_dir)
    scores: list[ActivityScore] = []
    stream = vad.open(scores.append)
    stream.feed(np.ones(WINDOW * 8, np.int16))
    await vad.close()
    await asyncio.sleep(0.02)
    stream.feed(np.ones(WINDOW * 8, np.int16))
    assert scores == []


async def test_missing_weights_are_named(tmp_path: Path) -> None:
    vad = SileroVad(tmp_path)
    with pytest.raises(Unavailable, match="nur models pull"):
        await vad.load()
    await vad.close()
