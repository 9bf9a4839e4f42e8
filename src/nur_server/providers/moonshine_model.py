"""Moonshine's network: the text of one segment of speech, and how likely it is."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_inference_collection import OrtValue

from nur_server.ports import Samples
from nur_server.providers import weights
from nur_server.providers.hypothesis import Hypothesis, without_loop
from nur_server.providers.recogniser_workers import Abandoned

RATE = 16_000
HEADS, HEAD_SIZE = 8, 36
BEGIN, END = 1, 2
"""Tokens that open and close every text."""
TOKENS_PER_SECOND = 6.5
"""Speech has fewer; a decoder that writes more has lost its way."""
PADDING = np.zeros(RATE // 10, np.int16)
"""Quiet put either side of a segment: without it the first and last word are often doubled."""
GATE = -0.9
"""Mean log-probability of a token below which a text is invented: what noise and silence give."""
INVENTED = frozenset({"You", "Thank you for watching!", "Thank you for watching."})
"""Texts of steady noise that pass the gate. Speech differs: a spoken "you" is written "You."."""

Floats = NDArray[np.float32]


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
        *,
        language: str = "en",
    ) -> Hypothesis:
        """Recognise one segment, as if it were English. Blocks for some 40 ms per second of audio.

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
        score = float(np.mean(scores)) if scores else 0.0
        return Hypothesis(tuple(tokens), text, score, _is_speech(text, score))

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
            kept = without_loop(tokens)
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


def _is_speech(text: str, score: float) -> bool:
    return any(character.isalnum() for character in text) and text not in INVENTED and score >= GATE


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
