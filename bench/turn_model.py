"""The turn model: what it says about whole and unfinished sentences, and what it costs.

    python -m bench.turn_model [--dir DIR]

DIR holds recordings and a `manifest.json` (default `../shared/audio`); where it is absent only the
cost is measured, on noise. A recording whose transcript ends in `. ? !` counts as finished, one
that ends in a comma or dash as unfinished; others say nothing about it and are left out.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from pathlib import Path

import numpy as np

from bench.wer import RATE, RECORDINGS, Clip, recordings
from nur_server.providers import weights
from nur_server.providers.mel import log_mel, normalised
from nur_server.providers.smart_turn import SmartTurnModel
from nur_server.settings import Settings

PAUSE = np.zeros(RATE // 5, np.int16)
REPEATS = 10


def measure_judgement(model: SmartTurnModel, clips: list[Clip]) -> None:
    """How many of each kind are judged finished."""
    for kind, endings in (("finished", ".?!"), ("unfinished", ",;-")):
        chosen = [clip for clip in clips if clip.transcript.strip()[-1] in endings]
        if not chosen:
            continue
        scores = [model.score(np.concatenate([clip.samples, PAUSE])) for clip in chosen]
        judged = sum(score >= 0.5 for score in scores)
        print(
            f"{kind:>10}: {judged} of {len(scores)} judged finished, "
            f"median probability {np.median(scores):.2f}"
        )


def measure_cost(model: SmartTurnModel) -> None:
    """CPU time per pause."""
    audio = np.random.default_rng(1).normal(0, 2000, 8 * RATE).astype(np.int16)
    floats = audio.astype(np.float32) / np.float32(32768)
    for name, work in (
        ("log-mel", lambda: log_mel(normalised(floats))),
        ("log-mel and model", lambda: model.score(audio)),
    ):
        work()
        before = time.process_time()
        for _ in range(REPEATS):
            work()
        print(f"{name}: {1000 * (time.process_time() - before) / REPEATS:.1f} ms of CPU per pause")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dir", type=Path, default=RECORDINGS)
    arguments = parser.parse_args()
    models_dir = Settings().models_dir
    weights.pull([weights.SMART_TURN], models_dir)
    model = SmartTurnModel.load(models_dir)
    if arguments.dir.is_dir():
        measure_judgement(model, recordings(arguments.dir))
    else:
        print(f"{arguments.dir} is not there: measuring the cost only")
    measure_cost(model)


if __name__ == "__main__":
    main()
