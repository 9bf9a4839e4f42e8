"""The server of the scorecard: the real one, with embedded speech and a model that is a script.

Run as a program: `python -m bench.scorecard.server PORT FOLDER`.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from bench.server import BenchServer

if TYPE_CHECKING:  # the parent process needs neither
    from nur_server.providers.catalogue import Catalogue
    from nur_server.settings import Settings

READY_SECONDS = 60.0
MONOLOGUE, BRIEF = "Speak at length.", "Be brief."
"""System prompts, which the script goes by."""
LONG_ANSWER = (
    "We have a wide range of offers this season, and I am happy to take you through all of them. "
    "The first collection is made of natural materials and comes in seven different sizes. "
    "Every item is checked by hand before it leaves our workshop in the old part of the town. "
    "The second collection was designed together with young artists from several countries. "
    "It includes jackets, scarves, gloves and hats, which are popular with our younger visitors. "
    "All of these can be delivered to any address, or kept for collection until the weekend. "
    "Members of our club receive an additional discount, free wrapping and an invitation to our "
    "summer party, where new designs are presented for the first time. "
)
SHORT_ANSWER = "Thank you, I have made a note of that."


@contextmanager
def running_server() -> Iterator[BenchServer]:
    """The server in a process of its own, ended with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.scorecard.server", str(port), folder],
            stdout=log,
            stderr=log,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process, Path(folder) / "log")
            key = (Path(folder) / "key").read_text()
            yield BenchServer(url, key, process.pid, time.monotonic() - began)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended: {log.read_text()[-2000:]}")
        try:
            if httpx2.get(f"{url}/readyz", timeout=1).status_code == 200:
                return
        except httpx2.HTTPError:
            time.sleep(0.05)
    raise RuntimeError(f"expected a ready server within {READY_SECONDS:g} s")


def _serve(port: int, folder: Path) -> None:
    import uvicorn

    from nur_server.api.app import create_app
    from nur_server.settings import Settings
    from nur_server.store.records import NewKey

    def keep(key: NewKey) -> None:
        (folder / "key").write_text(key.secret)

    settings = Settings(data_dir=folder, port=port, discover_models=False, log_level="warning")
    app = create_app(
        settings,
        catalogue=asyncio.run(_catalogue(settings)),
        rate_limits={},
        on_first_key=keep,
    )
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        log_level="warning",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
    )


async def _catalogue(settings: "Settings") -> "Catalogue":
    """Embedded speech, loaded; the words of the agent are written down."""
    from nur_server.ports import ReplyRequest
    from nur_server.providers import flite, weights
    from nur_server.providers.catalogue import Catalogue
    from nur_server.providers.espeak import Espeak
    from nur_server.providers.flite import Flite
    from nur_server.providers.moonshine import Moonshine
    from nur_server.providers.scripted import ScriptedLanguageModel
    from nur_server.providers.silero import SileroVad
    from nur_server.providers.smart_turn import SmartTurn

    names = [weights.MOONSHINE, weights.SILERO, weights.SMART_TURN]
    await asyncio.to_thread(weights.pull, names, settings.models_dir)

    def answer(request: ReplyRequest) -> str:
        is_long = any(MONOLOGUE in message.content for message in request.messages[:1])
        return LONG_ANSWER if is_long else SHORT_ANSWER

    return Catalogue.scripted(
        stt=Moonshine(settings.models_dir),
        llm=ScriptedLanguageModel(answer),
        tts=Flite() if flite.available() else Espeak(),
        vad=SileroVad(settings.models_dir),
        turn_model=SmartTurn(settings.models_dir),
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
