"""What recording costs: CPU of the event loop and of all threads, per second of session.

    python bench/recording.py

A caller and an agent who both sound all the time, in frames of 20 ms, into a folder.
"""

import asyncio
import tempfile
import time
from pathlib import Path

import numpy as np

from nur_server.clock import ManualClock
from nur_server.conversation.config import ConversationConfig
from nur_server.ports import ListenOptions
from nur_server.providers.scripted import (
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
)
from nur_server.session.recorder import RATE, Archive, Recorder, Recorders
from nur_server.session.setup import SessionSetup
from nur_server.store.blobs import BlobWriter, Folder

SESSIONS = 10
SECONDS = 60
OUTPUT_RATE = 24_000


class Files:
    """An archive without its database."""

    def __init__(self, folder: Path) -> None:
        self._blobs = Folder(folder)
        self._writers: dict[str, BlobWriter] = {}

    async def begin(
        self, account_id: str, session_id: str, agent_id: str | None, keep_days: int | None
    ) -> str:
        self._writers[session_id] = self._blobs.create(f"{session_id}.flac")
        return session_id

    async def append(self, recording_id: str, data: bytes) -> None:
        await self._writers[recording_id].append(data)

    async def finish(
        self, recording_id: str, header: bytes, duration_seconds: float, lost_seconds: float
    ) -> None:
        await self._writers[recording_id].finish(header)

    async def fail(self, recording_id: str, code: str, message: str) -> None:
        raise SystemExit(f"a recording failed: {code}: {message}")


async def run(archive: Archive, setups: list[SessionSetup]) -> None:
    clock = ManualClock()
    recorders = Recorders(archive, clock)
    open_ = [recorders.open(setup) for setup in setups]
    noise = np.random.default_rng(1)
    caller = noise.normal(0, 2000, RATE * 5).astype(np.int16).reshape(-1, RATE // 50)
    agent = noise.normal(0, 2000, OUTPUT_RATE * 5).astype(np.int16).reshape(-1, OUTPUT_RATE // 50)
    loop_seconds = 0.0
    began = time.process_time()
    for frame in range(SECONDS * 50):
        clock.advance(0.02)
        before = time.thread_time()
        for recorder in open_:
            feed(recorder, caller[frame % 250], agent[frame % 250])
        loop_seconds += time.thread_time() - before
        if frame % 50 == 0:
            await asyncio.sleep(0.02)
    for recorder in open_:
        recorder.stop()
    await recorders.settled()
    cpu = time.process_time() - began
    total = SESSIONS * SECONDS
    lost = sum(recorder.lost_samples for recorder in open_) / RATE
    print(f"noting, on the event loop    {loop_seconds / total * 1000:6.2f} ms per session-second")
    print(f"all, on every thread         {cpu / total * 1000:6.2f} ms per session-second")
    print(f"lost to overload             {lost:6.1f} s of {total} s")
    await recorders.close()


def feed(recorder: Recorder, caller: np.ndarray, agent: np.ndarray) -> None:
    recorder.heard(caller)
    recorder.played("resp_1", agent, OUTPUT_RATE)


def setup_of(number: int) -> SessionSetup:
    return SessionSetup(
        account_id="acc_bench",
        session_id=f"ses_{number}",
        agent_id=None,
        conversation=ConversationConfig(f"ses_{number}"),
        listen=ListenOptions(),
        voice="tone",
        stt=ScriptedSpeechToText([]),
        llm=ScriptedLanguageModel([]),
        tts=ScriptedTextToSpeech(),
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Files(Path(folder)), [setup_of(number) for number in range(SESSIONS)]))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    print(f"on disk, of noise            {size * 8 / SESSIONS / SECONDS / 1000:6.0f} kbit/s")


if __name__ == "__main__":
    main()
