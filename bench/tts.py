"""The embedded synthesisers: time to first audio, cost, many agents at once, intelligibility.

    python -m bench.tts [--at-once 16] [--no-wer]

Prints for each engine of this machine the wall time to the first chunk, CPU seconds per second of
audio (of a child process, too), the same with many clauses at once, and the word error rate of its
speech in the embedded recogniser.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.wer import SENTENCES, Clip, measure, speech
from nur_server.ports import SpeakRequest, TextToSpeech
from nur_server.providers import flite
from nur_server.providers.espeak import Espeak
from nur_server.providers.flite import Flite

REPEATS = 3


async def say(engine: TextToSpeech, voice: str, text: str) -> tuple[float, float]:
    """Wall seconds to the first chunk, and seconds of audio."""
    began, first, length = time.perf_counter(), 0.0, 0.0
    async for chunk in engine.speak(SpeakRequest(text, voice)):
        first = first or time.perf_counter() - began
        length += len(chunk.samples) / chunk.sample_rate
    return first, length


def cpu_seconds(pid: int | None) -> float:
    """Of this process and the engine's child."""
    own = time.process_time()
    if pid is None:
        return own
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return own + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure_engine(
    engine: Flite | Espeak, voices: Sequence[str], at_once: int, with_wer: bool
) -> None:
    """Everything about one engine."""
    await engine.load()
    pid = engine.child_pid if isinstance(engine, Espeak) else None
    for voice in voices:
        before = cpu_seconds(pid)
        results = [await say(engine, voice, s) for s in SENTENCES for _ in range(REPEATS)]
        length = sum(length for _, length in results)
        factor = (cpu_seconds(pid) - before) / length
        first = 1000 * np.median([first for first, _ in results])
        print(f"{engine.name} {voice}: first audio {first:.1f} ms, real-time factor {factor:.4f}")
    crowd = await asyncio.gather(*(say(engine, voices[0], SENTENCES[1]) for _ in range(at_once)))
    p50, p95 = 1000 * np.percentile([first for first, _ in crowd], [50, 95])
    print(f"{engine.name}: {at_once} at once: first audio p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    if with_wer:
        clips = [
            Clip(text, f"{engine.name} {voice}", text, await speech(engine, voice, text))
            for voice in voices
            for text in SENTENCES
        ]
        await measure(clips, partials=False, show=False)
    await engine.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--no-wer", action="store_true")
    arguments = parser.parse_args()
    if flite.available():
        await measure_engine(Flite(), flite.VOICES, arguments.at_once, not arguments.no_wer)
    else:
        print("flite is not installed on this machine (Debian: apt-get install libflite1)")
    voices = ("en-us+m3", "en-us+f3", "en-us+f1:pitch=48")
    await measure_engine(Espeak(), voices, arguments.at_once, not arguments.no_wer)


if __name__ == "__main__":
    asyncio.run(main())
