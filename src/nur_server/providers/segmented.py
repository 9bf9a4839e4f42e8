"""A recogniser of this process: live speech through a network that takes one segment at a time.

How an utterance is recognised: it is cut into segments of 4 to 11 s, at pauses of 300 ms and
more where there are any. Only the last segment, the tail, is still open. A hypothesis of
the tail is made at a steady pace (less often under load), at every pause the session marks, and at
the end; each may start from the one before. What was heard up to the last marked pause is the final
transcript when only silence follows it.

All sessions share one model and two worker threads, on which finals go before partials.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from nur_server.audio.rates import LISTEN_RATE as RATE
from nur_server.audio.utterance import MAX_SECONDS, UtteranceAudio
from nur_server.errors import NurError, ProviderError
from nur_server.ports import ListenOptions, SpeechToTextCapabilities, Transcript
from nur_server.providers.hypothesis import Hypothesis, SegmentModel
from nur_server.providers.recogniser_workers import Job, Priority, Workers
from nur_server.providers.segments import Piece, Segments

WORKERS = 2
SLOWEST_PARTIAL_SECONDS = 4.0
WAITS_PER_PARTIAL = 4.0
"""A partial is made no more often than every so many times what it has to wait for a worker."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often an utterance gets a partial, in seconds of its audio."""

    partial_seconds: float
    """Between two."""
    first_seconds: float
    """Before the first."""
    early_seconds: float
    """The beginning, in which they come faster: whether somebody interrupts is decided from them,
    and while they are short they cost little."""
    early_partial_seconds: float
    """Between two of the beginning."""
    utterances_at_full_pace: int
    """Utterances at a time that get as many; with more, each gets fewer."""


class SegmentedRecogniser:
    """The `SpeechToText` port on a `SegmentModel`. For one event loop."""

    def __init__(
        self,
        name: str,
        languages: frozenset[str],
        pace: Pace,
        load: Callable[[], SegmentModel],
        model: SegmentModel | None = None,
    ) -> None:
        """`load` blocks; it is called on a worker thread at first use, unless `model` is given."""
        self.name = name
        self.capabilities = SpeechToTextCapabilities(languages=languages)
        self._pace = pace
        self._load_model = load
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
            async with aclosing(self._follow(audio, segments, options)) as early:
                async for transcript in early:
                    yield transcript
            await self._hear(segments, audio.length, Priority.FINAL, options)
            yield segments.transcript(audio.length, is_final=True)
        finally:
            self._live -= 1

    async def _follow(
        self, audio: UtteranceAudio, segments: Segments, options: ListenOptions
    ) -> AsyncGenerator[Transcript]:
        """Hypotheses until the audio has ended."""
        wants_partials, answered = options.wants_partials, 0
        """The pause last answered."""
        due = self._samples(self._pace.first_seconds)
        while not audio.ended:
            pause = audio.last_pause or 0
            if pause > answered:
                answered = end = pause
                await self._hear(segments, end, Priority.FINAL, options)
            elif wants_partials and audio.length >= due:
                end = audio.length
                if not await self._hear(segments, end, Priority.PARTIAL, options, until=answered):
                    continue
            else:
                await audio.wait(due - 1 if wants_partials else MAX_SECONDS * RATE)
                continue
            due = end + self._interval(end)
            yield segments.transcript(end, is_final=False)

    async def _hear(
        self,
        segments: Segments,
        end: int,
        priority: Priority,
        options: ListenOptions,
        until: int | None = None,
    ) -> bool:
        """Bring `segments` up to `end`. False: given up, for a pause beyond `until` or the end."""
        pieces = segments.plan(end)
        if not pieces:
            return True

        job = self._submit(priority, partial(self._recognise, pieces, options.language))
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
            raise ProviderError(message, provider=self.name, code=code) from error
        finally:
            job.result.cancel()
        if priority is Priority.PARTIAL:
            self._waited_seconds += 0.3 * (job.waited_seconds - self._waited_seconds)
        return True

    @property
    def partial_interval_seconds(self) -> float:
        """Audio between partials: the more of it, the more utterances share the workers."""
        crowd = max(1.0, self._live / self._pace.utterances_at_full_pace)
        seconds = max(self._pace.partial_seconds * crowd, WAITS_PER_PARTIAL * self._waited_seconds)
        return min(seconds, SLOWEST_PARTIAL_SECONDS)

    def _interval(self, position: int) -> int:
        """Samples to the partial after the one at `position`."""
        is_early = position < self._pace.early_seconds * RATE
        pace = self._pace
        return self._samples(pace.early_partial_seconds if is_early else pace.partial_seconds)

    def _samples(self, seconds: float) -> int:
        """What takes so long where nothing else is recognised, at the pace of now."""
        return int(self.partial_interval_seconds / self._pace.partial_seconds * seconds * RATE)

    def _submit(self, priority: Priority, work: Callable[[Callable[[], bool]], T]) -> Job[T]:
        if self._workers is None:
            self._workers = Workers(WORKERS, self.name)
        return self._workers.submit(priority, work)

    # On a worker thread

    def _recognise(
        self, pieces: list[Piece], language: str, is_abandoned: Callable[[], bool]
    ) -> list[Hypothesis]:
        model = self._loaded()
        return [model.hear(p.samples, p.guess, is_abandoned, language=language) for p in pieces]

    def _loaded(self) -> SegmentModel:
        with self._loading:
            if self._model is None:
                self._model = self._load_model()
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
