"""What a recogniser made of one stretch of speech, and the decoders' guard against loops."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nur_server.ports import Samples

LONGEST_LOOP = 16
"""Tokens of the longest phrase whose repetition is recognised."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a model heard in one segment."""

    tokens: tuple[int, ...]
    text: str
    log_probability: float
    """Mean over the tokens, the closing one included."""
    is_speech: bool = True
    """False: a text that the model makes up for noise and silence."""


class SegmentModel(Protocol):
    """A network that recognises one segment of speech. May be used by several threads."""

    def hear(
        self,
        samples: Samples,
        guess: Sequence[int] = (),
        is_abandoned: Callable[[], bool] = lambda: False,
        *,
        language: str = "en",
    ) -> Hypothesis:
        """Recognise `samples`, mono int16 at 16 kHz, spoken in `language` (ISO 639-1). Blocks.

        `guess` is an earlier hypothesis of the same segment. Raises `Abandoned` soon after
        `is_abandoned` says so.
        """
        ...


def without_loop(tokens: Sequence[int]) -> int:
    """How many tokens to keep: all, unless they end in a phrase said over and over."""
    for length in range(1, LONGEST_LOOP + 1):
        times = max(3, math.ceil(8 / length))
        span = length * times
        if len(tokens) >= span and all(
            tokens[-i] == tokens[-i - length] for i in range(1, span - length + 1)
        ):
            return len(tokens) - span + length
    return len(tokens)
