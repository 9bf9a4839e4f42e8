"""An utterance in the segments it is recognised by: those that are settled, and the next."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nur_server.audio.rates import LISTEN_RATE as RATE
from nur_server.audio.utterance import UtteranceAudio
from nur_server.ports import Samples, Transcript
from nur_server.providers.hypothesis import Hypothesis

Floats = NDArray[np.float32]

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
