"""Cost of voice activity: the batched model, and the engine with many sessions in real time.

    python bench/vad.py [--sessions 1 8 32 128] [--seconds 4]

Prints CPU microseconds per window by batch size; and for each number of sessions that send 20 ms
frames in real time, the CPU share per session and the delay from a window's last sample to its
score.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import time

import numpy as np

from nur_server.ports import ActivityScore, Samples
from nur_server.providers import weights
from nur_server.providers.silero import WINDOW, SileroModel, SileroVad
from nur_server.settings import Settings

RATE = 16_000
FRAME = RATE // 50
BATCHES = (1, 2, 8, 32, 64, 128)


def measure_model(model: SileroModel, audio: Samples) -> None:
    """CPU time per window by batch size."""
    for size in BATCHES:
        slots = range(size)
        for slot in slots:
            model.reset(slot)
        rounds = max(4, 400 // size)
        windows = np.resize(audio, (rounds, size, WINDOW))
        model.score(slots, windows[0])
        before = time.process_time()
        for batch in windows:
            model.score(slots, batch)
        spent = (time.process_time() - before) / rounds
        print(f"batch of {size:3d}: {1e6 * spent / size:6.0f} us per window")


async def measure_engine(vad: SileroVad, audio: Samples, sessions: int, seconds: float) -> None:
    """CPU time and delay with sessions that send in real time, each at its own phase."""
    loop = asyncio.get_running_loop()
    delays: list[float] = []
    cpu_before = time.process_time()

    async def talk(phase: float) -> None:
        sent: dict[int, float] = {}

        def on_score(score: ActivityScore) -> None:
            delays.append(loop.time() - sent.pop(score.position))

        await asyncio.sleep(phase)
        stream, began = vad.open(on_score), loop.time()
        for n in range(int(seconds * 50)):
            await asyncio.sleep(max(0, began + n / 50 - loop.time()))
            stream.feed(audio[n * FRAME : (n + 1) * FRAME])
            if n * FRAME // WINDOW != (n + 1) * FRAME // WINDOW:
                sent[(n + 1) * FRAME // WINDOW * WINDOW] = loop.time()
        await asyncio.sleep(0.1)
        stream.close()

    await asyncio.gather(*(talk(0.02 * n / sessions) for n in range(sessions)))
    share = (time.process_time() - cpu_before) / (sessions * seconds)
    p50, p95 = np.percentile(delays, [50, 95]) * 1000
    print(
        f"{sessions:3d} sessions: {100 * share:5.2f} % of a core each, feeding included; "
        f"delay p50 {p50:.1f} ms, p95 {p95:.1f} ms"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    models_dir = Settings().models_dir
    await asyncio.to_thread(weights.pull, [weights.SILERO], models_dir)
    loud = np.random.default_rng(1).normal(0, 2000, int(arguments.seconds * RATE))
    audio = loud.astype(np.int16)
    measure_model(SileroModel.load(models_dir), audio)
    vad = SileroVad(models_dir)
    await vad.load()
    for sessions in arguments.sessions:
        await measure_engine(vad, audio, sessions, arguments.seconds)
    await vad.close()


if __name__ == "__main__":
    asyncio.run(main())
