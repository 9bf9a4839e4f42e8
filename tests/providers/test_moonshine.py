"""Moonshine: segments, gate, speculation, priorities and load."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from contracts import PATIENCE_SECONDS, closing, ended, heard

from nur_server.audio.utterance import UtteranceAudio
from nur_server.errors import ProviderError
from nur_server.ports import ListenOptions, Samples
from nur_server.providers.hypothesis import Hypothesis, without_loop
from nur_server.providers.moonshine import Moonshine
from nur_server.providers.moonshine_model import MoonshineModel
from nur_server.providers.recogniser_workers import Abandoned, Priority, Workers
from nur_server.providers.segments import Segments

RATE = 16_000
FINALS_ONLY = ListenOptions(wants_partials=False)
SILENCE = np.zeros(RATE, np.int16)


@pytest.fixture
async def stt(moonshine_model: MoonshineModel) -> AsyncIterator[Moonshine]:
    engine = Moonshine(Path(), model=moonshine_model)
    yield engine
    await engine.close()


def words(text: str) -> list[str]:
    return re.findall("[a-z]+", text.lower())


def noise(seconds: float, level: int, seed: int = 3) -> Samples:
    """White noise of an RMS level."""
    values = np.random.default_rng(seed).standard_normal(int(seconds * RATE)) * level
    return values.astype(np.int16)


# The network


def test_it_hears_a_recording(
    moonshine_model: MoonshineModel, recording: Callable[[str], Samples]
) -> None:
    heard = moonshine_model.hear(recording("lj_LJ001-0004.wav"))
    assert words(heard.text) == words(
        "produced the block books, which were the immediate predecessors of the true printed book"
    )
    assert heard.log_probability > -0.3
    assert heard.is_speech


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9, 1.0])
def test_a_guess_changes_the_work_but_not_the_result(
    moonshine_model: MoonshineModel, recording: Callable[[str], Samples], cut: float
) -> None:
    samples = recording("lj_LJ001-0004.wav")
    fresh = moonshine_model.hear(samples)
    earlier = moonshine_model.hear(samples[: int(cut * len(samples))])
    checked = moonshine_model.hear(samples, earlier.tokens)
    assert checked.tokens == fresh.tokens
    assert checked.log_probability == pytest.approx(fresh.log_probability, abs=0.05)


def test_a_guess_longer_than_the_speech_is_cut(
    moonshine_model: MoonshineModel, say: Callable[[str], Samples]
) -> None:
    samples = say("Thank you.")
    fresh = moonshine_model.hear(samples)
    assert moonshine_model.hear(samples, list(range(100, 200))).tokens == fresh.tokens


def test_work_stops_when_it_is_abandoned(
    moonshine_model: MoonshineModel, say: Callable[[str], Samples]
) -> None:
    asked = iter([False, False, False, True])
    with pytest.raises(Abandoned):
        moonshine_model.hear(say("Please turn on the light."), (), lambda: next(asked))


@pytest.mark.parametrize("level", [0, 30, 300, 3000])
def test_noise_is_gated(moonshine_model: MoonshineModel, level: int) -> None:
    for seconds in (0.5, 1.5, 3.0):
        assert not moonshine_model.hear(noise(seconds, level)).is_speech


def test_mains_hum_is_gated(moonshine_model: MoonshineModel) -> None:
    hum = 300 * np.sin(2 * np.pi * 50 * np.arange(2 * RATE) / RATE)
    assert not moonshine_model.hear(hum.astype(np.int16)).is_speech


def test_a_short_word_is_not_gated(
    moonshine_model: MoonshineModel, say: Callable[[str], Samples]
) -> None:
    for word in ("Yes.", "No.", "You.", "Thank you."):
        assert moonshine_model.hear(say(word)).is_speech


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ([5, 6, 7], 3),
        ([5, 5, 5], 3),
        ([9] + [5] * 8, 2),
        ([1, 2, 1, 2], 4),
        ([9, 1, 2, 3, 4, 1, 2, 3, 4], 9),
        ([9, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4], 5),
    ],
)
def test_a_phrase_said_over_and_over_is_kept_once(tokens: list[int], kept: int) -> None:
    assert without_loop(tokens) == kept


# Segments


def spoken(*parts: Samples) -> UtteranceAudio:
    """An utterance whose parts each end at a marked pause."""
    audio = UtteranceAudio()
    for part in parts:
        audio.append(part)
        audio.mark_pause()
    return audio


def hypothesis(text: str, log_probability: float = -0.1) -> Hypothesis:
    is_speech = log_probability > -0.9
    return Hypothesis(tuple(range(len(text.split()))), text, log_probability, is_speech)


def talk(seconds: float, seed: int = 3) -> Samples:
    """Stands for speech that ends in 128 ms of silence."""
    return np.concatenate([noise(seconds, 3000, seed), noise(0.128, 10, seed)])


def test_what_lies_behind_a_long_pause_is_settled() -> None:
    audio = spoken(talk(5))
    segments = Segments(audio)
    pause = audio.length
    segments.accept(segments.plan(pause), [hypothesis("one two")])
    audio.append(np.concatenate([noise(0.4, 10), talk(2)]))
    (tail,) = segments.plan(audio.length)
    assert (tail.start, tail.end, tail.guess) == (pause, audio.length, ())
    segments.accept([tail], [hypothesis("three")])
    assert segments.transcript(audio.length, is_final=True).text == "one two three"


def test_a_short_pause_does_not_cut() -> None:
    audio = spoken(talk(5))
    segments = Segments(audio)
    segments.accept(segments.plan(audio.length), [hypothesis("one two")])
    audio.append(np.concatenate([noise(0.05, 10), talk(2)]))
    (tail,) = segments.plan(audio.length)
    assert (tail.start, tail.end, tail.guess) == (0, audio.length, (0, 1))


def test_a_few_words_wait_for_the_next_to_make_sense_with() -> None:
    audio = spoken(talk(1))
    segments = Segments(audio)
    segments.accept(segments.plan(audio.length), [hypothesis("one two")])
    audio.append(np.concatenate([noise(0.5, 10), talk(2)]))
    (tail,) = segments.plan(audio.length)
    assert tail.start == 0


def test_talk_without_pauses_is_cut_at_its_quietest_point() -> None:
    dip = noise(0.12, 200)
    audio = UtteranceAudio()
    audio.append(np.concatenate([noise(9, 3000), dip, noise(5, 3000)]))
    first, second = Segments(audio).plan(audio.length)
    assert abs(first.end - (9.06 * RATE)) < 0.06 * RATE
    assert (second.start, second.end) == (first.end, audio.length)


def test_no_segment_is_longer_than_the_model_can_take() -> None:
    audio = UtteranceAudio()
    audio.append(noise(60, 3000))
    pieces = Segments(audio).plan(audio.length)
    assert all(piece.end - piece.start <= 11 * RATE for piece in pieces)
    assert [p.start for p in pieces] == [0, *(p.end for p in pieces[:-1])]


@pytest.mark.parametrize("room", [0, 10, 40])
def test_silence_behind_the_last_pause_needs_no_further_work(room: int) -> None:
    audio = spoken(np.concatenate([noise(2, 3000), noise(0.128, room)]))
    segments = Segments(audio)
    segments.accept(segments.plan(audio.length), [hypothesis("one two")])
    audio.append(noise(1.0, room, seed=8))
    assert segments.plan(audio.length) == []
    final = segments.transcript(audio.length, is_final=True)
    assert (final.text, final.covers) == ("one two", audio.length)


def test_speech_behind_the_last_pause_is_recognised() -> None:
    audio = spoken(talk(2))
    segments = Segments(audio)
    segments.accept(segments.plan(audio.length), [hypothesis("one two")])
    audio.append(np.concatenate([noise(0.3, 10), noise(0.2, 2000), noise(0.3, 10)]))
    assert segments.plan(audio.length)


def test_an_invented_segment_is_left_out_of_text_and_confidence() -> None:
    audio = spoken(talk(5))
    segments = Segments(audio)
    segments.accept(segments.plan(audio.length), [hypothesis("one two", -0.2)])
    audio.append(np.concatenate([noise(0.4, 10), talk(2)]))
    segments.accept(segments.plan(audio.length), [hypothesis("Thank you for watching.", -0.9)])
    transcript = segments.transcript(audio.length, is_final=True)
    assert transcript.text == "one two"
    assert transcript.confidence == pytest.approx(np.exp(-0.2))


# The adapter


async def test_noise_gives_an_empty_transcript(stt: Moonshine) -> None:
    (final,) = await heard(stt, ended(noise(2, 200)), FINALS_ONLY)
    assert (final.text, final.confidence) == ("", None)


async def test_the_final_reuses_what_was_heard_at_the_pause(
    stt: Moonshine, say: Callable[[str], Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = count_passes(monkeypatch)
    audio = UtteranceAudio()
    audio.append(np.concatenate([say("Please turn on the light."), SILENCE[:2048]]))
    audio.mark_pause()
    async with closing(stt, audio, FINALS_ONLY) as transcripts:
        early = await anext(transcripts)
        audio.append(SILENCE[:6000])
        audio.end()
        final = await anext(transcripts)
    assert (early.text, early.is_final) == (final.text, False)
    assert len(passes) == 1


async def test_words_behind_a_pause_are_added(
    stt: Moonshine, say: Callable[[str], Samples]
) -> None:
    audio = UtteranceAudio()
    audio.append(np.concatenate([say("Please turn on the kitchen light."), SILENCE[:2048]]))
    audio.mark_pause()
    async with closing(stt, audio, FINALS_ONLY) as transcripts:
        early = await anext(transcripts)
        audio.append(np.concatenate([SILENCE[:8000], say("And close the garage door.")]))
        audio.end()
        final = await anext(transcripts)
    before, after = set(words(early.text)), set(words(final.text))
    assert {"kitchen", "light"} & before
    assert not {"garage", "door"} & before
    assert {"kitchen", "light"} & after
    assert {"garage", "door"} & after


async def test_a_pause_or_the_end_interrupts_a_partial(
    stt: Moonshine, say: Callable[[str], Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    started, given_up = threading.Event(), threading.Event()
    hear = MoonshineModel.hear

    def slow_at_first(
        model: MoonshineModel,
        samples: Samples,
        guess: tuple[int, ...],
        is_abandoned: Callable[[], bool],
        *,
        language: str,
    ) -> Hypothesis:
        if started.is_set():
            return hear(model, samples, guess, is_abandoned)
        started.set()
        while not is_abandoned():
            threading.Event().wait(0.005)
        given_up.set()
        raise Abandoned

    monkeypatch.setattr(MoonshineModel, "hear", slow_at_first)
    audio = UtteranceAudio()
    audio.append(say("Please turn on the light."))
    hearing = asyncio.create_task(heard(stt, audio))
    assert await asyncio.to_thread(started.wait, PATIENCE_SECONDS)
    audio.end()
    (final,) = await hearing
    assert given_up.is_set()
    assert {"please", "turn", "light"} & set(words(final.text))


async def test_partials_are_fewer_when_many_talk(stt: Moonshine) -> None:
    alone = stt.partial_interval_seconds
    audios = [UtteranceAudio() for _ in range(16)]
    talking = [asyncio.create_task(heard(stt, audio)) for audio in audios]
    await asyncio.sleep(0)
    crowded = stt.partial_interval_seconds
    for audio in audios:
        audio.end()
    await asyncio.gather(*talking)
    assert (alone, crowded) == (0.5, 2.0)
    assert stt.partial_interval_seconds == 0.5


async def test_without_partials_only_pauses_and_the_end_are_answered(
    stt: Moonshine, say: Callable[[str], Samples]
) -> None:
    assert len(await heard(stt, ended(say("Please turn on the light.")), FINALS_ONLY)) == 1


async def test_a_failure_is_an_error_of_the_provider(
    stt: Moonshine, say: Callable[[str], Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> Hypothesis:
        raise ValueError("broken weights")

    monkeypatch.setattr(MoonshineModel, "hear", fail)
    with pytest.raises(ProviderError, match="broken weights") as failure:
        await heard(stt, ended(say("Please turn on the light.")))
    assert failure.value.provider == "moonshine-tiny-en"


async def test_missing_weights_are_an_error_of_the_provider(
    tmp_path: Path, say: Callable[[str], Samples]
) -> None:
    stt = Moonshine(tmp_path)
    with pytest.raises(ProviderError, match="nur models pull") as failure:
        await heard(stt, ended(say("Please turn on the light.")))
    assert failure.value.code == "model_missing"
    await stt.close()


async def test_a_closed_engine_leaves_no_thread(
    moonshine_model: MoonshineModel, say: Callable[[str], Samples]
) -> None:
    engine = Moonshine(Path(), model=moonshine_model)
    await heard(engine, ended(say("Thank you.")))
    await engine.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("moonshine")]
    await engine.close()


# The workers


async def test_finals_go_before_partials() -> None:
    workers = Workers(1, "moonshine")
    free, order = threading.Event(), list[str]()
    first = workers.submit(Priority.FINAL, lambda _: free.wait(10))
    jobs = [
        workers.submit(priority, lambda _, name=name: order.append(name))
        for priority, name in (
            (Priority.PARTIAL, "partial 1"),
            (Priority.FINAL, "final 1"),
            (Priority.PARTIAL, "partial 2"),
            (Priority.FINAL, "final 2"),
        )
    ]
    free.set()
    await asyncio.gather(first.result, *(job.result for job in jobs))
    workers.close()
    assert order == ["final 1", "final 2", "partial 1", "partial 2"]


async def test_cancelled_work_is_not_done() -> None:
    workers = Workers(1, "moonshine")
    free, done = threading.Event(), list[str]()
    first = workers.submit(Priority.FINAL, lambda _: free.wait(10))
    second = workers.submit(Priority.FINAL, lambda _: done.append("second"))
    third = workers.submit(Priority.FINAL, lambda _: done.append("third"))
    second.result.cancel()
    await asyncio.sleep(0)
    free.set()
    await asyncio.gather(first.result, third.result)
    workers.close()
    assert done == ["third"]


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every segment that is recognised."""
    passes: list[int] = []
    hear = MoonshineModel.hear

    def counted(
        model: MoonshineModel, samples: Samples, *rest: object, **options: object
    ) -> Hypothesis:
        passes.append(len(samples))
        return hear(model, samples, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(MoonshineModel, "hear", counted)
    return passes
