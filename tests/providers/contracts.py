"""What every adapter of a speech port must do: one suite per port.

An adapter is put under its suite by one entry of a parametrisation, in the adapter's own test file
or in `test_contracts.py`:

    @pytest.mark.parametrize("adapter", [pytest.param(opened, id="my-engine")])
    class TestMyEngine(SpeechToTextContract): ...

where `opened(request)` is an async context manager that gives the adapter, and `request` is
pytest's, to get fixtures from.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from nur_server.audio.utterance import UtteranceAudio
from nur_server.errors import ProviderError
from nur_server.ports import (
    ActivityScore,
    ListenOptions,
    Samples,
    SpeakRequest,
    SpeechChunk,
    SpeechToText,
    TextToSpeech,
    Transcript,
    TurnModel,
    VoiceActivityDetector,
)

PATIENCE_SECONDS = 20.0
"""Far above what any step takes; a test that waits longer hangs."""

SENTENCE = "Please turn on the light in the kitchen."


# Speech to text


class SpeechToTextContract:
    """`adapter` gives a `SpeechToText` that hears speech in the test's sentence."""

    gives_confidence = True
    gives_partials = True

    @pytest.fixture
    async def stt(
        self,
        adapter: Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[SpeechToText]],
        request: pytest.FixtureRequest,
    ) -> AsyncIterator[SpeechToText]:
        async with adapter(request) as engine:
            yield engine

    @pytest.fixture
    def sentence(self, say: Callable[[str], Samples]) -> Samples:
        return say(SENTENCE)

    async def test_the_final_transcript_comes_once_and_last(
        self, stt: SpeechToText, sentence: Samples
    ) -> None:
        transcripts = await heard(stt, ended(sentence))
        assert [transcript.is_final for transcript in transcripts].count(True) == 1
        assert transcripts[-1].is_final
        assert transcripts[-1].text

    async def test_the_final_transcript_covers_all_audio(
        self, stt: SpeechToText, sentence: Samples
    ) -> None:
        audio = ended(sentence)
        assert (await heard(stt, audio))[-1].covers == audio.length

    async def test_hypotheses_cover_more_and_more(
        self, stt: SpeechToText, sentence: Samples
    ) -> None:
        audio = UtteranceAudio()
        hearing = asyncio.create_task(heard(stt, audio))
        for start in range(0, len(sentence), 1600):
            audio.append(sentence[start : start + 1600])
            await asyncio.sleep(0.01)
        audio.end()
        covers = [transcript.covers for transcript in await hearing]
        assert covers == sorted(covers)
        assert covers[-1] == len(sentence)

    async def test_text_is_clean(self, stt: SpeechToText, sentence: Samples) -> None:
        for transcript in await heard(stt, ended(sentence)):
            assert transcript.text == " ".join(transcript.text.split())

    async def test_confidence_is_a_probability(self, stt: SpeechToText, sentence: Samples) -> None:
        final = (await heard(stt, ended(sentence)))[-1]
        if self.gives_confidence:
            assert final.confidence is not None
        assert final.confidence is None or 0 <= final.confidence <= 1

    async def test_an_utterance_without_audio_has_no_text(self, stt: SpeechToText) -> None:
        (final,) = await heard(stt, ended(np.zeros(0, np.int16)))
        assert final == Transcript("", is_final=True, covers=0, confidence=final.confidence)

    async def test_a_pause_asks_for_a_hypothesis(
        self, stt: SpeechToText, sentence: Samples
    ) -> None:
        if not self.gives_partials:
            pytest.skip("the engine gives finals only")
        audio = UtteranceAudio()
        audio.append(sentence)
        audio.mark_pause()
        async with closing(stt, audio) as transcripts:
            async for transcript in transcripts:
                assert not transcript.is_final
                if transcript.covers == audio.length:
                    break
        assert transcript.covers == audio.length

    async def test_closing_early_leaves_the_engine_usable(
        self, stt: SpeechToText, sentence: Samples
    ) -> None:
        audio = UtteranceAudio()
        audio.append(sentence)
        hearing = asyncio.create_task(heard(stt, audio))
        await asyncio.sleep(0.02)
        hearing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hearing
        assert (await heard(stt, ended(sentence)))[-1].text

    async def test_utterances_of_several_sessions_are_kept_apart(
        self, stt: SpeechToText, sentence: Samples
    ) -> None:
        silence = np.zeros(0, np.int16)
        spoken, silent = await asyncio.gather(
            heard(stt, ended(sentence)), heard(stt, ended(silence))
        )
        assert spoken[-1].text
        assert not silent[-1].text


def ended(samples: Samples) -> UtteranceAudio:
    """An utterance that is already over."""
    audio = UtteranceAudio()
    audio.append(samples)
    audio.end()
    return audio


def closing(
    stt: SpeechToText, audio: UtteranceAudio, options: ListenOptions | None = None
) -> "aclosing[AsyncGenerator[Transcript]]":
    """The engine's transcripts, closed at the end of the block."""
    return aclosing(stt.transcribe(audio, options or ListenOptions()))


async def heard(
    stt: SpeechToText, audio: UtteranceAudio, options: ListenOptions | None = None
) -> list[Transcript]:
    """Every transcript of an utterance."""
    async with asyncio.timeout(PATIENCE_SECONDS), closing(stt, audio, options) as transcripts:
        return [transcript async for transcript in transcripts]


# Text to speech


@dataclass(frozen=True, slots=True)
class Speaker:
    """A `TextToSpeech` and a voice of it."""

    engine: TextToSpeech
    voice: str

    async def say(self, text: str, *, speed: float = 1.0) -> list[SpeechChunk]:
        """Every chunk of a clause."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.saying(text, speed=speed) as chunks:
            return [chunk async for chunk in chunks]

    def saying(self, text: str, *, speed: float = 1.0) -> "aclosing[AsyncGenerator[SpeechChunk]]":
        """A clause in the making, given up at the end of the block."""
        return aclosing(self.engine.speak(SpeakRequest(text, self.voice, speed=speed)))


def samples_of(chunks: Sequence[SpeechChunk]) -> Samples:
    """The audio of chunks, joined."""
    return np.concatenate([np.zeros(0, np.int16), *(chunk.samples for chunk in chunks)])


def is_same_clause(some: Sequence[SpeechChunk], others: Sequence[SpeechChunk]) -> bool:
    """Whether both are the same words: the breath in a voice is random, its length nearly not."""
    length, other = len(samples_of(some)), len(samples_of(others))
    return abs(length - other) < 0.01 * other and (
        [word.character for chunk in some for word in chunk.words]
        == [word.character for chunk in others for word in chunk.words]
    )


class TextToSpeechContract:
    """`adapter` gives a `Speaker`."""

    gives_word_times = True
    streams = True
    """Whether the first chunk comes before the whole clause is made."""

    @pytest.fixture
    async def speaker(
        self,
        adapter: Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Speaker]],
        request: pytest.FixtureRequest,
    ) -> AsyncIterator[Speaker]:
        async with adapter(request) as speaker:
            yield speaker

    async def test_chunks_are_mono_int16_of_one_rate(self, speaker: Speaker) -> None:
        chunks = await speaker.say(SENTENCE)
        assert {chunk.sample_rate for chunk in chunks} == {chunks[0].sample_rate}
        assert all(c.samples.dtype == np.int16 and c.samples.ndim == 1 for c in chunks)
        assert all(len(chunk.samples) for chunk in chunks)

    async def test_a_sentence_is_audible(self, speaker: Speaker) -> None:
        samples = samples_of(await speaker.say(SENTENCE))
        assert np.abs(samples.astype(np.int32)).max() > 1000

    async def test_a_streaming_engine_does_not_wait_for_the_whole_clause(
        self, speaker: Speaker
    ) -> None:
        if not self.streams:
            pytest.skip("the engine gives whole clauses")
        assert len(await speaker.say(f"{SENTENCE} {SENTENCE}")) > 1

    async def test_word_times_follow_the_text(self, speaker: Speaker) -> None:
        chunks = await speaker.say(SENTENCE)
        words = [word for chunk in chunks for word in chunk.words]
        if not self.gives_word_times:
            assert not words
            return
        starts = [0, 7, 12, 15, 19, 25, 28, 32]
        assert set(starts) >= {word.character for word in words} >= {0, 7, 19, 32}
        assert all(a.start_ms < b.start_ms for a, b in pairwise(words))
        seconds = len(samples_of(chunks)) / chunks[0].sample_rate
        assert 0 <= words[0].start_ms < 100
        assert words[-1].start_ms < seconds * 1000

    async def test_a_clause_given_up_does_not_disturb_the_next(self, speaker: Speaker) -> None:
        alone = await speaker.say(SENTENCE)
        async with speaker.saying(f"{SENTENCE} " * 20) as chunks:
            await anext(chunks)
        assert is_same_clause(await speaker.say(SENTENCE), alone)

    async def test_clauses_asked_for_at_once_are_all_spoken(self, speaker: Speaker) -> None:
        alone = await speaker.say(SENTENCE)
        spoken = await asyncio.gather(*(speaker.say(SENTENCE) for _ in range(3)))
        assert all(is_same_clause(chunks, alone) for chunks in spoken)

    async def test_a_cancelled_clause_ends(self, speaker: Speaker) -> None:
        saying = asyncio.create_task(speaker.say(f"{SENTENCE} " * 20))
        await asyncio.sleep(0)
        saying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saying
        assert await speaker.say(SENTENCE)


class LocalTextToSpeechContract(TextToSpeechContract):
    """What an engine on this machine does besides."""

    async def test_speed_shortens_the_clause(self, speaker: Speaker) -> None:
        slow, fast = await speaker.say(SENTENCE, speed=0.8), await speaker.say(SENTENCE, speed=1.4)
        assert len(samples_of(fast)) < 0.8 * len(samples_of(slow))

    @pytest.mark.parametrize("text", ["", "…", "— !", "☃"])
    async def test_what_cannot_be_spoken_is_silent(self, speaker: Speaker, text: str) -> None:
        assert await speaker.say(text) == []

    @pytest.mark.parametrize("voice", ["", "nobody", "slt:pitch=high", "en-us:pitch=500"])
    async def test_an_unknown_voice_is_refused(self, speaker: Speaker, voice: str) -> None:
        with pytest.raises(ProviderError) as refusal:
            await Speaker(speaker.engine, voice).say(SENTENCE)
        assert refusal.value.provider == speaker.engine.name

    async def test_a_clause_that_is_far_too_long_is_refused(self, speaker: Speaker) -> None:
        with pytest.raises(ProviderError, match="expected a clause of at most"):
            await speaker.say("word " * 5000)


# Voice activity


class VoiceActivityContract:
    """`adapter` gives a `VoiceActivityDetector`."""

    @pytest.fixture
    async def vad(
        self,
        adapter: Callable[
            [pytest.FixtureRequest], AbstractAsyncContextManager[VoiceActivityDetector]
        ],
        request: pytest.FixtureRequest,
    ) -> AsyncIterator[VoiceActivityDetector]:
        async with adapter(request) as engine:
            yield engine

    @pytest.fixture
    def sentence(self, say: Callable[[str], Samples]) -> Samples:
        pause = np.zeros(8_000, np.int16)
        return np.concatenate([pause, say(SENTENCE), pause])

    async def test_speech_scores_high_and_silence_low(
        self, vad: VoiceActivityDetector, sentence: Samples
    ) -> None:
        scores = await scored(vad, sentence)
        before = [score.probability for score in scores if score.position <= 7_000]
        during = [s.probability for s in scores if 10_000 < s.position < len(sentence) - 16_000]
        assert max(before) < 0.3
        assert np.mean(during) > 0.7

    async def test_positions_go_on_without_gap(
        self, vad: VoiceActivityDetector, sentence: Samples
    ) -> None:
        positions = [score.position for score in await scored(vad, sentence)]
        window = positions[0]
        assert positions == list(range(window, len(sentence) + 1, window))

    async def test_scores_are_quantised(
        self, vad: VoiceActivityDetector, sentence: Samples
    ) -> None:
        for score in await scored(vad, sentence):
            assert score.probability * 255 == pytest.approx(round(score.probability * 255))
            assert 0 <= score.probability <= 1
            assert score.level_db * 2 == round(score.level_db * 2)
            assert -96 <= score.level_db <= 0

    async def test_digital_silence_is_at_the_floor(self, vad: VoiceActivityDetector) -> None:
        assert {s.level_db for s in await scored(vad, np.zeros(16_000, np.int16))} == {-96}

    @pytest.mark.parametrize("block", [160, 441, 5_000])
    async def test_scores_do_not_depend_on_how_audio_arrives(
        self, vad: VoiceActivityDetector, sentence: Samples, block: int
    ) -> None:
        assert await scored(vad, sentence, block) == await scored(vad, sentence)

    async def test_streams_do_not_hear_each_other(
        self, vad: VoiceActivityDetector, sentence: Samples
    ) -> None:
        alone = await scored(vad, sentence)
        together = await asyncio.gather(
            scored(vad, sentence), scored(vad, sentence[::-1].copy()), scored(vad, sentence)
        )
        assert together[0] == alone == together[2]
        assert together[1] != alone

    async def test_a_closed_stream_is_silent(
        self, vad: VoiceActivityDetector, sentence: Samples
    ) -> None:
        closed: list[ActivityScore] = []
        stream = vad.open(closed.append)
        stream.feed(sentence)
        stream.close()
        stream.close()
        stream.feed(sentence)
        assert await scored(vad, sentence)
        assert closed == []

    async def test_a_new_stream_starts_afresh(
        self, vad: VoiceActivityDetector, sentence: Samples
    ) -> None:
        first = await scored(vad, sentence)
        for _ in range(3):
            assert await scored(vad, sentence) == first


async def scored(
    vad: VoiceActivityDetector, samples: Samples, block: int = 320
) -> list[ActivityScore]:
    """Every score of a stream of its own."""
    scores: list[ActivityScore] = []
    came = asyncio.Event()

    def on_score(score: ActivityScore) -> None:
        scores.append(score)
        came.set()

    stream = vad.open(on_score)
    try:
        for start in range(0, len(samples), block):
            stream.feed(samples[start : start + block])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not scores or scores[-1].position + scores[0].position <= len(samples):
                came.clear()
                await came.wait()
    finally:
        stream.close()
    return scores


# The end of a turn


class TurnModelContract:
    """`adapter` gives a `TurnModel`."""

    @pytest.fixture
    async def turns(
        self,
        adapter: Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[TurnModel]],
        request: pytest.FixtureRequest,
    ) -> AsyncIterator[TurnModel]:
        async with adapter(request) as engine:
            yield engine

    @pytest.mark.parametrize("seconds", [0, 0.1, 3, 8, 20])
    async def test_audio_of_any_length_gets_a_probability(
        self, turns: TurnModel, say: Callable[[str], Samples], seconds: float
    ) -> None:
        samples = np.resize(say(SENTENCE), int(seconds * 16_000))
        assert 0 <= await turns.score(samples) <= 1

    async def test_the_same_audio_scores_the_same(
        self, turns: TurnModel, say: Callable[[str], Samples]
    ) -> None:
        first = await turns.score(say(SENTENCE))
        assert await turns.score(say(SENTENCE)) == first

    async def test_a_cancelled_score_leaves_the_model_usable(
        self, turns: TurnModel, say: Callable[[str], Samples]
    ) -> None:
        scoring = asyncio.ensure_future(turns.score(say(SENTENCE)))
        await asyncio.sleep(0)
        scoring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scoring
        assert 0 <= await turns.score(say(SENTENCE)) <= 1
