"""Speech to text in many languages by Whisper base, run on CTranslate2.

An extra, `[multilingual]`, and weights that `nur models pull multilingual` fetches. English stays
with Moonshine, which is faster.
"""

import importlib.util
from functools import partial
from pathlib import Path

from nur_server.providers import weights
from nur_server.providers.segmented import Pace, SegmentedRecogniser
from nur_server.providers.whisper_model import WhisperModel

NAME = weights.WHISPER
PACE = Pace(
    partial_seconds=1.0,
    first_seconds=1.0,
    early_seconds=3.0,
    early_partial_seconds=0.7,
    utterances_at_full_pace=2,
)
"""A hypothesis costs 0.15 to 0.3 s of processor time whatever its length, so partials come half as
often as Moonshine's."""
_CODES = (
    "af ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr gl gu he hi hr hu hy id is it ja "
    "ka kk km kn ko lo lt lv mk ml mn mr ms my ne nl no pa pl pt ro ru si sk sl sq sr sv sw ta te "
    "th tl tr uk ur uz vi zh"
)
LANGUAGES = frozenset(_CODES.split())
"""ISO 639-1. The network knows some thirty more, which it seldom understands."""


REMEDY = "run `pip install ctranslate2` and `nur models pull multilingual`"
"""What adds it to a server that lacks it."""


def is_there(models_dir: Path) -> bool:
    """Whether its weights and its package are on this machine. Imports nothing."""
    has_package = importlib.util.find_spec("ctranslate2") is not None
    return has_package and weights.is_there(models_dir, NAME)


class Whisper(SegmentedRecogniser):
    """The `SpeechToText` port on Whisper base. For one event loop."""

    def __init__(self, models_dir: Path, *, model: WhisperModel | None = None) -> None:
        """Loads the model on a worker thread at first use, unless one is given."""
        super().__init__(NAME, LANGUAGES, PACE, partial(WhisperModel.load, models_dir), model)
