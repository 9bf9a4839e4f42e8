"""A Nur server in a process of its own, for benchmarks to talk to and to look at from outside.

    with running_server("scripted") as server: …

Run as a program it is that server: `python -m bench.server scripted|embedded PORT FOLDER`.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from nur_server.cli import process

if TYPE_CHECKING:
    from nur_server.providers.catalogue import Catalogue
    from nur_server.settings import Settings
    from nur_server.store.records import NewKey

READY_SECONDS = 60.0
LONG_ANSWER = (
    "We have running shoes, walking shoes, hiking boots and a few pairs of sandals, all of them "
    "in stock, and every one can be sent to you tomorrow morning or collected in the shop. "
) * 3


@dataclass(frozen=True)
class BenchServer:
    url: str
    key: str
    pid: int
    ready_seconds: float
    """From the start of the process to its first ready answer."""

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return _cpu_seconds(Path(f"/proc/{self.pid}/stat"))

    def main_cpu_seconds(self) -> float:
        """The same of the main thread alone."""
        return _cpu_seconds(Path(f"/proc/{self.pid}/task/{self.pid}/stat"))

    def resident_mb(self) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no VmRSS: this benchmark needs Linux")

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


def _cpu_seconds(stat: Path) -> float:
    fields = stat.read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_server(engines: str) -> Iterator[BenchServer]:
    """A server with `scripted` or `embedded` engines, ended with the block."""
    with started("bench.server", engines) as server:
        yield server


@contextmanager
def started(module: str, *arguments: str) -> Iterator[BenchServer]:
    """The server that `python -m module arguments… PORT FOLDER` is, ended with the block.

    It has been started once before: the first start makes the database, and loads what does that.
    """
    with tempfile.TemporaryDirectory() as folder:
        with _running(module, arguments, Path(folder)):
            pass
        with _running(module, arguments, Path(folder)) as server:
            yield server


@contextmanager
def _running(module: str, arguments: Sequence[str], folder: Path) -> Iterator[BenchServer]:
    port = free_port()
    command = [sys.executable, "-m", module, *arguments, str(port), str(folder)]
    began = time.monotonic()
    log = (folder / "log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    with log, ended(process):
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, process, folder / "log")
        ready = time.monotonic() - began
        yield BenchServer(url, (folder / "key").read_text(), process.pid, ready)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """The process ends with the block."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    # Reading certificates for every look would take time from the server that starts beside it.
    with httpx2.Client(timeout=1, verify=False) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"the server ended: {log.read_text()[-2000:]}")
            try:
                if client.get(f"{url}/readyz").status_code == 200:
                    return
            except httpx2.HTTPError:
                time.sleep(0.02)
    raise RuntimeError(f"expected a ready server within {READY_SECONDS:g} s")


def _serve(engines: str, port: int, folder: Path) -> None:
    with process.starting() as ready:
        from nur_server.cli import serving
        from nur_server.settings import Settings

        settings = Settings(
            data_dir=folder, port=port, discover_models=False, log_level="warning",
            max_sessions=1000, drain_seconds=0,
        )  # fmt: skip
        serving.run(_run(engines, settings, ready))


async def _run(engines: str, settings: "Settings", ready: Callable[[], None]) -> None:
    from nur_server.api.app import create_app
    from nur_server.cli.node import give_back_after_sessions
    from nur_server.cli.place import bind
    from nur_server.cli.serving import Server

    def keep(key: "NewKey") -> None:
        (settings.data_dir / "key").write_text(key.secret)

    app = create_app(
        settings,
        catalogue=await _scripted(settings) if engines == "scripted" else None,
        rate_limits={},
        on_first_key=keep,
    )
    with bind(settings) as listener:
        async with app.router.lifespan_context(app), asyncio.TaskGroup() as group:
            server = Server(app, settings)
            live = app.state.services.live
            giving_back = group.create_task(give_back_after_sessions(live))
            group.create_task(server.serve(sockets=[listener]))
            await server.ready.wait()
            ready()
            await server.asked_to_stop.wait()
            giving_back.cancel()


async def _scripted(settings: "Settings") -> "Catalogue":
    """Real voice activity; everything behind it answers at once."""
    from nur_server.providers.catalogue import Catalogue
    from nur_server.providers.scripted import (
        ScriptedLanguageModel,
        ScriptedSpeechToText,
        ScriptedTextToSpeech,
    )
    from nur_server.providers.silero import SileroVad

    vad = SileroVad(settings.models_dir)
    await vad.load()
    return Catalogue.scripted(
        stt=ScriptedSpeechToText(lambda number: "Stop, tell me about the sandals."),
        llm=ScriptedLanguageModel(lambda request: LONG_ANSWER),
        tts=ScriptedTextToSpeech(tone_hz=220, gives_word_times=False),
        vad=vad,
    )


if __name__ == "__main__":
    process.prepare()
    _serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
