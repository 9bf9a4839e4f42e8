"""Speech to text by Moonshine tiny, run directly on onnxruntime.

Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands" (2024):
an encoder over raw audio at 16 kHz and an autoregressive decoder. English only.
"""

from functools import partial
from pathlib import Path

from nur_server.providers import weights
from nur_server.providers.moonshine_model import MoonshineModel
from nur_server.providers.segmented import Pace, SegmentedRecogniser

NAME = weights.MOONSHINE
PARTIAL_SECONDS = 0.5
FIRST_PARTIAL_SECONDS = 0.75
"""Audio of the first partial. The session begins an utterance 0.3 s before its first sound; less
than half a second of speech is mostly misheard."""
PACE = Pace(
    partial_seconds=PARTIAL_SECONDS,
    first_seconds=FIRST_PARTIAL_SECONDS,
    early_seconds=2.0,
    early_partial_seconds=0.3,
    utterances_at_full_pace=4,
)


class Moonshine(SegmentedRecogniser):
    """The `SpeechToText` port on Moonshine tiny. For one event loop.

    Speech in any language is transcribed as if it were English.
    """

    def __init__(self, models_dir: Path, *, model: MoonshineModel | None = None) -> None:
        """Loads the model on a worker thread at first use, unless one is given."""
        load = partial(MoonshineModel.load, models_dir)
        super().__init__(NAME, frozenset({"en"}), PACE, load, model)
