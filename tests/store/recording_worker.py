"""A process that records until it is killed: `python recording_worker.py URL KIND FOLDER SESSION`.

Says `recording` with the seconds it has been given, once a second.
"""

import asyncio
import sys
from pathlib import Path

import numpy as np

from nur_server.clock import SystemClock
from nur_server.conversation.config import ConversationConfig
from nur_server.ports import ListenOptions
from nur_server.providers.scripted import (
    ScriptedLanguageModel,
    ScriptedSpeechToText,
    ScriptedTextToSpeech,
)
from nur_server.session.recorder import RATE, Recorders
from nur_server.session.setup import SessionSetup
from nur_server.store.blobs import Blobs, Bucket, Folder, open_blobs
from nur_server.store.engine import Database
from nur_server.store.recordings import RecordingArchive
from tests.store.s3 import URL
from tests.store.samples import ACCOUNT, NODE

FRAME = RATE // 50


def open_store(kind: str, folder: Path) -> Blobs:
    match kind:
        case "folder":
            return Folder(folder)
        case "s3":
            return open_blobs(URL)
        case _:
            from obstore.store import LocalStore

            return Bucket(LocalStore(folder, mkdir=True))


async def record(url: str, kind: str, folder: str, session_id: str) -> None:
    clock = SystemClock()
    database = await Database.open(url, clock=clock)
    recorders = Recorders(RecordingArchive(database, open_store(kind, Path(folder)), NODE), clock)
    setup = SessionSetup(
        account_id=ACCOUNT,
        session_id=session_id,
        agent_id=None,
        conversation=ConversationConfig(session_id),
        listen=ListenOptions(),
        voice="tone",
        stt=ScriptedSpeechToText([]),
        llm=ScriptedLanguageModel([]),
        tts=ScriptedTextToSpeech(),
    )
    recorder = recorders.open(setup)
    wave = (np.sin(np.arange(FRAME) * 2 * np.pi * 500 / RATE) * 9000).astype(np.int16)
    began = clock.monotonic()
    for frame in range(3000):
        recorder.heard(wave)
        if frame % 50 == 49:
            sys.stdout.write(f"{(frame + 1) // 50}\n")
            sys.stdout.flush()
        await asyncio.sleep(max(0, began + (frame + 1) * 0.02 - clock.monotonic()))


if __name__ == "__main__":
    asyncio.run(record(*sys.argv[1:]))
