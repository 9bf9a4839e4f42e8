"""A server in a process of its own that can be killed at any moment, and soon runs again.

Every process is forked from one that has imported the server already: what a start costs is what
the server does, not what Python does before it.
"""

import asyncio
import multiprocessing
import os
import time
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import httpx2
import uvicorn

from bench.server import free_port
from nur_server.api.app import Telephony, create_app
from nur_server.calls.policy import CallPolicy
from nur_server.jobs.work import Times
from nur_server.jobs.worker import Pace
from nur_server.ports import DialRequest, HangupCause
from nur_server.providers.catalogue import Catalogue
from nur_server.settings import Settings
from nur_server.store.records import NewKey
from nur_server.transports.loopback import Refuse, Ring, Script

READY_SECONDS = 60.0
ASK_SECONDS = 0.03
RING_SECONDS = 0.6
BACK_OFF = (0.1, 0.2, 0.5)
KEY, PLACED, LOG = "key", "placed", "log"
"""Files in a node's folder."""

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])


class Node:
    """A server process. What it accepts, it does at a quick pace; who it calls is busy."""

    def __init__(self, url: str, folder: Path) -> None:
        self.database_url = url
        self.port = free_port()
        self._folder = folder
        self._process: ForkServerProcess | None = None

    async def start(self) -> None:
        """Return once it is ready. Raises `RuntimeError` where it ends or takes too long."""
        self._folder.mkdir(exist_ok=True)
        process = _forks.Process(
            target=_serve, args=(self.database_url, self.port, self._folder), daemon=True
        )
        await asyncio.to_thread(process.start)
        self._process = process
        async with httpx2.AsyncClient() as client:
            deadline = time.monotonic() + READY_SECONDS
            while time.monotonic() < deadline:
                if not process.is_alive():
                    code = process.exitcode
                    raise RuntimeError(f"the server ended with {code}: {self.log()[-2000:]}")
                with suppress(httpx2.HTTPError):
                    answer = await client.get(f"http://127.0.0.1:{self.port}/readyz")
                    if answer.status_code == 200:
                        return
                await asyncio.sleep(ASK_SECONDS)
        raise RuntimeError(f"expected a ready server within {READY_SECONDS:g} s")

    async def kill(self) -> None:
        """At once: the server gets to do nothing more."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.join)

    def log(self) -> str:
        """What it has said; nothing where it ended before it could."""
        path = self._folder / LOG
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def key(self) -> str:
        return (self._folder / KEY).read_text()

    @property
    def placed(self) -> list[str]:
        """The calls that were placed, each as often as it was."""
        file = self._folder / PLACED
        return file.read_text().split() if file.exists() else []

    def client(self, key: str | None = None) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {key or self.key}"},
            timeout=10,
        )


def _serve(url: str, port: int, folder: Path) -> None:
    """Be the server."""
    log = os.open(folder / LOG, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)

    def callee(request: DialRequest) -> Script:
        """Note that the call was placed, where a killed server cannot take it back."""
        file = os.open(folder / PLACED, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(file, f"{request.call_id}\n".encode())
        os.close(file)
        return (Ring(RING_SECONDS), Refuse(HangupCause.BUSY))

    def keep(key: NewKey) -> None:
        (folder / KEY).write_text(key.secret)

    app = create_app(
        Settings(
            _env_file=None,
            data_dir=folder,
            database_url=url,
            port=port,
            allow_private_urls=True,
            discover_models=False,
            log_level="warning",
        ),
        catalogue=Catalogue.scripted(),
        rate_limits={"general": "1000000/minute"},
        on_first_key=keep,
        telephony=Telephony(
            policy=CallPolicy(calls_per_second=1000, concurrent_calls=1000), callee=callee
        ),
        work_times=Times(pace=Pace(0.1, 0.1, 0.2), back_off=BACK_OFF, beat=1.0, round=1.0),
    )
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", ws="websockets-sansio")
