"""Speech to text by Moonshine tiny, run directly on onnxruntime.

Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands" (2024):
an encoder over raw audio at 16 kHz and an autoregressive decoder. English only.

How an utterance is recognised: it is cut into segments of 4 to 11 s, at pauses of 300 ms and
more where there are any. Only the last segment, the tail, is still open. A hypothesis of
the tail is made every half second (less often under load), at every pause the session marks, and at
the end; each starts from the one before, which the decoder checks in a single pass. What was heard
up to the last marked pause is the final transcript when only silence follows it.

All sessions share one model and two worker threads, on which finals go before partials.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

from nur_server.audio.utterance import MAX_SECONDS, UtteranceAudio
from nur_server.errors import NurError, ProviderError
from nur_server.ports import ListenOptions, SpeechToTextCapabilities, Transcript
from nur_server.providers import weights
from nur_server.providers.moonshine_model import RATE, Hypothesis, MoonshineModel
from nur_server.providers.moonshine_segments import Segments
from nur_server.providers.moonshine_workers import Job, Priority, Workers

NAME = weights.MOONSHINE
PARTIAL_SECONDS = 0.5
FIRST_PARTIAL_SECONDS = 0.75
"""Audio of the first partial. The session begins an utterance 0.3 s before its first sound; less
than half a second of speech is mostly misheard."""
EARLY_SECONDS = 2.0
EARLY_PARTIAL_SECONDS = 0.3
"""Audio between partials of the first `EARLY_SECONDS`: whether somebody interrupts is decided from
them, and while they are short they cost little."""
SLOWEST_PARTIAL_SECONDS = 4.0
WORKERS = 2
WAITS_PER_PARTIAL = 4.0
"""A partial is made no more often than every so many times what it has to wait for a worker."""
UTTERANCES_AT_FULL_PACE = 4
"""Utterances at a time that get a partial every `PARTIAL_SECONDS`; with more, each gets fewer."""

T = TypeVar("T")


class Moonshine:
    """The `SpeechToText` port on Moonshine tiny. For one event loop.

    Speech in any language is transcribed as if it were English.
    """

    name = NAME
    capabilities = SpeechToTextCapabilities(languages=frozenset({"en"}))

    def __init__(self, models_dir: Path, *, model: MoonshineModel | None = None) -> None:
        """Loads the model on a worker thread at first use, unless one is given."""
        self._models_dir = models_dir
        self._model = model
        self._loading = threading.Lock()
        self._workers: Workers | None = None
        self._live = 0
        """Utterances being transcribed."""
        self._waited_seconds = 0.0
        """What partials have waited for a worker of late."""

    @property
    def waiting(self) -> int:
        """Pieces of speech that wait for their turn."""
        return 0 if self._workers is None else self._workers.waiting

    async def load(self) -> None:
        """Load the model off the loop. Raises `Unavailable` when the weights are missing."""
        await self._submit(Priority.FINAL, lambda _: self._loaded()).result

    async def close(self) -> None:
        """End the workers; running jobs stop at their next token."""
        workers, self._workers = self._workers, None
        if workers is not None:
            await asyncio.to_thread(workers.close)

    async def transcribe(
        self, audio: UtteranceAudio, options: ListenOptions
    ) -> AsyncGenerator[Transcript]:
        """Hypotheses while `audio` grows, then the final one. Closing the generator stops them.

        `options.keyterms` and `prompt` have no effect: the model cannot be biased.
        """
        self._live += 1
        try:
            segments = Segments(audio)
            async with aclosing(self._follow(audio, segments, options.wants_partials)) as early:
                async for transcript in early:
                    yield transcript
            await self._hear(segments, audio.length, Priority.FINAL)
            yield segments.transcript(audio.length, is_final=True)
        finally:
            self._live -= 1

    async def _follow(
        self, audio: UtteranceAudio, segments: Segments, wants_partials: bool
    ) -> AsyncGenerator[Transcript]:
        """Hypotheses until the audio has ended."""
        answered = 0
        """The pause last answered."""
        due = int(self.partial_interval_seconds / PARTIAL_SECONDS * FIRST_PARTIAL_SECONDS * RATE)
        while not audio.ended:
            pause = audio.last_pause or 0
            if pause > answered:
                answered = end = pause
                await self._hear(segments, end, Priority.FINAL)
            elif wants_partials and audio.length >= due:
                end = audio.length
                if not await self._hear(segments, end, Priority.PARTIAL, until=answered):
                    continue
            else:
                await audio.wait(due - 1 if wants_partials else MAX_SECONDS * RATE)
                continue
            due = end + self._interval(end)
            yield segments.transcript(end, is_final=False)

    async def _hear(
        self, segments: Segments, end: int, priority: Priority, until: int | None = None
    ) -> bool:
        """Bring `segments` up to `end`. False: given up, for a pause beyond `until` or the end."""
        pieces = segments.plan(end)
        if not pieces:
            return True

        def work(is_abandoned: Callable[[], bool]) -> list[Hypothesis]:
            model = self._loaded()
            return [model.hear(p.samples, p.guess, is_abandoned) for p in pieces]

        job = self._submit(priority, work)
        try:
            if until is None:
                await asyncio.wait([job.result])
            else:
                await _unless_paused(job.result, segments.audio, until)
            if job.result.cancelled():
                return False
            segments.accept(pieces, job.result.result())
        except ProviderError:
            raise
        except Exception as error:
            code = error.code if isinstance(error, NurError) else None
            message = f"speech recognition failed: {error}"
            raise ProviderError(message, provider=NAME, code=code) from error
        finally:
            job.result.cancel()
        if priority is Priority.PARTIAL:
            self._waited_seconds += 0.3 * (job.waited_seconds - self._waited_seconds)
        return True

    @property
    def partial_interval_seconds(self) -> float:
        """Audio between partials: the more of it, the more utterances share the workers."""
        crowd = max(1.0, self._live / UTTERANCES_AT_FULL_PACE)
        seconds = max(PARTIAL_SECONDS * crowd, WAITS_PER_PARTIAL * self._waited_seconds)
        return min(seconds, SLOWEST_PARTIAL_SECONDS)

    def _interval(self, position: int) -> int:
        """Samples to the partial after the one at `position`."""
        is_early = position < EARLY_SECONDS * RATE
        usual = EARLY_PARTIAL_SECONDS if is_early else PARTIAL_SECONDS
        return int(self.partial_interval_seconds * RATE * usual / PARTIAL_SECONDS)

    def _submit(self, priority: Priority, work: Callable[[Callable[[], bool]], T]) -> Job[T]:
        if self._workers is None:
            self._workers = Workers(WORKERS)
        return self._workers.submit(priority, work)

    # On a worker thread

    def _loaded(self) -> MoonshineModel:
        with self._loading:
            if self._model is None:
                self._model = MoonshineModel.load(self._models_dir)
            return self._model


async def _unless_paused(
    result: asyncio.Future[list[Hypothesis]], audio: UtteranceAudio, pause: int
) -> None:
    """Wait for `result`; cancel it when the speaker pauses beyond `pause`, or the audio ends."""

    async def watch() -> None:
        while not audio.ended and (audio.last_pause or 0) <= pause:
            await audio.wait(MAX_SECONDS * RATE)
        result.cancel()

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        await asyncio.wait([result])
        watching.cancel()
