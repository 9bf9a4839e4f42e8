"""Whisper's network: the text of one segment of speech in any of its languages.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), run by
CTranslate2 in eight bits. The network was trained on windows of 30 s; encoding all of it costs four
times as much as what was said needs. It is given the speech and six seconds of silence behind
it: with one second it repeats itself, with six its error rate is that of the whole window
(`python -m bench.wer --languages` shows both).
"""

import functools
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nur_server.errors import Unavailable
from nur_server.ports import Samples
from nur_server.providers import weights
from nur_server.providers.hypothesis import Hypothesis, without_loop
from nur_server.providers.mel import RATE, Floats, log_mel
from nur_server.providers.recogniser_workers import Abandoned

PADDING_SECONDS = 6
LONGEST_SECONDS = 24
"""Speech that fits into the network's window with its padding."""
TOKENS_PER_SECOND = 16
"""Speech has fewer, also in scripts that take several tokens a letter; a decoder that writes more
has lost its way."""
SPARE_TOKENS = 8
GATE = -1.0
"""Mean log-probability of a token below which a text is invented: the threshold of Whisper's own
decoder (`logprob_threshold`)."""
NO_SPEECH = 0.6
"""Probability of no speech from which a text of poor probability is invented: Whisper's own
`no_speech_threshold`."""
DOUBTFUL = -0.5
"""Poor, in that sense. With a window that is mostly silence the network is readier to say that
nobody spoke than with the 30 s of its own decoder, so what it is sure of is kept."""
INVENTED = re.compile(
    r".*amara\.org.*|sous-titr(?:age|es) (?:st|soci|fr|réalis).*|subtitles by .*"
    r"|untertitel(?:ung)? (?:im auftrag|des zdf|von stephanie).*"
    r"|sottotitoli (?:creati|e revisione).*"
    r"|legendas pela .*|subt[ií]tulos (?:realizados|por la comunidad).*"
    r"|(?:редактор|корректор)?\s*субтитр(?:ы|ов) .*|продолжение следует\W*"
    r"|ご視聴ありがとうございました\W*"
    r"|字幕by.*|请不吝点赞.*|시청해 ?주셔서 감사합니다\W*|(?:thank you|thanks) for watching\W*"
    r"|gracias por ver el v[ií]deo\W*",
    re.IGNORECASE,
)
"""What the network writes for noise: its training data had subtitles of films."""


class WhisperModel:
    """The network. May be used by several threads."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds `model.bin`, `config.json` and `vocabulary.json`. Blocks for a second.

        Raises `Unavailable` where CTranslate2 is not installed.
        """
        try:
            import ctranslate2
        except ImportError as error:
            raise Unavailable(
                "expected the package ctranslate2 to recognise speech in other languages than "
                "English: run `pip install ctranslate2`",
                code="model_missing",
                details={"model": weights.WHISPER},
            ) from error
        self._ctranslate2: Any = ctranslate2  # its modules export nothing explicitly
        self._network = self._ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", inter_threads=2, intra_threads=1
        )
        self._vocabulary: list[str] = json.loads((folder / "vocabulary.json").read_text("utf-8"))
        self._ids = {token: id for id, token in enumerate(self._vocabulary) if token[:2] == "<|"}

    @classmethod
    def load(cls, models_dir: Path) -> "WhisperModel":
        """From the pulled weights. Raises `Unavailable` when they are missing."""
        names = ("model.bin", "config.json", "vocabulary.json")
        paths = [weights.path(models_dir, weights.WHISPER, name) for name in names]
        return cls(paths[0].parent)

    @functools.cached_property
    def languages(self) -> frozenset[str]:
        """ISO 639-1 codes, and a few longer ones of languages that have none."""
        begin, end = self._ids["<|startoftranscript|>"], self._ids["<|translate|>"]
        return frozenset(token[2:-2] for token in self._vocabulary[begin + 1 : end])

    def hear(
        self,
        samples: Samples,
        guess: Sequence[int] = (),
        is_abandoned: Callable[[], bool] = lambda: False,
        *,
        language: str = "en",
    ) -> Hypothesis:
        """Recognise one segment of at most `LONGEST_SECONDS`. Blocks for 0.2 s and more.

        The network takes no earlier hypothesis. An unknown language is found out from the sound.
        """
        if is_abandoned():
            raise Abandoned
        encoded = self._network.encode(self._features(samples))
        if is_abandoned():
            raise Abandoned
        spoken = language if f"<|{language}|>" in self._ids else self._language(encoded)
        result = self._generate(encoded, spoken, len(samples) / RATE)
        tokens: list[int] = result.sequences_ids[0]
        # The score is the mean over the tokens; the closing one counts as well.
        score = float(result.scores[0]) * len(tokens) / (len(tokens) + 1) if tokens else 0.0
        tokens = tokens[: without_loop(tokens)]
        text = " ".join(self._text(tokens).split())
        is_speech = _is_speech(text, score, float(result.no_speech_prob))
        return Hypothesis(tuple(tokens), text, score, is_speech)

    def language_of(self, samples: Samples) -> tuple[str, float]:
        """The likeliest language of the speech, and its probability, 0–1. Blocks for 0.1 s."""
        return self._likeliest(self._network.encode(self._features(samples)))

    def _features(self, samples: Samples) -> Any:
        speech = samples[-LONGEST_SECONDS * RATE :].astype(np.float32) / np.float32(32768)
        mel: Floats = log_mel(np.pad(speech, (0, PADDING_SECONDS * RATE)))
        return self._ctranslate2.StorageView.from_array(np.ascontiguousarray(mel[None]))

    def _language(self, encoded: Any) -> str:
        return self._likeliest(encoded)[0]

    def _likeliest(self, encoded: Any) -> tuple[str, float]:
        token, probability = self._network.detect_language(encoded)[0][0]
        return token[2:-2], float(probability)

    def _generate(self, encoded: Any, language: str, seconds: float) -> Any:
        names = ("<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>")
        prompt = [self._ids[name] for name in names]
        budget = math.ceil(seconds * TOKENS_PER_SECOND) + SPARE_TOKENS
        (result,) = self._network.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=len(prompt) + budget,
            return_scores=True,
            return_no_speech_prob=True,
        )
        return result

    def _text(self, tokens: Sequence[int]) -> str:
        letters = _byte_of_letter()
        written = "".join(
            token for token in (self._vocabulary[id] for id in tokens) if token[:2] != "<|"
        )
        data = bytes(letters[letter] for letter in written if letter in letters)
        return data.decode("utf-8", "replace")


def _is_speech(text: str, score: float, no_speech: float) -> bool:
    if not any(character.isalnum() for character in text) or INVENTED.fullmatch(text):
        return False
    return score >= (DOUBTFUL if no_speech >= NO_SPEECH else GATE)


@functools.cache
def _byte_of_letter() -> dict[str, int]:
    """The byte that each letter of the vocabulary stands for.

    Byte-level pairs (Radford et al., 2019) write bytes that print as themselves, and the others as
    the letters from U+0100 on. The tokenizers package would add 20 MB for these lines.
    """
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printed)]
    letters = {chr(byte): byte for byte in printed}
    return letters | {chr(0x100 + n): byte for n, byte in enumerate(others)}
