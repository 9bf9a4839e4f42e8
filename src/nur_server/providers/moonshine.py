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
import functools
import heapq
import itertools
import math
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_inference_collection import OrtValue

from nur_server.audio.utterance import MAX_SECONDS, UtteranceAudio
from nur_server.errors import NurError, ProviderError
from nur_server.ports import ListenOptions, Samples, SpeechToTextCapabilities, Transcript
from nur_server.providers import weights

NAME = weights.MOONSHINE
RATE = 16_000

# The network

HEADS, HEAD_SIZE = 8, 36
BEGIN, END = 1, 2
"""Tokens that open and close every text."""
TOKENS_PER_SECOND = 6.5
"""Speech has fewer; a decoder that writes more has lost its way."""
PADDING = np.zeros(RATE // 10, np.int16)
"""Quiet put either side of a segment: without it the first and last word are often doubled."""
LONGEST_LOOP = 16
"""Tokens of the longest phrase whose repetition is recognised."""

# The transcript

GATE = -0.9
"""Mean log-probability of a token below which a text is invented: what noise and silence give."""
INVENTED = frozenset({"You", "Thank you for watching!", "Thank you for watching."})
"""Texts of steady noise that pass the gate. Speech differs: a spoken "you" is written "You."."""
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

# The cuts

PAUSE_SAMPLES = RATE * 172 // 1000
"""Silence required after a marked pause to cut there. The session marks 128 ms into it."""
SHORTEST_SECONDS = 4.0
"""Shorter segments are not closed: the model needs the words around to tell what was said."""
LONGEST_SECONDS = 11.0
SEARCH_SECONDS = 5.0
"""A segment that would become too long is cut at the quietest point of its last seconds."""
FRAME = RATE * 20 // 1000
QUIET_FACTOR = 3.0
"""Silence stays below so many times the level just before the mark …"""
LEVEL_SAMPLES = RATE * 3
"""Audio before a mark from which its levels are taken."""
SPEECH_SHARE = 0.1
"""… or below this share of the level of the speech before it."""

Floats = NDArray[np.float32]
T = TypeVar("T")


class Abandoned(Exception):
    """The result is no longer wanted."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the model heard in one segment."""

    tokens: tuple[int, ...]
    text: str
    log_probability: float
    """Mean over the tokens, the closing one included."""

    @property
    def is_speech(self) -> bool:
        return (
            any(character.isalnum() for character in self.text)
            and self.text not in INVENTED
            and self.log_probability >= GATE
        )


class MoonshineModel:
    """The network. May be used by several threads."""

    def __init__(self, encoder: Path, decoder: Path, tokenizer: Path) -> None:
        self._encoder = weights.open_session(encoder)
        self._decoder = weights.open_session(decoder)
        self._vocabulary = _read_vocabulary(tokenizer.read_bytes())
        self._outputs = [output.name for output in self._decoder.get_outputs()]
        self._caches = ["past_key_values" + name[len("present") :] for name in self._outputs[1:]]
        empty = OrtValue.ortvalue_from_numpy(np.zeros((1, HEADS, 1, HEAD_SIZE), np.float32))
        self._no_cache = dict.fromkeys(self._caches, empty)

    @classmethod
    def load(cls, models_dir: Path) -> "MoonshineModel":
        """From the pulled weights. Blocks for 0.5 s. Raises `Unavailable` when they are missing."""
        names = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")
        return cls(*(weights.path(models_dir, weights.MOONSHINE, name) for name in names))

    def hear(
        self,
        samples: Samples,
        guess: Sequence[int] = (),
        is_abandoned: Callable[[], bool] = lambda: False,
    ) -> Hypothesis:
        """Recognise one segment. Blocks for some 40 ms per second of audio.

        `guess` is an earlier hypothesis of the same segment: it is checked in one pass, and only
        what differs is decoded. Raises `Abandoned` soon after `is_abandoned` says so.
        """
        if is_abandoned():
            raise Abandoned
        padded = np.concatenate([PADDING, samples, PADDING])
        audio = padded.astype(np.float32)[None] / np.float32(32768)
        mask = np.ones(audio.shape, np.int64)
        (hidden,) = self._encoder.run(None, {"input_values": audio, "attention_mask": mask})
        limit = math.ceil(len(samples) / RATE * TOKENS_PER_SECOND) + 2
        tokens, scores = self._decode(np.asarray(hidden), mask, guess[:limit], limit, is_abandoned)
        text = " ".join(self._text(tokens).split())
        return Hypothesis(tuple(tokens), text, float(np.mean(scores)) if scores else 0.0)

    def _decode(
        self,
        hidden: Floats,
        mask: NDArray[np.int64],
        guess: Sequence[int],
        limit: int,
        is_abandoned: Callable[[], bool],
    ) -> tuple[list[int], list[float]]:
        """Tokens and their log-probabilities, that of the closing token included."""
        feed: dict[str, Any] = {
            "encoder_hidden_states": OrtValue.ortvalue_from_numpy(hidden),
            "encoder_attention_mask": OrtValue.ortvalue_from_numpy(mask),
        }
        best, scores, feed = self._check(feed, guess)
        tokens = list(guess[: len(best) - 1])
        following = best[-1]
        while following != END and len(tokens) < limit:
            if is_abandoned():
                raise Abandoned
            tokens.append(following)
            kept = _without_loop(tokens)
            if kept < len(tokens):
                return tokens[:kept], scores[:kept]
            feed["input_ids"] = OrtValue.ortvalue_from_numpy(np.array([[following]], np.int64))
            logits, *caches = self._decoder.run_with_ort_values(self._outputs, feed)
            following, score = _best(logits.numpy()[0, -1])
            scores.append(score)
            for name, cache in zip(self._caches, caches, strict=True):
                if ".decoder." in name:
                    feed[name] = cache
        return tokens, scores

    def _check(
        self, feed: dict[str, Any], guess: Sequence[int]
    ) -> tuple[list[int], list[float], dict[str, Any]]:
        """One pass over `guess`: the tokens it should have been up to and including the first that
        differs, their log-probabilities, and the feed to go on from there."""
        ids = np.array([[BEGIN, *guess]], np.int64)
        logits, *caches = self._decoder.run_with_ort_values(
            self._outputs,
            {
                **feed,
                **self._no_cache,
                "input_ids": OrtValue.ortvalue_from_numpy(ids),
                "use_cache_branch": OrtValue.ortvalue_from_numpy(np.array([False])),
            },
        )
        best: list[int] = []
        scores: list[float] = []
        for row, expected in zip(logits.numpy()[0], (*guess, None), strict=True):
            token, score = _best(row)
            best.append(token)
            scores.append(score)
            if token != expected:
                break
        feed = {**feed, "use_cache_branch": OrtValue.ortvalue_from_numpy(np.array([True]))}
        for name, cache in zip(self._caches, caches, strict=True):
            if ".decoder." in name and len(best) < ids.shape[1]:
                seen = np.ascontiguousarray(cache.numpy()[:, :, : len(best)])
                feed[name] = OrtValue.ortvalue_from_numpy(seen)
            else:
                feed[name] = cache
        return best, scores, feed

    def _text(self, tokens: Sequence[int]) -> str:
        return b"".join(self._vocabulary[token] for token in tokens).decode("utf-8", "replace")


def _best(logits: Floats) -> tuple[int, float]:
    """The likeliest token and its log-probability."""
    token = int(logits.argmax())
    top = float(logits[token])
    return token, -math.log(float(np.exp(logits - top).sum(dtype=np.float64)))


def _read_vocabulary(data: bytes) -> list[bytes]:
    """Every token's bytes. Each is stored behind its length: one byte, or two from 128 up."""
    vocabulary = []
    position = 0
    while position < len(data):
        length = data[position]
        position += 1
        if length >= 128:
            length += data[position] * 128 - 128
            position += 1
        vocabulary.append(_spoken(data[position : position + length]))
        position += length
    return vocabulary


def _spoken(token: bytes) -> bytes:
    """What a token adds to the text: `<0x41>` is a byte, other tokens in angle brackets nothing."""
    if len(token) > 2 and token.startswith(b"<") and token.endswith(b">"):
        return bytes([int(token[3:5], 16)]) if token.startswith(b"<0x") else b""
    return token.replace("▁".encode(), b" ")


def _without_loop(tokens: Sequence[int]) -> int:
    """How many tokens to keep: all, unless they end in a phrase said over and over."""
    for length in range(1, LONGEST_LOOP + 1):
        times = max(3, math.ceil(8 / length))
        span = length * times
        if len(tokens) >= span and all(
            tokens[-i] == tokens[-i - length] for i in range(1, span - length + 1)
        ):
            return len(tokens) - span + length
    return len(tokens)


# The segments of an utterance


@dataclass(frozen=True, slots=True)
class Heard:
    """A stretch of the utterance and what was heard in it."""

    start: int
    end: int
    hypothesis: Hypothesis


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch to be recognised, with what an earlier pass made of its beginning."""

    start: int
    end: int
    samples: Samples
    guess: tuple[int, ...]


class Segments:
    """Which parts of an utterance are settled, and which are to be recognised next."""

    def __init__(self, audio: UtteranceAudio) -> None:
        self.audio = audio
        self._settled: list[Heard] = []
        self._start = 0
        """Of the tail."""
        self._tail: Heard | None = None
        """The latest hypothesis of it."""
        self._at_pause: Heard | None = None
        """The hypothesis made at the last marked pause, which may become a segment."""

    def plan(self, end: int) -> list[Piece]:
        """What is to be recognised for a hypothesis up to `end`; the last piece is the tail.

        Empty when nothing but silence was added since the last one.
        """
        if self.is_covered(end):
            return []
        self._cut(end)
        if end - self._start < FRAME:
            return []
        pieces = []
        start, guess = self._start, self._tail.hypothesis.tokens if self._tail else ()
        while end - start > LONGEST_SECONDS * RATE:
            cut = self._quietest(start + int(LONGEST_SECONDS * RATE))
            pieces.append(self._piece(start, cut, guess))
            start, guess = cut, ()
        pieces.append(self._piece(start, end, guess))
        return pieces

    def accept(self, pieces: Sequence[Piece], hypotheses: Sequence[Hypothesis]) -> None:
        """What was recognised for a plan."""
        heard = [Heard(p.start, p.end, h) for p, h in zip(pieces, hypotheses, strict=True)]
        if heard:
            *closed, self._tail = heard
            self._settled += closed
            self._start = self._tail.start
            if self._tail.end in self.audio.pauses:
                self._at_pause = self._tail

    def is_covered(self, end: int) -> bool:
        """Whether nothing but silence lies between the last hypothesis at a pause and `end`."""
        heard = self._at_pause
        if heard is None or heard.start != self._start:
            return False
        return heard.end == end or self._is_silent(heard.start, heard.end, end)

    def transcript(self, covers: int, *, is_final: bool) -> Transcript:
        """The text of all segments. With no word in it, the confidence is None."""
        tail = self._at_pause if self.is_covered(covers) else self._tail
        hypotheses = [heard.hypothesis for heard in (*self._settled, tail) if heard is not None]
        spoken = [hypothesis for hypothesis in hypotheses if hypothesis.is_speech]
        tokens = sum(len(hypothesis.tokens) for hypothesis in spoken)
        total = sum(h.log_probability * len(h.tokens) for h in spoken)
        return Transcript(
            text=" ".join(hypothesis.text for hypothesis in spoken),
            is_final=is_final,
            covers=covers,
            confidence=math.exp(total / tokens) if tokens else None,
        )

    def _cut(self, end: int) -> None:
        """Close the tail at the pause it was last recognised at, where that was long enough."""
        heard = self._at_pause
        if (
            heard is not None
            and heard.start == self._start
            and end - heard.end > PAUSE_SAMPLES
            and heard.end - heard.start >= SHORTEST_SECONDS * RATE
            and self._is_silent(heard.start, heard.end, heard.end + PAUSE_SAMPLES)
        ):
            self._settled.append(heard)
            self._start = heard.end
            self._tail = self._at_pause = None

    def _piece(self, start: int, end: int, guess: tuple[int, ...]) -> Piece:
        return Piece(start, end, self.audio.read(start, end), guess)

    def _is_silent(self, start: int, pause: int, end: int) -> bool:
        """Whether `[pause, end)` is as quiet as the silence just before the mark at `pause`."""
        start = max(start, pause - LEVEL_SAMPLES)
        levels = _levels(self.audio.read(start, end))
        mark = (pause - start) // FRAME
        if mark < 5 or len(levels) <= mark:
            return len(levels) <= mark
        before, after = levels[:mark], levels[mark:]
        limit = max(
            QUIET_FACTOR * float(before[-5:].mean()),
            SPEECH_SHARE * float(np.percentile(before, 90)),
        )
        return bool((after <= limit).all())

    def _quietest(self, end: int) -> int:
        """The middle of the quietest 100 ms of the seconds before `end`."""
        start = end - int(SEARCH_SECONDS * RATE)
        levels = _levels(self.audio.read(start, end))
        smooth = np.convolve(levels, np.ones(5), mode="valid")
        return start + (int(smooth.argmin()) * 2 + 5) * FRAME // 2


def _levels(samples: Samples) -> Floats:
    """RMS of each whole frame of 20 ms."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float32)
    return np.asarray(np.sqrt(np.mean(np.square(frames), axis=1)), np.float32)


# The workers


class Priority(IntEnum):
    """Who goes first."""

    FINAL = 0
    """Finals, and hypotheses at a pause: the answer to the user waits for them."""
    PARTIAL = 1


class _Job(Generic[T]):
    """Work for a thread, and the future its result goes to."""

    def __init__(self, work: Callable[[Callable[[], bool]], T]) -> None:
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[T] = self._loop.create_future()
        self.waited_seconds = 0.0
        """From submission to start."""
        self._submitted_at = self._loop.time()
        self._work = work
        self._abandoned = threading.Event()
        self.result.add_done_callback(lambda _: self._abandoned.set())

    def run(self) -> None:
        """On a worker thread."""
        if self._abandoned.is_set():
            return
        self.waited_seconds = self._loop.time() - self._submitted_at
        try:
            result = self._work(self._abandoned.is_set)
        except Abandoned:
            return
        except BaseException as error:
            self._deliver(functools.partial(self.result.set_exception, error))
        else:
            self._deliver(functools.partial(self.result.set_result, result))

    def _deliver(self, settle: Callable[[], None]) -> None:
        def on_loop() -> None:
            if not self.result.done():
                settle()

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(on_loop)


class Workers:
    """Threads that do the most urgent job first. Each utterance has one job at a time, so the
    queue is bounded by the number of live utterances."""

    def __init__(self, threads: int) -> None:
        self._jobs: list[tuple[Priority, int, _Job[Any]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._is_closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"moonshine-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, priority: Priority, work: Callable[[Callable[[], bool]], T]) -> _Job[T]:
        """Queue `work`, which is given a function that says whether it is still wanted.

        Cancelling the job's `result` takes it out of the queue or makes it stop early.
        """
        job = _Job(work)
        with self._changed:
            if self._is_closed:
                raise ProviderError("the speech recogniser was closed", provider=NAME)
            heapq.heappush(self._jobs, (priority, next(self._order), job))
            self._changed.notify()
        return job

    def close(self) -> None:
        """Drop what waits and end the threads. Blocks until the running jobs are done."""
        with self._changed:
            self._is_closed = True
            self._jobs.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._is_closed:
                    self._changed.wait()
                if self._is_closed:
                    return
                _, _, job = heapq.heappop(self._jobs)
            job.run()


# The adapter


class Moonshine:
    """The `SpeechToText` port on Moonshine tiny. For one event loop.

    Speech in any language is transcribed as if it were English.
    """

    name = NAME
    capabilities = SpeechToTextCapabilities(
        languages=frozenset({"en"}), gives_partials=True, gives_confidence=True
    )

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

    def _submit(self, priority: Priority, work: Callable[[Callable[[], bool]], T]) -> _Job[T]:
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
